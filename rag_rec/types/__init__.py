"""The nouns every room shares: frozen Pydantic models, no behaviour beyond their own shape.

Conventions: ``*_id`` is the catalog's own id (text), ``*_ix`` a row number, ``k`` the list
length, times are integer unix seconds in UTC, prices are plain numbers in the shop's currency.
"""

from rag_rec.types.inputs import (
    Candidate,
    Constraints,
    Interaction,
    Item,
    ItemId,
    Model,
    Relaxable,
    Review,
    UserHistory,
    UserId,
)
from rag_rec.types.results import (
    BundleList,
    Evidence,
    EvidenceKind,
    Origin,
    Outcome,
    ReasonStatus,
    Recommendation,
    RecommendationList,
    Repairs,
    SequenceList,
    SlatePage,
    SlateRow,
    TasteProfile,
    Understood,
    Usage,
)

__all__ = [
    "BundleList",
    "Candidate",
    "Constraints",
    "Evidence",
    "EvidenceKind",
    "Interaction",
    "Item",
    "ItemId",
    "Model",
    "Origin",
    "Outcome",
    "ReasonStatus",
    "Recommendation",
    "RecommendationList",
    "Relaxable",
    "Repairs",
    "Review",
    "SequenceList",
    "SlatePage",
    "SlateRow",
    "TasteProfile",
    "Understood",
    "Usage",
    "UserHistory",
    "UserId",
]

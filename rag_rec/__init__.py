"""Retrieval-augmented recommendation: a model orders and explains, code makes every list valid.

>>> from rag_rec import Recommender
>>> rec = Recommender.open("indexes/shop", llm="local")     # doctest: +SKIP
>>> result = rec.recommend("user-42", k=5)                  # doctest: +SKIP
"""

from rag_rec.builder import build_index
from rag_rec.config import Settings
from rag_rec.constraints import describe, where
from rag_rec.dataset import Dataset, load_sample
from rag_rec.errors import (
    BudgetTooSmall,
    ConfigError,
    DataError,
    IndexLocked,
    IndexNotFound,
    MissingVariable,
    ModelError,
    ModelTimeout,
    OutputError,
    PromptError,
    QuotaExhausted,
    RagRecError,
    RateLimited,
    Refused,
    RunStopped,
    StaleIndex,
    StorageError,
    TransportError,
    Truncated,
)
from rag_rec.index import Embedder, ItemIndex, SentenceTransformerEmbedder
from rag_rec.lists import Bundle, Sequence, Slate, TopK
from rag_rec.llm import ChatModel, open_model
from rag_rec.recommender import Recommender
from rag_rec.retrieve import FusedRetriever, Retriever
from rag_rec.types import (
    BundleList,
    Candidate,
    Constraints,
    Evidence,
    Interaction,
    Item,
    Recommendation,
    RecommendationList,
    Repairs,
    Review,
    SequenceList,
    SlatePage,
    SlateRow,
    Usage,
    UserHistory,
)

__version__ = "0.1.0"

__all__ = [
    "BudgetTooSmall",
    "Bundle",
    "BundleList",
    "Candidate",
    "ChatModel",
    "ConfigError",
    "Constraints",
    "DataError",
    "Dataset",
    "Embedder",
    "Evidence",
    "FusedRetriever",
    "IndexLocked",
    "IndexNotFound",
    "Interaction",
    "Item",
    "ItemIndex",
    "MissingVariable",
    "ModelError",
    "ModelTimeout",
    "OutputError",
    "PromptError",
    "QuotaExhausted",
    "RagRecError",
    "RateLimited",
    "Recommendation",
    "RecommendationList",
    "Recommender",
    "Refused",
    "Repairs",
    "Retriever",
    "Review",
    "RunStopped",
    "SentenceTransformerEmbedder",
    "Sequence",
    "SequenceList",
    "Settings",
    "Slate",
    "SlatePage",
    "SlateRow",
    "StaleIndex",
    "StorageError",
    "TopK",
    "TransportError",
    "Truncated",
    "Usage",
    "UserHistory",
    "__version__",
    "build_index",
    "describe",
    "load_sample",
    "open_model",
    "where",
]

"""Turn any reply of a model into a valid list.

The model names candidates by label (1..n), so it cannot mistype an id. A reply is parsed strictly,
reasons are checked against their evidence, and the retrieval order fills the remaining slots.
"""

from rag_rec.grounding.assemble import Grounds, list_fields
from rag_rec.grounding.check_reason import ReasonChecker
from rag_rec.grounding.parse_reply import (
    Entry,
    Reading,
    merge_readings,
    read_answer,
    reask_message,
)
from rag_rec.grounding.read_scores import Unscored, mean_scores, read_scores, scored_reading
from rag_rec.grounding.reply_schema import answer_schema, closed_object

__all__ = [
    "Entry",
    "Grounds",
    "Reading",
    "ReasonChecker",
    "Unscored",
    "answer_schema",
    "closed_object",
    "list_fields",
    "mean_scores",
    "merge_readings",
    "read_answer",
    "read_scores",
    "reask_message",
    "scored_reading",
]

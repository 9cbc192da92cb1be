"""Types of lists: the best k, bundles, play sequences, slates; each in one file."""

from rag_rec.list_types.affinity import Affinity, Steps
from rag_rec.list_types.base import Composed, Kind, ListContext, ListTask, ListType, Theme
from rag_rec.list_types.bundle import Bundle, BundleList
from rag_rec.list_types.local_search import construct
from rag_rec.list_types.play_sequence import PlaySequence, SequenceList
from rag_rec.list_types.registry import LIST_TYPES, kind_of, list_type_of, register_list_type
from rag_rec.list_types.slate import Slate, SlatePage, SlateRow
from rag_rec.list_types.top_k import TopK

__all__ = [
    "LIST_TYPES",
    "Affinity",
    "Bundle",
    "BundleList",
    "Composed",
    "Kind",
    "ListContext",
    "ListTask",
    "ListType",
    "PlaySequence",
    "SequenceList",
    "Slate",
    "SlatePage",
    "SlateRow",
    "Steps",
    "Theme",
    "TopK",
    "construct",
    "kind_of",
    "list_type_of",
    "register_list_type",
]

"""Lists beyond the best k: bundles, sequences, slates; what is asked for and how each is built."""

from rag_rec.lists.affinity import Affinity, Steps
from rag_rec.lists.compose import ListBuilder
from rag_rec.lists.construct import construct
from rag_rec.lists.kinds import Bundle, Composite, Kind, Sequence, Slate, TopK

__all__ = [
    "Affinity",
    "Bundle",
    "Composite",
    "Kind",
    "ListBuilder",
    "Sequence",
    "Slate",
    "Steps",
    "TopK",
    "construct",
]

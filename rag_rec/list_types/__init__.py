"""Lists beyond the best k: bundles, sequences, slates; what is asked for and how each is built."""

from rag_rec.list_types.affinity import Affinity, Steps
from rag_rec.list_types.ask import ListAsker
from rag_rec.list_types.compose import ListBuilder
from rag_rec.list_types.kinds import Bundle, Composite, Kind, PlaySequence, Slate, TopK
from rag_rec.list_types.local_search import construct

__all__ = [
    "Affinity",
    "Bundle",
    "Composite",
    "Kind",
    "ListAsker",
    "ListBuilder",
    "PlaySequence",
    "Slate",
    "Steps",
    "TopK",
    "construct",
]

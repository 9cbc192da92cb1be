"""The steps between a history and a list, which `rag_rec.Recommender` strings together."""

from rag_rec.pipeline.asking import Asker
from rag_rec.pipeline.blend import Blend, LengthWeight, blend_list, blended
from rag_rec.pipeline.grounding import Grounder
from rag_rec.pipeline.job import Job
from rag_rec.pipeline.listing import TypedLists

__all__ = [
    "Asker",
    "Blend",
    "Grounder",
    "Job",
    "LengthWeight",
    "TypedLists",
    "blend_list",
    "blended",
]

"""The steps between a request and a list, and the state that travels through them."""

from rag_rec.pipeline.blend import Blend, LengthWeight, blended, blended_scores
from rag_rec.pipeline.state import (
    Exchange,
    Purpose,
    RecommendationRequest,
    RecommendationState,
    User,
)
from rag_rec.pipeline.steps import Pipeline

__all__ = [
    "Blend",
    "Exchange",
    "LengthWeight",
    "Pipeline",
    "Purpose",
    "RecommendationRequest",
    "RecommendationState",
    "User",
    "blended",
    "blended_scores",
]

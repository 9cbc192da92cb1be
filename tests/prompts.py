"""The prompt of one user, for tests that look at it."""

from __future__ import annotations

from rag_rec import RecommendationRequest, Recommender, TopK
from rag_rec.pipeline import User
from rag_rec.prompting import RenderedPrompt


def prompt_of(recommender: Recommender, user: User, k: int) -> RenderedPrompt:
    """Preview one user's plain list and return its prompt."""
    (state,) = recommender.preview([RecommendationRequest(user, TopK(k=k))])
    assert state.prompt is not None
    return state.prompt

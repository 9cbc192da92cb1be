"""`RetrievalConfig`: everything that decides how retrieval is fitted."""

from __future__ import annotations

from dataclasses import dataclass, field

from rag_rec.retrieval.budget import Budget
from rag_rec.retrieval.fusion.weights import SearchConfig, Weighting
from rag_rec.retrieval.item_item.content import Content
from rag_rec.retrieval.item_item.content_smoothed import Smoothed
from rag_rec.retrieval.item_item.ease import Symmetric
from rag_rec.retrieval.item_item.popularity import Popular
from rag_rec.retrieval.item_item.reviews import Reviews
from rag_rec.retrieval.item_item.slit import Sequential
from rag_rec.retrieval.ranker.config import RankerConfig

_WEIGHTS = {"sequence": 1.0, "symmetric": 0.3, "content": 1.0, "smoothed": 0.5, "reviews": 0.1}


@dataclass(frozen=True, slots=True)
class RetrievalConfig:
    """How retrieval is fitted.

    Attributes:
        sequential: What users took next.
        symmetric: What users took together.
        content: What is described alike.
        smoothed: Sequence evidence lent to what is described alike.
        reviews: What is written about alike.
        popular: What is taken most.
        ranker: The learned order of the best candidates.
        given: A second ranker, for candidates that are given and not retrieved; none by default.
        weighting: How the sources are summed, where the search begins.
        search: The search for a better weighting.
        budget: What fits the memory; the same for all.
    """

    sequential: Sequential = field(default_factory=Sequential)
    symmetric: Symmetric = field(default_factory=Symmetric)
    content: Content = field(default_factory=Content)
    smoothed: Smoothed = field(default_factory=Smoothed)
    reviews: Reviews = field(default_factory=Reviews)
    popular: Popular = field(default_factory=Popular)
    ranker: RankerConfig = field(default_factory=RankerConfig)
    given: RankerConfig | None = None
    weighting: Weighting = field(default_factory=lambda: Weighting(dict(_WEIGHTS)))
    search: SearchConfig = field(default_factory=SearchConfig)
    budget: Budget = field(default_factory=Budget)

    @classmethod
    def within(
        cls, memory_gib: float, *, ranker: bool = True, given: bool = False
    ) -> RetrievalConfig:
        """The defaults with another memory budget, or other rankers."""
        return cls(
            budget=Budget(memory_gib),
            ranker=RankerConfig(enabled=ranker),
            given=RankerConfig(depth=20, rounds=300, truncation=20) if given else None,
        )

"""What a list is checked against."""

from __future__ import annotations

from rag_rec.constraints import fold
from rag_rec.grounding import Grounds, ReasonChecker
from rag_rec.index import ItemIndex
from rag_rec.pipeline.job import Job
from rag_rec.retrieval import FusedRetriever, strongest_links


class Grounder:
    """Finds what holds of one user's items: the catalog, the evidence shown, the links.

    Args:
        index: The catalog.
        retriever: Knows which events of a history speak for an item.
    """

    def __init__(self, index: ItemIndex, retriever: FusedRetriever) -> None:
        self._index = index
        self._retriever = retriever

    def grounds(self, job: Job) -> Grounds:
        """What the list of a job is checked against."""
        checker = None
        if job.prompt is not None and job.prompt.evidence:
            checker = ReasonChecker(job.prompt.evidence, self._index.item_by_id, self.is_brand)
        asked_for = {c.item_id for c in job.candidates if "profile" in c.sources}
        return Grounds(
            history=job.history,
            candidates=job.candidates,
            item_of=self._index.item_by_id,
            reasons_of=lambda ids: strongest_links(self._retriever, job.history, ids, asked_for),
            checker=checker,
        )

    def is_brand(self, name: str) -> bool:
        """Whether the catalog has a brand of this name."""
        return fold(name) in self._retriever.limits.brands

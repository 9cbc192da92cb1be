"""What a list is checked against."""

from __future__ import annotations

from collections.abc import Sequence

from rag_rec.core import Evidence
from rag_rec.grounding import Grounds, ReasonChecker
from rag_rec.index import ItemIndex
from rag_rec.pipeline.job import Job
from rag_rec.retrieval import Retriever


class Grounder:
    """Finds what holds of one user's items: the catalog, the evidence shown, the links.

    Args:
        index: The catalog.
        retriever: Knows which events of a history speak for an item.
    """

    def __init__(self, index: ItemIndex, retriever: Retriever) -> None:
        self._index = index
        self._retriever = retriever

    def grounds(self, job: Job) -> Grounds:
        """What the list of a job is checked against."""
        checker = None
        if job.prompt is not None and job.prompt.evidence:
            is_brand = self._index.eligibility.is_brand
            checker = ReasonChecker(job.prompt.evidence, self._index.item_by_id, is_brand)
        return Grounds(
            history=job.history,
            candidates=job.candidates,
            item_of=self._index.item_by_id,
            reasons_of=lambda item_ids: self._reasons(job, item_ids),
            checker=checker,
        )

    def _reasons(self, job: Job, item_ids: Sequence[str]) -> dict[str, Evidence]:
        links = self._retriever.explain(job.history, item_ids)
        asked_for = {c.item_id for c in job.candidates if "profile" in c.sources}
        return {
            item_id: links.get(item_id) or self._unlinked(item_id, item_id in asked_for)
            for item_id in item_ids
        }

    def _unlinked(self, item_id: str, asked_for: bool) -> Evidence:
        """The reason for an item that no event of the history speaks for."""
        row = self._index.find(item_id)
        if asked_for:
            text = "Close to what was asked for."
        elif row is not None and self._index.popularity[row] > 0:
            text = "Popular with other users."
        else:
            text = "Nobody has taken it yet."
        return Evidence(item_id=item_id, kind="history", text=text)

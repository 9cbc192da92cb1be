"""Bundles, sequences and slates: the same checks as for a plain list, on lists built otherwise."""

from __future__ import annotations

from collections.abc import Mapping

from rag_rec.core import BundleList, SequenceList, Settings, SlatePage, UserHistory
from rag_rec.grounding import list_fields
from rag_rec.index import ItemIndex
from rag_rec.list_types import Bundle, Composite, ListAsker, ListBuilder, PlaySequence, Slate
from rag_rec.llm import ChatModel
from rag_rec.pipeline.grounding import Grounder
from rag_rec.pipeline.job import Job

_DOCUMENTS: Mapping[type, type[BundleList | SequenceList | SlatePage]] = {
    Bundle: BundleList,
    PlaySequence: SequenceList,
    Slate: SlatePage,
}


class TypedLists:
    """Makes lists of every kind but the plain one.

    Args:
        index: An open index.
        builder: Builds lists over it.
        model: The language model; None for lists by search alone.
        settings: Temperature and seed.
        grounder: What lists are checked against.
        run_id: Written into every list.
    """

    def __init__(
        self,
        index: ItemIndex,
        builder: ListBuilder,
        model: ChatModel | None,
        settings: Settings,
        grounder: Grounder,
        run_id: str,
    ) -> None:
        self._builder = builder
        self._asker = ListAsker(index, model, settings) if model is not None else None
        self._grounder = grounder
        self._run_id = run_id

    def make(self, kind: Composite, history: UserHistory) -> BundleList | SequenceList | SlatePage:
        """Candidates, the model's choices, what holds of them, and the rest by search.

        Raises:
            DataError: If an anchor is unknown.
            ConfigError: If an anchor contradicts the constraints or the budget.
        """
        candidates = self._builder.candidates(history, kind)
        paged = isinstance(kind, Slate)
        themes = self._builder.themes(kind, history, candidates) if paged else []
        job = Job(history, candidates)
        if self._asker is not None and candidates:
            asked = self._asker.ask(kind, history, candidates, themes)
            job.prompt, job.reading = asked.prompt, asked.reading
            job.usage, job.error = asked.usage, asked.error
        entries = job.reading.entries if job.reading else ()
        composed = self._builder.compose(kind, history, candidates, entries, themes)
        fields = list_fields(
            composed.choices,
            job.reading,
            self._grounder.grounds(job),
            k=kind.length,
            usage=job.usage,
            run_id=self._run_id,
            error=job.error,
        )
        return _DOCUMENTS[type(kind)](**fields, **composed.extras)

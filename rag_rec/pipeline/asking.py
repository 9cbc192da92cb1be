"""From candidates to what the model says of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rag_rec.core import Settings, UserHistory
from rag_rec.grounding import answer_schema, merge_readings
from rag_rec.index import ItemIndex
from rag_rec.llm import ChatModel, Completion, Message, OnDone, Request
from rag_rec.pipeline.job import Job
from rag_rec.profiles import Profiler
from rag_rec.prompting import PromptRenderer, RenderedPrompt, Variant
from rag_rec.retrieval import review_quotes, review_sentences

_ENTRY_TOKENS = 24
_REASK_TOKENS = 250


class Asker:
    """Writes prompts of one variant, sends them to one model and reads the replies.

    Args:
        index: Where items and reviews are read.
        model: The language model.
        variant: The prompt variant.
        settings: Temperature, seed, and whether an incomplete reply is asked again.
        profiler: Makes the taste profiles that a variant may want.
    """

    def __init__(
        self,
        index: ItemIndex,
        model: ChatModel,
        variant: Variant,
        settings: Settings,
        profiler: Profiler,
    ) -> None:
        self._index = index
        self._model = model
        self._settings = settings
        self._profiler = profiler
        self._wanted = variant.settings
        self._renderer = PromptRenderer(variant, model.tokens)

    def render(self, jobs: Sequence[Job], k: int) -> None:
        """Gives every job its prompt and its request.

        Raises:
            BudgetTooSmall: If k candidates do not fit the model's context.
        """
        shown = [job.candidates[: max(k, self._wanted.max_candidates)] for job in jobs]
        quotes_of = review_sentences if self._wanted.citations else review_quotes
        users = [job.history for job in jobs]
        evidence = quotes_of(self._index, users, shown, self._wanted.evidence)
        max_tokens = self._max_tokens(k)
        reserve = max_tokens + (max_tokens + _REASK_TOKENS if self._settings.reask else 0)
        for job, history, quotes in zip(jobs, self._with_taste(jobs), evidence, strict=True):
            job.prompt = self._renderer.render(
                history,
                job.candidates,
                k=k,
                budget=self._model.context_tokens - reserve,
                item_of=self._index.item_by_id,
                evidence=quotes,
            )
            job.request = self._request(job.prompt, k)

    def ask(self, prepared: Iterator[Job], k: int, on_done: OnDone | None = None) -> list[Job]:
        """Sends the requests of jobs while they are prepared, and reads the replies.

        Args:
            prepared: Jobs; those without a request are passed on as they are.
            k: How many items were asked for.
            on_done: Called with the number of jobs just finished.
        """
        jobs: list[Job] = []

        def requests() -> Iterator[Request]:
            for job in prepared:
                jobs.append(job)
                if job.request is not None:
                    yield job.request
                elif on_done:
                    on_done(1)

        completions = self._model.generate(requests(), on_done)
        asked = [job for job in jobs if job.request is not None]
        for job, completion in zip(asked, completions, strict=True):
            job.reading = job.read(completion, k)
        if self._settings.reask:
            self._ask_again([job for job in asked if job.lacks(k)], k)
        return jobs

    def _ask_again(self, jobs: list[Job], k: int) -> None:
        if not jobs:
            return
        completions: list[Completion] = self._model.generate([j.second_request(k) for j in jobs])
        for job, completion in zip(jobs, completions, strict=True):
            if job.reading is not None:
                job.reading = merge_readings(job.reading, job.read(completion, k), k=k)

    def _with_taste(self, jobs: Sequence[Job]) -> list[UserHistory]:
        """Histories whose users speak through their taste profile, where the variant wants it."""
        silent = [job for job in jobs if job.history.events and not job.history.profile]
        if not self._wanted.taste or not silent:
            return [job.history for job in jobs]
        texts: dict[int, str] = {}
        profiles = self._profiler.profiles([job.history for job in silent])
        for job, profile in zip(silent, profiles, strict=True):
            job.usage += profile.usage
            job.profile_refuted = profile.status == "facts"
            texts[id(job)] = profile.text
        return [
            job.history.model_copy(update={"profile": texts[id(job)]})
            if id(job) in texts
            else job.history
            for job in jobs
        ]

    def _max_tokens(self, k: int) -> int:
        return 16 + k * (_ENTRY_TOKENS + self._wanted.reason_chars // 2)

    def _request(self, prompt: RenderedPrompt, k: int) -> Request:
        n_labels = len(prompt.labels)
        cites = self._wanted.citations
        return Request(
            messages=tuple(Message(role, text) for role, text in prompt.messages),
            schema=answer_schema(
                n_labels=n_labels,
                k=k,
                reason_chars=self._wanted.reason_chars,
                n_evidence=self._wanted.candidate_number(n_labels + 1) - 1 if cites else 0,
            ),
            max_tokens=self._max_tokens(min(k, n_labels)),
            temperature=self._settings.temperature,
            seed=self._settings.seed,
        )

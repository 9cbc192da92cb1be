"""The pipeline: history in, valid list out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self, TypedDict, Unpack, cast

from rag_rec.constraints import where
from rag_rec.core import (
    BundleList,
    ConfigError,
    Constraints,
    RecommendationList,
    SequenceList,
    Settings,
    SlatePage,
    TasteProfile,
    Understood,
    UserHistory,
)
from rag_rec.grounding import build_list
from rag_rec.index import Embedder, ItemIndex
from rag_rec.list_types import Bundle, Kind, ListBuilder, PlaySequence, Slate, TopK
from rag_rec.llm import ChatModel, Completion, open_from
from rag_rec.pipeline import Asker, Blend, Grounder, Job, TypedLists, blend_list
from rag_rec.profiles import Profiler
from rag_rec.prompting import RenderedPrompt, load_variant
from rag_rec.requests import RequestReader, with_request
from rag_rec.retrieval import FusedRetriever, pools

User = str | UserHistory | Sequence[str]
"""A user id of the log, a history, or item ids oldest first."""

OnDone = Callable[[int], None]

_PREPARED_FIRST, _PREPARED_AT_ONCE = 16, 128


class Given(TypedDict, total=False):
    """What may be said of the user of a list, beside their history."""

    profile: str | None
    constraints: Constraints | None


class Recommender:
    """Recommends items of one index with one model and one prompt variant.

    Args:
        index: An open index.
        model: The language model; None for retrieval only.
        settings: Everything else.
        retriever: The index's retriever, where it is open already; it takes seconds and memory.
    """

    def __init__(
        self,
        index: ItemIndex,
        model: ChatModel | None = None,
        settings: Settings | None = None,
        *,
        retriever: FusedRetriever | None = None,
    ) -> None:
        self.index = index
        self.model = model
        self.settings = settings or Settings()
        self.variant = load_variant(self.settings.prompt)
        self.retriever = retriever or FusedRetriever(index, decay=self.settings.history_decay)
        self.lists = ListBuilder(index, self.retriever)
        self._grounder = Grounder(index, self.retriever)
        self._profiler = Profiler(index, model, index.eligibility.is_brand)
        self._asker = (
            None
            if model is None
            else Asker(index, model, self.variant, self.settings, self._profiler)
        )
        self._blend = Blend.load(self.settings.blend) if self.settings.blend else None
        self.run_id = self._identity()
        self._typed = TypedLists(
            index, self.lists, model, self.settings, self._grounder, self.run_id
        )
        self._wishes = RequestReader(index, model, seed=self.settings.seed)

    @classmethod
    def open(
        cls,
        folder: str | Path,
        llm: str | ChatModel | None = None,
        *,
        prompt: str | Path | None = None,
        settings: Settings | str | Path | None = None,
        embedder: Embedder | None = None,
    ) -> Self:
        """Opens an index and a model.

        Args:
            folder: The index.
            llm: A model spec such as ``local``, ``openai:MODEL`` or ``none``, or a model.
            prompt: A prompt variant's name or ``.toml`` file.
            settings: Settings, or the TOML file that holds them; the arguments above win.
            embedder: The embedder the index was built with; by default loaded by name.

        Raises:
            ConfigError, IndexNotFound, StaleIndex, PromptError: One line that says what to do.
        """
        if not isinstance(settings, Settings):
            settings = Settings.load(settings)
        spec = llm if isinstance(llm, str) else llm.name if llm else None
        chosen = {"llm": spec, "prompt": str(prompt) if prompt else None}
        settings = settings.model_copy(update={k: v for k, v in chosen.items() if v is not None})
        index = ItemIndex.open(folder, embedder)
        model = open_from(settings) if llm is None or isinstance(llm, str) else llm
        return cls(index, model, settings)

    def recommend(
        self,
        user: User,
        k: int | None = None,
        *,
        profile: str | None = None,
        constraints: Constraints | None = None,
        request: str | None = None,
    ) -> RecommendationList:
        """A list for one user.

        Args:
            user: A user id of the log, a `UserHistory`, or item ids oldest first (``[]`` for
                somebody unknown).
            k: List length; the settings' when None.
            profile: Plain words about the user, for those without a history.
            constraints: What the list must obey.
            request: A wish in plain words, such as "a present for my father, under 40". What it
                asks for is added to the constraints and returned as ``understood``.

        Raises:
            DataError: If the user or an item id is unknown.
        """
        history = self._history(user, profile, constraints)
        if request is None:
            return self.recommend_many([history], k)[0]
        understood = self.understand(request)
        result = self.recommend_many([with_request(history, understood)], k)[0]
        return result.model_copy(update={"understood": understood})

    def understand(self, request: str) -> Understood:
        """What a wish in plain words asks for; the model reads it, code decides what is taken.

        Without a model, or when its reply cannot be used, keywords decide and ``how`` says so.
        """
        return self._wishes.read(request)

    def where(self, text: str, *, relax: Sequence[str] = ()) -> Constraints:
        """Reads constraints, and checks that the catalog knows the names they ask for.

        Args:
            text: Such as ``price<=20 and category=tea``; see `rag_rec.where`.
            relax: Constraints that may be given up, in this order, when too few items qualify.

        Raises:
            ConfigError: If the text cannot be read, or no item has a wanted brand or category.
        """
        constraints = where(text, relax=relax)
        self.index.eligibility.check_names(constraints)
        return constraints

    def recommend_many(
        self, users: Iterable[User], k: int | None = None, *, on_done: OnDone | None = None
    ) -> list[RecommendationList]:
        """Lists for many users, in their order; a failing model call costs only its own list.

        Raises:
            DataError: If a user or an item id is unknown.
            BudgetTooSmall: If k candidates do not fit the model's context.
        """
        k = k or self.settings.k
        histories = [self.history_of(user) for user in users]
        jobs = self._generate(self._prepare(histories, k), k, on_done)
        return [self._ground(job, k) for job in jobs]

    def prepare(self, histories: Sequence[UserHistory], k: int) -> list[Job]:
        """The first two steps: candidates and prompts, for callers that send requests themselves.

        Raises:
            BudgetTooSmall: If k candidates do not fit the model's context.
        """
        jobs = self._retrieve(list(histories), k)
        self._render(jobs, k)
        return jobs

    def finish(self, jobs: Sequence[Job], k: int) -> list[RecommendationList]:
        """The last steps, from prepared jobs to lists; several threads may call it."""
        return [self._ground(job, k) for job in self._generate(iter(jobs), k, None)]

    def finish_with(self, job: Job, completion: Completion, k: int) -> RecommendationList:
        """The list of a prepared job whose reply came by another way; nothing is asked again."""
        job.reading = job.read(completion, k)
        return self._ground(job, k)

    def profile(self, user: User) -> TasteProfile:
        """What a user's history and own reviews say of them; made once, then remembered.

        Raises:
            DataError: If the user or an item id is unknown.
        """
        return self._profiler.profiles([self.history_of(user)])[0]

    def make(
        self,
        user: User,
        kind: Kind,
        *,
        profile: str | None = None,
        constraints: Constraints | None = None,
    ) -> RecommendationList:
        """A list of any kind, for one user.

        Args:
            user: As for `recommend`; ``[]`` for somebody unknown.
            kind: `TopK`, `Bundle`, `PlaySequence` or `Slate`.
            profile: Plain words about the user.
            constraints: What every item, and the list as a whole, must obey.

        Returns:
            A `RecommendationList`, or its `BundleList`, `SequenceList` or `SlatePage`.

        Raises:
            DataError: If the user or an item id is unknown.
            ConfigError: If an anchor contradicts the constraints or the budget.
        """
        history = self._history(user, profile, constraints)
        if isinstance(kind, TopK):
            return self.recommend_many([history], kind.k)[0]
        return self._typed.make(kind, history)

    def bundle(
        self, user: User, bundle: Bundle | None = None, **given: Unpack[Given]
    ) -> BundleList:
        """Items that go together, three unless said otherwise; see `make`."""
        return cast("BundleList", self.make(user, bundle or Bundle(), **given))

    def sequence(
        self, user: User, sequence: PlaySequence | None = None, **given: Unpack[Given]
    ) -> SequenceList:
        """Items in an order that matters; see `make`."""
        return cast("SequenceList", self.make(user, sequence or PlaySequence(), **given))

    def slate(self, user: User, slate: Slate | None = None, **given: Unpack[Given]) -> SlatePage:
        """A page of rows with themes; see `make`."""
        return cast("SlatePage", self.make(user, slate or Slate(), **given))

    def history_of(self, user: User) -> UserHistory:
        """The history a user stands for.

        Raises:
            DataError: If the user or an item id is unknown.
        """
        if isinstance(user, str):
            return self.index.history(user)
        history = user if isinstance(user, UserHistory) else UserHistory.of(*user)
        for item_id in history.item_ids:
            self.index.item_by_id(item_id)
        return history

    def _history(
        self, user: User, profile: str | None, constraints: Constraints | None
    ) -> UserHistory:
        given = {"profile": profile, "constraints": constraints}
        update = {name: value for name, value in given.items() if value is not None}
        return self.history_of(user).model_copy(update=update)

    def prompt_for(self, user: User, k: int | None = None) -> RenderedPrompt:
        """Exactly what the model is sent for a user.

        Raises:
            ConfigError: If there is no model whose tokens could be counted.
        """
        k = k or self.settings.k
        jobs = self._retrieve([self.history_of(user)], k)
        self._render(jobs, k)
        if jobs[0].prompt is None:
            raise ConfigError("no prompt is sent: there is no model, or nothing to choose from")
        return jobs[0].prompt

    def close(self) -> None:
        """Closes the model and the index."""
        if self.model is not None:
            self.model.close()
        self.index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- the five steps ---------------------------------------------------------------------

    def _prepare(self, histories: list[UserHistory], k: int) -> Iterator[Job]:
        """Jobs ready to be sent, a few users first and then more: they are answered meanwhile."""
        start, n = 0, _PREPARED_FIRST
        while start < len(histories):
            jobs = self._retrieve(histories[start : start + n], k)
            self._render(jobs, k)
            yield from jobs
            start, n = start + n, _PREPARED_AT_ONCE

    def _retrieve(self, histories: list[UserHistory], k: int) -> list[Job]:
        n = max(k, self.variant.settings.max_candidates)
        found = pools(self.retriever, self.index, histories, n, k)
        return [Job(h, candidates) for h, candidates in zip(histories, found, strict=True)]

    def _render(self, jobs: list[Job], k: int) -> None:
        if self._asker is not None:
            self._asker.render([j for j in jobs if j.candidates and self._weight(j) > 0], k)

    def _generate(self, prepared: Iterator[Job], k: int, on_done: OnDone | None) -> list[Job]:
        if self._asker is not None:
            return self._asker.ask(prepared, k, on_done)
        jobs: list[Job] = []
        for job in prepared:
            jobs.append(job)
            if on_done:
                on_done(1)
        return jobs

    def _ground(self, job: Job, k: int) -> RecommendationList:
        grounds = self._grounder.grounds(job)
        made = build_list(
            job.reading, grounds, k, usage=job.usage, run_id=self.run_id, error=job.error
        )
        if job.profile_refuted:
            repairs = made.repairs.model_copy(update={"refuted_profile": 1})
            made = made.model_copy(update={"repairs": repairs})
        return self._blended(job, made)

    def _weight(self, job: Job) -> float:
        """How much the model's order counts for this user; at 0 it is not asked."""
        return 1.0 if self._blend is None else self._blend.weight_for(len(job.history.events))

    def _blended(self, job: Job, made: RecommendationList) -> RecommendationList:
        if self._blend is None or job.reading is None:
            return made
        retrieved = [candidate.item_id for candidate in job.candidates]
        return blend_list(made, retrieved, self._weight(job))

    @property
    def blend_digest(self) -> str:
        """SHA-256 of the blend in use; empty without one."""
        return self._blend.digest() if self._blend else ""

    def _identity(self) -> str:
        model = self.model.name if self.model else "none"
        parts = (
            self.settings.digest(),
            self.variant.digest,
            self.index.manifest.digest(),
            model,
            self.blend_digest,
        )
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

"""The pipeline: history in, valid list out."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rag_rec import lists
from rag_rec.blend import Blend, blend_list
from rag_rec.config import Settings
from rag_rec.constraints import fold, where
from rag_rec.errors import ConfigError, ModelError
from rag_rec.ground import (
    Grounds,
    Reading,
    ReasonChecker,
    answer_schema,
    build_list,
    list_fields,
    merge_readings,
    read_answer,
    reask_message,
)
from rag_rec.index import Embedder, ItemIndex
from rag_rec.lists import Bundle, Kind, ListBuilder, Slate
from rag_rec.lists.ask import ListAsker
from rag_rec.llm import (
    ChatModel,
    Completion,
    Gate,
    Message,
    OpenAIOptions,
    Request,
    RetryPolicy,
    open_model,
)
from rag_rec.prompt import PromptRenderer, RenderedPrompt, load_variant
from rag_rec.retrieve import (
    FusedRetriever,
    pools,
    review_quotes,
    review_sentences,
    strongest_links,
)
from rag_rec.types import (
    BundleList,
    Candidate,
    Constraints,
    RecommendationList,
    SequenceList,
    SlatePage,
    Usage,
    UserHistory,
)

if TYPE_CHECKING:
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.runnables import Runnable
    from langchain_core.tools import BaseTool

User = str | UserHistory | Sequence[str]
"""A user id of the log, a history, or item ids oldest first."""

OnDone = Callable[[int], None]

_ENTRY_TOKENS = 24
_REASK_TOKENS = 250
_PREPARED_AT_ONCE = 128


@dataclass(slots=True)
class Job:
    """One user on the way through the pipeline.

    Attributes:
        history: What is known of the user.
        candidates: What retrieval proposes, best first.
        prompt: What the model is shown; None where there is nothing to ask.
        request: The same as a request.
        reading: What could be read from the replies.
        usage: What the user has cost so far.
        failure: Why the last call gave no complete reply, or None.
        error: Its words, where the user is left without any reply.
    """

    history: UserHistory
    candidates: list[Candidate]
    prompt: RenderedPrompt | None = None
    request: Request | None = None
    reading: Reading | None = None
    usage: Usage = field(default_factory=Usage)
    failure: ModelError | None = None
    error: str | None = None


class Recommender:
    """Recommends items of one index with one model and one prompt variant.

    Args:
        index: An open index.
        model: The language model; None for retrieval only.
        settings: Everything else.
    """

    def __init__(
        self, index: ItemIndex, model: ChatModel | None = None, settings: Settings | None = None
    ) -> None:
        self.index = index
        self.model = model
        self.settings = settings or Settings()
        self.variant = load_variant(self.settings.prompt)
        self.retriever = FusedRetriever(index, decay=self.settings.history_decay)
        self.lists = ListBuilder(index, self.retriever)
        self._renderer = None if model is None else PromptRenderer(self.variant, model.tokens)
        self._blend = Blend.load(self.settings.blend) if self.settings.blend else None
        self.run_id = self._identity()

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
    ) -> RecommendationList:
        """A list for one user.

        Args:
            user: A user id of the log, a `UserHistory`, or item ids oldest first.
            k: List length; the settings' when None.
            profile: Plain words about the user, for those without a history.
            constraints: What the list must obey.

        Raises:
            DataError: If the user or an item id is unknown.
        """
        return self.recommend_many([self._history(user, profile, constraints)], k)[0]

    def where(self, text: str, *, relax: Sequence[str] = ()) -> Constraints:
        """Reads constraints, and checks that the catalog knows the names they ask for.

        Args:
            text: Such as ``price<=20 and category=tea``; see `rag_rec.where`.
            relax: Constraints that may be given up, in this order, when too few items qualify.

        Raises:
            ConfigError: If the text cannot be read, or no item has a wanted brand or category.
        """
        constraints = where(text, relax=relax)
        self.retriever.limits.check_names(constraints)
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
        job.reading = _read(job, completion, k)
        return self._ground(job, k)

    def bundle(
        self,
        user: User,
        bundle: Bundle | None = None,
        *,
        profile: str | None = None,
        constraints: Constraints | None = None,
    ) -> BundleList:
        """Items that go together, for one user.

        Args:
            user: As for `recommend`; ``[]`` for somebody unknown.
            bundle: Size, budget, slots and anchors; three items when None.
            profile: Plain words about the user.
            constraints: What every item, and the bundle as a whole, must obey.

        Raises:
            DataError: If the user or an item id is unknown.
            ConfigError: If an anchor contradicts the constraints or the budget.
        """
        history = self._history(user, profile, constraints)
        return BundleList(**self._listed(bundle or Bundle(), history))

    def sequence(
        self,
        user: User,
        sequence: lists.Sequence | None = None,
        *,
        profile: str | None = None,
        constraints: Constraints | None = None,
    ) -> SequenceList:
        """Items in an order that matters, for one user; the arguments are those of `bundle`."""
        history = self._history(user, profile, constraints)
        return SequenceList(**self._listed(sequence or lists.Sequence(), history))

    def slate(
        self,
        user: User,
        slate: Slate | None = None,
        *,
        profile: str | None = None,
        constraints: Constraints | None = None,
    ) -> SlatePage:
        """A page of rows with themes, for one user; the arguments are those of `bundle`."""
        history = self._history(user, profile, constraints)
        return SlatePage(**self._listed(slate or Slate(), history))

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
        """Jobs ready to be sent, some users at a time: the first are answered meanwhile."""
        for start in range(0, len(histories), _PREPARED_AT_ONCE):
            jobs = self._retrieve(histories[start : start + _PREPARED_AT_ONCE], k)
            self._render(jobs, k)
            yield from jobs

    def _retrieve(self, histories: list[UserHistory], k: int) -> list[Job]:
        n = max(k, self.variant.settings.max_candidates)
        found = pools(self.retriever, self.index, histories, n, k)
        return [Job(h, candidates) for h, candidates in zip(histories, found, strict=True)]

    def _render(self, jobs: list[Job], k: int) -> None:
        if self.model is None or self._renderer is None:
            return
        asked = [job for job in jobs if job.candidates and self._weight(job) > 0]
        shown = [job.candidates[: max(k, self.variant.settings.max_candidates)] for job in asked]
        n_quotes = self.variant.settings.evidence
        quotes_of = review_sentences if self.variant.settings.citations else review_quotes
        evidence = quotes_of(self.index, [job.history for job in asked], shown, n_quotes)
        max_tokens = self._max_tokens(k)
        reserve = max_tokens + (max_tokens + _REASK_TOKENS if self.settings.reask else 0)
        budget = self.model.context_tokens - reserve
        for job, quotes in zip(asked, evidence, strict=True):
            job.prompt = self._renderer.render(
                job.history,
                job.candidates,
                k=k,
                budget=budget,
                item_of=self.index.item_by_id,
                evidence=quotes,
            )
            job.request = self._request(job.prompt, k)

    def _generate(self, prepared: Iterator[Job], k: int, on_done: OnDone | None) -> list[Job]:
        jobs: list[Job] = []

        def requests() -> Iterator[Request]:
            for job in prepared:
                jobs.append(job)
                if job.request is not None:
                    yield job.request
                elif on_done:
                    on_done(1)

        completions: list[Completion] = []
        if self.model is None:
            deque(requests(), maxlen=0)  # nothing to send: only prepares the jobs
        else:
            completions = self.model.generate(requests(), on_done)
        asked = [job for job in jobs if job.request is not None]
        for job, completion in zip(asked, completions, strict=True):
            job.reading = _read(job, completion, k)
        self._ask_again([job for job in asked if self._should_reask(job, k)], k)
        return jobs

    def _ask_again(self, jobs: list[Job], k: int) -> None:
        if self.model is None or not jobs:
            return
        completions = self.model.generate([_second_request(job, k) for job in jobs])
        for job, completion in zip(jobs, completions, strict=True):
            if job.reading is not None:
                job.reading = merge_readings(job.reading, _read(job, completion, k), k=k)

    def _ground(self, job: Job, k: int) -> RecommendationList:
        made = build_list(
            job.reading, self._grounds(job), k, usage=job.usage, run_id=self.run_id, error=job.error
        )
        return self._blended(job, made)

    def _grounds(self, job: Job) -> Grounds:
        checker = None
        if job.prompt is not None and job.prompt.evidence:
            checker = ReasonChecker(job.prompt.evidence, self.index.item_by_id, self._is_brand)
        return Grounds(
            history=job.history,
            candidates=job.candidates,
            item_of=self.index.item_by_id,
            reasons_of=lambda ids: strongest_links(self.retriever, job.history, ids),
            checker=checker,
        )

    def _is_brand(self, name: str) -> bool:
        return fold(name) in self.retriever.limits.brands

    def _weight(self, job: Job) -> float:
        """How much the model's order counts for this user; at 0 it is not asked."""
        return 1.0 if self._blend is None else self._blend.weight_for(len(job.history.events))

    def _blended(self, job: Job, made: RecommendationList) -> RecommendationList:
        if self._blend is None or job.reading is None:
            return made
        retrieved = [candidate.item_id for candidate in job.candidates]
        return blend_list(made, retrieved, self._weight(job))

    def _listed(self, kind: Kind, history: UserHistory) -> dict[str, Any]:
        """Candidates, the model's choices, what holds of them and the rest by search."""
        candidates = self.lists.candidates(history, kind)
        themes = self.lists.themes(kind, history, candidates) if isinstance(kind, Slate) else []
        job = Job(history, candidates)
        if self.model is not None and candidates:
            asked = ListAsker(self.index, self.model, self.settings).ask(
                kind, history, candidates, themes
            )
            job.prompt, job.reading = asked.prompt, asked.reading
            job.usage, job.error = asked.usage, asked.error
        entries = job.reading.entries if job.reading else ()
        composed = self.lists.compose(kind, history, candidates, entries, themes)
        fields = list_fields(
            composed.choices,
            job.reading,
            self._grounds(job),
            k=kind.length,
            usage=job.usage,
            run_id=self.run_id,
            error=job.error,
        )
        return fields | composed.extras

    # --- requests ---------------------------------------------------------------------------

    def _max_tokens(self, k: int) -> int:
        return 16 + k * (_ENTRY_TOKENS + self.variant.settings.reason_chars // 2)

    def _request(self, prompt: RenderedPrompt, k: int) -> Request:
        n_labels = len(prompt.labels)
        return Request(
            messages=tuple(Message(role, text) for role, text in prompt.messages),
            schema=answer_schema(
                n_labels=n_labels,
                k=k,
                reason_chars=self.variant.settings.reason_chars,
                n_evidence=self._n_evidence(n_labels),
            ),
            max_tokens=self._max_tokens(min(k, n_labels)),
            temperature=self.settings.temperature,
            seed=self.settings.seed,
        )

    def _n_evidence(self, n_labels: int) -> int:
        settings = self.variant.settings
        return settings.candidate_number(n_labels + 1) - 1 if settings.citations else 0

    def _should_reask(self, job: Job, k: int) -> bool:
        if not self.settings.reask or job.reading is None or job.error is not None:
            return False
        n_labels = len(job.prompt.labels) if job.prompt else 0
        return len(job.reading.entries) < min(k, n_labels)

    def _identity(self) -> str:
        model = self.model.name if self.model else "none"
        blend = self._blend.digest() if self._blend else ""
        parts = (
            self.settings.digest(),
            self.variant.digest,
            self.index.manifest.digest(),
            model,
            blend,
        )
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    # --- LangChain --------------------------------------------------------------------------

    def as_runnable(self) -> Runnable[Any, RecommendationList]:
        """This recommender as a LangChain runnable; see `rag_rec.langchain`."""
        from rag_rec.langchain import RecommenderRunnable  # optional

        return RecommenderRunnable(self)

    def as_retriever(self, k: int | None = None) -> BaseRetriever:
        """Candidates as LangChain documents; see `rag_rec.langchain`."""
        from rag_rec.langchain import CandidateRetriever  # optional

        return CandidateRetriever(recommender=self, k=k or self.settings.k)

    def as_tool(self) -> BaseTool:
        """This recommender as a LangChain tool; see `rag_rec.langchain`."""
        from rag_rec.langchain import recommend_tool  # optional

        return recommend_tool(self)


def open_from(settings: Settings, gate: Gate | None = None) -> ChatModel | None:
    """The model that settings name, behind a gate if there is one."""
    request = settings.request
    options = OpenAIOptions(
        concurrency=request.concurrency,
        timeout_s=request.timeout_s,
        retry=RetryPolicy(request.attempts, request.backoff_s, request.max_wait_s),
        context_tokens=settings.context_tokens,
        parameters=settings.parameters,
        gate=gate,
    )
    return open_model(settings.llm, options, tokenizer=settings.tokenizer or None)


def _read(job: Job, completion: Completion, k: int) -> Reading:
    """Reads a completion into its job; a failed call reads as an empty reply."""
    job.usage += completion.usage
    job.failure = completion.error
    n_labels = len(job.prompt.labels) if job.prompt else 0
    if completion.error is not None and not completion.text:
        job.error = str(completion.error)
        return Reading()
    truncated = completion.error is not None
    return read_answer(completion.text, n_labels=n_labels, k=k, truncated=truncated)


def _second_request(job: Job, k: int) -> Request:
    """The first request, the reply it got, and what is wrong with that reply."""
    request, reading, prompt = job.request, job.reading, job.prompt
    if request is None or reading is None or prompt is None:
        raise AssertionError("only jobs with a reading are asked again")
    reply = Message("assistant", reading.shown)
    complaint = Message("user", reask_message(reading, n_labels=len(prompt.labels), k=k))
    return Request(
        messages=(*request.messages, reply, complaint),
        schema=request.schema,
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        seed=request.seed + 1,
        deadline=request.deadline,
    )

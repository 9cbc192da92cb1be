"""The façade: requests in, valid lists out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Self, cast

from pydantic import ValidationError

from rag_rec.constraints import where
from rag_rec.core import (
    ConfigError,
    Constraints,
    Item,
    OnDone,
    RecommendationList,
    Repairs,
    Settings,
    TasteProfile,
    Understood,
    UserHistory,
    first_problem,
)
from rag_rec.index import Embedder, ItemIndex, LiveIndex
from rag_rec.list_types import Kind, TopK
from rag_rec.llm import ChatModel, Completion, open_from
from rag_rec.pipeline import (
    Blend,
    Exchange,
    Pipeline,
    RecommendationRequest,
    RecommendationState,
    User,
)
from rag_rec.prompting import load_variant
from rag_rec.retrieval import Retriever, open_retriever

_FIRST_BLOCK, _BLOCK = 16, 128


class Recommender:
    """Recommends items of one index with one model and one prompt variant.

    Args:
        index: An open index.
        model: The language model; None for retrieval only.
        settings: Everything else.
        retriever: Proposes the candidates; the index's own if None (opening it takes seconds).
    """

    def __init__(
        self,
        index: ItemIndex,
        model: ChatModel | None = None,
        settings: Settings | None = None,
        *,
        retriever: Retriever | None = None,
    ) -> None:
        self.index = index
        self.model = model
        self.settings = settings or Settings()
        self.variant = load_variant(self.settings.prompt)
        self.retriever = retriever or open_retriever(index, decay=self.settings.history_decay)
        blend = Blend.load(self.settings.blend) if self.settings.blend else None
        if blend is not None and blend.answer != self.variant.settings.answer:
            raise ConfigError(
                f"{self.settings.blend} was fitted for answers of the kind '{blend.answer}', and "
                f"the prompt '{self.variant.name}' asks for '{self.variant.settings.answer}': fit "
                "it again (rag-rec evaluate run), or choose the prompt it was fitted for"
            )
        self.blend_digest = blend.digest() if blend else ""
        self._pipeline = Pipeline(
            index,
            self.retriever,
            model=model,
            variant=self.variant,
            settings=self.settings,
            blend=blend,
        )
        self._id_as_built = self._digest()

    @classmethod
    def open(
        cls,
        folder: str | Path,
        llm: str | ChatModel | None = None,
        *,
        prompt: str | Path | None = None,
        settings: Settings | str | Path | None = None,
        embedder: Embedder | None = None,
        live: bool = True,
    ) -> Self:
        """Open an index and a model.

        Args:
            folder: The index.
            llm: A model spec such as ``local``, ``openai:MODEL`` or ``none``, or a model.
            prompt: A prompt variant's name or ``.toml`` file.
            settings: Settings, or the TOML file that holds them; the arguments above win.
            embedder: The embedder the index was built with; by default loaded by name.
            live: Take up the events and items that come after the build, whoever writes them;
                False for the index as it was built.

        Raises:
            ConfigError, IndexNotFound, StaleIndex, PromptError: One line that says what to do.
        """
        if not isinstance(settings, Settings):
            settings = Settings.load(settings)
        spec = llm if isinstance(llm, str) else llm.name if llm else None
        chosen = {"llm": spec, "prompt": str(prompt) if prompt else None}
        settings = settings.model_copy(update={k: v for k, v in chosen.items() if v is not None})
        index = (LiveIndex if live else ItemIndex).open(folder, embedder)
        model = open_from(settings) if llm is None or isinstance(llm, str) else llm
        return cls(index, model, settings)

    # --- lists --------------------------------------------------------------------------------

    def run(
        self, requests: Iterable[RecommendationRequest], on_done: OnDone | None = None
    ) -> list[RecommendationState]:
        """Make a list for every request, in order; a user's failure costs only its own list.

        Args:
            requests: The lists that are asked for.
            on_done: Called with the number of lists just finished.

        Returns:
            One state a request: ``result`` is the list, ``exchanges`` every model call behind it.
            A user that cannot be served has the ``failure``: a `DataError` for an unknown user or
            item id, a `ConfigError` for constraints that contradict each other, a `BudgetTooSmall`
            where as many candidates as items do not fit the model's context.

        Raises:
            ConfigError: If a kind contradicts its own constraints.
        """
        states = self._pipeline.resolve(requests)
        if self._pipeline.asks_early(states):
            for block in _blocks(states):
                self._finish(self._prepared(block), on_done)
        else:  # calls leave while later states are still prepared
            self._finish(chain.from_iterable(map(self._prepared, _blocks(states))), on_done)
        return states

    def begin(self, requests: Iterable[RecommendationRequest]) -> list[RecommendationState]:
        """Resolve, retrieve and, where no model call must come before it, render; send nothing.

        A user that cannot be served gets the state's ``failure``; one whose candidates fit no
        prompt, the list that retrieval makes as well.
        """
        states = self._pipeline.resolve(requests)
        self._pipeline.begin(states)
        unprompted = [state for state in states if state.error is not None]
        self._pipeline.ground(unprompted, self.run_id)
        return states

    def complete(
        self, states: Sequence[RecommendationState], on_done: OnDone | None = None
    ) -> Sequence[RecommendationState]:
        """Take the steps that `begin` left, up to the results; several threads may call it."""
        self._pipeline.prepare(states)
        return self._finish(states, on_done)

    def preview(self, requests: Iterable[RecommendationRequest]) -> list[RecommendationState]:
        """Go as far as possible without a model call, prompts included; send nothing.

        Each state's ``omitted`` names the steps that a model would take otherwise.
        """
        states = self._pipeline.resolve(requests)
        self._pipeline.preview(states)
        return states

    def ground(
        self, state: RecommendationState, completions: Sequence[Completion]
    ) -> RecommendationState:
        """Finish a previewed state whose replies came by another way; nothing is sent.

        Args:
            state: The state.
            completions: One for each of its calls, in order.
        """
        for call, completion in zip(state.calls, completions, strict=True):
            state.exchanges.append(Exchange("list", call, completion))
            self._pipeline.take(state, completion)
        self._pipeline.ground([state], self.run_id)
        return state

    def recommend(
        self,
        user: User,
        k: int | None = None,
        *,
        kind: Kind | None = None,
        profile: str | None = None,
        constraints: Constraints | None = None,
        text: str | None = None,
    ) -> RecommendationList:
        """Return a list for one user.

        Args:
            user: A user id of the log, a `UserHistory`, or item ids oldest first (``[]`` for an
                unknown user).
            k: Length of a plain list; the settings' when None.
            kind: Another kind of list: `Bundle`, `PlaySequence` or `Slate`.
            profile: Plain words about the user, for those without a history.
            constraints: Rules of the list.
            text: A wish in plain words, such as "a present for my father, under 40". Its rules
                are added to the constraints and returned as ``understood``.

        Returns:
            A `RecommendationList`; a `BundleList`, `SequenceList` or `SlatePage` for its kind.

        Raises:
            DataError: If the user or an item id is unknown.
            ConfigError: If an option has the wrong type, or they contradict each other.
            BudgetTooSmall: If as many candidates as items do not fit the model's context.
        """
        kind = kind or self._plain(k)
        request = RecommendationRequest(user, kind, profile, constraints, text)
        return self.run([request])[0].made()

    def recommend_many(
        self, users: Iterable[User], k: int | None = None, *, on_done: OnDone | None = None
    ) -> list[RecommendationList]:
        """Return plain lists for many users, in their order.

        A user that cannot be served gets a list with the outcome ``failed`` and the error: in
        retrieval's order, or without items where the user or an item id is unknown.

        Raises:
            ConfigError: If ``users`` are not several users, or ``k`` is no length.
        """
        if isinstance(users, str) or not isinstance(cast("object", users), Iterable):
            raise ConfigError(f"users: expected several users, found {users!r:.60}")
        kind = self._plain(k)
        requests = (RecommendationRequest(user, kind) for user in users)
        return [state.result or self._empty(state) for state in self.run(requests, on_done)]

    # --- what changes meanwhile ---------------------------------------------------------------

    def record(
        self,
        user_id: str,
        item_id: str,
        *,
        timestamp: int | None = None,
        rating: float | None = None,
        key: str | None = None,
    ) -> bool:
        """Record an event, which counts in the user's next list; see `LiveIndex.record`."""
        return self._live.record(user_id, item_id, timestamp=timestamp, rating=rating, key=key)

    def upsert(self, item: Item) -> None:
        """Add an item or put another in its place, at once; see `LiveIndex.upsert`."""
        self._live.upsert(item)

    def remove(self, item_id: str) -> None:
        """Take an item out of the catalog, at once; see `LiveIndex.remove`."""
        self._live.remove(item_id)

    @property
    def _live(self) -> LiveIndex:
        if not isinstance(self.index, LiveIndex):
            raise ConfigError(
                "this recommender serves an index as it was built; open it with "
                "Recommender.open(folder), which takes changes up"
            )
        return self.index

    # --- single steps -------------------------------------------------------------------------

    def understand(self, text: str) -> Understood:
        """Read a wish in plain words; the model reads, code decides which parts hold.

        Without a model, or when its reply cannot be used, rules decide and ``how`` says so.
        """
        states = self._pipeline.resolve([RecommendationRequest(text=text)])
        self._pipeline.read(states)
        understood = states[0].understood
        assert understood is not None  # noqa: S101 - read gives one to every text
        return understood

    def profile(self, user: User) -> TasteProfile:
        """Return a user's taste profile, by the model where there is one; the latest are kept.

        Raises:
            DataError: If the user or an item id is unknown.
        """
        return self._pipeline.taste(user)

    def where(self, text: str, *, relax: Sequence[str] = ()) -> Constraints:
        """Read constraints, and check that the catalog knows the names they ask for.

        Args:
            text: Such as ``price<=20 and category=tea``; see `rag_rec.where`.
            relax: Constraints that may be given up, in this order, when too few items qualify.

        Raises:
            ConfigError: If the text cannot be read, or no item has a wanted brand or category.
        """
        constraints = where(text, relax=relax)
        self.index.eligibility.check_names(constraints)
        return constraints

    def history_of(self, user: User) -> UserHistory:
        """Return the history that a user stands for.

        Raises:
            DataError: If the user or an item id is unknown.
        """
        return self._pipeline.history_of(user)

    def close(self) -> None:
        """Close the model and the index."""
        if self.model is not None:
            self.model.close()
        self.index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _plain(self, k: int | None) -> TopK:
        try:
            return TopK(k=self.settings.k if k is None else k)
        except ValidationError as error:
            raise ConfigError(first_problem(error)) from error

    def _empty(self, state: RecommendationState) -> RecommendationList:
        user = state.request.user
        return RecommendationList(
            user_id=user if isinstance(user, str) else state.history.user_id,
            outcome="failed",
            items=(),
            repairs=Repairs(),
            usage=state.usage,
            run_id=self.run_id,
            error=str(state.failure),
        )

    def _prepared(self, block: list[RecommendationState]) -> list[RecommendationState]:
        """Take the steps before generate."""
        self._pipeline.begin(block)
        self._pipeline.prepare(block)
        return block

    def _finish(
        self, states: Iterable[RecommendationState], on_done: OnDone | None
    ) -> list[RecommendationState]:
        passed = self._pipeline.generate(states, on_done)
        self._pipeline.ground(passed, self.run_id)
        return passed

    @property
    def run_id(self) -> str:
        """A hash of everything that can change a list, live changes included."""
        seq = self.index.live_seq
        if seq == self.index.manifest.live_seq:
            return self._id_as_built
        return hashlib.sha256(f"{self._id_as_built}\n{seq}".encode()).hexdigest()[:16]

    def _digest(self) -> str:
        model = self.model.name if self.model else "none"
        parts = (
            self.settings.digest(),
            self.variant.digest,
            self.index.manifest.digest(),
            model,
            self.blend_digest,
        )
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _blocks(states: Sequence[RecommendationState]) -> Iterator[list[RecommendationState]]:
    """Cut states into blocks, a small one first, so that the first calls leave early."""
    yield list(states[:_FIRST_BLOCK])
    for start in range(_FIRST_BLOCK, len(states), _BLOCK):
        yield list(states[start : start + _BLOCK])

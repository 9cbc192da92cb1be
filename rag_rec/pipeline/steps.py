"""The steps from a request to a list, each of which adds to the state and hands it on.

resolve, read, retrieve, profile, render, generate, ground, blend. Only read, profile and generate
call the model, all three through `rag_rec.pipeline.ask`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import cast

from rag_rec.core import (
    ConfigError,
    DataError,
    Message,
    OnDone,
    Settings,
    TasteProfile,
    UserHistory,
)
from rag_rec.grounding import Reading, merge_readings, read_answer, reask_message
from rag_rec.index import ItemIndex
from rag_rec.list_types import ListContext, TopK, list_type_of
from rag_rec.llm import ChatModel, Completion, Deadline, Request, answers_of
from rag_rec.pipeline.ask import Asked, ask
from rag_rec.pipeline.blend import Blend, blend_list
from rag_rec.pipeline.grounding import ground, without_reasons
from rag_rec.pipeline.rendering import PromptWriter
from rag_rec.pipeline.scoring import take_scores
from rag_rec.pipeline.state import RecommendationRequest, RecommendationState, User
from rag_rec.profiles import TasteFacts, TasteProfiler
from rag_rec.prompting import Variant
from rag_rec.requests import RequestReader, with_request
from rag_rec.retrieval import Retriever

_UNREAD = "the model's reading of the request: rules read it"
_UNPROFILED = "the model's taste profile: counted facts stand in the prompt"

States = Sequence[RecommendationState]


class Pipeline:
    """The steps over one index, retriever, model and prompt variant.

    Args:
        index: An open index.
        retriever: Proposes candidates and explains them.
        model: The language model; None for retrieval only.
        variant: The prompt variant of plain lists.
        settings: Everything else.
        blend: Weight of the model's order; None for its order alone.
    """

    def __init__(
        self,
        index: ItemIndex,
        retriever: Retriever,
        *,
        model: ChatModel | None,
        variant: Variant,
        settings: Settings,
        blend: Blend | None,
    ) -> None:
        self._index, self._model, self._settings, self._blend = index, model, settings, blend
        self._n_shown = variant.settings.max_candidates
        # rerankers write no words, so rules read requests and facts stand for profiles
        self._writes = model is not None and "text" in answers_of(model)
        self._n_prompts = variant.settings.permutations if self._writes else 1
        self._context = ListContext(index, retriever)
        self._reader = RequestReader(index, seed=settings.seed)
        self._profiler = TasteProfiler(index)
        self._writer = None if model is None else PromptWriter(index, model, variant, settings)

    # --- resolve, read ------------------------------------------------------------------------

    def resolve(self, requests: Iterable[RecommendationRequest]) -> list[RecommendationState]:
        """Return one state a request, with the user's history; unknown users get the failure."""
        self._index.refresh()
        states: list[RecommendationState] = []
        for request in requests:
            state = RecommendationState(request, request.kind or TopK(k=self._settings.k))
            if request.deadline_s:
                state.deadline = Deadline(request.deadline_s)
            try:
                history = self.history_of(request.user)
            except DataError as error:
                state.failure = error
            else:
                given = {"profile": request.profile, "constraints": request.constraints}
                update = {name: value for name, value in given.items() if value is not None}
                state.history = history.model_copy(update=update)
            states.append(state)
        return states

    def history_of(self, user: User) -> UserHistory:
        """Return the history that a user stands for.

        Raises:
            DataError: If it is no user, or the user or an item id is unknown.
        """
        if isinstance(user, str):
            return self._index.history(user)
        if not isinstance(user, UserHistory):
            if not isinstance(cast("object", user), list | tuple):
                raise DataError(
                    f"expected a user id, a UserHistory or a list of item ids, found {user!r:.60}"
                )
            user = UserHistory.of(*user)
        for item_id in user.item_ids:
            self._index.item_by_id(item_id)
        return user

    def read(self, states: States, *, by_rules: bool = False) -> None:
        """Read requests in plain words, by the model or by rules; rules where there is no model."""
        unread = [state for state in _alive(states) if state.is_unread]
        if not unread:
            return
        if self._model is None or not self._writes or by_rules:
            for state in unread:
                self._understand(state, None)
            return
        asked = [
            (state, _within(state, self._reader.request_for(state.request.text or "")))
            for state in unread
        ]
        for state, completion in ask(self._model, "request", asked):
            self._understand(state, completion)

    def _understand(self, state: RecommendationState, reply: Completion | None) -> None:
        text = state.request.text or ""
        try:
            state.understood = self._reader.read(text, reply)
            state.history = with_request(state.history, state.understood)
        except ConfigError as error:
            state.failure = error

    # --- retrieve, profile, render ------------------------------------------------------------

    def retrieve(self, states: States) -> None:
        """Give every state its candidates, its task and the weight of the model's order."""
        for list_type, group in groupby(_alive(states), lambda s: list_type_of(s.kind)):
            alike = list(group)
            asked = [(state.kind, state.history) for state in alike]
            found = list_type.candidates(self._context, asked, self._n_shown)
            for state, candidates in zip(alike, found, strict=True):
                state.candidates = candidates
                state.task = list_type.task(self._context, state.kind, state.history, candidates)
                if self._blend is not None:
                    state.weight = self._blend.weight_for(len(state.history.events))

    def profile(self, states: States, *, by_rules: bool = False) -> None:
        """Give a taste profile to the states whose prompt shows one."""
        self._describe(list(filter(self.waits_for_profile, states)), by_rules=by_rules)

    def taste(self, user: User) -> TasteProfile:
        """Return the taste profile of a user; see `Recommender.profile`."""
        state = RecommendationState(RecommendationRequest(user), TopK(), self.history_of(user))
        self._describe([state])
        assert state.profile is not None  # noqa: S101 - every state is given one
        return state.profile

    def _describe(self, states: States, *, by_rules: bool = False) -> None:
        asked: list[Asked] = []
        facts: list[TasteFacts] = []
        for state in states:
            state.profile = self._profiler.remembered(state.history)
            if state.profile is not None:
                continue
            known = self._profiler.facts(state.history)
            if by_rules or not self._writes:
                state.profile = known.profile()
                state.omitted = (*state.omitted, _UNPROFILED)
            else:
                asked.append((state, _within(state, known.request())))
                facts.append(known)
        if asked and self._model is not None:
            answered = ask(self._model, "profile", asked)
            for (state, completion), known in zip(answered, facts, strict=True):
                state.profile = self._profiler.profile(known, completion)

    def waits_for_profile(self, state: RecommendationState) -> bool:
        """Return whether a state's prompt shows a taste profile that is not made yet."""
        return (
            self._writer is not None
            and self._is_asked(state)
            and state.profile is None
            and self._writer.wants_profile(state)
        )

    def render(self, states: States) -> None:
        """Give their prompt to the states that have all it needs; calls no model."""
        if self._writer is not None:
            ready = [s for s in states if self._is_asked(s) and not self.waits_for_profile(s)]
            self._writer.render([state for state in ready if state.prompt is None])

    def _is_asked(self, state: RecommendationState) -> bool:
        return state.failure is None and state.weight > 0 and bool(state.candidates)

    # --- generate, ground, blend --------------------------------------------------------------

    def generate(
        self, states: Iterable[RecommendationState], on_done: OnDone | None = None
    ) -> list[RecommendationState]:
        """Send the calls of states while these are still prepared, and read the replies.

        Args:
            states: States; those without a call are passed on as they are.
            on_done: Called with the number of states just finished.
        """
        passed: list[RecommendationState] = []

        def calls() -> Iterator[Asked]:
            for state in states:
                passed.append(state)
                for call in state.calls:
                    yield state, call
                if not state.calls and on_done:
                    on_done(1)

        if self._model is None:
            passed += [state for state, _ in calls()]
            return passed
        told = None if on_done is None else _by_list(on_done, self._n_prompts)
        for state, completion in ask(self._model, "list", calls(), told):
            self.take(state, completion)
        if self._settings.reask:
            again = [(state, _second_call(state)) for state in passed if state.lacks_items()]
            for state, completion in ask(self._model, "reask", again) if again else ():
                self.take(state, completion)
        return passed

    def take(self, state: RecommendationState, completion: Completion) -> None:
        """Read a completion that its exchange holds; a failed call reads as an empty reply.

        Scores are read when all calls have been answered.
        """
        if state.is_scored:
            if sum(exchange.purpose == "list" for exchange in state.exchanges) == len(state.calls):
                take_scores(state)
            return
        k = state.kind.length
        state.failure = completion.error
        if completion.error is not None and not completion.text:
            state.error = str(completion.error)
            reading = Reading()
        else:
            truncated = completion.error is not None
            reading = read_answer(completion.text, n_labels=state.n_shown, k=k, truncated=truncated)
            reading = _placed(reading, state)
        first = state.reading
        state.reading = reading if first is None else merge_readings(first, reading, k=k)
        if self._writer is not None and not self._writer.wants_reasons(state):
            without_reasons(state)

    def ground(self, states: States, run_id: str) -> None:
        """Give every state its result, in the blended order; see `rag_rec.pipeline.blend`.

        Raises:
            ConfigError: If a kind contradicts its own constraints.
        """
        for state in states:
            if state.reading is None and state.failure is not None:
                continue
            ground(state, self._context, run_id)
            blended = self._blend is not None and state.reading is not None
            in_words = blended and not state.is_scored
            if in_words and state.result is not None and isinstance(state.kind, TopK):
                retrieved = [candidate.item_id for candidate in state.candidates]
                state.result = blend_list(state.result, retrieved, state.weight)

    # --- several steps ------------------------------------------------------------------------

    def asks_early(self, states: States) -> bool:
        """Return whether a model call must come before one of these can be rendered."""
        writer = self._writer
        return writer is not None and any(s.is_unread or writer.wants_profile(s) for s in states)

    def begin(self, states: States) -> None:
        """Take every step that needs no model call."""
        if not self._writes:
            self.read(states)
        self.retrieve([state for state in states if not state.is_unread])
        self.render(states)

    def preview(self, states: States) -> None:
        """Do as `begin`, with rules in place of the model's words; say so in ``omitted``."""
        for state in states if self._writes else ():
            if state.is_unread:
                state.omitted = (*state.omitted, _UNREAD)
        self.read(states, by_rules=True)
        self.retrieve(states)
        self.profile(states, by_rules=True)
        self.render(states)

    def prepare(self, states: States) -> None:
        """Finish what `begin` left: the steps before generate that call the model."""
        unread = [state for state in _alive(states) if state.is_unread]
        self.read(unread)
        self.retrieve(unread)
        self.profile(states)
        self.render(states)


def _alive(states: States) -> list[RecommendationState]:
    return [state for state in states if state.failure is None]


def _within(state: RecommendationState, request: Request) -> Request:
    """Return the request under the state's deadline."""
    return replace(request, deadline=state.deadline)


def _by_list(on_done: OnDone, n_prompts: int) -> OnDone:
    """Return a function that counts requests and tells of lists, of so many requests each."""
    if n_prompts == 1:
        return on_done
    answered = 0

    def told(n: int) -> None:
        nonlocal answered
        before, answered = answered, answered + n
        if finished := answered // n_prompts - before // n_prompts:
            on_done(finished)

    return told


def _placed(reading: Reading, state: RecommendationState) -> Reading:
    """Return a reading whose labels are places among the candidates, some of which did not fit."""
    if state.shows_the_first:
        return reading
    place = {candidate.item_id: at for at, candidate in enumerate(state.candidates, start=1)}
    entries = (replace(e, label=place[state.shown[e.label - 1]]) for e in reading.entries)
    return replace(reading, entries=tuple(entries))


def _second_call(state: RecommendationState) -> Request:
    """Return the first call, the reply it got, and the faults of that reply."""
    call, reading = state.call, state.reading
    if call is None or reading is None:
        raise AssertionError("only states with a reading are asked again")
    complaint = reask_message(reading, n_labels=state.n_shown, k=state.kind.length)
    turns = (Message("assistant", reading.shown), Message("user", complaint))
    return replace(call, messages=(*call.messages, *turns), seed=call.seed + 1)

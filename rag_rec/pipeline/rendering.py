"""The render step: a state's candidates become a prompt and the request that carries it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from rag_rec.core import BudgetTooSmall, Candidate, ConfigError, Evidence, Message, Settings
from rag_rec.grounding import Reading, answer_schema
from rag_rec.index import ItemIndex
from rag_rec.list_types import list_type_of
from rag_rec.llm import ChatModel, Ranking, Request, answers_of, scores_schema
from rag_rec.pipeline.state import RecommendationState
from rag_rec.prompting import (
    PromptRenderer,
    PromptSettings,
    RenderedPrompt,
    Variant,
    load_variant,
    shuffled_orders,
)
from rag_rec.retrieval import review_quotes, review_sentences

_REASK_TOKENS = 250
_UNBOUNDED = 1 << 30
"""Budget of prompts for rerankers, which read one candidate at a time and never the prompt."""


class PromptWriter:
    """Renders prompts for one model: the caller's variant, or the one of the list type.

    Args:
        index: The catalog and its reviews.
        model: Counts tokens, and bounds them.
        variant: The variant of plain lists.
        settings: Temperature, seed, and whether an incomplete reply is asked again.

    Raises:
        ConfigError: If the model does not give the kind of answer that the variant asks for.
    """

    def __init__(
        self, index: ItemIndex, model: ChatModel, variant: Variant, settings: Settings
    ) -> None:
        _check_answer(model, variant)
        self._index, self._model, self._settings = index, model, settings
        self._plain = PromptRenderer(variant, model.tokens)
        self._others: dict[str, PromptRenderer] = {}

    def wants_profile(self, state: RecommendationState) -> bool:
        """Return whether the prompt shows a taste profile, and the user is not described yet."""
        wanted = self._plain.variant.settings.taste or self._renderer(state).variant.settings.taste
        return wanted and bool(state.history.events) and not state.history.profile

    def wants_reasons(self, state: RecommendationState) -> bool:
        """Return whether the prompt asks for reasons."""
        return self._renderer(state).variant.settings.reason_chars > 0

    def render(self, states: Sequence[RecommendationState]) -> None:
        """Give every state its prompt and its call.

        One whose candidates do not fit gets the failure and an empty reading: retrieval fills its
        list.
        """
        for _, group in groupby(states, lambda state: type(state.kind)):
            alike = list(group)
            for state, quotes in zip(alike, self._quotes(alike), strict=True):
                try:
                    state.prompts = self._prompts(state, quotes)
                except BudgetTooSmall as error:
                    state.failure, state.error, state.reading = error, str(error), Reading()
                else:
                    state.calls = tuple(self._call(state, prompt) for prompt in state.prompts)

    def _renderer(self, state: RecommendationState) -> PromptRenderer:
        name = list_type_of(state.kind).prompt
        if name is None:
            return self._plain
        if name not in self._others:
            variant = load_variant(name)
            _check_answer(self._model, variant)
            self._others[name] = PromptRenderer(variant, self._model.tokens)
        return self._others[name]

    def _quotes(
        self, states: Sequence[RecommendationState]
    ) -> Sequence[Mapping[str, Sequence[Evidence]]]:
        """Return the reviews that each state's prompt may quote, by item."""
        wanted = self._renderer(states[0]).variant.settings
        find = review_sentences if wanted.citations else review_quotes
        shown = [s.candidates[: wanted.n_shown(s.kind.length)] for s in states]
        return find(self._index, [s.history for s in states], shown, wanted.evidence)

    def _prompts(
        self, state: RecommendationState, quotes: Mapping[str, Sequence[Evidence]]
    ) -> tuple[RenderedPrompt, ...]:
        """Return the prompt; where scores are averaged, one for each order of its candidates."""
        first = self._prompt(state, state.candidates, quotes)
        n = self._renderer(state).variant.settings.permutations
        if n == 1 or not _reads_order(self._model):
            return (first,)
        known = {candidate.item_id: candidate for candidate in state.candidates}
        orders = shuffled_orders(first.labels, n, seed=self._settings.seed)
        shuffled = ([known[item_id] for item_id in order] for order in orders)
        return tuple(self._prompt(state, candidates, quotes) for candidates in shuffled)

    def _prompt(
        self,
        state: RecommendationState,
        candidates: Sequence[Candidate],
        quotes: Mapping[str, Sequence[Evidence]],
    ) -> RenderedPrompt:
        renderer, k = self._renderer(state), state.kind.length
        wanted = renderer.variant.settings
        max_tokens = _reply_tokens(wanted, list_type_of(state.kind).entry_tokens, k)
        reserve = max_tokens + (max_tokens + _REASK_TOKENS if self._settings.reask else 0)
        history = state.history
        if state.profile is not None:
            history = history.model_copy(update={"profile": state.profile.text})
        return renderer.render(
            history,
            candidates,
            k=k if list_type_of(state.kind).prompt is None else min(k, len(candidates)),
            budget=self._model.context_tokens - reserve
            if _reads_order(self._model)
            else _UNBOUNDED,
            item_of=self._index.item_by_id,
            evidence=quotes,
            task=state.task.text,
        )

    def _call(self, state: RecommendationState, prompt: RenderedPrompt) -> Request:
        wanted = self._renderer(state).variant.settings
        n_labels, k = len(prompt.labels), state.kind.length
        entry_tokens = list_type_of(state.kind).entry_tokens
        messages = tuple(Message(role, text) for role, text in prompt.messages)
        if wanted.answer == "scores":
            labels = tuple(wanted.label_text(label) for label in range(1, n_labels + 1))
            return Request(
                messages=messages,
                schema=scores_schema(n_labels),
                max_tokens=1,
                ranking=Ranking(labels, prompt.query, prompt.documents),
                seed=self._settings.seed,
                deadline=state.deadline,
            )
        return Request(
            messages=messages,
            schema=answer_schema(
                n_labels=n_labels,
                k=k,
                reason_chars=wanted.reason_chars,
                n_evidence=wanted.candidate_number(n_labels + 1) - 1 if wanted.citations else 0,
                n_rows=len(state.task.themes),
            ),
            max_tokens=_reply_tokens(wanted, entry_tokens, min(k, n_labels)),
            temperature=self._settings.temperature,
            seed=self._settings.seed,
            deadline=state.deadline,
        )


def _check_answer(model: ChatModel, variant: Variant) -> None:
    wanted = "scores" if variant.settings.answer == "scores" else "text"
    if wanted in answers_of(model):
        return
    if wanted == "text":
        raise ConfigError(
            f"{model.name} gives scores and no words, and the prompt '{variant.name}' asks for a "
            'list: use --prompt scores, or a variant with answer = "scores"'
        )
    raise ConfigError(
        f"{model.name} gives no scores, which the prompt '{variant.name}' asks for: use a variant "
        'with answer = "list"'
    )


def _reads_order(model: ChatModel) -> bool:
    """Return False for rerankers, which read each candidate by itself."""
    return "text" in answers_of(model)


def _reply_tokens(wanted: PromptSettings, entry_tokens: int, n_entries: int) -> int:
    """Return the tokens that a reply of so many entries may have."""
    if wanted.answer == "scores":
        return 1
    return 16 + n_entries * (entry_tokens + wanted.reason_chars // 2)

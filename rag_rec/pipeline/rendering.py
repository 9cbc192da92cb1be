"""The render step: a state's candidates become a prompt and the request that carries it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from rag_rec.core import BudgetTooSmall, Evidence, Message, Settings
from rag_rec.grounding import Reading, answer_schema
from rag_rec.index import ItemIndex
from rag_rec.list_types import list_type_of
from rag_rec.llm import ChatModel, Request
from rag_rec.pipeline.state import RecommendationState
from rag_rec.prompting import PromptRenderer, PromptSettings, RenderedPrompt, Variant, load_variant
from rag_rec.retrieval import review_quotes, review_sentences

_REASK_TOKENS = 250


class PromptWriter:
    """Renders prompts for one model: the caller's variant, or the one of the list type.

    Args:
        index: The catalog and its reviews.
        model: Counts tokens, and bounds them.
        variant: The variant of plain lists.
        settings: Temperature, seed, and whether an incomplete reply is asked again.
    """

    def __init__(
        self, index: ItemIndex, model: ChatModel, variant: Variant, settings: Settings
    ) -> None:
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
                    state.prompt = self._prompt(state, quotes)
                except BudgetTooSmall as error:
                    state.failure, state.error, state.reading = error, str(error), Reading()
                else:
                    state.call = self._call(state, state.prompt)

    def _renderer(self, state: RecommendationState) -> PromptRenderer:
        name = list_type_of(state.kind).prompt
        if name is None:
            return self._plain
        if name not in self._others:
            self._others[name] = PromptRenderer(load_variant(name), self._model.tokens)
        return self._others[name]

    def _quotes(
        self, states: Sequence[RecommendationState]
    ) -> Sequence[Mapping[str, Sequence[Evidence]]]:
        """Return the reviews that each state's prompt may quote, by item."""
        wanted = self._renderer(states[0]).variant.settings
        find = review_sentences if wanted.citations else review_quotes
        shown = [s.candidates[: max(s.kind.length, wanted.max_candidates)] for s in states]
        return find(self._index, [s.history for s in states], shown, wanted.evidence)

    def _prompt(
        self, state: RecommendationState, quotes: Mapping[str, Sequence[Evidence]]
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
            state.candidates,
            k=k if list_type_of(state.kind).prompt is None else min(k, len(state.candidates)),
            budget=self._model.context_tokens - reserve,
            item_of=self._index.item_by_id,
            evidence=quotes,
            task=state.task.text,
        )

    def _call(self, state: RecommendationState, prompt: RenderedPrompt) -> Request:
        wanted = self._renderer(state).variant.settings
        n_labels, k = len(prompt.labels), state.kind.length
        entry_tokens = list_type_of(state.kind).entry_tokens
        return Request(
            messages=tuple(Message(role, text) for role, text in prompt.messages),
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


def _reply_tokens(wanted: PromptSettings, entry_tokens: int, n_entries: int) -> int:
    """Return the tokens that a reply of so many entries may have."""
    return 16 + n_entries * (entry_tokens + wanted.reason_chars // 2)

"""Asks a model for a list of some kind, and reads what it wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rag_rec.constraints import describe
from rag_rec.core import Candidate, Settings, Usage, UserHistory
from rag_rec.grounding import Reading, answer_schema, read_answer
from rag_rec.index import ItemIndex
from rag_rec.list_types import kinds
from rag_rec.list_types.slate import Theme
from rag_rec.llm import ChatModel, Message, Request
from rag_rec.prompting import PromptRenderer, RenderedPrompt, Variant, load_variant
from rag_rec.retrieval import review_sentences

_VARIANTS: Mapping[type, str] = {
    kinds.Bundle: "lists/bundle",
    kinds.PlaySequence: "lists/sequence",
    kinds.Slate: "lists/slate",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of asking: the prompt that was sent, what could be read, what it cost."""

    prompt: RenderedPrompt
    reading: Reading
    usage: Usage
    error: str | None


class ListAsker:
    """Asks one model for lists over one index.

    Args:
        index: An open index.
        model: The model.
        settings: Temperature and seed.
    """

    def __init__(self, index: ItemIndex, model: ChatModel, settings: Settings) -> None:
        self._index, self._model, self._settings = index, model, settings

    def ask(
        self,
        kind: kinds.Composite,
        history: UserHistory,
        candidates: Sequence[Candidate],
        themes: Sequence[Theme] = (),
    ) -> Asked:
        """One call; whatever comes back reads as something.

        Raises:
            BudgetTooSmall: If the candidates do not fit the model's context.
        """
        variant = load_variant(_VARIANTS[type(kind)])
        max_tokens = reply_tokens(variant, kind.length)
        quotes = review_sentences(self._index, [history], [candidates], variant.settings.evidence)[
            0
        ]
        prompt = PromptRenderer(variant, self._model.tokens).render(
            history,
            candidates,
            k=min(kind.length, len(candidates)),
            budget=self._model.context_tokens - max_tokens,
            item_of=self._index.item_by_id,
            evidence=quotes,
            task=task_of(kind, themes),
        )
        n = len(prompt.labels)
        schema = answer_schema(
            n_labels=n,
            k=kind.length,
            reason_chars=variant.settings.reason_chars,
            n_evidence=variant.settings.candidate_number(n + 1) - 1
            if variant.settings.citations
            else 0,
            n_rows=len(themes),
        )
        request = Request(
            messages=tuple(Message(role, text) for role, text in prompt.messages),
            schema=schema,
            max_tokens=max_tokens,
            temperature=self._settings.temperature,
            seed=self._settings.seed,
        )
        completion = self._model.generate([request])[0]
        if completion.error is not None and not completion.text:
            return Asked(prompt, Reading(), completion.usage, str(completion.error))
        truncated = completion.error is not None
        reading = read_answer(completion.text, n_labels=n, k=kind.length, truncated=truncated)
        if not variant.settings.reason_chars:  # words that were not asked for are not checked
            entries = tuple(replace(entry, reason="") for entry in reading.entries)
            reading = replace(reading, entries=entries)
        return Asked(prompt, reading, completion.usage, None)


def reply_tokens(variant: Variant, k: int) -> int:
    """Tokens a reply of ``k`` entries may have."""
    return 16 + k * (32 + variant.settings.reason_chars // 2)


def task_of(kind: kinds.Composite, themes: Sequence[Theme]) -> str:
    """What is asked for, in words."""
    match kind:
        case kinds.Bundle():
            parts = [f"a bundle of {kind.length} items that go together"]
            if kind.budget is not None:
                parts.append(f"costing at most {kind.budget:g} in all")
            if kind.slots:
                parts.append("one for each of: " + "; ".join(map(describe, kind.slots)))
            if kind.anchors:
                parts.append(f"with {', '.join(f'item {n + 1}' for n in range(len(kind.anchors)))}")
            return ", ".join(parts)
        case kinds.PlaySequence():
            return f"a sequence of {kind.length} items, each a good next step after the one before"
        case kinds.Slate():
            rows = "; ".join(f"row {n}: {theme.title}" for n, theme in enumerate(themes, 1))
            return f"a page of rows with {kind.per_row} items each. {rows}"

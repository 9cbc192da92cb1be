"""Renders a variant for one user: history, candidates and evidence packed into a token budget.

Text from the catalog and from reviews is data: one line, no markup, and no angle brackets, so that
it cannot close the tags it stands between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from rag_rec.core import (
    BudgetTooSmall,
    Candidate,
    Evidence,
    Item,
    Role,
    TokenCounter,
    UserHistory,
    prompt_safe,
)
from rag_rec.prompting.lines import LineWriter
from rag_rec.prompting.numbering import shown_evidence
from rag_rec.prompting.packing import Packing, Taken
from rag_rec.prompting.variant import Variant

_LATEST = 5
_UNKNOWN = "(nothing known)"


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """A prompt ready to be sent.

    Attributes:
        messages: Role and text of each turn.
        labels: Item ids by label; label 1 is the first.
        left_out: Item ids of candidates that did not fit and rank above one that did.
        n_history: Events shown.
        n_evidence: Reviews quoted.
        tokens: Tokens of the prompt, chat format included.
        exact: True if `tokens` was counted with the model's own tokenizer.
        evidence: What a reason may cite, where the variant asks for citations.
        query: What rerankers are asked; empty unless the variant asks for scores.
        documents: The candidates as rerankers read them, likewise.
    """

    messages: tuple[tuple[Role, str], ...]
    labels: tuple[str, ...]
    left_out: tuple[str, ...]
    n_history: int
    n_evidence: int
    tokens: int
    exact: bool
    evidence: tuple[Evidence, ...] = ()
    query: str = ""
    documents: tuple[str, ...] = ()


class PromptRenderer:
    """Renders one variant for one model.

    Args:
        variant: The prompt variant.
        counter: Counts tokens as the model does.
    """

    def __init__(self, variant: Variant, counter: TokenCounter) -> None:
        self.variant = variant
        self._counter = counter
        self._lines = LineWriter(variant, counter)
        self._fixed: dict[int, int] = {}

    def render(
        self,
        history: UserHistory,
        candidates: Sequence[Candidate],
        *,
        k: int,
        budget: int,
        item_of: Callable[[str], Item],
        evidence: Mapping[str, Sequence[Evidence]] | None = None,
        task: str = "",
    ) -> RenderedPrompt:
        """Return the prompt of one user.

        Args:
            history: The user.
            candidates: Best first.
            k: List length asked for.
            budget: Tokens the prompt may have; the variant's own budget lowers it.
            item_of: Returns the item of an id.
            evidence: Reviews to quote, by item id.
            task: What the list is to be, for variants that say it (``$task``).

        Raises:
            BudgetTooSmall: If the instructions and min(k, candidates) candidates do not fit.
        """
        settings = self.variant.settings
        budget = min(budget, settings.budget_tokens or budget)
        shown = candidates[: settings.n_shown(k)]
        profile = prompt_safe(history.profile or "")
        costs = [self._count_fixed(k), *self._counter.count([profile, task])]
        room, n_required = budget - sum(costs), min(k, len(shown))
        while True:
            packing = Packing(self._lines, settings, item_of, room)
            self._pack(packing, history, shown, k, evidence or {})
            taken = packing.taken
            prompt = self._assemble(taken, k, profile, task)
            while prompt.tokens > budget and len(taken) > n_required:
                taken.pop()
                prompt = self._assemble(taken, k, profile, task)
            if len(packing.labels) < n_required or (prompt.tokens > budget and not taken):
                raise BudgetTooSmall(_too_small(budget, k, costs, packing.longest))
            if prompt.tokens <= budget:
                break
            # the whole has more tokens than its parts: a shorter candidate may still fit
            room -= prompt.tokens - budget
        ids = [candidate.item_id for candidate in shown]
        ranked = ids[: ids.index(prompt.labels[-1])] if prompt.labels else []
        prompt = replace(prompt, left_out=tuple(i for i in ranked if i not in prompt.labels))
        if settings.answer == "scores":
            return self._for_rerankers(prompt, taken, profile, task, item_of)
        if not (settings.citations and settings.reason_chars):
            return prompt
        quotes = [q.quote.model_copy(update={"number": q.number}) for q in taken if q.quote]
        said = shown_evidence(history, prompt.n_history, prompt.labels, settings, item_of)
        return replace(prompt, evidence=(*said, *quotes))

    def _for_rerankers(
        self,
        prompt: RenderedPrompt,
        taken: Sequence[Taken],
        profile: str,
        task: str,
        item_of: Callable[[str], Item],
    ) -> RenderedPrompt:
        """Return a prompt with its query and documents, of the same lines."""
        texts = {item_id: [self._lines.document(item_of(item_id))] for item_id in prompt.labels}
        for line in taken:
            if line.part == "quote":
                texts[line.item_id].append(line.text.strip())
        history = self._history(taken)
        query = self.variant.query.substitute(history=history, profile=profile, task=task)
        documents = tuple("\n".join(lines) for lines in texts.values())
        return replace(prompt, query=query.strip(), documents=documents)

    def _history(self, taken: Sequence[Taken]) -> str:
        # collected newest first, so that the oldest are the ones that do not fit
        lines = [line.text for line in taken if line.part == "event"]
        if self.variant.settings.history_order == "oldest_first":
            lines.reverse()
        return "\n".join(lines) or _UNKNOWN

    def _pack(
        self,
        packing: Packing,
        history: UserHistory,
        shown: Sequence[Candidate],
        k: int,
        evidence: Mapping[str, Sequence[Evidence]],
    ) -> None:
        """Take lines, the most useful first.

        They are k candidates, the latest events, evidence for those candidates, the other
        candidates, older events, the other evidence.
        """
        offered = iter(shown)
        packing.take_candidates(offered, k)
        n_events = min(len(history.events), self.variant.settings.max_history)
        events = list(enumerate(history.events[::-1][:n_events], start=1))
        latest_fit = packing.take_events(events[:_LATEST])
        packing.take_quotes(1, evidence)
        first_other = len(packing.labels) + 1
        packing.take_candidates(offered, len(shown))
        if latest_fit:
            packing.take_events(events[_LATEST:])
        packing.take_quotes(first_other, evidence)

    def _assemble(self, taken: Sequence[Taken], k: int, profile: str, task: str) -> RenderedPrompt:
        blocks = {line.item_id: [line.text] for line in taken if line.part == "candidate"}
        quotes = [line for line in taken if line.part == "quote"]
        for line in quotes:
            blocks[line.item_id].append(line.text)
        turns = self._turns(
            k,
            history=self._history(taken),
            candidates="\n".join(text for block in blocks.values() for text in block),
            profile=profile or _UNKNOWN,
            task=task,
        )
        return RenderedPrompt(
            messages=turns,
            labels=tuple(blocks),
            left_out=(),
            n_history=sum(line.part == "event" for line in taken),
            n_evidence=len(quotes),
            tokens=self._count(turns),
            exact=self._counter.exact,
        )

    def _turns(self, k: int, **values: str) -> tuple[tuple[Role, str], ...]:
        turns: list[tuple[Role, str]] = [("system", self.variant.system.substitute(k=k))]
        for example in self.variant.examples:
            turns.append(("user", example.user))
            turns.append(("assistant", example.assistant))
        turns.append(("user", self.variant.user.substitute(values, k=k)))
        return tuple(turns)

    def _count_fixed(self, k: int) -> int:
        """Return the tokens of everything but the lines and the profile."""
        if k not in self._fixed:
            empty = self._turns(k, history="", candidates="", profile="", task="")
            self._fixed[k] = self._count(empty)
        return self._fixed[k]

    def _count(self, turns: Sequence[tuple[Role, str]]) -> int:
        texts = [text for _, text in turns]
        return sum(self._counter.count(texts)) + self._counter.per_message * (len(turns) + 1)


def _too_small(budget: int, k: int, costs: Sequence[int], longest: tuple[str, int]) -> str:
    names = ("the instructions", "the words about the user", "the task of the list")
    item_id, tokens = longest
    parts = dict(zip(names, costs, strict=True)) | {f"item '{item_id[:80]}'": tokens}
    largest = max(parts, key=lambda name: parts[name])
    return (
        f"{max(budget, 0)} tokens do not hold the instructions and {k} candidates; the largest "
        f"part is {largest} with {parts[largest]}; shorten it, ask for fewer items, or choose a "
        "shorter variant or a model with a longer context"
    )

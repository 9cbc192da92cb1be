"""Renders a variant for one user: history, candidates and evidence packed into a token budget.

Whole lines compete for the budget; nothing is cut in the middle of an item. In order: the first k
candidates (they must fit), the latest events, evidence for those candidates, the other candidates,
older events, the other evidence. Text from the catalog and from reviews is data: one line, no
markup, and no angle brackets, so that it cannot close the tags it stands between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from rag_rec.core import (
    BudgetTooSmall,
    Candidate,
    Evidence,
    Interaction,
    Item,
    Role,
    TokenCounter,
    UserHistory,
    prompt_safe,
)
from rag_rec.prompting.numbering import Quote, Seen, evidence_of
from rag_rec.prompting.template import Template
from rag_rec.prompting.variant import Variant

_LATEST = 5
_CACHE = 200_000


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """A prompt ready to be sent.

    Attributes:
        messages: Role and text of each turn.
        labels: Item ids by label; label 1 is the first.
        n_history: Events shown.
        n_evidence: Reviews quoted.
        tokens: Tokens of the prompt, chat format included.
        exact: Whether `tokens` was counted with the model's own tokenizer.
        evidence: What a reason may cite, where the variant asks for citations.
    """

    messages: tuple[tuple[Role, str], ...]
    labels: tuple[str, ...]
    n_history: int
    n_evidence: int
    tokens: int
    exact: bool
    evidence: tuple[Evidence, ...] = ()


@dataclass(slots=True)
class _Packed:
    """Lines chosen so far. Budget left; may not become negative."""

    left: int
    candidates: list[str] = field(default_factory=list)
    history: list[str] = field(default_factory=list)
    evidence: dict[int, list[tuple[str, Quote]]] = field(default_factory=dict)
    undo: list[Callable[[], object]] = field(default_factory=list)

    def take(self, tokens: int, put: Callable[[], object], undo: Callable[[], object]) -> bool:
        """Puts a line in if it fits."""
        if tokens > self.left:
            return False
        self.left -= tokens
        put()
        self.undo.append(undo)
        return True


class PromptRenderer:
    """Renders one variant for one model.

    Args:
        variant: The prompt variant.
        counter: Counts tokens as the model does.
    """

    def __init__(self, variant: Variant, counter: TokenCounter) -> None:
        self.variant = variant
        self._counter = counter
        self._fields: dict[str, dict[str, str]] = {}
        self._lines: dict[tuple[str, ...], tuple[str, int]] = {}
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
        """The prompt of one user.

        Args:
            history: The user; events of unknown items are left out.
            candidates: Best first.
            k: List length asked for.
            budget: Tokens the prompt may have; the variant's own budget lowers it.
            item_of: Item of an id.
            evidence: Reviews to quote, by item id.
            task: What the list is to be, for variants that say it (``$task``).

        Raises:
            BudgetTooSmall: If the instructions and min(k, candidates) candidates do not fit.
        """
        settings = self.variant.settings
        budget = min(budget, settings.budget_tokens or budget)
        shown = candidates[: max(k, settings.max_candidates)]
        profile = prompt_safe(history.profile or "")
        cost = self._count_fixed(k) + sum(self._counter.count([profile, task]))
        packed = _Packed(left=budget - cost)
        self._pack(packed, history, shown, k, item_of, evidence or {})
        while True:
            prompt = self._assemble(packed, shown, k, profile=profile, task=task)
            if prompt.tokens <= budget:
                if settings.citations and settings.reason_chars:
                    quotes = [q for lines in packed.evidence.values() for _, q in lines]
                    seen = Seen(len(packed.history), prompt.labels, quotes)
                    return replace(prompt, evidence=evidence_of(seen, history, settings, item_of))
                return prompt
            if len(packed.undo) <= min(k, len(shown)):
                raise BudgetTooSmall(_too_small(budget, k))
            packed.undo.pop()()

    # --- packing --------------------------------------------------------------------------

    def _pack(
        self,
        packed: _Packed,
        history: UserHistory,
        shown: Sequence[Candidate],
        k: int,
        item_of: Callable[[str], Item],
        evidence: Mapping[str, Sequence[Evidence]],
    ) -> None:
        budget = packed.left
        lines = [self._candidate_line(label, c, item_of) for label, c in enumerate(shown, 1)]
        for line in lines[:k]:
            if not packed.take(line[1], _append(packed.candidates, line[0]), packed.candidates.pop):
                raise BudgetTooSmall(_too_small(budget, k))
        events = history.events[-self.variant.settings.max_history :][::-1]
        if not self.variant.settings.max_history:
            events = ()
        latest_fit = self._take_history(packed, events[:_LATEST], item_of, start=1)
        quotes = [
            (place, self._evidence_line(quote), quote)
            for place, candidate in enumerate(shown)
            for quote in self._quoted(place + 1, candidate, evidence)
        ]
        self._take_evidence(packed, [quote for quote in quotes if quote[0] < k])
        for line in lines[k:]:
            if not packed.take(line[1], _append(packed.candidates, line[0]), packed.candidates.pop):
                break
        if latest_fit:
            self._take_history(packed, events[_LATEST:], item_of, start=_LATEST + 1)
        n_shown = len(packed.candidates)
        self._take_evidence(packed, [quote for quote in quotes if k <= quote[0] < n_shown])

    def _take_history(
        self,
        packed: _Packed,
        events: Sequence[Interaction],
        item_of: Callable[[str], Item],
        *,
        start: int,
    ) -> bool:
        for n, event in enumerate(events, start):
            line, tokens = self._history_line(n, event, item_of)
            if not packed.take(tokens, _append(packed.history, line), packed.history.pop):
                return False
        return True

    def _take_evidence(
        self, packed: _Packed, quotes: Sequence[tuple[int, tuple[str, int], Quote]]
    ) -> None:
        for place, (line, tokens), quote in quotes:
            lines = packed.evidence.setdefault(place, [])
            packed.take(tokens, _append(lines, (line, quote)), lines.pop)

    def _quoted(
        self, label: int, candidate: Candidate, evidence: Mapping[str, Sequence[Evidence]]
    ) -> Iterator[Quote]:
        settings = self.variant.settings
        found = evidence.get(candidate.item_id, ())[: settings.evidence]
        for piece, quoted in enumerate(found, start=1):
            yield Quote(settings.candidate_number(label, piece), quoted)

    # --- lines ----------------------------------------------------------------------------

    def _candidate_line(
        self, label: int, candidate: Candidate, item_of: Callable[[str], Item]
    ) -> tuple[str, int]:
        template = self.variant.candidate_line
        hint = _hint(candidate) if "hint" in template.names else ""
        key = ("candidate", str(label), candidate.item_id, hint)
        found = self._lines.get(key)
        if found is None:
            ref = str(self.variant.settings.candidate_number(label))
            values = self._item_fields(item_of(candidate.item_id))
            extra = {"label": str(label), "hint": hint, "ref": ref}
            found = self._counted(key, template, values | extra)
        return found

    def _history_line(
        self, n: int, event: Interaction, item_of: Callable[[str], Item]
    ) -> tuple[str, int]:
        names = self.variant.history_line.names
        rating = f"{event.rating:g}" if event.rating is not None and "rating" in names else "–"
        date = _date(event.timestamp) if "date" in names else "–"
        place = str(n) if {"n", "ref"} & names else ""
        key = ("history", place, event.item_id, rating, date)
        found = self._lines.get(key)
        if found is None:
            values = self._item_fields(item_of(event.item_id))
            ref = str(self.variant.settings.past_number(n))
            extra = {"n": str(n), "ref": ref, "rating": rating, "date": date}
            found = self._counted(key, self.variant.history_line, values | extra)
        return found

    def _evidence_line(self, quote: Quote) -> tuple[str, int]:
        template, settings = self.variant.evidence_line, self.variant.settings
        ref = str(quote.number) if "ref" in template.names else ""
        key = ("evidence", ref, quote.evidence.text)
        found = self._lines.get(key)
        if found is None:
            short = _shorten(prompt_safe(quote.evidence.text), settings.evidence_chars)
            found = self._counted(key, template, {"text": short, "ref": ref})
        return found

    def _counted(
        self, key: tuple[str, ...], template: Template, values: Mapping[str, str]
    ) -> tuple[str, int]:
        line = template.fill(values)
        entry = (line, self._counter.count([line + "\n"])[0])
        if len(self._lines) >= _CACHE:
            self._lines.clear()
        self._lines[key] = entry
        return entry

    def _item_fields(self, item: Item) -> dict[str, str]:
        found = self._fields.get(item.item_id)
        if found is None:
            if len(self._fields) >= _CACHE:
                self._fields.clear()
            found = self._fields[item.item_id] = _item_fields(
                item, self.variant.settings.description_chars
            )
        return found

    # --- assembling -----------------------------------------------------------------------

    def _count_fixed(self, k: int) -> int:
        """Tokens of everything but the lines and the profile."""
        if k not in self._fixed:
            empty = self._turns(k, history="", candidates="", profile="", task="")
            self._fixed[k] = self._count(empty)
        return self._fixed[k]

    def _count(self, turns: Sequence[tuple[Role, str]]) -> int:
        texts = [text for _, text in turns]
        return sum(self._counter.count(texts)) + self._counter.per_message * (len(turns) + 1)

    def _turns(self, k: int, **values: str) -> tuple[tuple[Role, str], ...]:
        examples: list[tuple[Role, str]] = []
        for example in self.variant.examples:
            examples.extend((("user", example.user), ("assistant", example.assistant)))
        system = self.variant.system.fill({"k": str(k)})
        return (
            ("system", system),
            *examples,
            ("user", self.variant.user.fill(values | {"k": str(k)})),
        )

    def _assemble(
        self, packed: _Packed, shown: Sequence[Candidate], k: int, *, profile: str, task: str
    ) -> RenderedPrompt:
        blocks: list[str] = []
        for place, line in enumerate(packed.candidates):
            blocks += [line, *(quote for quote, _ in packed.evidence.get(place, ()))]
        # collected newest first, so that the oldest are the ones that do not fit
        oldest_first = self.variant.settings.history_order == "oldest_first"
        history = packed.history[::-1] if oldest_first else packed.history
        turns = self._turns(
            k,
            history="\n".join(history) or "(nothing known)",
            candidates="\n".join(blocks),
            profile=profile or "(nothing known)",
            task=task,
        )
        return RenderedPrompt(
            messages=turns,
            labels=tuple(c.item_id for c in shown[: len(packed.candidates)]),
            n_history=len(packed.history),
            n_evidence=sum(len(lines) for lines in packed.evidence.values()),
            tokens=self._count(turns),
            exact=self._counter.exact,
        )


def _append(lines: list[Any], line: Any) -> Callable[[], object]:
    return lambda: lines.append(line)


def _item_fields(item: Item, description_chars: int) -> dict[str, str]:
    return {
        "title": prompt_safe(item.title) or prompt_safe(item.item_id),
        "description": _shorten(prompt_safe(item.description), description_chars) or "–",
        "brand": prompt_safe(item.brand or "") or "–",
        "price": f"{item.price:.2f}" if item.price is not None else "–",
        "categories": ", ".join(map(prompt_safe, item.categories)) or "–",
        "released": item.released.isoformat() if item.released else "–",
    }


def _shorten(text: str, limit: int) -> str:
    """Cut at the last word end within ``limit`` characters."""
    if len(text) <= limit:
        return text
    return text[:limit].rsplit(" ", 1)[0].rstrip(" ,;:") + " …"


def _hint(candidate: Candidate) -> str:
    ranked = sorted(candidate.sources.items(), key=lambda pair: (pair[1], pair[0]))
    return ", ".join(f"{name} #{rank}" for name, rank in ranked[:3])


def _date(timestamp: int | None) -> str:
    if timestamp is None:
        return "–"
    return datetime.fromtimestamp(timestamp, tz=UTC).date().isoformat()


def _too_small(budget: int, k: int) -> str:
    return (
        f"{max(budget, 0)} tokens do not hold the instructions and {k} candidates; ask for fewer, "
        "choose a shorter variant or a model with a longer context"
    )

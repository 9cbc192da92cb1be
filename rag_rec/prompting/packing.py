"""Whole lines compete for a prompt's token budget; nothing is cut in the middle of an item."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Literal, NamedTuple

from rag_rec.core import Candidate, Evidence, Interaction, Item
from rag_rec.prompting.lines import Line, LineWriter
from rag_rec.prompting.variant import PromptSettings


class Taken(NamedTuple):
    """A line in the prompt: a candidate, an event, or a numbered quotation about a candidate."""

    part: Literal["candidate", "event", "quote"]
    item_id: str
    text: str
    quote: Evidence | None = None
    number: int = 0


@dataclass(slots=True)
class Packing:
    """Lines that fit into a budget.

    Attributes:
        lines: Writes lines.
        settings: The variant's settings.
        item_of: Returns the item of an id.
        left: Tokens left; never negative.
        taken: Lines in the order in which they were taken.
        labels: Candidates taken; the first has label 1.
        longest: Item id and tokens of the longest candidate, in or not.
    """

    lines: LineWriter
    settings: PromptSettings
    item_of: Callable[[str], Item]
    left: int
    taken: list[Taken] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    longest: tuple[str, int] = ("", 0)

    def take_candidates(self, offered: Iterator[Candidate], n: int) -> None:
        """Take the next ``n`` candidates that fit; those that do not are passed over."""
        wanted = len(self.labels) + n
        while len(self.labels) < wanted and (candidate := next(offered, None)) is not None:
            item = self.item_of(candidate.item_id)
            line = self.lines.candidate(len(self.labels) + 1, candidate, item)
            self.longest = max(self.longest, (candidate.item_id, line.tokens), key=itemgetter(1))
            if self._take(line, Taken("candidate", candidate.item_id, line.text)):
                self.labels.append(candidate.item_id)

    def take_events(self, events: Iterable[tuple[int, Interaction]]) -> bool:
        """Take numbered events up to the first that does not fit; return True if all did."""
        for n, event in events:
            line = self.lines.event(n, event, self.item_of(event.item_id))
            if not self._take(line, Taken("event", event.item_id, line.text)):
                return False
        return True

    def take_quotes(self, first: int, evidence: Mapping[str, Sequence[Evidence]]) -> None:
        """Take the quotations that fit, about the candidates from the label ``first`` on."""
        for label, item_id in enumerate(self.labels[first - 1 :], first):
            found = evidence.get(item_id, ())[: self.settings.evidence]
            for piece, quoted in enumerate(found, start=1):
                number = self.settings.candidate_number(label, piece)
                line = self.lines.quote(number, quoted.text)
                self._take(line, Taken("quote", item_id, line.text, quoted, number))

    def _take(self, line: Line, taken: Taken) -> bool:
        if line.tokens > self.left:
            return False
        self.left -= line.tokens
        self.taken.append(taken)
        return True

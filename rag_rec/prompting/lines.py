"""The lines of a prompt: an item, an event or a quotation, filled in and counted once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from string import Template
from typing import NamedTuple

from rag_rec.core import (
    NAME_CHARS,
    Candidate,
    Interaction,
    Item,
    TokenCounter,
    prompt_safe,
)
from rag_rec.prompting.variant import Variant

_CACHE = 200_000
_MISSING = "–"


class Line(NamedTuple):
    """One line of a prompt and its tokens, line end included."""

    text: str
    tokens: int


class LineWriter:
    """Writes the lines of one variant, and remembers them.

    Args:
        variant: The prompt variant.
        counter: Counts tokens as the model does.
    """

    def __init__(self, variant: Variant, counter: TokenCounter) -> None:
        self._variant, self._settings, self._counter = variant, variant.settings, counter
        self._fields: dict[str, dict[str, str]] = {}
        self._lines: dict[tuple[str, ...], Line] = {}
        self._history_names = frozenset(variant.history_line.get_identifiers())
        self._shows_hint = "hint" in variant.candidate_line.get_identifiers()
        self._numbers_quotes = "ref" in variant.evidence_line.get_identifiers()

    def candidate(self, label: int, candidate: Candidate, item: Item) -> Line:
        """Return the line of the candidate with a label."""
        hint = _hint(candidate) if self._shows_hint else ""
        text = self._settings.label_text(label)
        key = ("candidate", text, item.item_id, hint)
        ref = str(self._settings.candidate_number(label))
        extra = {"label": text, "hint": hint, "ref": ref}
        return self._lines.get(key) or self._written(
            key, self._variant.candidate_line, self._fields_of(item) | extra
        )

    def document(self, item: Item) -> str:
        """Return an item as a reranker reads it."""
        return self._variant.document_line.substitute(self._fields_of(item))

    def event(self, n: int, event: Interaction, item: Item) -> Line:
        """Return the line of the ``n``-th event, 1 the latest."""
        names = self._history_names
        rated = event.rating is not None and "rating" in names
        rating = f"{event.rating:g}" if rated else _MISSING
        date = _date(event.timestamp) if "date" in names else _MISSING
        place = str(n) if {"n", "ref"} & names else ""
        key = ("event", place, item.item_id, rating, date)
        extra = {"n": str(n), "ref": str(n), "rating": rating, "date": date}
        return self._lines.get(key) or self._written(
            key, self._variant.history_line, self._fields_of(item) | extra
        )

    def quote(self, number: int, text: str) -> Line:
        """Return the line of a quoted review."""
        ref = str(number) if self._numbers_quotes else ""
        key = ("quote", ref, text)
        if key not in self._lines:
            short = prompt_safe(text, self._settings.evidence_chars)
            self._written(key, self._variant.evidence_line, {"text": short, "ref": ref})
        return self._lines[key]

    def _written(self, key: tuple[str, ...], template: Template, values: Mapping[str, str]) -> Line:
        text = template.substitute(values)
        line = Line(text, self._counter.count([text + "\n"])[0])
        if len(self._lines) >= _CACHE:
            self._lines.clear()
        self._lines[key] = line
        return line

    def _fields_of(self, item: Item) -> dict[str, str]:
        found = self._fields.get(item.item_id)
        if found is None:
            if len(self._fields) >= _CACHE:
                self._fields.clear()
            found = _item_fields(item, self._settings.description_chars)
            self._fields[item.item_id] = found
        return found


def _item_fields(item: Item, description_chars: int) -> dict[str, str]:
    return {
        "title": prompt_safe(item.title, NAME_CHARS) or prompt_safe(item.item_id, NAME_CHARS),
        "description": prompt_safe(item.description, description_chars) or _MISSING,
        "brand": prompt_safe(item.brand or "", NAME_CHARS) or _MISSING,
        "price": f"{item.price:.2f}" if item.price is not None else _MISSING,
        "categories": prompt_safe(", ".join(item.categories), NAME_CHARS) or _MISSING,
        "released": item.released.isoformat() if item.released else _MISSING,
    }


def _hint(candidate: Candidate) -> str:
    ranked = sorted(candidate.sources.items(), key=lambda pair: (pair[1], pair[0]))
    return ", ".join(f"{name} #{rank}" for name, rank in ranked[:3])


def _date(timestamp: int | None) -> str:
    """Return the day of a time in unix seconds; a dash for a time outside the years 1 to 9999."""
    if timestamp is None:
        return _MISSING
    try:
        return datetime.fromtimestamp(timestamp, tz=UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return _MISSING

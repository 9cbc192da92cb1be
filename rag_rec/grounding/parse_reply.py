"""What can be used of a reply, whatever it is.

It is parsed strictly; unknown labels and duplicates are dropped and counted, and complete entries
of a broken reply are saved.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from rag_rec.core import MAX_JSON_CHARS, STRICT_DECODER, Repairs, one_line, parse_json

_MAX_PROBLEMS = 8
_SHOWN_CHARS = 400


@dataclass(frozen=True, slots=True)
class Entry:
    """One usable line of a reply."""

    label: int
    reason: str
    repaired: bool = False
    cites: tuple[int, ...] = ()
    row: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What could be read from one or two replies.

    Attributes:
        entries: Distinct known labels in the model's order, at most k.
        repairs: What was dropped or saved on the way.
        problems: The same in words, for a re-ask and for the report.
        shown: The beginning of the reply, to show it to the model again.
    """

    entries: tuple[Entry, ...] = ()
    repairs: Repairs = field(default_factory=Repairs)
    problems: tuple[str, ...] = ()
    shown: str = ""


def read_answer(text: str, *, n_labels: int, k: int, truncated: bool = False) -> Reading:
    """Reads one reply; never raises, whatever the text is.

    Args:
        text: The reply as received.
        n_labels: Number of candidates that were shown.
        k: Length of the list asked for.
        truncated: Whether the backend stopped the reply at ``max_tokens``.
    """
    problems: list[str] = []
    repairs = Repairs(truncated=int(truncated))
    try:
        raw, saved = _entries_of(parse_json(text)), False
    except ValueError as error:
        problems.append(f"the reply is not the agreed JSON ({one_line(str(error))[:200]})")
        repairs = repairs.model_copy(update={"unparseable": 1})
        raw, saved = _salvage(text[:MAX_JSON_CHARS]), True
    counts = {"invalid_entry": 0, "unknown_label": 0, "duplicate": 0}
    entries: dict[int, Entry] = {}
    for value in raw:
        problem = _problem_of(value, n_labels, entries)
        if problem:
            counts[problem[0]] += 1
            problems.append(problem[1])
        elif len(entries) < k:
            entries[value["label"]] = _entry(value, repaired=saved)
    wanted = min(k, n_labels)
    if len(entries) < wanted:
        problems.append(f"it names {len(entries)} usable labels where {wanted} are needed")
    repairs = repairs.model_copy(update=counts)
    shown = one_line(text[:_SHOWN_CHARS])
    return Reading(tuple(entries.values()), repairs, tuple(problems[:_MAX_PROBLEMS]), shown)


def merge_readings(first: Reading, second: Reading, *, k: int) -> Reading:
    """The first answer's entries, then what the re-ask adds to them, marked as repaired."""
    known = {entry.label for entry in first.entries}
    added = [replace(e, repaired=True) for e in second.entries if e.label not in known]
    totals = {
        name: getattr(first.repairs, name) + getattr(second.repairs, name)
        for name in Repairs.model_fields
    }
    repairs = Repairs(**totals | {"reasked": 1})
    entries = (*first.entries, *added)[:k]
    return Reading(entries, repairs, (*first.problems, *second.problems), first.shown)


def reask_message(reading: Reading, *, n_labels: int, k: int) -> str:
    """What the model is told when its reply does not fill the list."""
    wanted = min(k, n_labels)
    return (
        f"That reply cannot be used: {'; '.join(reading.problems[:3])}. "
        f"Answer again with the JSON only: exactly {wanted} items, each with a different label "
        f"between 1 and {n_labels}."
    )


def _entries_of(document: Any) -> list[Any]:
    if not isinstance(document, dict) or set(document) != {"items"}:
        raise ValueError('the top level must be {"items": [...]}')
    items = document["items"]
    if not isinstance(items, list):
        raise ValueError('"items" must be a list')  # noqa: TRY004 - as all that is wrong with a reply
    return items


def _entry(value: dict[str, Any], *, repaired: bool) -> Entry:
    return Entry(
        label=value["label"],
        reason=one_line(value.get("reason", "")),
        repaired=repaired,
        cites=tuple(value.get("cites", ())),
        row=value.get("row"),
    )


def _problem_of(value: Any, n_labels: int, seen: dict[int, Entry]) -> tuple[str, str] | None:
    if not isinstance(value, dict) or not set(value) <= {"row", "label", "cites", "reason"}:
        return "invalid_entry", 'an entry is not {"label": integer, "reason": text}'
    label, cites = value.get("label"), value.get("cites", [])
    if type(label) is not int or not isinstance(value.get("reason", ""), str):
        return "invalid_entry", "a label is not an integer or a reason is not text"
    if not isinstance(cites, list) or any(type(number) is not int for number in cites):
        return "invalid_entry", "cites is not a list of integers"
    if type(value.get("row", 1)) is not int:
        return "invalid_entry", "a row is not an integer"
    if not 1 <= label <= n_labels:
        return "unknown_label", f"label {str(label)[:12]} was not shown"
    if label in seen:
        return "duplicate", f"label {label} is named twice"
    return None


def _salvage(text: str) -> list[Any]:
    """Complete entries from the front of a reply that does not parse as a whole."""
    start = re.search(r'\{\s*"items"\s*:\s*\[', text)
    if start is None:
        return []
    entries: list[Any] = []
    position = start.end()
    separator = re.compile(r"[\s,]*")
    while True:
        position = separator.match(text, position).end()  # pyright: ignore[reportOptionalMemberAccess]
        if not text.startswith("{", position):
            return entries
        try:
            entry, position = STRICT_DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            return entries
        entries.append(entry)

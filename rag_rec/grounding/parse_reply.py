"""Read a model's reply, whatever it contains.

A reply is parsed strictly. Unknown labels and duplicates are dropped and counted, and complete
entries of a broken reply are saved.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from rag_rec.core import MAX_JSON_CHARS, STRICT_DECODER, Repairs, one_line, parse_json

_MAX_PROBLEMS = 8
_SHOWN_CHARS = 400
_FIRST_ENTRY = re.compile(r'\{\s*"items"\s*:\s*\[')
_NEXT_ENTRY = re.compile(r"[\s,]*(?=\{)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One usable entry of a reply; ``repaired`` if it came from a broken or a second reply."""

    label: int
    reason: str
    repaired: bool = False
    cites: tuple[int, ...] = ()
    row: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """The usable content of one or two replies.

    Attributes:
        entries: Distinct known labels in the model's order, at most k.
        repairs: Counts of dropped and saved entries.
        problems: The same in words, for a re-ask and for the report.
        shown: The beginning of the reply, to show it to the model again.
    """

    entries: tuple[Entry, ...] = ()
    repairs: Repairs = field(default_factory=Repairs)
    problems: tuple[str, ...] = ()
    shown: str = ""


def read_answer(text: str, *, n_labels: int, k: int, truncated: bool = False) -> Reading:
    """Read one reply; any text gives a reading, no text raises.

    Args:
        text: The reply as received.
        n_labels: Number of candidates that were shown.
        k: Length of the list.
        truncated: True if the backend stopped the reply at ``max_tokens``.
    """
    problems: list[str] = []
    try:
        raw, saved = _entries_of(parse_json(text)), False
    except ValueError as error:
        problems.append(f"the reply is not the agreed JSON ({one_line(str(error))[:200]})")
        raw, saved = _salvage(text[:MAX_JSON_CHARS]), True
    counts = Counter(truncated=int(truncated), unparseable=int(saved))
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
    shown = one_line(text[:_SHOWN_CHARS])
    return Reading(
        tuple(entries.values()), Repairs(**counts), tuple(problems[:_MAX_PROBLEMS]), shown
    )


def merge_readings(first: Reading, second: Reading, *, k: int) -> Reading:
    """Return the first reading with the new entries of the re-ask added, marked as repaired."""
    known = {entry.label for entry in first.entries}
    added = [replace(e, repaired=True) for e in second.entries if e.label not in known]
    totals = Counter(first.repairs.model_dump()) + Counter(second.repairs.model_dump())
    totals["reasked"] = 1
    return Reading(
        entries=(*first.entries, *added)[:k],
        repairs=Repairs(**totals),
        problems=(*first.problems, *second.problems),
        shown=first.shown,
    )


def reask_message(reading: Reading, *, n_labels: int, k: int) -> str:
    """Return the message that asks the model for a full list after an incomplete reply."""
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
    """Return the complete entries at the front of a reply that does not parse as a whole."""
    entries: list[Any] = []
    position = start.end() if (start := _FIRST_ENTRY.search(text)) else len(text)
    while found := _NEXT_ENTRY.match(text, position):
        try:
            entry, position = STRICT_DECODER.raw_decode(text, found.end())
        except (ValueError, RecursionError):
            break
        entries.append(entry)
    return entries

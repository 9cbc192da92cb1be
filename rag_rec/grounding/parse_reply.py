"""Read a model's reply, whatever it contains.

An entry that is not written as agreed and can only mean one thing is read, and counted as a repair.
Others, unknown labels and duplicates are dropped and counted.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, cast

from rag_rec.core import Repairs, one_line, prompt_safe
from rag_rec.grounding.reply_json import find_entries

_MAX_PROBLEMS = 8
_SHOWN_CHARS = 400
_FIELDS = {"row", "label", "cites", "reason"}
_NUMBER = re.compile(
    r"\s*(?:(?:item|label|candidate|number|no\.?)\s*)?[#(\[]?\s*(\d{1,9})(?:\.0+)?\s*[)\].:]?\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One usable entry of a reply; ``repaired`` if it was mended or came from a second reply."""

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
    raw, fault = find_entries(text)
    problems = [f"the reply is not the agreed JSON ({fault})"] if fault else []
    counts = Counter(truncated=int(truncated), unparseable=int(fault is not None))
    entries: dict[int, Entry] = {}
    for value in raw:
        entry, mended = _read_entry(value)
        problem = _problem_of(entry, n_labels, entries)
        if problem:
            counts[problem[0]] += 1
            problems.append(problem[1])
        elif entry and len(entries) < k:
            counts["invalid_entry"] += mended
            entries[entry.label] = replace(entry, repaired=mended or fault is not None)
    wanted = min(k, n_labels)
    if len(entries) < wanted:
        problems.append(f"it names {len(entries)} usable labels where {wanted} are needed")
    shown = prompt_safe(text[:_SHOWN_CHARS])
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


def _read_entry(value: Any) -> tuple[Entry | None, bool]:
    """Return an entry, None if it is not clear, and whether it was not written as agreed."""
    if not isinstance(value, dict):
        label = _whole_number(value)
        return (None if label is None else Entry(label, "")), True
    given = {"reason": "", "cites": [], "row": None, **cast("dict[str, Any]", value)}
    label, row, cites, reason = (given.get(name) for name in ("label", "row", "cites", "reason"))
    number, row_number = _whole_number(label), _whole_number(row)
    if number is None or (row is not None and row_number is None):
        return None, True
    listed = cast("list[Any]", cites) if isinstance(cites, list) else [cites]
    numbers = [n for cite in listed if (n := _whole_number(cite)) is not None]
    agreed = (
        set(value) <= _FIELDS
        and isinstance(reason, str)
        and isinstance(cites, list)
        and all(type(n) is int for n in (label, value.get("row", 1), *listed))
    )
    text = one_line(reason) if isinstance(reason, str) else ""
    return Entry(number, text, cites=tuple(numbers), row=row_number), not agreed


def _whole_number(value: Any) -> int | None:
    """Return the whole number that a value can only mean; None if there is none.

    >>> [_whole_number(value) for value in (3, "3", "#3", "[3]", 3.0, 3.5, True, "3 or 4")]
    [3, 3, 3, 3, 3, None, None, None]
    """
    match value:
        case bool():
            return None
        case int():
            return value
        case float():
            return int(value) if value.is_integer() else None
        case str():
            found = _NUMBER.fullmatch(value)
            return int(found[1]) if found else None
        case _:
            return None


def _problem_of(
    entry: Entry | None, n_labels: int, seen: dict[int, Entry]
) -> tuple[str, str] | None:
    if entry is None:
        return "invalid_entry", 'an entry is not {"label": integer, "reason": text}'
    if not 1 <= entry.label <= n_labels:
        return "unknown_label", f"label {str(entry.label)[:12]} was not shown"
    if entry.label in seen:
        return "duplicate", f"label {entry.label} is named twice"
    return None

"""From whatever a model wrote to a list that is valid.

The model names candidates by label (1..n), so it cannot mistype an id. What it wrote is parsed
strictly, unknown labels and duplicates are dropped and counted, complete entries of a broken
reply are saved, and the retrieval order fills the slots that remain.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from rag_rec.text import one_line
from rag_rec.types import (
    Candidate,
    Evidence,
    Item,
    Origin,
    Outcome,
    Recommendation,
    RecommendationList,
    Repairs,
    Usage,
)

_MAX_REPLY_CHARS = 1_000_000
_MAX_PROBLEMS = 8
_SHOWN_CHARS = 400
_MIN_WORDS = 4
_WORD = re.compile(r"[^\W\d_]{2,}")


def answer_schema(*, n_labels: int, k: int, reason_chars: int) -> dict[str, Any]:
    """JSON schema of a reply: ``k`` distinct labels of 1..``n_labels``, with reasons if wanted.

    It depends on three numbers only, so a backend compiles it once for all users. Distinctness
    is not in the schema (constrained decoders do not support it); `read_answer` enforces it.

    >>> schema = answer_schema(n_labels=3, k=2, reason_chars=0)
    >>> schema["properties"]["items"]["items"]["properties"]["label"]
    {'type': 'integer', 'enum': [1, 2, 3]}
    """
    properties: dict[str, Any] = {"label": {"type": "integer", "enum": [*range(1, n_labels + 1)]}}
    if reason_chars:
        properties["reason"] = {"type": "string", "maxLength": reason_chars}
    entry = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    length = min(k, n_labels)
    items = {"type": "array", "items": entry, "minItems": length, "maxItems": length}
    return {
        "type": "object",
        "properties": {"items": items},
        "required": ["items"],
        "additionalProperties": False,
    }


@dataclass(frozen=True, slots=True)
class Entry:
    """One usable line of a reply."""

    label: int
    reason: str
    repaired: bool = False


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


class _StrictJSONError(ValueError):
    pass


def _no_constant(name: str) -> NoReturn:
    raise _StrictJSONError(f"{name} is not JSON")


def _no_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _StrictJSONError("an object names the same key twice")
    return result


_DECODER = json.JSONDecoder(object_pairs_hook=_no_duplicate_keys, parse_constant=_no_constant)


def parse_json(text: str) -> Any:
    """Parses one JSON document strictly: no NaN, no duplicate keys, nothing after the end.

    Raises:
        ValueError: If the text is anything else, too long or nested too deeply.
    """
    if len(text) > _MAX_REPLY_CHARS:
        raise _StrictJSONError(f"longer than {_MAX_REPLY_CHARS} characters")
    try:
        return _DECODER.decode(text)
    except RecursionError as error:
        raise _StrictJSONError("nested too deeply") from error


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
        raw, saved = _salvage(text[:_MAX_REPLY_CHARS]), True
    counts = {"invalid_entry": 0, "unknown_label": 0, "duplicate": 0}
    entries: dict[int, Entry] = {}
    for value in raw:
        problem = _problem_of(value, n_labels, entries)
        if problem:
            counts[problem[0]] += 1
            problems.append(problem[1])
        elif len(entries) < k:
            reason = one_line(value.get("reason", ""))
            entries[value["label"]] = Entry(value["label"], reason, repaired=saved)
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


def build_list(
    reading: Reading | None,
    *,
    user_id: str | None,
    candidates: Sequence[Candidate],
    k: int,
    item_of: Callable[[str], Item],
    reasons_of: Callable[[Sequence[str]], Mapping[str, Evidence]],
    usage: Usage,
    run_id: str,
    error: str | None = None,
) -> RecommendationList:
    """The final list: the model's entries, then the retrieval order.

    Args:
        reading: What was read from the model, or None if none was asked.
        user_id: The user, when known.
        candidates: Eligible candidates, best first; those shown carried the labels 1, 2, ...
        k: Length of the list asked for.
        item_of: Catalog row of an item id.
        reasons_of: Sentences from the log, for the slots to which the model gave no reason.
        usage: Cost of the calls made for this list.
        run_id: Identity of the run.
        error: Why the model gave nothing or less, when known.
    """
    slots = _slots(reading, candidates, k)
    n_reasons = _drop_poor_reasons(slots, item_of)
    silent = [item_id for item_id, (_, reason) in slots.items() if not reason]
    links = reasons_of(silent) if silent else {}
    by_id = {candidate.item_id: candidate for candidate in candidates}
    items = [
        _recommendation(rank, item_of(item_id), by_id[item_id], slot, links.get(item_id))
        for rank, (item_id, slot) in enumerate(slots.items(), start=1)
    ]
    n_chosen = sum(origin != "backfill" for origin, _ in slots.values())
    repairs = reading.repairs if reading else Repairs()
    n_filled = len(slots) - n_chosen if reading else 0
    if error is None and reading and n_filled:
        error = "; ".join(reading.problems) or None
    return RecommendationList(
        user_id=user_id,
        outcome=_outcome(reading, n_chosen=n_chosen, n_slots=len(slots)),
        items=tuple(items),
        repairs=repairs.model_copy(update={"backfilled": n_filled, "poor_reason": n_reasons}),
        usage=usage,
        run_id=run_id,
        error=error,
    )


_Slots = dict[str, tuple[Origin, str]]
"""Origin and reason by item id, in the list's order."""


def _slots(reading: Reading | None, candidates: Sequence[Candidate], k: int) -> _Slots:
    slots: _Slots = {}
    for entry in reading.entries if reading else ():
        origin: Origin = "repaired" if entry.repaired else "llm"
        slots[candidates[entry.label - 1].item_id] = (origin, entry.reason)
    for candidate in candidates:
        if len(slots) >= k:
            break
        slots.setdefault(candidate.item_id, ("backfill", ""))
    return slots


def _recommendation(
    rank: int, item: Item, candidate: Candidate, slot: tuple[Origin, str], link: Evidence | None
) -> Recommendation:
    origin, reason = slot
    return Recommendation(
        rank=rank,
        item_id=item.item_id,
        title=item.title,
        item=item,
        score=candidate.score,
        reason=link.text if link else reason,
        reason_status="evidence" if link else "unverified",
        origin=origin,
        sources=candidate.sources,
    )


def _drop_poor_reasons(slots: _Slots, item_of: Callable[[str], Item]) -> int:
    """Empties reasons that say nothing: too few words, the bare title, or said before."""
    said: set[str] = set()
    n_dropped = 0
    for item_id, (origin, reason) in slots.items():
        folded = reason.casefold()
        few_words = len(_WORD.findall(reason)) < _MIN_WORDS
        if reason and (few_words or folded in said or folded in item_of(item_id).title.casefold()):
            slots[item_id] = (origin, "")
            n_dropped += 1
        said.add(folded)
    return n_dropped


def _outcome(reading: Reading | None, *, n_chosen: int, n_slots: int) -> Outcome:
    if reading is None:
        return "retrieval_only"
    if n_chosen == 0:
        return "failed"
    return "ok" if n_chosen == n_slots else "partial"


def _entries_of(document: Any) -> list[Any]:
    if not isinstance(document, dict) or set(document) != {"items"}:
        raise _StrictJSONError('the top level must be {"items": [...]}')
    items = document["items"]
    if not isinstance(items, list):
        raise _StrictJSONError('"items" must be a list')
    return items


def _problem_of(value: Any, n_labels: int, seen: dict[int, Entry]) -> tuple[str, str] | None:
    if not isinstance(value, dict) or not set(value) <= {"label", "reason"}:
        return "invalid_entry", 'an entry is not {"label": integer, "reason": text}'
    label = value.get("label")
    if type(label) is not int or not isinstance(value.get("reason", ""), str):
        return "invalid_entry", "a label is not an integer or a reason is not text"
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
            entry, position = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            return entries
        entries.append(entry)

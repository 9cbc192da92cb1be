"""Assemble the final list: the model's entries, then the retrieval order, under the constraints."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rag_rec.constraints import Choice, choose, n_new_items
from rag_rec.core import (
    Candidate,
    Evidence,
    Item,
    Origin,
    Outcome,
    ReasonStatus,
    Recommendation,
    Repairs,
    Usage,
    UserHistory,
    neutral,
)
from rag_rec.grounding.check_reason import ReasonChecker, has_link
from rag_rec.grounding.parse_reply import Entry, Reading

_MIN_WORDS = 4
_WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True, slots=True)
class Grounds:
    """The facts that a reply is checked against.

    Attributes:
        history: The user, and the constraints of the list.
        candidates: Eligible candidates, best first; those shown carried the labels 1, 2, ...
        item_of: Returns the catalog row of an item id.
        reasons_of: Returns the strongest evidence of items, for slots without a model's reason.
        checker: Checks reasons against their citations; None for prompts without citations.
    """

    history: UserHistory
    candidates: Sequence[Candidate]
    item_of: Callable[[str], Item]
    reasons_of: Callable[[Sequence[str]], Mapping[str, Evidence]]
    checker: ReasonChecker | None = None

    def named(self, reading: Reading | None) -> dict[str, Entry]:
        """Return the entries of a reading by item id, in the model's order."""
        entries = reading.entries if reading else ()
        return {self.candidates[entry.label - 1].item_id: entry for entry in entries}

    def choose(self, preferred: Sequence[str], k: int) -> list[Choice]:
        """Choose items, the preferred ones first; see `rag_rec.constraints.choose`.

        Trailing preferred items are given up where they make the list shorter than possible.
        """
        chosen = self._choose(preferred, k)
        if len(chosen) < k and preferred:
            n_possible = len(self._choose((), k))
            while len(chosen) < n_possible:
                preferred = preferred[:-1]
                chosen = self._choose(preferred, k)
        return chosen

    def _choose(self, preferred: Sequence[str], k: int) -> list[Choice]:
        constraints = self.history.constraints
        pool = [candidate.item_id for candidate in self.candidates]
        seen = () if constraints.allow_seen else self.history.item_ids
        return choose(
            preferred, pool, k, item_of=self.item_of, constraints=constraints, blocked=seen
        )


@dataclass(slots=True)
class _Slot:
    """A slot of a list while its reason is settled."""

    item: Item
    choice: Choice
    origin: Origin = "backfill"
    reason: str = ""
    status: ReasonStatus = "unverified"
    cites: tuple[int, ...] = ()
    evidence: tuple[Evidence, ...] = ()


def list_fields(
    chosen: Sequence[Choice],
    reading: Reading | None,
    grounds: Grounds,
    *,
    k: int,
    usage: Usage,
    run_id: str,
    error: str | None = None,
) -> dict[str, Any]:
    """Return the fields that every kind of list has.

    Args:
        chosen: The items of the list, in order.
        reading: The model's reading, or None if no model was asked.
        grounds: The facts that it is checked against.
        k: Length of the list.
        usage: Cost of the calls made for this list.
        run_id: Fingerprint of the run.
        error: The reason why the model gave nothing or less, when known.
    """
    named = grounds.named(reading)
    slots = [_slot(choice, named.get(choice.item_id), grounds) for choice in chosen]
    counts = _settle_reasons(slots, grounds)
    n_chosen = sum(slot.origin != "backfill" for slot in slots)
    counts["backfilled"] = len(slots) - n_chosen if reading else 0
    counts["constraint"] = min(k, len(named)) - n_chosen  # scores name more than k
    if error is None and reading and counts["backfilled"]:
        error = "; ".join(reading.problems) or None
    candidates = {candidate.item_id: candidate for candidate in grounds.candidates}
    return {
        "user_id": grounds.history.user_id,
        "outcome": _outcome(reading, n_chosen, len(slots)),
        "items": tuple(
            _recommendation(slot, rank, candidates[slot.item.item_id])
            for rank, slot in enumerate(slots, start=1)
        ),
        "repairs": (reading.repairs if reading else Repairs()).model_copy(update=counts),
        "usage": usage,
        "run_id": run_id,
        "error": error,
        "shortfall": _shortfall(slots, k, n_new_items(grounds.history.constraints, k)),
    }


def _slot(choice: Choice, entry: Entry | None, grounds: Grounds) -> _Slot:
    item = grounds.item_of(choice.item_id)
    if entry is None:
        return _Slot(item, choice)
    origin: Origin = "repaired" if entry.repaired else "llm"
    return _Slot(item, choice, origin, entry.reason, cites=entry.cites)


def _settle_reasons(slots: Sequence[_Slot], grounds: Grounds) -> dict[str, int]:
    """Drop reasons that do not hold, fill the gaps from evidence, and count the dropped ones."""
    counts = {"poor_reason": 0, "refuted_reason": 0}
    said: set[str] = set()
    for slot in slots:
        folded = slot.reason.casefold()
        if not folded:
            continue
        if _is_poor(slot) or folded in said:
            slot.reason = ""
            counts["poor_reason"] += 1
            continue
        slot.reason = neutral(slot.reason)
        if grounds.checker is not None:
            if grounds.checker.problems(slot.reason, slot.cites, slot.item):
                slot.reason, slot.status = "", "replaced"
                counts["refuted_reason"] += 1
            else:
                slot.status, slot.evidence = "verified", grounds.checker.cited(slot.cites)
                slot.reason = grounds.checker.attributed(slot.reason, slot.cites, slot.item)
        said.add(folded)
    silent = [slot for slot in slots if not slot.reason]
    found = grounds.reasons_of([slot.item.item_id for slot in silent]) if silent else {}
    for slot in silent:
        if evidence := found.get(slot.item.item_id):
            slot.status = "replaced" if slot.status == "replaced" else "evidence"
            slot.reason, slot.evidence = evidence.text, (evidence,)
        else:
            slot.status = "removed"
    return counts


def _is_poor(slot: _Slot) -> bool:
    """Return True for a reason of few words, with a link, or that only repeats the title."""
    few_words = len(_WORD.findall(slot.reason)) < _MIN_WORDS
    return (
        few_words
        or has_link(slot.reason, slot.item)
        or slot.reason.casefold() in slot.item.title.casefold()
    )


def _recommendation(slot: _Slot, rank: int, candidate: Candidate) -> Recommendation:
    return Recommendation(
        rank=rank,
        item_id=slot.item.item_id,
        title=slot.item.title,
        item=slot.item,
        score=candidate.score,
        reason=slot.reason,
        reason_status=slot.status,
        evidence=slot.evidence,
        origin=slot.origin,
        is_new=slot.item.is_new,
        sources=candidate.sources,
        relaxed=slot.choice.relaxed,
    )


def _outcome(reading: Reading | None, n_chosen: int, n_slots: int) -> Outcome:
    if reading is None:
        return "retrieval_only"
    if n_chosen == 0:
        return "failed"
    return "ok" if n_chosen == n_slots else "partial"


def _shortfall(slots: Sequence[_Slot], k: int, n_new: int) -> str | None:
    relaxed = dict.fromkeys(name for slot in slots for name in slot.choice.relaxed)
    parts: list[str] = []
    if relaxed:
        n = sum(bool(slot.choice.relaxed) for slot in slots)
        parts.append(f"{n} of {len(slots)} items only qualify without: {', '.join(relaxed)}")
    if len(slots) < k:
        parts.append(f"{len(slots)} of {k} items: no more qualify")
    if (n_found := sum(slot.item.is_new for slot in slots)) < n_new:
        parts.append(f"{n_found} of {n_new} new items: no more can be listed")
    return "; ".join(parts) or None

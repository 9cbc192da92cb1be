"""The final list: the model's entries, then the retrieval order, both under the constraints."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rag_rec.constraints import Choice, choose
from rag_rec.core import (
    Candidate,
    Constraints,
    Evidence,
    Item,
    Origin,
    Outcome,
    ReasonStatus,
    Recommendation,
    RecommendationList,
    Repairs,
    Usage,
    UserHistory,
)
from rag_rec.grounding.check_reason import ReasonChecker
from rag_rec.grounding.parse_reply import Entry, Reading

_MIN_WORDS = 4
_WORD = re.compile(r"[^\W\d_]{2,}")

ReasonsOf = Callable[[Sequence[str]], Mapping[str, Evidence]]


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a reply is held against.

    Attributes:
        history: The user, and the constraints of the list.
        candidates: Eligible candidates, best first; those shown carried the labels 1, 2, ...
        item_of: Catalog row of an item id.
        reasons_of: The strongest evidence of some items, for slots without a reason of the model.
        checker: Checks reasons against what they cite; None where citations were not asked for.
    """

    history: UserHistory
    candidates: Sequence[Candidate]
    item_of: Callable[[str], Item]
    reasons_of: ReasonsOf
    checker: ReasonChecker | None = None

    def choose(self, preferred: Sequence[str], k: int) -> list[Choice]:
        """The chosen items, the preferred ones first; see `rag_rec.constraints.selection`.

        A preferred item that makes the list shorter than it could be is given up.
        """
        chosen = self._choose(preferred, k)
        if len(chosen) < k and preferred:
            n_possible = len(self._choose((), k))
            while len(chosen) < n_possible:
                preferred = preferred[:-1]
                chosen = self._choose(preferred, k)
        return chosen

    def _choose(self, preferred: Sequence[str], k: int) -> list[Choice]:
        constraints: Constraints = self.history.constraints
        seen: Collection[str] = () if constraints.allow_seen else self.history.item_ids
        pool = [candidate.item_id for candidate in self.candidates]
        return choose(
            preferred, pool, k, item_of=self.item_of, constraints=constraints, blocked=seen
        )


@dataclass(slots=True)
class Slot:
    """One slot on its way into a list."""

    item: Item
    choice: Choice
    origin: Origin = "backfill"
    reason: str = ""
    status: ReasonStatus = "unverified"
    cites: tuple[int, ...] = ()
    evidence: tuple[Evidence, ...] = field(default=())


def build_list(
    reading: Reading | None,
    grounds: Grounds,
    k: int,
    *,
    usage: Usage,
    run_id: str,
    error: str | None = None,
) -> RecommendationList:
    """The final list: the model's entries, then the retrieval order.

    Args:
        reading: What was read from the model, or None if none was asked.
        grounds: What it is held against.
        k: Length of the list asked for.
        usage: Cost of the calls made for this list.
        run_id: Identity of the run.
        error: Why the model gave nothing or less, when known.
    """
    named = reading.entries if reading else ()
    preferred = [grounds.candidates[entry.label - 1].item_id for entry in named]
    chosen = grounds.choose(preferred, k)
    fields = list_fields(chosen, reading, grounds, k=k, usage=usage, run_id=run_id, error=error)
    return RecommendationList(**fields)


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
    """The fields that every kind of list has; the arguments are those of `build_list`."""
    named = reading.entries if reading else ()
    entries = {grounds.candidates[entry.label - 1].item_id: entry for entry in named}
    slots = [slot_of(choice, entries.get(choice.item_id), grounds.item_of) for choice in chosen]
    counts = settle_reasons(slots, grounds)
    n_chosen = sum(slot.origin != "backfill" for slot in slots)
    n_filled = len(slots) - n_chosen if reading else 0
    if error is None and reading and n_filled:
        error = "; ".join(reading.problems) or None
    repairs = (reading.repairs if reading else Repairs()).model_copy(
        update=counts | {"backfilled": n_filled, "constraint": len(entries) - n_chosen}
    )
    return {
        "user_id": grounds.history.user_id,
        "outcome": outcome_of(reading, n_chosen=n_chosen, n_slots=len(slots)),
        "items": recommendations(slots, grounds.candidates),
        "repairs": repairs,
        "usage": usage,
        "run_id": run_id,
        "error": error,
        "shortfall": _shortfall(slots, k),
    }


def slot_of(choice: Choice, entry: Entry | None, item_of: Callable[[str], Item]) -> Slot:
    """The slot of a chosen item, with the model's words if it named the item."""
    slot = Slot(item_of(choice.item_id), choice)
    if entry is not None:
        slot.origin = "repaired" if entry.repaired else "llm"
        slot.reason, slot.cites = entry.reason, entry.cites
    return slot


def settle_reasons(slots: Sequence[Slot], grounds: Grounds) -> dict[str, int]:
    """Checks the model's reasons and finds evidence for the slots that have none left.

    Returns:
        How many reasons were ``poor_reason`` and ``refuted_reason``.
    """
    n_poor = _drop_poor_reasons(slots)
    n_refuted = _check_reasons(slots, grounds.checker) if grounds.checker else 0
    silent = [slot for slot in slots if not slot.reason]
    found = grounds.reasons_of([slot.item.item_id for slot in silent]) if silent else {}
    for slot in silent:
        evidence = found.get(slot.item.item_id)
        if evidence is None:
            slot.status = "removed"
            continue
        slot.status = "replaced" if slot.status == "replaced" else "evidence"
        slot.reason, slot.evidence = evidence.text, (evidence,)
    return {"poor_reason": n_poor, "refuted_reason": n_refuted}


def recommendations(
    slots: Sequence[Slot], candidates: Sequence[Candidate]
) -> tuple[Recommendation, ...]:
    """The slots as they are returned."""
    by_id = {candidate.item_id: candidate for candidate in candidates}
    return tuple(
        Recommendation(
            rank=rank,
            item_id=slot.item.item_id,
            title=slot.item.title,
            item=slot.item,
            score=by_id[slot.item.item_id].score,
            reason=slot.reason,
            reason_status=slot.status,
            evidence=slot.evidence,
            origin=slot.origin,
            sources=by_id[slot.item.item_id].sources,
            relaxed=slot.choice.relaxed,
        )
        for rank, slot in enumerate(slots, start=1)
    )


def outcome_of(reading: Reading | None, *, n_chosen: int, n_slots: int) -> Outcome:
    """How a list came about."""
    if reading is None:
        return "retrieval_only"
    if n_chosen == 0:
        return "failed"
    return "ok" if n_chosen == n_slots else "partial"


def _drop_poor_reasons(slots: Sequence[Slot]) -> int:
    """Empties reasons that say nothing: too few words, the bare title, or said before."""
    said: set[str] = set()
    n_dropped = 0
    for slot in slots:
        folded = slot.reason.casefold()
        few_words = len(_WORD.findall(slot.reason)) < _MIN_WORDS
        if folded and (few_words or folded in said or folded in slot.item.title.casefold()):
            slot.reason = ""
            n_dropped += 1
        said.add(folded)
    return n_dropped


def _check_reasons(slots: Sequence[Slot], checker: ReasonChecker) -> int:
    n_refuted = 0
    for slot in slots:
        if not slot.reason:
            continue
        if checker.problems(slot.reason, slot.cites, slot.item):
            slot.reason, slot.status = "", "replaced"
            n_refuted += 1
        else:
            slot.status, slot.evidence = "verified", checker.cited(slot.cites)
    return n_refuted


def _shortfall(slots: Sequence[Slot], k: int) -> str | None:
    relaxed = dict.fromkeys(name for slot in slots for name in slot.choice.relaxed)
    parts: list[str] = []
    if relaxed:
        n = sum(bool(slot.choice.relaxed) for slot in slots)
        parts.append(f"{n} of {len(slots)} items only qualify without: {', '.join(relaxed)}")
    if len(slots) < k:
        parts.append(f"{len(slots)} of {k} items: no more qualify")
    return "; ".join(parts) or None

"""Fills a list under constraints: what is preferred first, then the pool in its order.

The same code chooses what the model named and what backfills it, so neither can break a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from rag_rec.constraints.item_rules import ItemRules, without
from rag_rec.constraints.list_rules import Tally
from rag_rec.core import Constraints, Item, Relaxable


@dataclass(frozen=True, slots=True)
class Choice:
    """One chosen item, and the constraints that were given up for it."""

    item_id: str
    relaxed: tuple[Relaxable, ...] = ()


def choose(
    preferred: Sequence[str],
    pool: Sequence[str],
    k: int,
    *,
    item_of: Callable[[str], Item],
    constraints: Constraints,
    blocked: Collection[str] = (),
) -> list[Choice]:
    """At most ``k`` distinct items that obey the constraints.

    Items that obey all constraints are taken as far as they go. Only when they do not fill the
    list are the constraints of ``constraints.relax`` given up, one after the other.

    Args:
        preferred: Item ids to take first where they are allowed, best first.
        pool: Item ids to fill up with, best first.
        k: Items wanted.
        item_of: Item of an id.
        constraints: What must hold.
        blocked: Item ids that may not be taken, besides ``constraints.exclude``.

    Returns:
        The chosen, those of ``preferred`` first, each group in its given order. No item of the
        pool could be added to them without breaking a constraint that was not given up.
    """
    order = dict.fromkeys((*preferred, *pool))
    barred = {*blocked, *constraints.exclude}
    free = [item_id for item_id in order if item_id not in barred]
    chosen: dict[str, Choice] = {}
    for n_given_up in range(len(constraints.relax) + 1):
        asked = _Rules(constraints)
        given_up = constraints.relax[:n_given_up]
        rules = _Rules(without(constraints, given_up)) if given_up else asked
        _fill(chosen, free, k, rules, asked, item_of)
        if len(chosen) == k:
            break
    return [chosen[item_id] for item_id in order if item_id in chosen]


class _Rules:
    """Constraints of one item and of the list so far, together."""

    def __init__(self, constraints: Constraints) -> None:
        self._of_items = ItemRules(constraints)
        self.tally = Tally(constraints)

    def broken_by(self, item: Item) -> tuple[Relaxable, ...]:
        return (*self._of_items.failed(item), *self.tally.broken_by(item))


def _fill(
    chosen: dict[str, Choice],
    free: Sequence[str],
    k: int,
    rules: _Rules,
    asked: _Rules,
    item_of: Callable[[str], Item],
) -> None:
    """Adds what ``rules`` allow; what they allow and ``asked`` does not is marked as relaxed."""
    tallies = [rules.tally] if rules is asked else [rules.tally, asked.tally]
    for item_id in chosen:
        for tally in tallies:
            tally.add(item_of(item_id))
    n_before = -1
    # an item may have to wait until the list shows enough categories: hence the passes
    while n_before < len(chosen) < k:
        n_before = len(chosen)
        for item_id in free:
            if len(chosen) == k:
                return
            item = item_of(item_id)
            if item_id not in chosen and not rules.broken_by(item):
                relaxed = () if rules is asked else asked.broken_by(item)
                chosen[item_id] = Choice(item_id, relaxed)
                for tally in tallies:
                    tally.add(item)

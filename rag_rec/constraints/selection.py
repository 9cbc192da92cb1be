"""Fill a list under constraints: preferred items first, then the pool in its order.

The same code selects the model's items and those that backfill the list, so neither can break a
constraint.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from rag_rec.constraints.item_rules import ItemRules, without
from rag_rec.constraints.list_rules import Tally, n_new_items
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
    """Choose at most ``k`` distinct items that obey the constraints.

    Items that obey all constraints come first. Only when they do not fill the list are the
    constraints of ``constraints.relax`` given up, one after the other. Before that, the share of
    new items is lowered to what fills the list.

    Args:
        preferred: Item ids to take first where they are allowed, best first.
        pool: Item ids to fill up with, best first.
        k: Length of the list.
        item_of: Returns the item of an id.
        constraints: Constraints of items and list.
        blocked: Item ids that may not be taken, besides ``constraints.exclude``.

    Returns:
        The chosen items, those of ``preferred`` first, each group in its given order. No item of
        the pool could be added without breaking a constraint that was not given up.
    """
    order = dict.fromkeys((*preferred, *pool))
    barred = {*blocked, *constraints.exclude}
    free = [item_of(item_id) for item_id in order if item_id not in barred]
    chosen: list[Item] = []
    choices: dict[str, Choice] = {}
    for n_given_up in range(len(constraints.relax) + 1):
        weaker = without(constraints, constraints.relax[:n_given_up])
        before, chosen = chosen, _longest(chosen, free, k, weaker)
        asked = _Rules(constraints, before, k)
        for item in chosen[len(before) :]:
            choices[item.item_id] = Choice(item.item_id, asked.broken_by(item))
            asked.add(item)
        if len(chosen) == k:
            break
    return [choices[item_id] for item_id in order if item_id in choices]


def _longest(start: Sequence[Item], free: Sequence[Item], k: int, rules: Constraints) -> list[Item]:
    """Return the longest list that begins with ``start``, with as many new items as are asked for.

    Fewer of them only where that makes the list longer.
    """
    longest = list(start)
    n_wanted = n_new_items(rules, k)
    if n_wanted:
        of_items = ItemRules(rules)
        n_wanted = min(n_wanted, sum(i.is_new and not of_items.failed(i) for i in free))
    for n_new in range(n_wanted, -1, -1):
        found = _filled(start, free, k, _Rules(rules, start, k - n_new))
        if len(found) > len(longest):
            longest = found
        if len(longest) == k:
            break
    return longest


class _Rules:
    """Constraints of items and of the list so far, together.

    Args:
        constraints: The constraints.
        taken: The list so far.
        most_known: Items at most that are not new.
    """

    def __init__(self, constraints: Constraints, taken: Iterable[Item], most_known: int) -> None:
        self._of_items = ItemRules(constraints)
        self._tally = Tally(constraints)
        self._room_for_known = most_known
        for item in taken:
            self.add(item)

    def add(self, item: Item) -> None:
        self._tally.add(item)
        self._room_for_known -= not item.is_new

    def broken_by(self, item: Item) -> tuple[Relaxable, ...]:
        return (*self._of_items.failed(item), *self._tally.broken_by(item))

    def admit(self, item: Item) -> bool:
        return (item.is_new or self._room_for_known > 0) and not self.broken_by(item)


def _filled(start: Sequence[Item], free: Sequence[Item], k: int, rules: _Rules) -> list[Item]:
    """Return ``start`` and the items that the rules admit, best first."""
    found = {item.item_id: item for item in start}
    n_before = -1
    # an item may have to wait until the list shows enough categories: hence the passes
    while n_before < len(found) < k:
        n_before = len(found)
        for item in free:
            if len(found) < k and item.item_id not in found and rules.admit(item):
                found[item.item_id] = item
                rules.add(item)
    return list(found.values())

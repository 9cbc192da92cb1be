"""Fill a list under constraints: preferred items first, then the pool in its order.

The same code selects the model's items and those that backfill the list, so neither can break a
constraint.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
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
    """Choose at most ``k`` distinct items that obey the constraints.

    Items that obey all constraints come first. Only when they do not fill the list are the
    constraints of ``constraints.relax`` given up, one after the other.

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
    free = [item_id for item_id in order if item_id not in barred]
    chosen: dict[str, Choice] = {}
    for n_given_up in range(len(constraints.relax) + 1):
        weaker = without(constraints, constraints.relax[:n_given_up])
        taken = [item_of(item_id) for item_id in chosen]
        rules, asked = _Rules(weaker, taken), _Rules(constraints, taken)
        n_before = -1
        # an item may have to wait until the list shows enough categories: hence the passes
        while n_before < len(chosen) < k:
            n_before = len(chosen)
            _fill(chosen, map(item_of, free), k, rules=rules, asked=asked)
    return [chosen[item_id] for item_id in order if item_id in chosen]


class _Rules:
    """Constraints of items and of the list so far, together."""

    def __init__(self, constraints: Constraints, taken: Iterable[Item]) -> None:
        self._of_items = ItemRules(constraints)
        self._tally = Tally(constraints, taken)
        self.add = self._tally.add

    def broken_by(self, item: Item) -> tuple[Relaxable, ...]:
        return (*self._of_items.failed(item), *self._tally.broken_by(item))


def _fill(
    chosen: dict[str, Choice], free: Iterable[Item], k: int, *, rules: _Rules, asked: _Rules
) -> None:
    """Add the items that ``rules`` allow; those that ``asked`` forbids are marked as relaxed."""
    for item in free:
        if item.item_id not in chosen and not rules.broken_by(item):
            chosen[item.item_id] = Choice(item.item_id, asked.broken_by(item))
            rules.add(item)
            asked.add(item)
            if len(chosen) == k:
                return

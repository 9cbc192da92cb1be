"""Build a list by search: greedy insertion, then local search on the same objective.

A model's choices are kept, and only the rest is searched.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

_ROUNDS = 30
_BETTER = 1e-6


class Objective(Protocol):
    """Value and rules of a list of positions in a pool.

    Attributes:
        n: Size of the pool.
        ordered: True if the order of a list changes its value.
    """

    @property
    def n(self) -> int: ...  # noqa: D102
    @property
    def ordered(self) -> bool: ...  # noqa: D102

    def value(self, chosen: Sequence[int]) -> float:
        """Return the value of a list; more is better."""
        ...

    def admits(self, chosen: Sequence[int]) -> bool:
        """Return whether a list, which may still grow, keeps every rule."""
        ...

    def left_over(self, chosen: Sequence[int]) -> float:
        """Return the part of a budget that a list leaves; constant without a budget."""
        ...


def construct(objective: Objective, length: int, *, fixed: Sequence[int] = ()) -> list[int]:
    """Return a list of at most ``length`` distinct positions.

    Args:
        objective: Value and rules.
        length: Positions wanted.
        fixed: Positions that stay, in this order; those that are not admitted are left out.
    """
    chosen: list[int] = []
    for position in fixed:
        fresh = position not in chosen and len(chosen) < length
        if fresh and objective.admits([*chosen, position]):
            chosen.append(position)
    kept = frozenset(chosen)
    found = [
        _searched(objective, start, length, kept)
        for start in (chosen, _with_best_pair(objective, chosen, length))
    ]
    if max(map(len, found)) < length:
        # the best came first and used up the budget: begin with what leaves most of it
        frugal = greedy(objective, chosen, length, objective.left_over)
        found.append(_searched(objective, frugal, length, kept))
    return max(found, key=lambda one: (len(one), objective.value(one)))


def _with_best_pair(objective: Objective, chosen: list[int], length: int) -> list[int]:
    """Add the best pair of positions, which greedy insertion of single ones would miss."""
    if len(chosen) + 2 > length:
        return chosen
    pairs = itertools.permutations if objective.ordered else itertools.combinations
    free = [position for position in range(objective.n) if position not in chosen]
    options = ([*chosen, *pair] for pair in pairs(free, 2))
    admitted = (option for option in options if objective.admits(option))
    return max(admitted, key=objective.value, default=chosen)


def _searched(
    objective: Objective, start: list[int], length: int, kept: frozenset[int]
) -> list[int]:
    chosen = greedy(objective, start, length, objective.value)
    while True:
        better = _improved(objective, chosen, kept)
        if better is None:
            return chosen
        chosen = greedy(objective, better, length, objective.value)


def greedy(
    objective: Objective, chosen: list[int], length: int, worth: Callable[[Sequence[int]], float]
) -> list[int]:
    """Insert the position worth most at the best place until the list is full or nothing fits."""
    while len(chosen) < length:
        options = [
            option
            for position in range(objective.n)
            if position not in chosen
            for option in _insertions(chosen, position, ordered=objective.ordered)
            if objective.admits(option)
        ]
        if not options:
            return chosen
        chosen = max(options, key=worth)
    return chosen


def _improved(objective: Objective, chosen: list[int], kept: frozenset[int]) -> list[int] | None:
    """Return the list after the best exchanges and moves; None if none helps."""
    start = chosen
    for _ in range(_ROUNDS):
        best = max(
            (o for o in _neighbours(objective, chosen, kept) if objective.admits(o)),
            key=objective.value,
            default=chosen,
        )
        if objective.value(best) <= objective.value(chosen) + _BETTER:
            break
        chosen = best
    return None if chosen is start else chosen


def _neighbours(
    objective: Objective, chosen: list[int], kept: frozenset[int]
) -> Iterator[list[int]]:
    for place, position in enumerate(chosen):
        if position in kept:
            continue
        rest = [*chosen[:place], *chosen[place + 1 :]]
        if objective.ordered:
            yield from _insertions(rest, position, ordered=True)
        for other in range(objective.n):
            if other not in chosen:
                yield [*chosen[:place], other, *chosen[place + 1 :]]


def _insertions(chosen: list[int], position: int, *, ordered: bool) -> Iterator[list[int]]:
    places = range(len(chosen) + 1) if ordered else [len(chosen)]
    for place in places:
        yield [*chosen[:place], position, *chosen[place:]]

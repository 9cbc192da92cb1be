"""A page of rows: themes found among the candidates, items chosen for the page as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rag_rec.list_types.objectives import Pool

_ROUNDS = 60
_BETTER = 1e-6

Row = list[int]


@dataclass(frozen=True, slots=True)
class Theme:
    """What a row is about, and which positions of the pool belong to it."""

    title: str
    members: frozenset[int]


class SlateObjective:
    """Relevance against likeness of the whole page.

    Args:
        pool: The candidates.
        alike: Cosine of each pair, ``float [n, n]``.
        diversity: Weight of diversity, 0 to 1.
    """

    def __init__(self, pool: Pool, alike: NDArray[np.float32], diversity: float) -> None:
        self.pool = pool
        self._alike = alike
        self._weight = diversity

    def value(self, page: Sequence[int]) -> float:
        """Mean relevance and diversity, weighted."""
        if not page:
            return 0.0
        relevance = float(self.pool.relevance[np.array(page)].mean())
        return (1 - self._weight) * relevance + self._weight * self.diversity(page)

    def diversity(self, page: Sequence[int]) -> float:
        """One minus the mean cosine of the pairs; 1 for fewer than two items."""
        n = len(page)
        if n < 2:
            return 1.0
        at = np.array(page)
        block = self._alike[np.ix_(at, at)]
        return 1 - float((block.sum() - block.trace()) / (n * (n - 1)))

    def admits(self, page: Sequence[int]) -> bool:
        """No item twice, the constraints kept."""
        return len(set(page)) == len(page) and self.pool.holds(page)


def themes_of(
    pool: Pool, past: Mapping[str, NDArray[np.float32]], n: int, per_row: int
) -> list[Theme]:
    """Themes that fill a row: the user's past items and the candidates' categories.

    Each next one is the theme whose best items, not counting those of the themes before it, are
    most relevant.

    Args:
        pool: The candidates.
        past: Title of items of the history to how strongly each speaks for each candidate.
        n: Themes wanted.
        per_row: Items a theme needs.
    """
    options = [theme for theme in _options(pool, past) if len(theme.members) >= per_row]
    chosen: list[Theme] = []
    used: set[int] = set()
    while options and len(chosen) < n:

        def worth(theme: Theme) -> float:
            free = sorted(theme.members - used)[:per_row]  # noqa: B023 - used at once
            return float(sum(pool.relevance[position] for position in free))

        best = max(options, key=worth)
        if len(best.members - used) < per_row:
            options.remove(best)
            continue
        chosen.append(best)
        options.remove(best)
        used |= set(sorted(best.members - used)[:per_row])
    if len(chosen) < n:
        chosen.append(Theme("More for you", frozenset(range(len(pool.items)))))
    return chosen[:n]


def _options(pool: Pool, past: Mapping[str, NDArray[np.float32]]) -> Iterable[Theme]:
    members: dict[str, set[int]] = {}
    for position, item in enumerate(pool.items):
        for category in item.categories[-2:]:
            members.setdefault(category, set()).add(position)
    links = np.array([*past.values()]).reshape(len(past), len(pool.items))
    for row, title in enumerate(past):
        # an item belongs to the past item that speaks for it most
        linked = np.flatnonzero((links[row] > 0) & (links.argmax(axis=0) == row))
        yield Theme(f"Because you took “{title}”", frozenset(linked.tolist()))
    for category, positions in members.items():
        yield Theme(category, frozenset(positions))


def compose_page(
    objective: SlateObjective, themes: Sequence[Theme], per_row: int, fixed: Sequence[Row]
) -> list[Row]:
    """Rows of at most ``per_row`` positions, no position twice on the page.

    Args:
        objective: What the page is worth.
        themes: One a row.
        per_row: Places a row.
        fixed: Positions that stay in each row where they are admitted.
    """
    rows: list[Row] = [[] for _ in themes]
    for row, (theme, wanted) in enumerate(zip(themes, fixed, strict=True)):
        for position in wanted:
            room = len(rows[row]) < per_row and position in theme.members
            if room and objective.admits([*_page(rows), position]):
                rows[row].append(position)
    kept = set(_page(rows))
    for row, theme in enumerate(themes):
        _fill_row(objective, rows, row, sorted(theme.members), per_row)
    _search(objective, rows, themes, kept)
    return rows


def _fill_row(
    objective: SlateObjective, rows: list[Row], row: int, members: Sequence[int], per_row: int
) -> None:
    while len(rows[row]) < per_row:
        page = _page(rows)
        free = [p for p in members if p not in page and objective.admits([*page, p])]
        if not free:
            return
        rows[row].append(max(free, key=lambda position: objective.value([*page, position])))


def _search(
    objective: SlateObjective, rows: list[Row], themes: Sequence[Theme], kept: set[int]
) -> None:
    """Exchanges one item for another of its theme, wherever on the page that helps most."""
    for _ in range(_ROUNDS):
        page = _page(rows)
        best, change = objective.value(page), None
        at = 0
        for row, theme in enumerate(themes):
            for place, old in enumerate(rows[row]):
                options = () if old in kept else sorted(theme.members - set(page))
                for new in options:
                    changed = [*page[:at], new, *page[at + 1 :]]
                    value = objective.value(changed)
                    if value > best + _BETTER and objective.admits(changed):
                        best, change = value, (row, place, new)
                at += 1
        if change is None:
            return
        row, place, new = change
        rows[row][place] = new


def _page(rows: Iterable[Row]) -> list[int]:
    return [position for row in rows for position in row]

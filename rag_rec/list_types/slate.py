"""Slates: a page of rows with themes, its items chosen for the page as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import override

from rag_rec.core import (
    NAME_CHARS,
    Candidate,
    ItemId,
    Model,
    RecommendationList,
    Spoken,
    UserHistory,
    plain_text,
    prompt_safe,
)
from rag_rec.grounding import Entry, Grounds
from rag_rec.list_types.base import (
    Composed,
    ListContext,
    ListTask,
    ListType,
    Theme,
    composed_from_pool,
)
from rag_rec.list_types.objective import Pool, mean_of_pairs

_PAST = 3
_ROUNDS = 60
_BETTER = 1e-6
_REST = "More for you"

Row = list[int]


class Slate(Model):
    """A page of rows, each with a theme; no item stands in two rows.

    Attributes:
        rows: Number of rows.
        per_row: Items a row.
        diversity: Weight of the page's diversity against relevance, from 0 to 1.
    """

    rows: int = Field(default=3, ge=1)
    per_row: int = Field(default=4, ge=1)
    diversity: float = Field(default=0.3, ge=0, le=1)

    @property
    def length(self) -> int:
        """Number of items."""
        return self.rows * self.per_row


class SlateRow(Model):
    """One row of a page: its theme, and its items in order."""

    theme: Spoken
    item_ids: tuple[ItemId, ...]


class SlatePage(RecommendationList):
    """Rows with themes; ``items`` are those of all rows in reading order.

    Attributes:
        rows: The rows, top to bottom.
        diversity: One minus the mean cosine between the texts of the items that have one.
    """

    rows: tuple[SlateRow, ...]
    diversity: float


class SlateType(ListType[Slate]):
    """Rows with the model's choices that fit their theme, and the rest by search."""

    name = "slate"
    kind = Slate
    document = SlatePage
    prompt = "lists/slate"
    sized_by = "per_row"

    @override
    def task(
        self,
        context: ListContext,
        kind: Slate,
        history: UserHistory,
        candidates: Sequence[Candidate],
    ) -> ListTask:
        asked = history.constraints
        pool = Pool.of(context.items(candidates), asked, len(asked.relax))
        links = _links(context, history, [item.item_id for item in pool.items])
        themes = tuple(themes_of(pool, links, kind.rows, kind.per_row))
        shown = [prompt_safe(theme.title, NAME_CHARS).replace(";", ",") for theme in themes]
        rows = "; ".join(f"row {n}: {title}" for n, title in enumerate(shown, 1))
        return ListTask(f"a page of rows with {kind.per_row} items each. {rows}", themes)

    @override
    def compose(
        self,
        context: ListContext,
        kind: Slate,
        task: ListTask,
        grounds: Grounds,
        entries: Sequence[Entry],
    ) -> Composed:
        items = context.items(grounds.candidates)
        vectors = context.index.vectors_of(context.rows([item.item_id for item in items]))
        wanted = [
            [entry.label - 1 for entry in entries if entry.row == row]
            for row in range(1, len(task.themes) + 1)
        ]

        def search(pool: Pool) -> tuple[list[int], dict[str, Any]]:
            objective = SlateObjective(pool, vectors @ vectors.T, kind.diversity)
            rows = compose_page(objective, task.themes, kind.per_row, wanted)
            shown = [
                SlateRow(theme=title, item_ids=tuple(pool.items[p].item_id for p in row))
                for title, row in zip(_titles(task.themes, rows), rows, strict=True)
                if row
            ]
            page = _page(rows)
            return page, {"rows": tuple(shown), "diversity": objective.diversity(page)}

        return composed_from_pool(kind, items, grounds, search)


def _links(
    context: ListContext, history: UserHistory, item_ids: Sequence[str]
) -> dict[str, NDArray[np.float32]]:
    """Return how strongly each of the latest items speaks for each candidate, by its title."""
    found: dict[str, NDArray[np.float32]] = {}
    for item_id in list(dict.fromkeys(history.item_ids[::-1]))[:_PAST]:
        item = context.index.item_by_id(item_id)
        linked = context.retriever.explain(UserHistory.of(item_id), item_ids)
        links = [linked.get(candidate) for candidate in item_ids]
        strengths = [link.similarity if link else 0.0 for link in links]
        found[plain_text(item.title) or item_id] = np.array(strengths, np.float32)
    return found


class SlateObjective:
    """Relevance and diversity of the whole page.

    Args:
        pool: The candidates.
        alike: Cosine of each pair, ``float [n, n]``; zeros for items without text.
        diversity: Weight of diversity, 0 to 1.
    """

    def __init__(self, pool: Pool, alike: NDArray[np.float32], diversity: float) -> None:
        self.pool = pool
        self._alike = alike
        self._told = set(np.flatnonzero(alike.any(axis=1)).tolist())
        self._weight = diversity

    def value(self, page: Sequence[int]) -> float:
        """Return the weighted mean of relevance and diversity."""
        if not page:
            return 0.0
        relevance = self.pool.mean_relevance(page)
        return (1 - self._weight) * relevance + self._weight * self.diversity(page)

    def diversity(self, page: Sequence[int]) -> float:
        """Return one minus the mean cosine of the pairs; 1 for fewer than two items with text."""
        told = [position for position in page if position in self._told]
        return 1 - (mean_of_pairs(self._alike, told) or 0.0)

    def admits(self, page: Sequence[int]) -> bool:
        """Return whether no item stands there twice and the constraints hold."""
        return len(set(page)) == len(page) and self.pool.holds(page)


def themes_of(
    pool: Pool, links: Mapping[str, NDArray[np.float32]], n: int, per_row: int
) -> list[Theme]:
    """Return themes that fill a row: the user's past items and the candidates' categories.

    Each next theme is the one with the most relevant items that no theme before it has used. Rows
    for which no theme is left show any of the candidates, as far as there are enough.

    Args:
        pool: The candidates.
        links: By title of items of the history, strength of its link to each candidate.
        n: Themes wanted.
        per_row: Items a theme needs.
    """
    everything = frozenset(range(len(pool.items)))
    qualifying = frozenset(np.flatnonzero(pool.relevance > 0).tolist())
    allowed = qualifying if len(qualifying) >= n * per_row else everything
    named = [Theme(theme.title, theme.members & allowed) for theme in _options(pool, links)]
    options = [theme for theme in named if len(theme.members) >= per_row]
    chosen: list[Theme] = []
    used: set[int] = set()
    while options and len(chosen) < n:

        def worth(theme: Theme) -> float:
            free = sorted(theme.members - used)[:per_row]  # noqa: B023 - used at once
            return float(sum(pool.relevance[position] for position in free))

        best = max(options, key=worth)
        options.remove(best)
        if len(best.members - used) >= per_row:
            chosen.append(best)
            used |= set(sorted(best.members - used)[:per_row])
    n_rows = min(n, max(1, -(-len(pool.items) // per_row)))
    return chosen + [Theme(_REST, everything)] * (n_rows - len(chosen))


def _options(pool: Pool, links: Mapping[str, NDArray[np.float32]]) -> Iterable[Theme]:
    members: dict[str, set[int]] = {}
    for position, item in enumerate(pool.items):
        for category in item.categories[-2:]:
            members.setdefault(category, set()).add(position)
    table = np.array([*links.values()]).reshape(len(links), len(pool.items))
    for row, title in enumerate(links):
        # an item belongs to the past item that speaks for it most
        linked = np.flatnonzero((table[row] > 0) & (table.argmax(axis=0) == row))
        yield Theme(f"Because you took “{title}”", frozenset(linked.tolist()))
    for category, positions in members.items():
        yield Theme(category, frozenset(positions))


def _titles(themes: Sequence[Theme], rows: Sequence[Row]) -> Iterable[str]:
    """Return the title of each row; one with items beside its theme has no subject."""
    seen: Counter[str] = Counter()
    for theme, row in zip(themes, rows, strict=True):
        title = theme.title if theme.members.issuperset(row) else _REST
        seen[title] += 1
        yield title if seen[title] == 1 else f"{title} ({seen[title]})"


def compose_page(
    objective: SlateObjective, themes: Sequence[Theme], per_row: int, fixed: Sequence[Row]
) -> list[Row]:
    """Return rows of at most ``per_row`` positions, no position twice on the page.

    A row that its theme cannot fill, because of the constraints or of the positions that stay, is
    filled up with any of the pool.

    Args:
        objective: Value and rules of the page.
        themes: One a row.
        per_row: Places a row.
        fixed: Positions that stay in each row where they are admitted.
    """
    rows: list[Row] = [[] for _ in themes]
    members = [theme.members for theme in themes]
    for row, wanted in enumerate(fixed):
        for position in wanted:
            room = len(rows[row]) < per_row and position in members[row]
            if room and objective.admits([*_page(rows), position]):
                rows[row].append(position)
    kept = set(_page(rows))
    for row in range(len(rows)):
        _fill_row(objective, rows, row, sorted(members[row]), per_row)
    for row in range(len(rows)):
        while len(rows[row]) < per_row and _given_one(objective, rows, members, kept, [row]):
            pass
        if len(rows[row]) < per_row:
            members[row] = frozenset(range(len(objective.pool.items)))
            _fill_row(objective, rows, row, sorted(members[row]), per_row)
    _search(objective, rows, members, kept)
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


def _given_one(
    objective: SlateObjective,
    rows: list[Row],
    members: Sequence[frozenset[int]],
    kept: set[int],
    path: list[int],
) -> bool:
    """Give the last row of the path one more item, which another row may have to replace."""
    row, page = path[-1], _page(rows)
    for position in sorted(members[row] - set(page)):
        if objective.admits([*page, position]):
            rows[row].append(position)
            return True
    for other in range(len(rows)):
        for position in () if other in path else (members[row] - kept) & set(rows[other]):
            place = rows[other].index(position)
            rows[row].append(rows[other].pop(place))
            if _given_one(objective, rows, members, kept, [*path, other]):
                return True
            rows[other].insert(place, rows[row].pop())
    return False


def _search(
    objective: SlateObjective, rows: list[Row], members: Sequence[frozenset[int]], kept: set[int]
) -> None:
    """Exchange one item for another of its theme, where on the page that helps most."""
    for _ in range(_ROUNDS):
        page = _page(rows)
        best, change = objective.value(page), None
        at = 0
        for row, allowed in enumerate(members):
            for place, old in enumerate(rows[row]):
                options = () if old in kept else sorted(allowed - set(page))
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

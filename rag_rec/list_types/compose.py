"""Bundles, sequences and slates from candidates: a model's choices where they hold, then search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag_rec.constraints import Choice, ItemRules, Tally, describe, failed, fold
from rag_rec.core import (
    Candidate,
    ConfigError,
    Constraints,
    Item,
    Relaxable,
    SlateRow,
    UserHistory,
    plain_text,
)
from rag_rec.grounding import Entry
from rag_rec.index import ItemIndex
from rag_rec.list_types import kinds
from rag_rec.list_types.affinity import Affinity, Steps
from rag_rec.list_types.local_search import construct
from rag_rec.list_types.objectives import BundleObjective, Pool, SequenceObjective
from rag_rec.list_types.slate import SlateObjective, Theme, compose_page, themes_of
from rag_rec.retrieval import FitData, FusedRetriever, pools

_POOL = 40
_PER_SLOT = 15
_COMPANIONS = 20
_PAST = 3


@dataclass(frozen=True, slots=True)
class Composed:
    """A list before its reasons: the items in order, and what its kind adds to the document."""

    choices: tuple[Choice, ...]
    extras: dict[str, Any] = field(default_factory=dict)


class ListBuilder:
    """Builds lists of every kind over one index.

    Args:
        index: An open index.
        retriever: Its retriever.
    """

    def __init__(self, index: ItemIndex, retriever: FusedRetriever) -> None:
        self.index = index
        self._retriever = retriever

    # --- candidates -------------------------------------------------------------------------

    def candidates(self, history: UserHistory, kind: kinds.Composite) -> list[Candidate]:
        """The pool a list is chosen from: what retrieval proposes, and what goes with anchors.

        Raises:
            DataError: If an anchor is not in the catalog.
            ConfigError: If an anchor is excluded or breaks a constraint.
        """
        n = max(_POOL, 3 * kind.length)
        if not isinstance(kind, kinds.Bundle):
            return pools(self._retriever, self.index, [history], n, kind.length)[0]
        anchors = [self._anchor(item_id, history.constraints) for item_id in kind.anchors]
        found = {candidate.item_id: candidate for candidate in anchors}
        asked = [self._with_slot(history, slot) for slot in kind.slots]
        lists = pools(self._retriever, self.index, asked, _PER_SLOT, 1) if asked else []
        if not asked:
            lists = pools(self._retriever, self.index, [history], n, kind.length)
            lists.append(self._companions(history, [a.item_id for a in anchors]))
        for candidate in (candidate for one in lists for candidate in one):
            found.setdefault(candidate.item_id, candidate)
        return list(found.values())

    def _anchor(self, item_id: str, constraints: Constraints) -> Candidate:
        item = self.index.item_by_id(item_id)
        broken = failed(item, constraints)
        if item_id in constraints.exclude:
            raise ConfigError(f"anchor '{item_id}' is among the excluded items")
        if set(broken) - set(constraints.relax):
            raise ConfigError(f"anchor '{item_id}' breaks a constraint: {', '.join(broken)}")
        return Candidate(item_id, 1.0, {"anchor": 1})

    def _with_slot(self, history: UserHistory, slot: Constraints) -> UserHistory:
        """The history with a slot's own wishes where it has some; the list's are held later."""
        wishes = slot.model_dump(exclude_defaults=True)
        both = history.constraints.model_copy(update=wishes)
        return history.model_copy(update={"constraints": both})

    def _companions(self, history: UserHistory, anchors: Sequence[str]) -> list[Candidate]:
        """What goes best with the anchors, among the items that may be listed."""
        if not anchors:
            return []
        at = self._rows(anchors)
        free = ~self.index.eligibility.breaks(history.constraints)
        if not history.constraints.allow_out_of_stock:
            free &= self.index.in_stock
        taken = [*anchors, *history.constraints.exclude]
        taken += [] if history.constraints.allow_seen else history.item_ids
        known = [row for item_id in taken if (row := self.index.find(item_id)) is not None]
        free[known] = False
        rows = np.flatnonzero(free)
        together = self.affinity.block(at, rows).sum(axis=0)
        best = rows[np.argsort(-together, kind="stable")[:_COMPANIONS]]
        ids = [self.index.item_ids[row] for row in best]
        return [Candidate(item_id, 0.0, {"affinity": n}) for n, item_id in enumerate(ids, 1)]

    # --- lists ------------------------------------------------------------------------------

    def compose(
        self,
        kind: kinds.Composite,
        history: UserHistory,
        candidates: Sequence[Candidate],
        entries: Sequence[Entry] = (),
        themes: Sequence[Theme] = (),
    ) -> Composed:
        """The list: a model's choices as far as they obey, the rest by search.

        Args:
            kind: What is asked for.
            history: The user, and the constraints.
            candidates: Those of `candidates`.
            entries: What a model chose, by label.
            themes: Those of a page, from `themes`.
        """
        items = [self.index.item_by_id(candidate.item_id) for candidate in candidates]
        asked = history.constraints
        composed = Composed(())
        for n_given_up in range(len(asked.relax) + 1):
            pool = Pool.of(items, asked, n_given_up)
            match kind:
                case kinds.Bundle():
                    composed = self._bundle(kind, pool, asked, entries)
                    if not composed.choices and kind.anchors and n_given_up == len(asked.relax):
                        raise ConfigError(
                            "the anchors alone break the budget, the slots or a constraint"
                        )
                case kinds.PlaySequence():
                    composed = self._sequence(kind, pool, history, entries)
                case kinds.Slate():
                    composed = self._slate(kind, pool, asked, entries, themes)
            if len(composed.choices) == kind.length:
                break
        return composed

    def themes(
        self, kind: kinds.Slate, history: UserHistory, candidates: Sequence[Candidate]
    ) -> list[Theme]:
        """Themes for the rows of a page."""
        items = [self.index.item_by_id(candidate.item_id) for candidate in candidates]
        asked = history.constraints
        pool = Pool.of(items, asked, len(asked.relax))
        rows = self._rows([item.item_id for item in items])
        past: dict[str, NDArray[np.float32]] = {}
        for item_id in list(dict.fromkeys(history.item_ids[::-1]))[:_PAST]:
            item = self.index.item_by_id(item_id)
            strength = self._retriever.evidence.fused[self._rows([item_id])][:, rows].toarray()
            past[plain_text(item.title) or item_id] = strength[0]
        return themes_of(pool, past, kind.rows, kind.per_row)

    def _bundle(
        self, kind: kinds.Bundle, pool: Pool, asked: Constraints, entries: Sequence[Entry]
    ) -> Composed:
        rows = self._rows([item.item_id for item in pool.items])
        objective = BundleObjective(
            pool, self.affinity.block(rows, rows), budget=kind.budget, slots=kind.slots
        )
        at = {item.item_id: position for position, item in enumerate(pool.items)}
        fixed = [at[item_id] for item_id in kind.anchors] + [entry.label - 1 for entry in entries]
        if not objective.admits(fixed[: len(kind.anchors)]):
            return Composed(())
        chosen = construct(objective, kind.length, fixed=fixed)
        places = (objective.places(chosen) or []) if kind.slots else []
        order = (
            sorted(range(len(chosen)), key=lambda n: places[n]) if places else range(len(chosen))
        )
        chosen = [chosen[n] for n in order]
        prices = [pool.items[position].price for position in chosen]
        known = [price for price in prices if price is not None]
        extras: dict[str, Any] = {
            "total_price": round(sum(known), 2) if len(known) == len(prices) else None,
            "compatibility": objective.compatibility(chosen),
            "slots": tuple(describe(kind.slots[places[n]]) for n in order) if places else (),
        }
        return Composed(_marked(pool, asked, chosen), extras)

    def _sequence(
        self, kind: kinds.PlaySequence, pool: Pool, history: UserHistory, entries: Sequence[Entry]
    ) -> Composed:
        rows = self._rows([item.item_id for item in pool.items])
        last = self._rows(history.item_ids[-1:])
        start = self.steps.block(last, rows).sum(axis=0)
        if len(last):
            start = np.where(rows == last[0], -10, start)  # what was just taken is not next
        objective = SequenceObjective(
            pool,
            self.steps.block(rows, rows),
            start,
            durations=kind.durations,
            max_duration=kind.max_duration,
        )
        fixed = [entry.label - 1 for entry in entries]
        chosen = construct(objective, kind.length, fixed=fixed)
        extras: dict[str, Any] = {
            "order_score": objective.order(chosen) if chosen else 0.0,
            "total_duration": objective.duration(chosen) if kind.durations else None,
        }
        return Composed(_marked(pool, history.constraints, chosen), extras)

    def _slate(
        self,
        kind: kinds.Slate,
        pool: Pool,
        asked: Constraints,
        entries: Sequence[Entry],
        themes: Sequence[Theme],
    ) -> Composed:
        vectors = self.index.item_vectors[self._rows([item.item_id for item in pool.items])]
        objective = SlateObjective(pool, vectors @ vectors.T, kind.diversity)
        wanted = [
            [e.label - 1 for e in entries if e.row == row] for row in range(1, len(themes) + 1)
        ]
        rows = compose_page(objective, themes, kind.per_row, wanted)
        page = [position for row in rows for position in row]
        shown = [
            SlateRow(theme=theme.title, item_ids=tuple(pool.items[p].item_id for p in row))
            for theme, row in zip(themes, rows, strict=True)
            if row
        ]
        extras: dict[str, Any] = {"rows": tuple(shown), "diversity": objective.diversity(page)}
        return Composed(_marked(pool, asked, page), extras)

    # --- what is learned from the log -------------------------------------------------------

    @cached_property
    def affinity(self) -> Affinity:
        """What goes together."""
        leaves = [row[-1] if row else "" for row in self.index.items["categories"].to_list()]
        numbers = {name: n for n, name in enumerate(dict.fromkeys(map(fold, filter(None, leaves))))}
        groups = np.array([numbers[fold(leaf)] if leaf else -1 for leaf in leaves], np.int64)
        vectors = np.asarray(self.index.item_vectors)
        return Affinity(self._data.log, groups, vectors, window=_WINDOW)

    @cached_property
    def steps(self) -> Steps:
        """What comes after what."""
        return Steps(self._data.log, window=_WINDOW)

    @cached_property
    def _data(self) -> FitData:
        return FitData.of(self.index, [])

    def _rows(self, item_ids: Sequence[str]) -> NDArray[np.int64]:
        found = [self.index.find(item_id) for item_id in item_ids]
        return np.array([row for row in found if row is not None], np.int64)


_WINDOW = 5


def _marked(pool: Pool, asked: Constraints, chosen: Sequence[int]) -> tuple[Choice, ...]:
    """The chosen, each with the constraints that were given up for it."""
    items: list[Item] = [pool.items[position] for position in chosen]
    of_items, tally = ItemRules(asked), Tally(asked)
    # a list that obeys the counts as a whole breaks none, in whatever order it is read
    obeys = Tally(asked, items).holds
    choices: list[Choice] = []
    for item in items:
        counts: tuple[Relaxable, ...] = () if obeys else tally.broken_by(item)
        given_up: list[Relaxable] = [n for n in counts if getattr(pool.rules, n) is None]
        choices.append(Choice(item.item_id, (*of_items.failed(item), *given_up)))
        tally.add(item)
    return tuple(choices)

"""SLIT: items that users took next, by a closed-form regression of futures on pasts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.retrieval.base import Matrices, Source
from rag_rec.retrieval.fit_data import FitData
from rag_rec.retrieval.histories import Histories
from rag_rec.retrieval.item_item.solve import ridge_inverse, spread, with_tail
from rag_rec.retrieval.matrices import by_blocks, keep_strongest


@dataclass(frozen=True, slots=True)
class Cooccurrence:
    """Co-occurrence within a user, strongest for what came soon after.

    An event ``gap`` places after another adds ``exp(-(gap - 1) / decay)`` to that pair, and a
    fraction `backward` of it to the reversed pair. Counts are divided by the geometric mean of
    both items' counts plus `shrink`, which tempers popular and rare items.

    Attributes:
        n_neighbours: Neighbours kept an item.
        window: Largest gap, in events.
        decay: Gaps count for 1/e less at this distance.
        backward: Share of a pair's weight that counts in the other direction.
        shrink: Added to the denominator, in events.
    """

    n_neighbours: int = 200
    window: int = 10
    decay: float = 3.0
    backward: float = 0.3
    shrink: float = 3.0

    def fit(self, data: FitData) -> sparse.csr_array:
        """Return normalised, decayed co-occurrence ``float32 [n, n]``."""
        n, counts = data.n_items, data.log.counts()
        pairs = sparse.csr_array((n, n), dtype=np.float32)
        for gap in range(1, self.window + 1):
            where = data.log.pairs(gap)
            weight = data.log.shares_of_pairs(gap) * np.float32(np.exp(-(gap - 1) / self.decay))
            pairs = pairs + sparse.csr_array((weight, where), shape=(n, n))
        pairs = sparse.coo_array(pairs + self.backward * pairs.T)
        scale = np.sqrt(counts[pairs.row] * counts[pairs.col]) + self.shrink
        scaled = sparse.csr_array((pairs.data / scale, (pairs.row, pairs.col)), shape=(n, n))
        return keep_strongest(scaled, self.n_neighbours)


@dataclass(frozen=True)
class Slit(Source):
    """Past to future ridge regression (SLIST's SLIT part, Choi et al. 2021, arXiv 2103.16104).

    Every event but a user's first splits the history. With ``X`` the weighted pasts of all splits
    and ``Y`` the weighted futures, the matrix is ``(X'X + ridge I)^-1 X'Y``. A user's events of
    one item share one vote on both sides. Items that do not fit the memory budget take
    co-occurrence instead.

    Attributes:
        past_decay: A past event counts for 1/e less for every so many events after it.
        future_decay: A future event counts for 1/e less for every so many events before it.
        ridge: Regularisation.
        max_past: Number of past events that count.
        max_future: Number of future events that count.
        n_neighbours: Neighbours kept an item.
        tail: Co-occurrence for the items beyond.
    """

    weight: float = 1.0
    past_decay: float = 2.0
    future_decay: float = 1.0
    ridge: float = 100.0
    max_past: int = 30
    max_future: int = 15
    n_neighbours: int = 300
    tail: Cooccurrence = field(default_factory=Cooccurrence)

    name = "slit"
    sentence = "Often taken after “{}”."
    features = ("decayed", "last", "all")

    def fit(self, data: FitData, fitted: Matrices) -> sparse.csr_array:  # noqa: ARG002
        """Return the regression's matrix, with co-occurrence for items beyond the budget."""
        head = data.budget.dense_head(data.log)
        n_kept = data.budget.per_row(data.n_items, self.n_neighbours)
        past, future = (part[:, head] for part in self.splits(data.log))
        matrix = self._solve(past, future, n_kept)
        matrix = spread(matrix, head, data.n_items)
        if len(head) == np.count_nonzero(data.log.counts()):
            return matrix
        counted = keep_strongest(self.tail.fit(data), n_kept)
        return with_tail(matrix, counted, head)

    def _solve(
        self, past: sparse.csr_array, future: sparse.csr_array, n_kept: int
    ) -> sparse.csr_array:
        cross = sparse.csr_array(future.T @ past)
        inverse = ridge_inverse(sparse.csr_array(past.T @ past), self.ridge)
        # the inverse is symmetric and in column order: its columns are its rows
        return by_blocks(
            lambda rows: np.ascontiguousarray((cross @ inverse[:, rows]).T),
            len(inverse),
            n_kept,
        )

    def splits(self, log: Histories) -> tuple[sparse.csr_array, sparse.csr_array]:
        """Return the weighted past and future of every split, both ``float32 [splits, n]``."""
        owners = log.owners
        at = np.flatnonzero(owners[1:] == owners[:-1]) + 1
        past = _band(
            log, at, [(-1 - gap, np.exp(-gap / self.past_decay)) for gap in range(self.max_past)]
        )
        steps = [(gap, np.exp(-gap / self.future_decay)) for gap in range(self.max_future)]
        return past, _band(log, at, steps)


def _band(
    log: Histories, at: NDArray[np.int64], steps: list[tuple[int, float]]
) -> sparse.csr_array:
    """Return one row for each event ``at``: the weighted events so many steps from it."""
    owners, shares, total = log.owners, log.shares, len(log.items)
    rows, columns, values = [], [], []
    for step, weight in steps:
        place = np.clip(at + step, 0, total - 1)
        same = (owners[place] == owners[at]) & (place == at + step)
        rows.append(np.flatnonzero(same))
        columns.append(log.items[place[same]])
        values.append(shares[place[same]] * np.float32(weight))
    where = (np.concatenate(rows), np.concatenate(columns))
    return sparse.csr_array((np.concatenate(values), where), shape=(len(at), log.n_items))

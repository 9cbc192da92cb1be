"""Which sources propose a candidate, and at what rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Scores = tuple[NDArray[np.int32], NDArray[np.float32]]
"""Items with evidence, and the score of each."""


class Origins:
    """Ranks within each source; holds scratch space, so each thread needs one of its own.

    Args:
        names: The sources, in the order they are stacked.
        n_items: Number of items.
    """

    def __init__(self, names: Sequence[str], n_items: int) -> None:
        self._names = names
        self._n_items = n_items
        # scratch space, all -1 between users
        self._place = np.full(n_items, -1, np.int64)

    def of(
        self,
        stacked: Scores,
        extra: Mapping[str, Scores],
        blocked: NDArray[np.bool_],
        chosen: NDArray[np.int32],
    ) -> list[dict[str, int]]:
        """For each chosen item, the sources that propose it and the rank from 1 each gives it.

        Args:
            stacked: A user's row of ``weights @ stacked``.
            extra: Scores that come from elsewhere, by source.
            blocked: ``bool [n]``, items that do not count.
            chosen: The items.
        """
        origins: list[dict[str, int]] = [{} for _ in range(len(chosen))]
        columns, values = stacked
        which, items = np.divmod(columns, self._n_items)
        free = ~blocked[items]
        which, items, values = which[free].astype(np.int64), items[free], values[free]
        self._place[chosen] = np.arange(len(chosen))
        for at, source, rank in _ranks(which, items, values, self._place):
            origins[at][self._names[source]] = rank
        for name, (found, strength) in extra.items():
            free = ~blocked[found]
            zeros = np.zeros(int(free.sum()), np.int64)
            for at, _, rank in _ranks(zeros, found[free], strength[free], self._place):
                origins[at][name] = rank
        self._place[chosen] = -1
        return origins


def _ranks(
    which: NDArray[np.int64],
    items: NDArray[np.int32],
    values: NDArray[np.float32],
    place: NDArray[np.int64],
) -> list[tuple[int, int, int]]:
    """Place, source and rank from 1 within the source, of the items that ``place`` marks.

    Positive floats order like their bits, so one sort of source and value together ranks the
    entries of all sources.
    """
    keys = (which << 32) | values.view(np.int32)
    at = place[items]
    hit = (at >= 0) & (values > 0)
    ordered = np.sort(keys)
    ends = np.searchsorted(ordered, (which[hit] + 1) << 32)
    ranks = ends - np.searchsorted(ordered, keys[hit], side="right") + 1
    return list(zip(at[hit].tolist(), which[hit].tolist(), ranks.tolist(), strict=True))

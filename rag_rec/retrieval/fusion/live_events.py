"""Live events as evidence: what came next, until the sources are fitted with it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.index import LiveIndex
from rag_rec.retrieval.item_item import Slit

_STEP = 2.0
_LEAST, _SHARE = 100, 0.1


class LiveEvents:
    """Adds to the source `slit` what came next in live events.

    SLIT is ``(X'X + ridge I)^-1 X'Y``. A live event adds to ``X'Y`` at each item that the user took
    before it. The inverse stays; of it, only the diagonal is taken, ``1 / (ridge + n)`` for an item
    with ``n`` events. That is a step of preconditioned gradient descent towards the fit with these
    events, and twice its length came nearest to it on held-out events. What was learned is
    renewed whenever the layer has grown by a tenth, and by 100 events at least.

    Args:
        index: The index.
        slit: The settings of the source.
    """

    def __init__(self, index: LiveIndex, slit: Slit) -> None:
        self._index, self._slit = index, slit
        self._gaps = _weights_of_gaps(self._slit)
        self._rows: list[int] = []
        self._columns: list[int] = []
        self._values: list[float] = []
        self._n_learned = 0

    @property
    def is_behind(self) -> bool:
        """True if there is enough to be learned again."""
        fresh = len(self._index.recorded) - self._n_learned
        return fresh >= max(_LEAST, _SHARE * self._n_learned)

    def entries(self) -> sparse.csr_array:
        """Return what all live events add to the source, ``float32 [n, n]``."""
        recorded = self._index.recorded
        for user_id, place in recorded[self._n_learned :]:
            self._learn([event.item_id for event in self._index.events_until(user_id, place)])
        self._n_learned = len(recorded)
        n, rows = self._index.n_items, np.array(self._rows, np.int64)
        scale = _STEP / (self._slit.ridge + self._index.popularity[rows])
        values = (np.array(self._values) * scale).astype(np.float32)
        where = (rows, np.array(self._columns, np.int64))
        return sparse.csr_array(sparse.coo_array((values, where), shape=(n, n)))

    def _learn(self, item_ids: list[str]) -> None:
        *past, last = (self._index.find(item_id) for item_id in item_ids)
        for row, weight in zip(reversed(past), self._gaps, strict=False):
            if row is not None and last is not None and row != last:
                self._rows.append(row)
                self._columns.append(last)
                self._values.append(weight)


def _weights_of_gaps(slit: Slit) -> list[float]:
    """Return the weight in ``X'Y`` of two events by how many places apart they are, from 1.

    They meet in every split between them, the first as past and the second as future.
    """
    n = min(slit.max_past, slit.max_future)
    past = np.exp(-np.arange(n) / slit.past_decay)
    future = np.exp(-np.arange(n) / slit.future_decay)
    found: NDArray[np.float64] = np.convolve(past, future)[:n]
    return found.tolist()

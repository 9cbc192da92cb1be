"""`ItemStats`: numbers and matrices of single items from log and catalog, for the ranker."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import linalg

from rag_rec.retrieval.fit_data import FitData
from rag_rec.retrieval.histories import Histories
from rag_rec.retrieval.item_item.content import weighted_words
from rag_rec.retrieval.matrices import keep_strongest, load_array, n_rows, padded, save_arrays

Floats = NDArray[np.float32]

_RECENT = 5
_NO_PLACE = 0.5  # of an item without events
_TOGETHER = 500


@dataclass(frozen=True, slots=True)
class ItemStats:
    """Per-item numbers ``float32 [n]`` and matrices with one row an item.

    Attributes:
        popularity: Users.
        late: Events among the last five of a user, the latest counting most, an item once a user.
        place: Mean relative place in its users' histories, 0 first, 1 last.
        time: Latent time: least-squares fit of "the next event is one later".
        attributes: Brand and categories, inverse document frequencies, unit rows ``[n, a]``.
        next: Users for whom an item directly followed another ``[n, n]``.
        together: Users in common ``[n, n]``, the largest of each row.
    """

    popularity: Floats
    late: Floats
    place: Floats
    time: Floats
    attributes: sparse.csr_array
    next: sparse.csr_array
    together: sparse.csr_array

    @classmethod
    def fit(cls, data: FitData) -> ItemStats:
        """Return the statistics of a log and its catalog."""
        log, n = data.log, data.n_items
        users = log.weights(None)
        popularity = users.sum(axis=0).astype(np.float32)
        ages = log.ages
        recent = np.where(ages < _RECENT, np.exp(-ages / 2), 0) * log.shares
        whole = np.repeat(np.maximum(log.lengths - 1, 1), log.lengths)
        places = np.bincount(log.items, (1 - np.minimum(ages / whole, 1)) * log.shares, n)
        following = _next(log)
        return cls(
            popularity=popularity,
            late=np.bincount(log.items, recent, n).astype(np.float32),
            place=((places + _NO_PLACE) / (popularity + 1)).astype(np.float32),
            time=_latent_time(following),
            attributes=weighted_words(data.attributes, least=1),
            next=following,
            together=keep_strongest(sparse.csr_array(users.T @ users), _TOGETHER),
        )

    def padded(self, n: int) -> ItemStats:
        """Return the statistics with rows up to ``n`` for items that nothing is known of yet."""
        width = (0, n - len(self.popularity))
        return ItemStats(
            popularity=np.pad(self.popularity, width),
            late=np.pad(self.late, width),
            place=np.pad(self.place, width, constant_values=_NO_PLACE),
            time=np.pad(self.time, width),
            attributes=padded(self.attributes, n),
            next=padded(self.next, n),
            together=padded(self.together, n),
        )

    def save(self, folder: Path) -> None:
        """Write one file an attribute."""
        save_arrays(folder, {field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, folder: Path) -> ItemStats:
        """Read the files that `save` wrote."""
        return cls(**{field.name: load_array(folder, field.name) for field in fields(cls)})


def _next(log: Histories) -> sparse.csr_array:
    where = log.pairs(1)
    return sparse.csr_array((log.shares_of_pairs(1), where), shape=(log.n_items, log.n_items))


def _latent_time(following: sparse.csr_array) -> Floats:
    """Solve ``(L + 0.3 I) t = in - out`` with ``L`` the Laplacian of all adjacent pairs."""
    both = following + following.T
    into, out = following.sum(axis=0), following.sum(axis=1)
    n = n_rows(following)
    system = sparse.diags_array(both.sum(axis=1) + 0.3, shape=(n, n)) - both
    solution, _ = linalg.cg(sparse.csr_array(system), into - out, rtol=1e-4, maxiter=300)
    return solution.astype(np.float32)

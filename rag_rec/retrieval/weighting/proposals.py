"""`Proposals`: what each source proposes to users whose next item is known, to try weights on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.retrieval.matrices import columns_of, n_rows, row_of
from rag_rec.retrieval.stacked import best_of_rows, order_keys


@dataclass(frozen=True, slots=True)
class Proposals:
    """The best items of every source and the item that came next, with all sources' scores.

    Attributes:
        names: The sources ``s``.
        scores: ``float32 [s, u, c]`` at weight 1; column 0 is the item that came next.
        depth: Best items among which it counts.
    """

    names: tuple[str, ...]
    scores: NDArray[np.float32]
    depth: int

    @classmethod
    def of(
        cls,
        said: Mapping[str, sparse.csr_array],
        came_next: NDArray[np.int32],
        seen: sparse.csr_array | None,
        depth: int,
    ) -> Proposals:
        """Keep the ``depth`` best items of each source; lower ones hardly matter to a sum.

        Args:
            said: Scores ``[u, n]`` of each source.
            came_next: ``[u]``.
            seen: Weights ``[u, n]`` of the histories, whose items are not proposed.
            depth: See `Proposals`.
        """
        parts = [came_next[:, None]]
        parts += [_best(scores, seen, depth) for scores in said.values()]
        items = _distinct(np.concatenate(parts, axis=1).astype(np.int32))
        found = np.zeros((len(said), *items.shape), np.float32)
        for source, scores in enumerate(said.values()):
            found[source] = np.where(items >= 0, columns_of(scores, items), 0)
        return cls(tuple(said), found, depth)

    def ndcg(self, weights: Mapping[str, float]) -> NDArray[np.float64]:
        """Return the ndcg of each user's next item, ``[u]``; a tie counts against it."""
        factors = np.array([weights[name] for name in self.names], np.float32)
        total = np.tensordot(factors, self.scores, axes=1)
        own = total[:, :1]
        ranks = (total >= own).sum(axis=1)
        good = (own[:, 0] > 0) & (ranks <= self.depth)
        return np.where(good, 1 / np.log2(ranks + 1.0), 0)


def _best(scores: Any, seen: Any, depth: int) -> NDArray[np.int32]:
    """Return the best items of each row but those of ``seen``, filled up with -1."""
    keys = order_keys(scores.indices, scores.data)
    if seen is not None:
        marked = np.zeros(int(scores.shape[1]), np.bool_)
        for row in range(n_rows(scores)):
            own, _ = row_of(seen, row)
            span = slice(scores.indptr[row], scores.indptr[row + 1])
            marked[own] = True
            keys[span][marked[scores.indices[span]]] = 0
            marked[own] = False
    rows = best_of_rows(keys, scores.indptr.tolist(), depth)
    found = np.full((len(rows), depth), -1, np.int32)
    for row, (items, _) in enumerate(rows):
        found[row, : len(items)] = items
    return found


def _distinct(items: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return each row's distinct items, the first one in its place, the others behind it."""
    first, rest = items[:, :1], np.sort(items[:, 1:], axis=1)
    again = np.zeros(rest.shape, np.bool_)
    again[:, 1:] = rest[:, 1:] == rest[:, :-1]
    rest[again | (rest == first)] = -1
    rest = np.sort(rest, axis=1)[:, ::-1]
    return np.concatenate([first, rest[:, : int((rest >= 0).sum(axis=1).max(initial=0))]], axis=1)

"""`Proposals`: what each source proposes to users whose next item is known, to try weights on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.retrieval.matrices import columns_of, n_rows, row_of, side_by_side
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
        proposed: Sequence[NDArray[np.int32]],
        depth: int,
    ) -> Proposals:
        """Look all sources' scores up of what any of them proposes.

        Args:
            said: Scores ``[u, n]`` of each source.
            came_next: ``[u]``.
            proposed: What each of them proposes; see `best_items`.
            depth: See `Proposals`.
        """
        parts = [came_next[:, None], *proposed]
        items = _distinct(np.concatenate(parts, axis=1).astype(np.int32))
        scores = list(said.values())
        found = side_by_side(
            lambda at: np.where(items >= 0, columns_of(scores[at], items), np.float32(0)),
            range(len(scores)),
        )
        none = np.empty((0, *items.shape), np.float32)
        return cls(tuple(said), np.stack(found) if found else none, depth)

    def ndcg(self, weights: Mapping[str, float]) -> NDArray[np.float64]:
        """Return the ndcg of each user's next item, ``[u]``; a tie counts against it."""
        factors = np.array([weights[name] for name in self.names], np.float32)
        total = np.tensordot(factors, self.scores, axes=1)
        own = total[:, :1]
        ranks = (total >= own).sum(axis=1)
        good = (own[:, 0] > 0) & (ranks <= self.depth)
        return np.where(good, 1 / np.log2(ranks + 1.0), 0)


def best_items(
    said: Mapping[str, sparse.csr_array], seen: sparse.csr_array | None, depth: int
) -> list[NDArray[np.int32]]:
    """Return the ``depth`` best items of each source, ``[u, depth]``, filled up with -1.

    Lower ones hardly matter to a sum.

    Args:
        said: Scores ``[u, n]`` of each source.
        seen: Weights ``[u, n]`` of the histories, whose items are not proposed.
        depth: Items kept.
    """
    scores = list(said.values())
    return side_by_side(lambda at: _best(scores[at], seen, depth), range(len(scores)))


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

"""Nearest items by cosine: exactly, or within clusters and by rare words in large catalogs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.index import Vectors
from rag_rec.retrieval.matrices import (
    by_blocks,
    from_rows,
    n_rows,
    product,
    sparse_product,
    unit_rows,
)

_PROBES = 12
_ROUNDS = 6
_SAMPLE = 64  # rows a cluster is trained on
_RARE = 1_000
_ROWS = 2_048


def nearest_rows(
    vectors: Vectors | sparse.csr_array, n: int, *, every_pair: bool
) -> sparse.csr_array:
    """Return cosines of each unit row with about its ``n`` nearest others; zero rows have none.

    Args:
        vectors: Unit rows, dense or sparse.
        n: Neighbours kept a row.
        every_pair: True to compare every pair; else dense rows are compared within clusters and
            sparse ones by their rare words.
    """
    if isinstance(vectors, np.ndarray):
        if every_pair:
            return by_blocks(lambda rows: vectors[rows] @ vectors.T, len(vectors), n)
        return clustered_neighbours(vectors, n)
    return product(vectors, vectors.T.tocsr(), n) if every_pair else rare_neighbours(vectors, n)


def clustered_neighbours(vectors: Vectors, n: int, *, seed: int = 0) -> sparse.csr_array:
    """Return nearly the ``n`` nearest others of each unit row; zero rows have none.

    Neighbours are looked for in nearby clusters: rows fall into about ``sqrt(rows)`` of them
    (spherical k-means, Dhillon and Modha 2001), and a row is compared with those of the clusters
    nearest to its own. Time grows with ``rows ** 1.5``.
    """
    known = np.flatnonzero(np.any(vectors, axis=1))
    centres = _centres(vectors, known, max(1, int(np.sqrt(len(known)))), seed)
    cluster = _nearest(vectors, centres)[known]
    order = np.argsort(cluster, kind="stable")
    starts = np.searchsorted(cluster[order], np.arange(len(centres) + 1))
    members = [known[order[low:high]] for low, high in pairwise(starts.tolist())]
    cosine = centres @ centres.T
    np.fill_diagonal(cosine, np.inf)  # equal centres are as near to a cluster as its own
    near = np.argsort(-cosine, axis=1)[:, :_PROBES]
    columns: list[NDArray[np.int32]] = [np.empty(0, np.int32)] * len(vectors)
    values: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(vectors)
    for own, others in zip(members, near, strict=True):
        pool = np.sort(np.concatenate([members[other] for other in others]))
        compared = vectors[pool]
        for start in range(0, len(own), _ROWS):
            rows = own[start : start + _ROWS]
            cosines = vectors[rows] @ compared.T
            cosines[np.arange(len(rows)), np.searchsorted(pool, rows)] = 0
            width = min(n, len(pool))
            best = np.argpartition(cosines, len(pool) - width, axis=1)[:, len(pool) - width :]
            best.sort(axis=1)
            for row, chosen, found in zip(rows, best, cosines, strict=True):
                good = chosen[found[chosen] > 0]
                columns[row], values[row] = pool[good].astype(np.int32), found[good]
    return from_rows(columns, values, len(vectors))


def rare_neighbours(words: sparse.csr_array, n: int) -> sparse.csr_array:
    """Return the ``n`` nearest others of each row by the words that at most 1,000 rows have.

    Args:
        words: Unit rows ``float32 [rows, words]``; rare words weigh most in them.
        n: Neighbours kept a row.
    """
    rare = np.flatnonzero(np.bincount(words.indices, minlength=n_rows(words.T)) <= _RARE)
    kept = words[:, rare]
    return sparse_product(kept, kept.T.tocsr(), n)


def _centres(vectors: Vectors, known: NDArray[np.int64], n_clusters: int, seed: int) -> Vectors:
    rng = np.random.default_rng(seed)
    n_sampled = min(len(known), n_clusters * _SAMPLE)
    if not n_sampled:
        return np.zeros((n_clusters, vectors.shape[1]), np.float32)
    sample = vectors[np.sort(rng.choice(known, n_sampled, replace=False))]
    centres = sample[rng.choice(n_sampled, n_clusters, replace=False)]
    for _ in range(_ROUNDS):
        cluster = _nearest(sample, centres)
        member = sparse.csr_array(
            (np.ones(n_sampled, np.float32), (cluster, np.arange(n_sampled))),
            shape=(n_clusters, n_sampled),
        )
        sums = member @ sample
        centres = np.where(np.any(sums, axis=1, keepdims=True), unit_rows(sums), centres)
    return centres.astype(np.float32)


def _nearest(vectors: Vectors, centres: Vectors) -> NDArray[np.int64]:
    found = np.empty(len(vectors), np.int64)
    for start in range(0, len(vectors), 4 * _ROWS):
        part = slice(start, start + 4 * _ROWS)
        found[part] = (vectors[part] @ centres.T).argmax(axis=1)
    return found

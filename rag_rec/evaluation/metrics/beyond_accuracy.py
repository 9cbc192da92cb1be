"""Lists beyond accuracy: coverage, concentration, novelty, diversity, popularity, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rag_rec.evaluation.statistics import mean_known
from rag_rec.index import ItemIndex

Lists = Sequence[NDArray[np.int64]]
"""Row numbers of the listed items, a list a user."""

_SMOOTHING = 0.01


@dataclass(frozen=True, slots=True)
class Catalog:
    """The items as measures see them; ``n`` items.

    Attributes:
        events: Events of each item in the fit, ``[n]``.
        users: Users with an event of each item, ``[n]``.
        n_users: Users in the fit.
        vectors: Unit rows ``[n, d]``.
        shares: Each item spread over its categories, rows sum to 1 or 0, ``[n, c]``.
    """

    events: NDArray[np.int64]
    users: NDArray[np.int64]
    n_users: int
    vectors: NDArray[np.float32]
    shares: NDArray[np.float32]

    @classmethod
    def of(cls, index: ItemIndex) -> Catalog:
        """Return the catalog of an index."""
        pairs = index.interactions.unique(["user_id", "item_id"])
        found = [index.find(item_id) for item_id in pairs["item_id"].to_list()]
        known = np.array([ix for ix in found if ix is not None], np.int64)
        names = index.items["categories"].to_list()
        every = sorted({name for some in names for name in some or ()})
        place = {name: column for column, name in enumerate(every)}
        shares = np.zeros((index.n_items, len(every)), np.float32)
        for row, some in enumerate(names):
            for name in some or ():
                shares[row, place[name]] += 1 / len(some)
        return cls(
            events=index.popularity,
            users=np.bincount(known, minlength=index.n_items),
            n_users=max(1, index.interactions["user_id"].n_unique()),
            vectors=np.asarray(index.item_vectors),
            shares=shares,
        )


def coverage(lists: Lists, n_items: int) -> float:
    """Return the share of the catalog that is in any list."""
    return len(np.unique(np.concatenate([*lists, np.zeros(0, np.int64)]))) / n_items


def gini(lists: Lists, n_items: int) -> float:
    """Return the inequality of listings over the catalog: 0 evenly, near 1 on few items.

    >>> gini([np.array([0]), np.array([1])], 2)
    0.0
    """
    counts = np.sort(
        np.bincount(np.concatenate([*lists, np.zeros(0, np.int64)]), minlength=n_items)
    )
    if not counts.sum():
        return 0.0
    place = np.arange(1, n_items + 1)
    return float((2 * place - n_items - 1) @ counts / (n_items * counts.sum()))


def novelty(items: NDArray[np.int64], catalog: Catalog) -> float:
    """Return the mean chance that others do not know an item (Vargas & Castells 2011)."""
    return float(np.mean(1 - catalog.users[items] / catalog.n_users))


def surprisal(items: NDArray[np.int64], catalog: Catalog) -> float:
    """Return the mean self-information of the list's items, 1 for one that a single user knows.

    ``log2(N / users) / log2(N)`` (Zhou et al. 2010); an item nobody knows counts as known to one.
    """
    if catalog.n_users < 2:
        return 0.0
    known = np.maximum(catalog.users[items], 1)
    return float(np.mean(np.log2(catalog.n_users / known) / np.log2(catalog.n_users)))


def serendipity(items: Sequence[str], targets: frozenset[str], expected: frozenset[str]) -> float:
    """Return the share that is right and not in popularity's list (Ge et al. 2010)."""
    if not items:
        return 0.0
    return sum(item in targets and item not in expected for item in items) / len(items)


def diversity(items: NDArray[np.int64], catalog: Catalog) -> float:
    """Return the mean of 1 - cosine over pairs (Ziegler et al. 2005) of items with a text.

    0 below two of them.
    """
    vectors = catalog.vectors[items]
    vectors = vectors[np.any(vectors, axis=1)].astype(np.float64)
    n = len(vectors)
    if n < 2:
        return 0.0
    cosines = vectors @ vectors.T
    return float(1 - (cosines.sum() - np.trace(cosines)) / (n * (n - 1)))


def popularity_lift(
    items: NDArray[np.int64], history: NDArray[np.int64], catalog: Catalog
) -> float | None:
    """Return the list's popularity over the history's, less 1 (Abdollahpouri et al. 2020).

    None without a history, or if nobody else knows what is in it.
    """
    before = float(catalog.events[history].mean()) if len(history) else 0.0
    if before == 0:
        return None
    return float(catalog.events[items].mean()) / before - 1


def miscalibration(
    items: NDArray[np.int64], history: NDArray[np.int64], catalog: Catalog
) -> float | None:
    """Return the KL divergence in nats from the history's categories to the list's.

    Steck 2018, alpha .01. 0 is a list in the proportions of the history; None where either has
    no category.
    """
    wanted = catalog.shares[history].sum(axis=0).astype(np.float64)
    given = catalog.shares[items].sum(axis=0).astype(np.float64)
    if not wanted.sum() or not given.sum():
        return None
    p, q = wanted / wanted.sum(), given / given.sum()
    q = (1 - _SMOOTHING) * q + _SMOOTHING * p
    there = p > 0
    return float(np.sum(p[there] * np.log(p[there] / q[there])))


def describe_lists(
    lists: Mapping[str, Sequence[str]],
    histories: Mapping[str, Sequence[str]],
    index: ItemIndex,
    catalog: Catalog,
) -> dict[str, float | None]:
    """Return everything above but serendipity, averaged over the users with a list."""
    rows = {user: _rows(index, items) for user, items in lists.items() if items}
    pasts = {user: _rows(index, histories[user]) for user in rows}
    per_user = {
        "novelty": [novelty(rows[u], catalog) for u in rows],
        "surprisal": [surprisal(rows[u], catalog) for u in rows],
        "diversity": [diversity(rows[u], catalog) for u in rows],
        "popularity lift": [popularity_lift(rows[u], pasts[u], catalog) for u in rows],
        "miscalibration": [miscalibration(rows[u], pasts[u], catalog) for u in rows],
    }
    found = list(rows.values())
    return {
        "coverage": coverage(found, index.n_items),
        "gini": gini(found, index.n_items),
    } | {name: mean_known(values) for name, values in per_user.items()}


def _rows(index: ItemIndex, item_ids: Sequence[str]) -> NDArray[np.int64]:
    found = (index.find(item_id) for item_id in item_ids)
    return np.array([ix for ix in found if ix is not None], np.int64)

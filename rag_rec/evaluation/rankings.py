"""Rankings to be measured: the fusion, each source alone, popularity, chance, given candidates."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.core import Constraints, DataError, Interaction, UserHistory
from rag_rec.data import Split
from rag_rec.retrieval import FusedRetriever, Histories, best, columns_of, row_of

Rankings = NDArray[np.int32]
"""``item_ix [u, depth]``, best first, -1 where there are fewer."""

GIVEN = 20
"""Given candidates that are ranked, as in arXiv 2305.08845."""

_BATCH = 1024


def read_candidates(path: Path) -> dict[str, list[str]]:
    """Lines ``user item item ...``, plain or gzip.

    Raises:
        DataError: If the file cannot be read, or two lines name the same user.
    """
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
            parts = [line.split() for line in lines]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read ({error})", path=path) from error
    given: dict[str, list[str]] = {}
    for number, line in enumerate(parts, start=1):
        if line and line[0] in given:
            raise DataError(f"names user {line[0]} a second time", path=path, row=number)
        if line:
            given[line[0]] = line[1:]
    return given


def histories_of(split: Split, *, mask_history: bool) -> list[UserHistory]:
    """What is known of each user when asked."""
    constraints = Constraints(allow_seen=not mask_history, allow_out_of_stock=True)
    return [
        UserHistory(
            user_id=user,
            events=tuple(Interaction.model_construct(item_id=item_id) for item_id in items),
            constraints=constraints,
        )
        for user, items in zip(split.users, split.inputs, strict=True)
    ]


def fused_rankings(retriever: FusedRetriever, asked: Sequence[UserHistory], depth: int) -> Rankings:
    """The retriever's own order."""
    starts = range(0, len(asked), _BATCH)
    batches = (retriever.rank(asked[start : start + _BATCH], depth) for start in starts)
    return _table((items for batch in batches for items, _ in batch), len(asked), depth)


def single_rankings(
    retriever: FusedRetriever, asked: Sequence[UserHistory], depth: int, *, mask: bool
) -> dict[str, Rankings]:
    """Each source alone, the sum with fixed weights, popularity and chance."""
    users, weights = retriever.histories(asked), retriever.history_weights(asked)
    evidence = retriever.evidence
    matrices = {} if retriever.ranker is None else {"weighted sum": evidence.fused}
    matrices |= {name: evidence.matrix(name) for name in evidence.names}
    found = {
        name: _table(_of_matrix(users, weights, matrix, depth, mask=mask), len(users), depth)
        for name, matrix in matrices.items()
    }
    popular = retriever.by_popularity.astype(np.int32)
    n, rng = len(popular), np.random.default_rng(0)
    orders: Mapping[str, Callable[[], NDArray[np.int32]]] = {
        "popularity": lambda: popular,
        "random": lambda: rng.choice(n, min(n, 4 * depth), replace=False).astype(np.int32),
    }
    for name, order in orders.items():
        rows = (_unseen(order(), users.row(u), depth, mask=mask) for u in range(len(users)))
        found[name] = _table(rows, len(users), depth)
    if not mask:
        own = (list(dict.fromkeys(users.row(u)[::-1].tolist())) for u in range(len(users)))
        replayed = (np.array(items[:depth], np.int32) for items in own)
        found["history replayed"] = _table(replayed, len(users), depth)
    return found


def _of_matrix(
    users: Histories,
    weights: sparse.csr_array,
    matrix: sparse.csr_array,
    depth: int,
    *,
    mask: bool,
) -> Iterable[NDArray[np.int32]]:
    for start in range(0, len(users), _BATCH):
        product = weights[start : start + _BATCH] @ matrix
        for row in range(min(_BATCH, len(users) - start)):
            items, values = row_of(product, row)
            free = (
                ~np.isin(items, users.row(start + row)) if mask else np.ones(len(items), np.bool_)
            )
            yield best(items[free], values[free], depth)[0]


def _unseen(
    order: NDArray[np.int32], seen: NDArray[np.int32], depth: int, *, mask: bool
) -> NDArray[np.int32]:
    if not mask:
        return order[:depth]
    head = order[: depth + len(seen)]
    return head[~np.isin(head, seen)][:depth]


def _table(rows: Iterable[NDArray[np.int32]], n: int, depth: int) -> Rankings:
    rankings = np.full((n, depth), -1, np.int32)
    for at, items in enumerate(rows):
        rankings[at, : len(items)] = items
    return rankings


def given_ranks(
    retriever: FusedRetriever,
    split: Split,
    asked: Sequence[UserHistory],
    given: Mapping[str, Sequence[str]],
) -> dict[str, NDArray[np.int64]]:
    """Rank of the target among each user's first given candidates; ties count against it.

    A target that is not among them takes the place of the last one.

    Raises:
        DataError: If a user has fewer than `GIVEN` candidates, or one is no item.
    """
    lists: list[list[str]] = []
    for user, target in zip(split.users, split.targets, strict=True):
        some = list(given[user])[:GIVEN]
        lists.append(some if target in some else [*some[: GIVEN - 1], target])
        if len(lists[-1]) < GIVEN:
            raise DataError(f"--candidates: user {user} has {len(some)}, {GIVEN} are needed")
        unknown = next((i for i in lists[-1] if retriever.index.find(i) is None), None)
        if unknown is not None:
            raise DataError(f"--candidates: user {user} has '{unknown}', which is no item")
    find = retriever.index.find
    candidates = np.array([[find(item_id) for item_id in some] for some in lists], np.int32)
    at = np.array([some.index(t) for some, t in zip(lists, split.targets, strict=True)])
    popular = np.empty(retriever.index.n_items)
    popular[retriever.by_popularity] = -np.arange(len(popular))
    found: dict[str, NDArray[Any]] = {
        "fusion": retriever.score(asked, candidates),
        "popularity": popular[candidates],
    }
    weights = retriever.history_weights(asked)
    for name in retriever.evidence.names:
        found[name] = _columns(weights, retriever.evidence.matrix(name), candidates)
    return {
        name: (scores >= np.take_along_axis(scores, at[:, None], 1)).sum(axis=1)
        for name, scores in found.items()
    }


def _columns(
    weights: sparse.csr_array, matrix: sparse.csr_array, candidates: NDArray[np.int32]
) -> NDArray[np.float32]:
    scores = np.empty(candidates.shape, np.float32)
    for start in range(0, len(candidates), _BATCH):
        span = slice(start, start + _BATCH)
        scores[span] = columns_of(weights[span] @ matrix, candidates[span])
    return scores

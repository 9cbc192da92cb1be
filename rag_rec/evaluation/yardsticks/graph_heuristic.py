"""TGH-1 and TGH-2: the training-free graph heuristic of arXiv 2605.07125, as two rankings.

From its authors' code (github.com/haoyuhan1/GraphRec): items one step from a user's last item in
the transition graph come first, by cosine of the texts plus a half of ``log(1 + count)`` over the
largest of the same item; then items further away, by the cosine alone. Of ten places TGH-1 gives
7, 2 and 1 to the items one, two and three steps from the last item. TGH-2 gives 5 and 1 to the
rings around the last item, 3 and 1 to those around the one before. A ring that is too small leaves
its places to the nearer ones' next items, then to the further ones'.

Ours: the third ring is all that is further than two steps, as in their code for large catalogs;
what fills a list is its nearest by text, not drawn at random; places after the tenth go to what is
left of the rings, nearest first; where histories are masked, their items leave the rings. The
vectors are the index's, where the authors take flan-t5-xl's; an item without a text has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from rag_rec.evaluation.yardsticks.transitions import TransitionGraph
from rag_rec.retrieval import Histories, Rankings, as_table, dense

OF_LAST = (7, 2, 1)
"""TGH-1's places of ten for the rings around the last item."""

OF_LAST_OF_TWO, OF_ONE_BEFORE = (5, 1), (3, 1)
"""TGH-2's places for the rings around the last item, and around the one before it."""

_COUNT_WEIGHT = 0.5

_Items = NDArray[np.int32]
_Rings = tuple[_Items, _Items, _Items]


def heuristic_rankings(
    graph: TransitionGraph,
    vectors: NDArray[np.float32],
    users: Histories,
    depth: int,
    *,
    mask: bool,
) -> dict[str, Rankings]:
    """Return the rankings of TGH-1 and TGH-2.

    Args:
        graph: The transitions of the fit.
        vectors: Unit rows ``[n, d]``; zeros for an item without a text.
        users: Who is asked for; nobody without a known item gets a list.
        depth: Length of a ranking.
        mask: False to rank items of the history too.
    """
    near = _neighbourhoods(graph, vectors, users, depth)
    hidden = np.zeros(users.n_items, np.bool_)
    first, second = [], []
    for user in range(len(users)):
        own = users.row(user)
        seen = own if mask else own[:0]
        rings = [near[item] for item in own[::-1][:2].tolist()]
        first.append(_of_one(rings, own, seen, hidden)[:depth])
        second.append(_of_two(rings, own, seen, hidden)[:depth])
    return {
        "TGH-1": as_table(first, len(users), depth),
        "TGH-2": as_table(second, len(users), depth),
    }


def _of_one(
    rings: Sequence[_Rings], own: _Items, seen: _Items, hidden: NDArray[np.bool_]
) -> _Items:
    if not rings:
        return own[:0]
    near = [*_without(rings[0][:2], seen, hidden), *_without(rings[0][2:], own, hidden)]
    return np.concatenate(_shared_out(near, OF_LAST))


def _of_two(
    rings: Sequence[_Rings], own: _Items, seen: _Items, hidden: NDArray[np.bool_]
) -> _Items:
    if not rings:
        return own[:0]
    chosen, left = _shared_out(_without(rings[0][:2], seen, hidden), OF_LAST_OF_TWO)
    parts, spare = [chosen], [left]
    if len(rings) > 1:
        around = _without(rings[1][:2], np.concatenate([seen, chosen]), hidden)
        more, left = _shared_out(around, OF_ONE_BEFORE)
        parts.append(more)
        spare.append(left)
    spare += _without(rings[0][2:], own, hidden)
    whole = np.concatenate(parts + spare)
    _, place = np.unique(whole, return_index=True)
    return whole[np.sort(place)]


def _shared_out(rings: Sequence[_Items], places: Sequence[int]) -> tuple[_Items, _Items]:
    """Return the items for the places of the rings, nearest ring first, and those that are left."""
    chosen: list[int] = []
    left: list[int] = []
    for ring, n in zip(rings, places, strict=True):
        borrowed = min(len(left), max(0, n - len(ring)))
        chosen += left[:borrowed]
        left = left[borrowed:]
        chosen += ring[: n - borrowed].tolist()
        left += ring[n - borrowed :].tolist()
    short = sum(places) - len(chosen)
    chosen, left = chosen + left[:short], left[short:]
    return np.array(chosen, np.int32), np.array(left, np.int32)


def _without(rings: Iterable[_Items], items: _Items, hidden: NDArray[np.bool_]) -> list[_Items]:
    """Return rings without some items; ``hidden`` is scratch space, all False between calls."""
    hidden[items] = True
    kept = [ring[~hidden[ring]] for ring in rings]
    hidden[items] = False
    return kept


def _neighbourhoods(
    graph: TransitionGraph, vectors: NDArray[np.float32], users: Histories, depth: int
) -> dict[int, _Rings]:
    """Return the heads of the three rings around everyone's last two items, best first.

    A head is long enough for ``depth`` items that are not in the history of any user who has the
    item in the middle.
    """
    lengths: dict[int, int] = {}
    for user in range(len(users)):
        own = users.row(user)
        for item in own[-2:].tolist():
            lengths[item] = max(lengths.get(item, 0), depth + len(own) + sum(OF_LAST))
    found: dict[int, _Rings] = {}
    for some, first, second in graph.rings(np.array(sorted(lengths), np.int32)):
        alike = vectors[some] @ vectors.T
        counted = np.log1p(dense(graph.counts[some]))
        close = alike + _COUNT_WEIGHT * counted / np.maximum(counted.max(axis=1), 1e-9)[:, None]
        far = ~(first | second)
        far[np.arange(len(some)), some] = False
        for row, item in enumerate(some.tolist()):
            n = lengths[item]
            found[item] = (
                _head(first[row], close[row], n),
                _head(second[row], alike[row], n),
                _head(far[row], alike[row], n),
            )
    return found


def _head(ring: NDArray[np.bool_], scores: NDArray[np.float32], n: int) -> _Items:
    """Return the ``n`` best items of a ring, best first, ties by item."""
    items = np.flatnonzero(ring)
    if len(items) > n:
        least = np.partition(scores[items], len(items) - n)[len(items) - n]
        items = items[scores[items] >= least]
    return items[np.argsort(-scores[items], kind="stable")][:n].astype(np.int32)

"""Shortcuts of a data set: what makes its next items easy to find without learning much.

After arXiv 2605.07125, which names three: few successors of an item, texts that stay alike from one
event to the next, and histories of which the end is enough. The definitions are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rag_rec.evaluation.metrics.accuracy import Ranks, ndcg, recall
from rag_rec.evaluation.yardsticks.transitions import TransitionGraph
from rag_rec.retrieval import Histories

CUT = 10
_PAIRS = 50_000


@dataclass(frozen=True, slots=True)
class Shortcuts:
    """Figures of a data set under a protocol; shares are between 0 and 1.

    Steps are transitions of the fit, counted from a user's last item.

    Attributes:
        one_step: Median number of items that followed a user's last item.
        two_steps: Median number within two steps.
        targets_one_step: Share of the targets one step away.
        targets_two_steps: Share of them within two steps.
        catalog_one_step: Share of the catalog one step away, mean over users: what chance finds.
        catalog_two_steps: Share of it within two steps.
        repeats: Share of the targets that the user had before.
        cosine_next: Mean cosine of the texts of different items that follow each other; None,
            like the two after it, where no transition has two texts.
        cosine_random: The same where the followers are dealt out at random.
        more_alike: Share of transitions that are more alike than a random one; ties count a half.
        last_one: Recall@10 of the weighted sum by the last event alone, over that by all; None
            where that is 0.
        last_three: The same by the last three events.
        heuristic: ndcg@10 of the better of TGH-1 and TGH-2, over the fusion's; None where that
            is 0.
    """

    one_step: float
    two_steps: float
    targets_one_step: float
    targets_two_steps: float
    catalog_one_step: float
    catalog_two_steps: float
    repeats: float
    cosine_next: float | None
    cosine_random: float | None
    more_alike: float | None
    last_one: float | None
    last_three: float | None
    heuristic: float | None

    def lines(self) -> list[str]:
        """Return one line a shortcut that says what its figures prove."""
        found = [
            (
                f"branching: a user's last item was followed by {self.one_step:.0f} items "
                f"(median), {self.two_steps:.0f} lie within two steps: the fewer, the less there "
                "is to choose from"
            ),
            (
                f"rings: {self.targets_one_step:.1%} of the targets lie one step from the last "
                f"item, {self.targets_two_steps:.1%} within two; of the catalog "
                f"{self.catalog_one_step:.1%} and {self.catalog_two_steps:.1%}: the wider apart, "
                "the less a model has to find"
            ),
            (
                f"repeats: {self.repeats:.1%} of the targets are in the user's history: a masked "
                "list cannot have them, replaying the history finds them"
            ),
        ]
        if self.cosine_next is not None:
            found.append(
                f"texts: cosine {self.cosine_next:.2f} from one event to the next, "
                f"{self.cosine_random:.2f} at random; {self.more_alike:.0%} of transitions are the "
                "more alike: at 50% texts say nothing, near 100% they say it alone"
            )
        if self.last_one is not None:
            found.append(
                f"histories: the weighted sum keeps {self.last_one:.0%} of its recall@{CUT} with "
                f"the last event alone, {self.last_three:.0%} with the last three: near 100% a "
                "figure says nothing about long histories"
            )
        if self.heuristic is not None:
            found.append(
                f"heuristic: TGH, which learns nothing, reaches {self.heuristic:.0%} of the "
                f"fusion's ndcg@{CUT}: only the rest speaks for what was learned"
            )
        return found


def shortcuts_of(
    graph: TransitionGraph,
    log: Histories,
    vectors: NDArray[np.float32],
    users: Histories,
    targets: NDArray[np.int32],
    ranks: Mapping[str, Ranks],
) -> Shortcuts:
    """Audit a data set.

    Args:
        graph: The transitions of the fit.
        log: The log of the fit.
        vectors: Unit rows ``[n, d]`` of the items' texts; zeros for an item without one.
        users: Histories of the users asked for.
        targets: ``item_ix`` of the item that each took next.
        ranks: Ranks of the targets by ``fusion``, ``TGH-1`` and ``TGH-2``, and by the weighted
            sum of ``all`` events, of the ``last`` and of the ``last three``.
    """
    found = {name: recall(ranks[name], CUT).mean() for name in ("all", "last", "last three")}
    gains = {name: ndcg(ranks[name], CUT).mean() for name in ("fusion", "TGH-1", "TGH-2")}
    own = [users.row(user) for user in range(len(users))]
    near, far, more_alike = _texts(log, vectors)
    had = [target in items for target, items in zip(targets, own, strict=True)]
    return Shortcuts(
        **_rings(graph, own, targets),
        repeats=float(np.mean(had)),
        cosine_next=near,
        cosine_random=far,
        more_alike=more_alike,
        last_one=_share(found["last"], found["all"]),
        last_three=_share(found["last three"], found["all"]),
        heuristic=_share(max(gains["TGH-1"], gains["TGH-2"]), gains["fusion"]),
    )


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _rings(
    graph: TransitionGraph, own: list[NDArray[np.int32]], targets: NDArray[np.int32]
) -> dict[str, float]:
    """Return the figures of one and two steps; who has no known item has none within reach."""
    n_items = graph.n_items
    last = np.array([items[-1] if len(items) else -1 for items in own], np.int32)
    sizes, hits = np.zeros((2, len(own))), np.zeros((2, len(own)), np.bool_)
    order = np.argsort(last, kind="stable")
    for some, first, second in graph.rings(np.unique(last[last >= 0])):
        rings = (first, first | second)
        start, end = np.searchsorted(last[order], (some[0], some[-1] + 1))
        users = order[start:end]
        rows = np.searchsorted(some, last[users])
        for steps, ring in enumerate(rings):
            sizes[steps, users] = ring.sum(axis=1)[rows]
            hits[steps, users] = ring[rows, targets[users]]
    names = ("one_step", "two_steps")
    return {
        **{name: float(np.median(n)) for name, n in zip(names, sizes, strict=True)},
        **{f"targets_{name}": float(hit.mean()) for name, hit in zip(names, hits, strict=True)},
        **{
            f"catalog_{name}": float(n.mean() / n_items)
            for name, n in zip(names, sizes, strict=True)
        },
    }


def _texts(
    log: Histories, vectors: NDArray[np.float32]
) -> tuple[float, float, float] | tuple[None, None, None]:
    """Compare neighbours of the log with pairs of the same items, their followers dealt anew.

    Returns:
        Mean cosines of both, and the share of neighbours that are the more alike.
    """
    rng = np.random.default_rng(0)
    before, after = log.pairs(1)
    told = np.linalg.norm(vectors, axis=1) > 0
    known = (before >= 0) & (after >= 0) & (before != after) & told[before] & told[after]
    drawn = rng.permutation(np.flatnonzero(known))[:_PAIRS]
    before, after = before[drawn], after[drawn]
    dealt = rng.permutation(after)
    differ = before != dealt
    if not differ.any():
        return None, None, None
    here = vectors[before[differ]]
    near = (here * vectors[after[differ]]).sum(axis=1)
    far = (here * vectors[dealt[differ]]).sum(axis=1)
    more_alike = (near > far).mean() + (near == far).mean() / 2
    return float(near.mean()), float(far.mean()), float(more_alike)

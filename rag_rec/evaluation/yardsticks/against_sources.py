"""The fusion against its best single source, stratum by stratum, over the same users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rag_rec.evaluation.metrics.accuracy import Ranks, ndcg, recall
from rag_rec.evaluation.statistics import bootstrap_interval
from rag_rec.evaluation.yardsticks.strata import ALL, Strata

NO_SOURCES = frozenset({"fusion", "weighted sum", "random", "TGH-1", "TGH-2"})
"""Rankings that are no evidence of the fusion's; popularity and the history replayed are."""

CUT = 10

_METRICS = {"recall": recall, "ndcg": ndcg}


@dataclass(frozen=True, slots=True)
class AgainstSource:
    """The fusion minus its best single source, paired over the users of a stratum.

    The source is the best of them on these very users by this metric, so luck speaks for it.

    Attributes:
        name: The stratum.
        metric: ``recall@10`` or ``ndcg@10``.
        source: The single source that is best here; the first of equals.
        fusion: Mean of the fusion.
        best: Mean of that source.
        difference: ``fusion - best``.
        low: Lower end of the 95 % interval of the difference, by bootstrap over users.
        high: Its upper end.
    """

    name: str
    users: int
    metric: str
    source: str
    fusion: float
    best: float
    difference: float
    low: float
    high: float


def against_sources(strata: Strata, ranks: Mapping[str, Ranks]) -> list[AgainstSource]:
    """Compare the fusion with the best of its sources, over all users and in each stratum.

    Args:
        strata: The strata.
        ranks: Rank of each user's target by each ranking; those of `NO_SOURCES` are left out.
    """
    sources = {name: found for name, found in ranks.items() if name not in NO_SOURCES}
    everyone = np.full(len(ranks["fusion"]), fill_value=True)
    return [
        _compared(name, metric, ranks["fusion"][users], {s: r[users] for s, r in sources.items()})
        for name, users in {ALL: everyone, **strata}.items()
        for metric in _METRICS
    ]


def _compared(name: str, metric: str, fusion: Ranks, sources: Mapping[str, Ranks]) -> AgainstSource:
    own = _METRICS[metric](fusion, CUT)
    each = {source: _METRICS[metric](ranks, CUT) for source, ranks in sources.items()}
    source = max(each, key=lambda source: float(each[source].mean()))
    difference = own - each[source]
    low, high = bootstrap_interval(difference)
    return AgainstSource(
        name=name,
        users=len(fusion),
        metric=f"{metric}@{CUT}",
        source=source,
        fusion=float(own.mean()),
        best=float(each[source].mean()),
        difference=float(difference.mean()),
        low=low,
        high=high,
    )

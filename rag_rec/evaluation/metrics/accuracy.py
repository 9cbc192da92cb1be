"""Accuracy of lists against one or more targets; per user, so that users can be paired.

`METRICS` is the registry that experiments, reports, gates and help texts read. Definitions are
those of trec_eval (Järvelin & Kekäläinen 2002 for NDCG); the tests compare every one with
`ir-measures`. The functions of ranks are for rankings with one target a user.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rag_rec.core import ConfigError
from rag_rec.evaluation.metrics.scorer import Relevance

Values = NDArray[np.float64]
"""One number a user."""

Metric = Callable[[Relevance, int], Values]
"""From the places of the targets and a cut-off to one number a user."""

Ranks = NDArray[np.int64]
"""Rank of each user's only target, from 1."""

MISSED = np.iinfo(np.int64).max
"""Rank of a target that is not in the ranking."""

_NAME = re.compile(r"[a-z][a-z0-9_-]*")


def _recall(found: Relevance, k: int) -> Values:
    """Return the share of a user's targets that are among the first ``k``."""
    hits = found.hits[:, :k]
    return hits @ np.ones(hits.shape[1]) / found.n_relevant


def _hit(found: Relevance, k: int) -> Values:
    """Return 1 if any target is among the first ``k``, else 0."""
    return np.asarray(found.hits[:, :k].any(axis=1), np.float64)


def _mrr(found: Relevance, k: int) -> Values:
    """Return 1 / place of the first target among the first ``k``, else 0."""
    hits = found.hits[:, :k]
    return np.where(hits.any(axis=1), 1.0 / (hits.argmax(axis=1) + 1), 0.0)


def _map(found: Relevance, k: int) -> Values:
    """Return the mean over targets of the precision at each one's place, 0 beyond ``k``."""
    hits = found.hits[:, :k]
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    return (precision * hits).sum(axis=1) / found.n_relevant


def _ndcg(found: Relevance, k: int) -> Values:
    """Return the gain ``1 / log2(1 + place)`` of targets within ``k`` over the best possible."""
    discounts = 1 / np.log2(np.arange(2, k + 2))
    gained = found.hits[:, :k] @ discounts[: found.hits[:, :k].shape[1]]
    best = np.concatenate([[0.0], np.cumsum(discounts)])[np.minimum(found.n_relevant, k)]
    return gained / best


METRICS: dict[str, Metric] = {
    "ndcg": _ndcg,
    "recall": _recall,
    "hit": _hit,
    "mrr": _mrr,
    "map": _map,
}
"""Metrics by name."""


def register_metric(name: str, metric: Metric) -> None:
    """Add a metric, which every report then shows and every experiment can be decided by.

    Args:
        name: Its name without the cut-off: small letters, digits, ``_`` and ``-``.
        metric: From `Relevance` and k to ``float64 [u]``, one number a user; higher is better.

    Raises:
        ConfigError: If the name is taken or cannot be written in an experiment.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"a metric cannot be called '{name}'; write small letters, digits, _ , -")
    if METRICS.setdefault(name, metric) is not metric:
        raise ConfigError(f"there is a metric '{name}' already; choose another name")


def parse_metric(metric: str) -> tuple[str, int]:
    """Return name and cut-off of a metric such as ``ndcg@10``.

    Raises:
        ConfigError: If there is no such metric.
    """
    name, _, k = metric.partition("@")
    if name not in METRICS or not re.fullmatch("[1-9][0-9]{0,5}", k):
        raise ConfigError(f"no metric '{metric}'; write one of {', '.join(METRICS)} with @k")
    return name, int(k)


def measure(found: Relevance, metric: str) -> Values:
    """Measure by a metric's name with a cut-off, such as ``ndcg@10``.

    Raises:
        ConfigError: If there is no such metric, or it does not give one number a user.
    """
    name, k = parse_metric(metric)
    values = np.asarray(METRICS[name](found, k), np.float64)
    if values.shape != found.n_relevant.shape or not np.isfinite(values).all():
        raise ConfigError(
            f"metric '{name}' gave {values.shape} values for {len(found.n_relevant)} users; it "
            "must give one finite number a user"
        )
    return values


def measure_all(found: Relevance, ks: tuple[int, ...]) -> dict[str, Values]:
    """Measure by every metric at every cut-off."""
    return {f"{name}@{k}": measure(found, f"{name}@{k}") for k in ks for name in METRICS}


# --- one target a user ------------------------------------------------------------------------


def ranks_of(rankings: NDArray[np.int32], targets: NDArray[np.int32]) -> Ranks:
    """Return the rank from 1 of each target in its ranking ``[u, k]``; `MISSED` if not there.

    >>> ranks_of(np.array([[3, 1], [2, 4]], np.int32), np.array([1, 3], np.int32))[0]
    np.int64(2)
    """
    hits = rankings == targets[:, None]
    return np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, MISSED)


def recall(ranks: Ranks, k: int) -> Values:
    """Return 1 for each user whose target is among the first ``k``, else 0; the hit rate."""
    return (ranks <= k).astype(np.float64)


def ndcg(ranks: Ranks, k: int) -> Values:
    """Return ``1 / log2(1 + rank)`` of each target among the first ``k``, else 0.

    With one relevant item the ideal gain is 1, so this is normalised.
    """
    return np.where(ranks <= k, 1 / np.log2(1 + ranks.astype(np.float64)), 0.0)


def standard_error(values: Values) -> float:
    """Return the standard error of a mean over users; NaN of nobody.

    It is what the bootstrap over users (Efron 1979) tends to as its resamples grow.
    """
    return float(values.std() / np.sqrt(len(values))) if len(values) else float("nan")

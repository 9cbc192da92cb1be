"""Accuracy of lists against one or more targets; per user, so that users can be paired.

Definitions are those of trec_eval (Järvelin & Kekäläinen 2002 for NDCG); the tests compare every
one with `ir-measures`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from rag_rec.core import ConfigError
from rag_rec.evaluation.metrics.scorer import Relevance

Values = NDArray[np.float64]
"""One number a user."""


def recall(found: Relevance, k: int) -> Values:
    """Share of a user's targets that are among the first ``k``."""
    hits = found.hits[:, :k]
    return hits @ np.ones(hits.shape[1]) / found.n_relevant


def hit(found: Relevance, k: int) -> Values:
    """1 if any target is among the first ``k``, else 0."""
    return np.asarray(found.hits[:, :k].any(axis=1), np.float64)


def mrr(found: Relevance, k: int) -> Values:
    """1 / place of the first target among the first ``k``, else 0."""
    hits = found.hits[:, :k]
    return np.where(hits.any(axis=1), 1.0 / (hits.argmax(axis=1) + 1), 0.0)


def average_precision(found: Relevance, k: int) -> Values:
    """Mean over a user's targets of the precision at each one's place, 0 beyond ``k``."""
    hits = found.hits[:, :k]
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    return (precision * hits).sum(axis=1) / found.n_relevant


def ndcg(found: Relevance, k: int) -> Values:
    """Discounted gain ``1 / log2(1 + place)`` of targets within ``k``, over the best possible."""
    discounts = 1 / np.log2(np.arange(2, k + 2))
    gained = found.hits[:, :k] @ discounts[: found.hits[:, :k].shape[1]]
    best = np.concatenate([[0.0], np.cumsum(discounts)])[np.minimum(found.n_relevant, k)]
    return gained / best


_METRICS: Mapping[str, Callable[[Relevance, int], Values]] = {
    "ndcg": ndcg,
    "recall": recall,
    "hit": hit,
    "mrr": mrr,
    "map": average_precision,
}


def measure(found: Relevance, metric: str) -> Values:
    """A metric by its name with a cut-off, such as ``ndcg@10``.

    Raises:
        ConfigError: If there is no such metric.
    """
    name, _, k = metric.partition("@")
    if name not in _METRICS or not k.isdigit() or int(k) < 1:
        raise ConfigError(f"no metric '{metric}'; write one of {', '.join(_METRICS)} with @k")
    return _METRICS[name](found, int(k))


def measure_all(found: Relevance, ks: tuple[int, ...]) -> dict[str, Values]:
    """Every metric at every cut-off."""
    return {f"{name}@{k}": measure(found, f"{name}@{k}") for k in ks for name in _METRICS}

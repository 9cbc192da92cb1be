"""Tests of a difference: paired tests over users, intervals, effect sizes, users needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rag_rec.core import DataError

Values = NDArray[np.float64]

RESAMPLES = 10_000
POWER = 0.8
_BLOCK = 4_000_000


def mean_known(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are not None; None if there are none."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One variant against the baseline, over the same users.

    Attributes:
        difference: Mean over users of variant minus baseline; ``low`` and ``high`` are the ends of
            its interval.
        p: Two-sided p of the paired permutation test.
        p_holm: The same, corrected for the number of variants (Holm 1979).
        effect: Mean over standard deviation of the differences (Cohen's dz); None if no user
            differs.
        n_differ: Users with another value under the variant.
        n_needed: Users at which a difference of this size would be seen with power .8, at the
            level divided by the number of variants (Bonferroni's, the strictest that Holm's asks
            for); None if there is none to be seen.
        smallest: The smallest difference that this number of users shows with power .8 there.
        verdict: ``better``, ``worse`` or ``no difference shown``.
    """

    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    effect: float | None
    n_users: int
    n_differ: int
    n_needed: int | None
    smallest: float
    verdict: str


def compare_pairs(
    pairs: Sequence[tuple[Values, Values]], *, alpha: float, seed: int
) -> list[Comparison]:
    """Compare the second of each pair with the first; corrected for the number of pairs.

    Args:
        pairs: Values of the same users, ``float64 [u]`` each.
        alpha: Chance of a false alarm over all pairs together.
        seed: Of the permutations and resamples.

    Raises:
        DataError: If the two of a pair have another number of users, or none.
    """
    for first, second in pairs:
        if first.shape != second.shape or not len(first):
            raise DataError(
                f"refused: {len(second)} users against {len(first)}; a paired test needs the "
                "same users for both"
            )
    differences = [second - first for first, second in pairs]
    raw = [permutation_p(d, seed=seed) for d in differences]
    return [
        _comparison(d, p, q, alpha=alpha, n_tests=len(pairs), seed=seed)
        for d, p, q in zip(differences, raw, holm(raw), strict=True)
    ]


def permutation_p(differences: Values, *, resamples: int = RESAMPLES, seed: int = 0) -> float:
    """Return the two-sided p of the paired permutation test.

    Signs of the differences are exchangeable. ``(1 + as extreme) / (1 + resamples)``, which never
    is 0 (Phipson & Smyth 2010). Users without a difference do not move the statistic and are left
    out.
    """
    moved = differences[differences != 0]
    if not len(moved):
        return 1.0
    rng = np.random.default_rng(seed)
    observed = abs(moved.sum()) * (1 - 1e-12)
    rows = max(1, _BLOCK // len(moved))
    extreme = 0
    for start in range(0, resamples, rows):
        n = min(rows, resamples - start)
        flips = rng.integers(0, 2, (n, len(moved)), np.int8)
        sums = 2.0 * (flips @ moved) - moved.sum()
        extreme += int((np.abs(sums) >= observed).sum())
    return (1 + extreme) / (1 + resamples)


def bootstrap_interval(
    values: Values, *, level: float = 0.95, resamples: int = 2_000, seed: int = 0
) -> tuple[float, float]:
    """Return the percentile interval of the mean by bootstrap over users (Efron 1979)."""
    rng = np.random.default_rng(seed)
    rows = max(1, _BLOCK // max(len(values), 1))
    means = [
        values[rng.integers(0, len(values), (min(rows, resamples - start), len(values)))].mean(1)
        for start in range(0, resamples, rows)
    ]
    tail = (1 - level) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return float(low), float(high)


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values adjusted to control the chance of any false alarm (Holm 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    factors = np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(factors * np.asarray(p)[order]))
    return adjusted.tolist()


def users_needed(effect: float, *, alpha: float = 0.05, power: float = POWER) -> int:
    """Return the users at which a paired test sees an effect ``dz``, by normal approximation.

    >>> users_needed(0.2)
    197
    """
    z = stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)
    return int(np.ceil((z / abs(effect)) ** 2))


def _comparison(
    d: Values, p: float, p_holm: float, *, alpha: float, n_tests: int, seed: int
) -> Comparison:
    low, high = bootstrap_interval(d, level=1 - alpha, seed=seed)
    mean = float(d.mean())
    deviation = float(d.std(ddof=1)) if len(d) > 1 else 0.0
    effect = mean / deviation if deviation > 0 else None
    level = alpha / n_tests
    z = stats.norm.ppf(1 - level / 2) + stats.norm.ppf(POWER)
    verdict = "no difference shown"
    if p_holm < alpha:
        verdict = "better" if mean > 0 else "worse"
    return Comparison(
        difference=mean,
        low=low,
        high=high,
        p=p,
        p_holm=p_holm,
        effect=effect,
        n_users=len(d),
        n_differ=int((d != 0).sum()),
        n_needed=users_needed(effect, alpha=level) if effect else None,
        smallest=float(z * deviation / np.sqrt(len(d))),
        verdict=verdict,
    )

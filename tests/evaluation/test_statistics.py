"""Statistics against scipy and by counting."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rag_rec.core.errors import DataError
from rag_rec.evaluation.experiments.baselines import order_of
from rag_rec.evaluation.statistics import (
    bootstrap_interval,
    compare_pairs,
    holm,
    permutation_p,
    users_needed,
)


def test_the_permutation_test_agrees_with_scipy() -> None:
    rng = np.random.default_rng(1)
    for shift in (0.0, 0.2, 0.5):
        d = rng.normal(shift, 1, 40)
        theirs = stats.permutation_test(
            (d,), np.mean, permutation_type="samples", n_resamples=20_000, rng=rng
        )
        assert permutation_p(d, seed=2) == pytest.approx(theirs.pvalue, abs=0.015)
    exact = np.array([1.0, 2.0, 3.0, -0.5])
    assert permutation_p(exact, resamples=100_000) == pytest.approx(4 / 16, abs=0.01)
    assert permutation_p(np.zeros(5)) == 1


def test_holm_and_users_needed_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert users_needed(0.5) == 32
    with pytest.raises(DataError, match="same users"):
        compare_pairs([(np.ones(4), np.ones(3))], alpha=0.05, seed=0)


def test_the_bootstrap_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    covered = [
        low <= 0.3 <= high
        for low, high in (
            bootstrap_interval(rng.binomial(1, 0.3, 200).astype(float), resamples=400, seed=s)
            for s in range(200)
        )
    ]
    low, high = stats.binomtest(190, 200).proportion_ci(0.999)
    assert low <= np.mean(covered) <= high


def test_false_alarms_and_power_are_as_stated() -> None:
    """Per-user values like ndcg: mostly 0, sometimes a place's gain."""
    rng = np.random.default_rng(4)
    gains = np.concatenate([np.zeros(5), 1 / np.log2(np.arange(2, 7))])

    def p_of(lift: float) -> float:
        a, b = rng.choice(gains, 300), rng.choice(gains, 300)
        return permutation_p(b + lift - a, resamples=1_000, seed=int(rng.integers(2**31)))

    alarms = sum(p_of(0.0) < 0.05 for _ in range(400))
    assert stats.binomtest(alarms, 400, 0.05).pvalue > 0.001
    spread = float(np.sqrt(2) * gains.std())
    lift = spread * (1.96 + 0.8416) / np.sqrt(300)
    assert users_needed(lift / spread) == pytest.approx(300, abs=1)
    seen = sum(p_of(lift) < 0.05 for _ in range(300))
    assert stats.binomtest(seen, 300, 0.8).pvalue > 0.001


def test_ties_are_broken_by_chance_and_not_by_the_catalogs_order() -> None:
    rng = np.random.default_rng(5)
    firsts = [order_of(np.zeros(10), 1, rng)[0] for _ in range(2_000)]
    counts = np.bincount(firsts, minlength=10)
    assert stats.chisquare(counts).pvalue > 0.001
    assert order_of(np.array([0.0, 1.0, 0.0]), 3, rng)[0] == 1

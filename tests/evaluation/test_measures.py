"""Metrics against ir-measures and by hand; statistics against scipy and by counting."""

from __future__ import annotations

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, R, Success, nDCG
from scipy import stats

from rag_rec.core.errors import ConfigError, DataError
from rag_rec.evaluation.experiments.baselines import order_of
from rag_rec.evaluation.metrics.accuracy import measure, measure_all
from rag_rec.evaluation.metrics.beyond_accuracy import (
    Catalog,
    coverage,
    diversity,
    gini,
    miscalibration,
    novelty,
    popularity_lift,
    serendipity,
    surprisal,
)
from rag_rec.evaluation.metrics.scorer import Relevance, Scorer
from rag_rec.evaluation.statistics import (
    bootstrap_interval,
    compare_all,
    holm,
    permutation_p,
    users_needed,
)

KS = (1, 3, 10)
THEIRS = {"ndcg": nDCG, "recall": R, "hit": Success, "mrr": RR, "map": AP}


def test_accuracy_equals_ir_measures_on_a_thousand_random_users() -> None:
    rng = np.random.default_rng(0)
    targets: dict[str, frozenset[str]] = {}
    lists: dict[str, list[str]] = {}
    for user in range(1_000):
        relevant = rng.choice(30, int(rng.integers(1, 8)), replace=False)
        listed = rng.choice(30, int(rng.integers(0, 15)), replace=False)
        targets[f"u{user}"] = frozenset(f"i{item}" for item in relevant)
        lists[f"u{user}"] = [f"i{item}" for item in listed]
    users = list(targets)
    ours = measure_all(Scorer(targets).relevance(lists, users, 10), KS)
    qrels = [ir_measures.Qrel(u, item, 1) for u in users for item in targets[u]]
    run = [
        ir_measures.ScoredDoc(u, item, 100.0 - at)
        for u in users
        for at, item in enumerate(lists[u])
    ]
    wanted = {f"{name}@{k}": theirs @ k for name, theirs in THEIRS.items() for k in KS}
    found = {(str(m.measure), m.query_id): m.value for m in
             ir_measures.iter_calc(list(wanted.values()), qrels, run)}  # fmt: skip
    for name, theirs in wanted.items():
        expected = [found.get((str(theirs), user), 0.0) for user in users]
        np.testing.assert_allclose(ours[name], expected, atol=1e-9, rtol=0, err_msg=name)


def test_accuracy_by_hand() -> None:
    found = Relevance(np.array([[False, True, True], [False, False, False]]), np.array([2, 1]))
    assert measure(found, "recall@2").tolist() == [0.5, 0]
    assert measure(found, "hit@2").tolist() == [1, 0]
    assert measure(found, "mrr@3").tolist() == [0.5, 0]
    assert measure(found, "map@3").tolist() == pytest.approx([(1 / 2 + 2 / 3) / 2, 0])
    gained, best = 1 / np.log2(3) + 1 / 2, 1 + 1 / np.log2(3)
    assert measure(found, "ndcg@3").tolist() == pytest.approx([gained / best, 0])
    for wrong in ("auc@3", "ndcg", "ndcg@0", "ndcg@x"):
        with pytest.raises(ConfigError, match="no metric"):
            measure(found, wrong)


def catalog() -> Catalog:
    """Four items, four users; items 0 and 1 are alike, 2 and 3 at right angles to them."""
    vectors = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    shares = np.array([[1, 0], [1, 0], [0, 1], [0.5, 0.5]], np.float32)
    return Catalog(np.array([8, 4, 2, 0]), np.array([4, 2, 1, 0]), 4, vectors, shares)


def ix(*rows: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.array(rows, np.int64)


def test_beyond_accuracy_by_hand() -> None:
    made = catalog()
    assert coverage([ix(0, 1), ix(0)], 4) == 0.5
    assert gini([ix(0, 1, 2, 3)], 4) == 0
    assert gini([ix(0), ix(0)], 4) == pytest.approx(0.75)
    assert novelty(ix(0, 2), made) == pytest.approx((0 + 0.75) / 2)
    assert surprisal(ix(0, 1, 2, 3), made) == pytest.approx((0 + 0.5 + 1 + 1) / 4)
    assert diversity(ix(0, 1), made) == pytest.approx(0)
    assert diversity(ix(0, 2, 3), made) == pytest.approx(1)
    assert diversity(ix(0), made) == 0
    assert popularity_lift(ix(0, 1), ix(1, 2), made) == pytest.approx(1.0)
    assert popularity_lift(ix(0), ix(3), made) is None
    assert serendipity(["a", "b"], frozenset("ab"), frozenset("a")) == 0.5
    assert serendipity([], frozenset("a"), frozenset()) == 0


def test_calibration_by_hand_as_in_steck() -> None:
    made = catalog()
    assert miscalibration(ix(0, 2), ix(1, 2), made) == pytest.approx(0)
    q = 0.99 * np.array([1, 0]) + 0.01 * np.array([0.5, 0.5])
    expected = float(np.sum(0.5 * np.log(0.5 / q)))
    assert miscalibration(ix(0), ix(0, 2), made) == pytest.approx(expected)
    assert miscalibration(ix(), ix(0), made) is None


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
        compare_all([np.ones(3)], np.ones(4), alpha=0.05, seed=0)


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

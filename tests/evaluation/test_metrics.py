"""Metrics against ir-measures and by hand, and one of one's own in an experiment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, R, Success, nDCG
from typer.testing import CliRunner

from rag_rec import Dataset, ItemIndex, build_index
from rag_rec.cli.app import app
from rag_rec.core.errors import ConfigError
from rag_rec.evaluation import METRICS, Gate, Report, compare_reports, read_report, register_metric
from rag_rec.evaluation.metrics.accuracy import measure, measure_all
from rag_rec.evaluation.metrics.beyond_accuracy import (
    Catalog,
    coverage,
    describe_lists,
    diversity,
    gini,
    miscalibration,
    novelty,
    popularity_lift,
    serendipity,
    surprisal,
)
from rag_rec.evaluation.metrics.scorer import Relevance, Scorer
from rag_rec.testing import HashEmbedder
from tests.experiment_help import experiment, run_with

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
    made.vectors[3] = 0
    assert diversity(ix(0, 1, 3), made) == pytest.approx(0), "nothing is known of the last one"
    assert diversity(ix(0, 3), made) == 0
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


def test_lists_are_described_by_the_catalog_and_the_log_of_an_index(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text(
        '{"item_id": "a", "title": "A", "categories": ["tea", "pots"]}\n'
        '{"item_id": "b", "title": "B", "categories": ["tea"]}\n'
        '{"item_id": "c", "title": "C"}\n'
    )
    log = "user_id,item_id,timestamp\nu,a,1\nu,a,2\nu,b,3\nv,a,1\nv,c,2\nw,b,1\n"
    (tmp_path / "log.csv").write_text(log)
    data = Dataset.load(items=tmp_path / "items.jsonl", interactions=tmp_path / "log.csv")
    build_index(data, tmp_path / "index", embedder=HashEmbedder())
    index = ItemIndex.open(tmp_path / "index", HashEmbedder())
    made = Catalog.of(index)
    at = [index.row_of[item] for item in "abc"]
    assert made.events[at].tolist() == [3, 2, 1]
    assert made.users[at].tolist() == [2, 2, 1]
    assert made.n_users == 3
    assert made.shares[at].tolist() == [[0.5, 0.5], [0, 1], [0, 0]]  # of pots and of tea
    lists = {"u": ["c"], "v": ["b"], "w": []}
    histories = {"u": ["a", "b"], "v": ["a", "c"], "w": ["b"]}
    found = describe_lists(lists, histories, index, made)
    assert found["coverage"] == pytest.approx(2 / 3)
    assert found["novelty"] == pytest.approx(((1 - 1 / 3) + (1 - 2 / 3)) / 2)
    assert found["popularity lift"] == pytest.approx(((1 / 2.5 - 1) + (2 / 2 - 1)) / 2)
    q = 0.01 * np.array([0.5, 0.5]) + 0.99 * np.array([0, 1])
    assert found["miscalibration"] == pytest.approx(float(np.sum(0.5 * np.log(0.5 / q))))
    assert found["diversity"] == 0


def top_rank(found: Relevance, k: int) -> np.ndarray:  # type: ignore[type-arg]
    """``1 - rank / k`` of the first target among the first ``k``, else 0."""
    ranks = found.first_rank()
    return np.where((ranks > 0) & (ranks <= k), 1 - ranks / k, 0.0)


@pytest.fixture
def own_metric() -> Iterator[None]:
    register_metric("top-rank", top_rank)
    yield
    del METRICS["top-rank"]


@pytest.mark.usefixtures("own_metric")
def test_a_metric_of_ones_own_decides_an_experiment(tmp_path: Path) -> None:
    chosen = experiment(metric="top-rank@5", split={"users": 40, "validation_users": 20})
    report = run_with(chosen, tmp_path)
    rows = {row.name: row for row in report.rows}
    places = [found[0] if found else 0 for found in report.hits.places["bad plain"][0]]
    by_hand = np.mean([1 - place / 5 if place else 0 for place in places])
    assert rows["bad plain"].value == rows["bad plain"].metrics["top-rank@5"]
    assert rows["bad plain"].value == pytest.approx(by_hand)
    assert {"top-rank@1", "ndcg@5"} <= set(rows["random"].metrics)
    assert rows["good plain"].comparison
    assert report.blends["bad plain"].weight == 0
    for name in ("report.md", "report.html"):
        assert "top-rank@5" in (tmp_path / name).read_text()
    assert Gate.of("good plain:top-rank@5 >= 0.99").failures(report)
    again = read_report(tmp_path)
    assert {c.metric for c in compare_reports(report, again)} == {"top-rank@5"}


@pytest.mark.usefixtures("own_metric")
def test_a_report_with_a_metric_that_is_not_there_says_so(tmp_path: Path) -> None:
    chosen = experiment(split={"users": 20, "validation_users": 0}, matrix={"models": ["none"]})
    document = run_with(chosen, tmp_path).document()
    del METRICS["top-rank"]
    report = Report.model_validate(document)
    try:
        with pytest.raises(ConfigError, match="no metric 'top-rank@1'; write one of ndcg"):
            compare_reports(report, report)
    finally:
        register_metric("top-rank", top_rank)


def test_metrics_are_refused_that_could_not_be_used(tmp_path: Path) -> None:
    for name, said in (("ndcg", "already"), ("Top", "small letters"), ("a@b", "small letters")):
        with pytest.raises(ConfigError, match=said):
            register_metric(name, top_rank)
    found = Relevance(np.array([[True], [False]]), np.array([1, 1]))
    for wrong in (lambda *_: np.ones(3), lambda *_: np.array([1.0, np.nan])):
        METRICS["odd"] = wrong
        try:
            with pytest.raises(ConfigError, match="one finite number a user"):
                measure(found, "odd@1")
        finally:
            del METRICS["odd"]


def test_the_help_names_the_metrics() -> None:
    said = CliRunner().invoke(app, ["evaluate", "run", "--help"], env={"COLUMNS": "200"}).output
    assert all(name in said for name in METRICS)

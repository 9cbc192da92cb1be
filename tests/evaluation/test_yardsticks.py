"""Yardsticks: graph heuristic and shortcuts by hand, the fusion against sources, the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from rag_rec import Dataset
from rag_rec.cli.app import app
from rag_rec.evaluation import RetrievalOptions, RetrievalReport, evaluate_retrieval
from rag_rec.evaluation.metrics.accuracy import MISSED
from rag_rec.evaluation.yardsticks.against_sources import against_sources
from rag_rec.evaluation.yardsticks.graph_heuristic import heuristic_rankings
from rag_rec.evaluation.yardsticks.shortcuts import shortcuts_of
from rag_rec.evaluation.yardsticks.transitions import TransitionGraph
from rag_rec.retrieval import Histories
from rag_rec.testing import HashEmbedder

LOG = Histories.of([[0, 1, 2], [0, 1, 3], [0, 2]], 6)
VECTORS = np.array([[1, 0], [0, 1], [0.6, 0.8], [1, 0], [0.8, 0.6], [0, 0]], np.float32)


def lists(
    log: list[list[int]],
    n_items: int,
    user: list[int],
    depth: int,
    *,
    vectors: NDArray[np.float32] | None = None,
    mask: bool = True,
) -> tuple[list[int], list[int]]:
    if vectors is None:
        vectors = np.ones((n_items, 1), np.float32)
    graph = TransitionGraph.of(Histories.of(log, n_items))
    users = Histories.of([user], n_items)
    found = heuristic_rankings(graph, vectors, users, depth, mask=mask)
    first, second = (found[name][0] for name in ("TGH-1", "TGH-2"))
    return first[first >= 0].tolist(), second[second >= 0].tolist()


def test_rings_hold_what_is_one_and_two_steps_away() -> None:
    graph = TransitionGraph.of(LOG)
    ((items, first, second),) = graph.rings(np.array([0, 1, 2], np.int32))
    assert items.tolist() == [0, 1, 2]
    assert [np.flatnonzero(row).tolist() for row in first] == [[1, 2], [2, 3], []]
    assert [np.flatnonzero(row).tolist() for row in second] == [[3], [], []]
    assert graph.counts[0, 1] == 2


def test_the_heuristic_orders_a_ring_by_text_and_counts() -> None:
    log = [[0, 1, 2], [0, 1, 3], [0, 2]]
    # one step from 0: item 2 has .6 + .5 log 2 / log 3, item 1 has 0 + .5; 3 is two steps away
    assert lists(log, 6, [0], 5, vectors=VECTORS) == ([2, 1, 3, 4, 5], [2, 1, 3, 4, 5])
    assert lists(log, 6, [1, 0], 5, vectors=VECTORS) == ([2, 3, 4, 5], [2, 3, 4, 5])
    free, _ = lists(log, 6, [1, 0], 5, vectors=VECTORS, mask=False)
    assert free == [2, 1, 3, 4, 5], "items of the history stay in the rings where it is not masked"
    assert lists(log, 6, [], 5, vectors=VECTORS) == ([], [])


def test_places_are_shared_out_among_the_rings() -> None:
    log = [*([0, item] for item in range(1, 13)), *([1, item] for item in range(13, 19))]
    log += [*([20, item] for item in range(21, 25)), [21, 25]]
    first, _ = lists(log, 30, [0], 14)
    assert first == [*range(1, 8), 13, 14, 19, *range(8, 12)]
    _, second = lists(log, 30, [20, 0], 12)
    assert second == [1, 2, 3, 4, 5, 13, 21, 22, 23, 25, 6, 7]
    # a ring that is too small leaves its places to the next ones' further items
    log = [[0, 1], [0, 2], *([1, item] for item in range(3, 9))]
    assert lists(log, 20, [0], 10)[0] == [1, 2, 3, 4, 9, 5, 6, 7, 8, 10]


def test_lists_of_the_heuristic_name_an_item_once_and_none_of_the_history() -> None:
    rng = np.random.default_rng(0)
    log = [rng.integers(0, 40, 8).tolist() for _ in range(60)]
    users = [rng.integers(0, 40, rng.integers(1, 30)).tolist() for _ in range(50)]
    vectors = rng.normal(size=(40, 4)).astype(np.float32)
    for user in users:
        for found in lists(log, 40, user, 40, vectors=vectors):
            assert sorted({*found, *user}) == list(range(40))
            assert len(found) == len(set(found)) == 40 - len(set(user))


def test_shortcuts_by_hand() -> None:
    users, targets = Histories.of([[0], [1, 2, 1]], 6), np.array([3, 2], np.int32)
    both, one, none = np.array([1, 1]), np.array([1, MISSED]), np.array([MISSED, MISSED])
    ranks = {"all": both, "last": one, "last three": both}
    ranks |= {"fusion": both, "TGH-1": none, "TGH-2": one}
    graph = TransitionGraph.of(LOG)
    found = shortcuts_of(graph, LOG, VECTORS, users, targets, ranks)
    assert (found.one_step, found.two_steps) == (2, 2.5)
    assert (found.targets_one_step, found.targets_two_steps) == (0.5, 1)
    assert found.catalog_one_step == pytest.approx(2 / 6)
    assert found.catalog_two_steps == pytest.approx(2.5 / 6)
    assert found.repeats == 0.5
    assert (found.last_one, found.last_three, found.heuristic) == (0.5, 1, 0.5)
    assert len(found.lines()) == 6
    without = shortcuts_of(
        graph, LOG, np.zeros_like(VECTORS), users, targets, dict.fromkeys(ranks, none)
    )
    assert (without.cosine_next, without.last_one, without.heuristic) == (None, None, None)
    assert len(without.lines()) == 3


def test_texts_that_stay_alike_are_seen() -> None:
    log = Histories.of([[0, 1, 2, 3]] * 30 + [[4, 5, 6, 7]] * 30, 8)
    vectors = np.repeat(np.eye(2, dtype=np.float32), 4, axis=0)
    names = ["all", "last", "last three", "fusion", "TGH-1", "TGH-2"]
    ranks = {name: np.array([1]) for name in names}
    users, targets = Histories.of([[0]], 8), np.array([1], np.int32)
    found = shortcuts_of(TransitionGraph.of(log), log, vectors, users, targets, ranks)
    assert found.cosine_next == 1
    assert found.cosine_random == pytest.approx(0.5, abs=0.15)
    assert found.more_alike == pytest.approx(0.75, abs=0.08)


def test_the_fusion_is_compared_with_the_best_source_of_each_stratum() -> None:
    ranks = {
        "fusion": np.array([1, 1, MISSED, 12]),
        "weighted sum": np.array([1, 1, 1, 1]),
        "left": np.array([1, 3, MISSED, MISSED]),
        "right": np.array([MISSED, MISSED, 1, 3]),
    }
    strata = {"a": np.array([1, 1, 0, 0], bool), "b": np.array([0, 0, 1, 1], bool)}
    found = {(row.name, row.metric): row for row in against_sources(strata, ranks)}
    assert {row.source for row in found.values()} == {"left", "right"}, "no weighted sum"
    assert found["a", "ndcg@10"].source == "left"
    assert found["a", "ndcg@10"].difference == pytest.approx(0.25)
    assert found["a", "recall@10"].difference == 0
    lost = found["b", "recall@10"]
    assert (lost.source, lost.fusion, lost.best, lost.low, lost.high) == ("right", 0, 1, -1, -1)
    whole = found["all users", "recall@10"]
    assert whole.users == 4
    assert whole.fusion == (found["a", "recall@10"].fusion + lost.fusion) / 2
    assert whole.low <= whole.difference <= whole.high


def hidden(folder: Path, share: float) -> RetrievalReport:
    path = folder / "log.txt"
    lines = [f"u{u} " + " ".join(f"i{(u + step) % 20}" for step in range(6)) for u in range(40)]
    path.write_text("\n".join(lines) + "\n")
    data = Dataset.load(interactions=path, format="sequences")
    options = RetrievalOptions(ks=(10,), embedder=HashEmbedder(), hidden_items=share)
    return evaluate_retrieval(data, options)


def test_with_hidden_items_rows_are_of_takers_and_strata_of_all(tmp_path: Path) -> None:
    for share, takers in ((0.1, 4), (0.3, 12)):
        report = hidden(tmp_path, share)
        strata = {row["name"]: row for row in report["strata"]}
        assert {row["users"] for row in report["rows"]} == {takers} == {report["users"]}
        names = ("all users", "takers of hidden items", "other users")
        assert [strata[name]["users"] for name in names] == [40, takers, 40 - takers]
        fusion = report["rows"][0]
        assert strata["takers of hidden items"]["recall@10"] == fusion["recall@10"]
        means = [strata[name]["recall@10"] * strata[name]["users"] for name in names]
        assert means[0] == pytest.approx(means[1] + means[2])
        told = {row["name"] for row in report["against_sources"]}
        assert set(names) <= told


def test_every_ranking_has_every_stratum(sample: Dataset) -> None:
    report = evaluate_retrieval(sample, RetrievalOptions(ks=(10,), embedder=HashEmbedder()))
    strata = [row["name"] for row in report["strata"]]
    for row in report["rows"][1:]:
        own = [each for each in report["source_strata"] if each["source"] == row["name"]]
        if row["name"].startswith("ceiling"):
            assert not own
            continue
        assert [each["name"] for each in own] == strata
        lengths = [each for each in own if each["name"].startswith("history")]
        total = sum(each["users"] * each["ndcg@10"] for each in lengths)
        assert total / row["users"] == pytest.approx(row["ndcg@10"])
    rows = {row["name"]: row for row in report["rows"]}
    best = max(rows[name]["ndcg@10"] for name in ("TGH-1", "TGH-2"))
    heuristic = report["shortcuts"]["heuristic"]
    assert heuristic == pytest.approx(best / rows["fusion"]["ndcg@10"])
    whole = next(row for row in report["against_sources"] if row["metric"] == "ndcg@10")
    assert whole["fusion"] == rows["fusion"]["ndcg@10"]
    assert whole["best"] == rows[whole["source"]]["ndcg@10"]
    assert report["decay"] > 0
    assert set(report["weights"]) >= {"slit", "ease", "content"}


def test_the_command_prints_and_writes_the_yardsticks(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    lines = [f"u{u} " + " ".join(f"i{(u + step) % 12}" for step in range(5)) for u in range(30)]
    path.write_text("\n".join(lines) + "\n")
    arguments = ["evaluate", "retrieval", "--interactions", str(path), "--format", "sequences"]
    arguments += ["--k", "5", "--no-ranker", "--index", str(tmp_path / "index")]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    for part in ("TGH-2", "fusion against its best single source", "rings: ", "heuristic: TGH"):
        assert part in shown.stdout
    assert "texts: " not in shown.stdout, "items that have only an id have no text"
    assert "decay 2" in shown.stderr
    done = CliRunner().invoke(app, [*arguments, "--json", "--shuffle-ties", "0,1"])
    report = json.loads(done.stdout)
    assert report["shortcuts"]["cosine_next"] is None
    assert report["shortcuts"]["targets_two_steps"] > 0.5
    assert {row["metric"] for row in report["against_sources"]} == {"recall@10", "ndcg@10"}
    assert len({(row["source"], row["name"]) for row in report["source_strata"]}) == len(
        report["source_strata"]
    )

"""Measuring: metrics by hand, splits without leaks, the command."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rag_rec import Dataset
from rag_rec.cli.app import app
from rag_rec.core.errors import DataError
from rag_rec.data import SAMPLE_FOLDER, ReviewStore
from rag_rec.evaluation import (
    RetrievalOptions,
    evaluate_retrieval,
    hide_items,
    leave_last_out,
    ndcg,
    ranks_of,
    read_candidates,
    recall,
    shuffle_ties,
    standard_error,
)
from rag_rec.evaluation.metrics.accuracy import MISSED
from rag_rec.retrieval import RankerConfig, RetrievalConfig
from rag_rec.testing import HashEmbedder


def test_metrics_by_hand() -> None:
    rankings = np.array([[7, 3, 5], [1, 2, 3], [4, -1, -1]], np.int32)
    ranks = ranks_of(rankings, np.array([5, 1, 9], np.int32))
    assert ranks.tolist() == [3, 1, MISSED]
    assert recall(ranks, 2).tolist() == [0, 1, 0]
    assert recall(ranks, 3).tolist() == [1, 1, 0]
    assert ndcg(ranks, 3).tolist() == [0.5, 1, 0]
    assert ndcg(ranks, 2).tolist() == [0, 1, 0]


def test_the_standard_error_is_that_of_a_mean() -> None:
    values = np.random.default_rng(1).integers(0, 2, 4000).astype(float)
    assert standard_error(values) == pytest.approx(values.std() / np.sqrt(4000), rel=0.15)
    assert standard_error(np.ones(10)) == 0


def test_hidden_items_are_in_no_fit_and_only_their_takers_are_asked_for(tmp_path: Path) -> None:
    lines = [f"u{u} " + " ".join(f"i{(u + step) % 20}" for step in range(5)) for u in range(40)]
    data = log_of(tmp_path, "\n".join(lines) + "\n")
    whole = leave_last_out(data)
    split = hide_items(whole, 0.25)
    fitted = set(split.fit.interactions["item_id"])
    assert len(fitted) == 15
    assert split.fit.items.height == 20
    assert len(split.users) == 10
    assert not fitted & set(split.targets)
    told = pl.DataFrame([
        {"review_id": f"{user} {item}", "user_id": user, "item_id": item, "text": "good"}
        for user, item in data.interactions.select("user_id", "item_id").iter_rows()
    ]).with_columns(rating=pl.lit(None, pl.Float64), timestamp=pl.lit(None, pl.Int64))  # fmt: skip
    split = leave_last_out(replace(data, reviews=ReviewStore([told])))
    (kept,) = split.fit.reviews.frames()
    pairs = set(kept.select("user_id", "item_id").iter_rows())
    assert pairs == set(split.fit.interactions.select("user_id", "item_id").iter_rows())
    (kept,) = hide_items(split, 0.25).fit.reviews.frames()
    assert len(set(kept["item_id"])) == 15
    with pytest.raises(DataError, match="hide a larger share"):
        hide_items(whole, 0.0)


def log_of(folder: Path, text: str) -> Dataset:
    path = folder / "sequences.txt"
    path.write_text(text)
    return Dataset.load(interactions=path, format="sequences")


def test_the_last_event_is_the_target_and_in_neither_input_nor_fit(tmp_path: Path) -> None:
    data = log_of(tmp_path, "u a b c d\nv b c\nw e\n")
    split = leave_last_out(data)
    asked = dict(zip(split.users, zip(split.inputs, split.targets, strict=True), strict=True))
    assert asked == {"u": (["a", "b", "c"], "d"), "v": (["b"], "c")}
    assert split.fit.interactions["item_id"].to_list() == ["a", "b"]
    validation = leave_last_out(data, hidden=3, n_target=2)
    assert (validation.inputs, validation.targets) == ([["a", "b"]], ["c"])
    assert validation.fit.interactions["item_id"].to_list() == ["a"]
    with pytest.raises(DataError):
        leave_last_out(data, hidden=1, n_target=2)
    with pytest.raises(DataError):
        leave_last_out(log_of(tmp_path, "u a\n"))


def test_shuffling_ties_moves_only_what_may_be_tied(tmp_path: Path) -> None:
    data = log_of(tmp_path, "u a b c d e f g\nv h\n")
    shuffled = [shuffle_ties(data, seed).interactions for seed in range(20)]
    for log in shuffled:
        order = log.filter(log["user_id"] == "u")["item_id"].to_list()
        assert sorted(order) == list("abcdefg")
        assert all(abs(order.index(x) - "abcdefg".index(x)) <= 1 for x in order)
    assert len({tuple(log["item_id"]) for log in shuffled}) > 5
    assert shuffled[3].equals(shuffle_ties(data, 3).interactions)
    path = tmp_path / "log.csv"
    path.write_text("user_id,item_id,timestamp\nu,a,1\nu,b,2\nu,c,2\nu,d,3\n")
    timed = Dataset.load(interactions=path)
    orders = {tuple(shuffle_ties(timed, seed).interactions["item_id"]) for seed in range(20)}
    assert orders == {("a", "b", "c", "d"), ("a", "c", "b", "d")}


def test_every_source_is_measured_and_the_ceiling_is_the_recall(sample: Dataset) -> None:
    options = RetrievalOptions(ks=(10, 20), embedder=HashEmbedder())
    report = evaluate_retrieval(sample, options)
    rows = {row["name"]: row for row in report["rows"]}
    assert {
        "fusion",
        "slit",
        "ease",
        "content",
        "content_smoothed",
        "popularity",
        "random",
    } <= set(rows)
    assert rows["ceiling of the top 20"]["ndcg@10"] == pytest.approx(rows["fusion"]["recall@20"])
    assert rows["fusion"]["ndcg@10"] > rows["random"]["ndcg@10"]
    assert report["users"] == rows["fusion"]["users"]
    assert report["cost"]["fit"]["seconds"] > 0
    lengths = [row["users"] for row in report["strata"] if row["name"].startswith("history")]
    assert sum(lengths) == report["users"]


def test_a_kept_index_is_opened_again_and_the_report_says_so(
    sample: Dataset, tmp_path: Path
) -> None:
    options = RetrievalOptions(
        ks=(10,),
        embedder=HashEmbedder(),
        index=tmp_path / "index",
        retrieval=RetrievalConfig.within(6.0, ranker=False),
    )
    first, second = (evaluate_retrieval(sample, options) for _ in range(2))
    assert [r["cost"]["fit"]["index_reused"] for r in (first, second)] == [False, True]
    assert first["rows"] == second["rows"]
    other = replace(options, retrieval=RetrievalConfig.within(5.0, ranker=False))
    assert not evaluate_retrieval(sample, other)["cost"]["fit"]["index_reused"]


def test_without_the_mask_histories_come_back(tmp_path: Path) -> None:
    text = "\n".join(f"u{n} a{n % 17} b{n % 19} c{n % 23} c{n % 23}" for n in range(200))
    data = log_of(tmp_path, text)
    options = RetrievalOptions(ks=(10,), embedder=HashEmbedder())
    masked = evaluate_retrieval(data, options)
    free = evaluate_retrieval(
        data, RetrievalOptions(ks=(10,), embedder=HashEmbedder(), mask_history=False)
    )
    assert masked["rows"][0]["recall@10"] == 0
    rows = {row["name"]: row for row in free["rows"]}
    assert rows["history replayed"]["recall@10"] == 1
    assert rows["fusion"]["recall@10"] > 0.5


def ranker(depth: int) -> RankerConfig:
    return RankerConfig(min_lists=20, rounds=10, min_leaf=5, depth=depth)


@pytest.mark.parametrize(
    "retrieval",
    [RetrievalConfig.within(6, ranker=False), RetrievalConfig(ranker=ranker(20), given=ranker(10))],
    ids=["learned weights", "ranker"],
)
def test_given_candidates_are_ranked(tmp_path: Path, retrieval: RetrievalConfig) -> None:
    text = "\n".join(
        f"u{n} " + " ".join(f"r{(n + step) % 30}" for step in range(6)) for n in range(90)
    )
    data = log_of(tmp_path, text)
    ids = data.items["item_id"].to_list()
    options = RetrievalOptions(
        ks=(5,),
        embedder=HashEmbedder(),
        candidates={f"u{n}": ids[:25] for n in range(0, 90, 2)},
        retrieval=retrieval,
    )
    report = evaluate_retrieval(data, options)
    rows = {row["name"]: row for row in report["rows"]}
    assert report["users"] == rows["fusion"]["users"] == 45
    assert rows["given candidates: fusion"]["recall@5"] > 0.8


def test_candidate_files_are_read_plain_or_packed(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.txt", tmp_path / "a.gz"
    plain.write_text("u\t1 2 3\n\nv 4\n")
    packed.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
    assert read_candidates(plain) == read_candidates(packed) == {"u": ["1", "2", "3"], "v": ["4"]}
    with pytest.raises(DataError):
        read_candidates(tmp_path / "nothing")


def test_the_command(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    arguments = [
        "evaluate", "retrieval", "--items", str(SAMPLE_FOLDER / "items.jsonl"),
        "--interactions", str(SAMPLE_FOLDER / "interactions.csv"), "--k", "5,10",
        "--shuffle-ties", "0,1", "--index", str(tmp_path / "index"),
    ]  # fmt: skip
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["shuffled_ties"] == [0, 1]
    assert report["rows"][0]["name"] == "fusion"
    assert {"recall@10", "ndcg@10", "ndcg@10 se"} <= set(report["rows"][0])
    shown = CliRunner().invoke(app, arguments[:-4])
    assert "popularity" in shown.stdout

"""Experiments over bundles, play sequences and slates: the same steps and the same measures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag_rec import ItemIndex, Recommender
from rag_rec.core.errors import ConfigError
from rag_rec.evaluation import Experiment, Report, read_report
from rag_rec.evaluation.comparison import check, compare_reports
from rag_rec.evaluation.experiments.answers import read_answers
from rag_rec.list_types import LIST_TYPES, kind_of
from rag_rec.llm import Request
from rag_rec.testing import HashEmbedder, ScriptedModel
from tests.experiment_help import experiment, run_with


def in_order(request: Request) -> str:
    """A reply with the first labels, a row each in turn where there are rows."""
    assert request.schema
    items = request.schema["properties"]["items"]
    entry = items["items"]["properties"]
    labels = entry["label"]["enum"][: items["maxItems"]]
    rows = entry["row"]["enum"] if "row" in entry else []
    entries: list[dict[str, Any]] = [{"label": label} for label in labels]
    for at, one in enumerate(entries):
        one |= {"row": rows[at * len(rows) // len(entries)]} if rows else {}
        one |= {"cites": [1], "reason": "It suits what you had lately."} if "cites" in entry else {}
    return json.dumps({"items": entries})


def typed(name: str, k: int, **changes: Any) -> Experiment:
    return experiment(**{
        "ks": [1, k],
        "metric": f"ndcg@{k}",
        "split": {"users": 40, "validation_users": 25},
        "pipeline": {"list_type": name, "k": k},
        "matrix": {"models": ["none", "good"]},
    } | changes)  # fmt: skip


def run_typed(name: str, k: int, out: Path, **changes: Any) -> Report:
    return run_with(typed(name, k, **changes), out, models={"good": ScriptedModel(in_order)})


@pytest.mark.parametrize(("name", "k", "length"), [("bundle", 3, 3), ("sequence", 4, 4),
                                                   ("slate", 2, 6)])  # fmt: skip
def test_typed_lists_are_made_and_measured(name: str, k: int, length: int, tmp_path: Path) -> None:
    report = run_typed(name, k, tmp_path)
    assert report.findings == []
    assert report.lists.length == kind_of(name, k).length == length
    assert report.lists.n_shown == {"bundle": 20, "sequence": 20, "slate": 40}[name]
    rows = {row.name: row for row in report.rows}
    assert {"none", "good", "retrieval only", "ceiling", "random"} <= set(rows)
    assert rows["good"].behaviour["asked"] == 40
    assert 0 < (rows["good"].behaviour["slots by model"] or 0) <= 1
    assert rows["good"].prompt == f"lists/{name}"
    assert rows["good"].comparison is not None
    assert report.blends == {}, "the pipeline blends plain lists only"
    answers = read_answers(tmp_path / "answers" / "good--test.jsonl")
    assert {len(answer.items) for answer in answers} == {length}
    assert {answer.n_shown for answer in answers} == {report.lists.n_shown}
    for text in ("report.md", "report.html"):
        assert f"Lists of type {name}, {length} items each." in (tmp_path / text).read_text()


def test_the_lists_are_those_of_the_recommender_and_the_score_is_their_order(
    tmp_path: Path,
) -> None:
    report = run_typed("bundle", 3, tmp_path)
    index = ItemIndex.open(tmp_path / "index", HashEmbedder())
    recommender = Recommender(index)
    answers = {a.user: a for a in read_answers(tmp_path / "answers" / "none--test.jsonl")}
    from rag_rec import load_sample
    from rag_rec.evaluation.experiments.sampling import sample_users

    part = sample_users(load_sample(), typed("bundle", 3).split, seed=7).test
    gains: list[float] = []
    for task, (target,) in zip(
        part.tasks, part.scorer.targets_of([task.key for task in part.tasks]), strict=True
    ):
        made = recommender.recommend(task.history, kind=kind_of("bundle", 3))
        items = [slot.item_id for slot in made.items]
        assert items == answers[task.key].items
        gains.append(1 / np.log2(2 + items.index(target)) if target in items else 0.0)
    row = report.row("none")
    assert row is not None
    assert row.value == pytest.approx(np.mean(gains))
    assert row.value != (report.row("retrieval only") or row).value, "a bundle is no top k"


def test_reports_of_typed_lists_are_read_checked_and_compared(tmp_path: Path) -> None:
    report = run_typed("sequence", 4, tmp_path)
    again = read_report(tmp_path)
    assert again == report
    check(again)
    assert {c.comparison.verdict for c in compare_reports(report, again)} == {"no difference shown"}


def test_answers_of_another_list_type_are_not_taken(tmp_path: Path) -> None:
    small = {"split": {"users": 20, "validation_users": 0}, "matrix": {"models": ["none"]}}
    run_typed("bundle", 3, tmp_path, **small)
    with pytest.raises(ConfigError, match="answers of another list_type"):
        run_with(typed("topk", 3, **small), tmp_path, ask=False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pipeline": {"list_type": "budle", "k": 3}}, "no list type 'budle'; there are topk"),
        ({"ks": [1, 3, 5]}, "ks go up to 5, but lists have k = 3"),
        ({"matrix": {"prompts": ["plain"], "models": ["good"]}}, "leave out matrix.prompts"),
        ({"variants": [{"name": "v", "prompt": "cited"}]}, "leave out prompt of 'v'"),
        ({"pipeline": {"list_type": "bundle", "k": 3, "reason_chars": 0}},
         "leave out pipeline.reason_chars: a bundle takes the prompt lists/bundle as it is"),
        ({"pipeline": {"list_type": "bundle", "k": 3, "candidates": 6}}, "pipeline.candidates"),
    ],
)  # fmt: skip
def test_settings_that_a_list_type_would_ignore_are_refused(
    change: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        typed("bundle", 3, **change)


def test_every_list_type_with_a_prompt_of_its_own_gives_one_variant_a_model() -> None:
    for name in set(LIST_TYPES) - {"topk"}:
        chosen = typed(name, 3, matrix={"models": ["none", "good"], "retrievers": ["bm25"]})
        assert [v.name for v in chosen.all_variants()] == ["none bm25", "good bm25"]
        assert {v.prompt for v in chosen.all_variants()} == {LIST_TYPES[name].prompt}

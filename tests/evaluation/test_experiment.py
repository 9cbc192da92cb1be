"""Experiments end to end on the bundled sample: what goes in, what comes out, what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from filelock import FileLock

from rag_rec import Dataset
from rag_rec.core.errors import ConfigError, DataError
from rag_rec.evaluation import Experiment, run
from rag_rec.evaluation.comparison import compare_reports
from rag_rec.evaluation.experiments.answers import read_answers
from rag_rec.evaluation.regression_gate import Gate, losses
from rag_rec.evaluation.report import read_report
from rag_rec.evaluation.report.content import article_of
from rag_rec.evaluation.report.markdown import render_markdown
from rag_rec.evaluation.report.page import render_page
from rag_rec.evaluation.report_model import Report, ReportRow
from rag_rec.llm import Request
from rag_rec.testing import HashEmbedder, ScriptedModel
from tests.experiment_help import as_given, at_random, backwards, experiment, run_with


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    out = tmp_path_factory.mktemp("run")
    return out, run_with(experiment(sensitivity={"variants": ["bad plain"], "users": 30}), out)


def rows_of(report: Report) -> dict[str, ReportRow]:
    return {row.name: row for row in report.rows}


def test_the_rows_that_are_always_there_and_what_they_must_obey(
    first: tuple[Path, Report],
) -> None:
    rows = rows_of(first[1])
    assert {"random", "popularity", "bm25", "item-knn", "retrieval only", "ceiling"} <= set(rows)
    retrieval, ceiling = rows["retrieval only"].value, rows["ceiling"].value
    assert rows["random"].value < retrieval < ceiling
    assert rows["none"].value == rows["good plain"].value == retrieval
    verdicts = {row.name: row.comparison.verdict for row in rows.values() if row.comparison}
    assert verdicts["bad plain"] == "worse"
    assert verdicts["good plain"] == "no difference shown"
    stages = list(first[1].funnel.retrieval.values())
    assert stages == sorted(stages)
    assert ceiling == pytest.approx(first[1].funnel.retrieval["retrieved, first 10"])


def test_a_model_that_turns_the_list_round_gets_no_weight_and_no_calls(
    first: tuple[Path, Report],
) -> None:
    fit = first[1].blends["bad plain"]
    assert fit.weight == 0
    assert fit.calls_saved == 1
    assert rows_of(first[1])["blend of bad plain"].value == (
        rows_of(first[1])["retrieval only"].value
    )


def test_what_is_left_on_disk(first: tuple[Path, Report]) -> None:
    out, report = first
    assert read_report(out) == report
    assert json.loads((out / "report.json").read_text()) == report.document()
    users = pl.read_parquet(out / "users.parquet")
    assert users.height == 60 * (len(report.rows) - 1)
    text = (out / "report.md").read_text()
    article = article_of(report)
    assert text == render_markdown(article)
    body = render_page(article, None).partition("<main>")[2].removesuffix("</main></body></html>\n")
    assert body in (out / "report.html").read_text()
    assert "no difference shown" in text.lower()
    assert "bad plain is worse than retrieval only" in text


def test_shuffled_candidates_show_who_follows_the_order(first: tuple[Path, Report]) -> None:
    found = first[1].sensitivity["bad plain"]
    assert found["shuffled"].follows == pytest.approx(-1)
    assert found["shuffled"].correlation is not None
    assert found["shuffled"].correlation < 0.5
    places = [place for place, *_ in found["shuffled"].by_position]
    assert places == sorted(places)
    assert {"history 5", "history 10", "history 20"} <= set(found)


def test_finished_users_are_not_asked_again(tmp_path: Path) -> None:
    chosen = experiment(split={"users": 20, "validation_users": 0}, save_every=5)
    crash = ScriptedModel(as_given)

    class Falls(ScriptedModel):
        def generate(self, requests: Any, on_done: Any = None) -> Any:
            if len(self.requests) >= 10:
                raise KeyboardInterrupt
            return super().generate(requests, on_done)

    with pytest.raises(KeyboardInterrupt):
        run_with(chosen, tmp_path, models={"good": Falls(as_given), "bad": crash})
    again = ScriptedModel(as_given)
    report = run_with(chosen, tmp_path, models={"good": again, "bad": crash})
    assert len(again.requests) == 10
    assert rows_of(report)["good plain"].behaviour["calls"] == 20
    third = ScriptedModel(as_given)
    assert run_with(chosen, tmp_path, models={"good": third, "bad": third}) == report
    assert third.requests == []


def test_a_line_torn_by_a_crash_is_asked_for_again(tmp_path: Path) -> None:
    chosen = experiment(split={"users": 20, "validation_users": 0})
    report = run_with(chosen, tmp_path)
    path = tmp_path / "answers" / "good_plain--test.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-40] + "é".encode()[:1])
    model = ScriptedModel(as_given)
    assert run_with(chosen, tmp_path, models={"good": model, "bad": model}) == report
    assert len(model.requests) == 1


def test_a_budget_stops_the_run_and_the_report_says_so(tmp_path: Path) -> None:
    models = ("good", "bad")
    chosen = experiment(
        split={"users": 40, "validation_users": 0},
        pipeline={"k": 5, "candidates": 10, "reason_chars": 0, "concurrency": 4},
        matrix={"prompts": ["plain"], "models": ["good", "bad", "none"]},
        budget={"calls": 50},
    )
    report = run_with(chosen, tmp_path)
    assert (report.users.planned, report.users.measured) == (40, 24)
    assert any("budget.calls = 50 is spent" in note for note in report.notes)
    assert any("24 of 40 users" in note for note in report.notes)
    answers = [read_answers(tmp_path / "answers" / f"{m}_plain--test.jsonl") for m in models]
    assert sum(map(len, answers)) == 52, "no more than what was in flight beyond the budget"
    more = ScriptedModel(as_given)
    again = run_with(chosen, tmp_path, models={"good": more, "bad": more})
    assert more.requests == []
    assert again.users.measured == 24


def test_repeats_are_averaged_over(tmp_path: Path) -> None:
    chosen = experiment(
        split={"users": 20, "validation_users": 0},
        repeats=3,
        matrix={"prompts": ["plain"], "models": ["good"]},
    )
    report = run_with(chosen, tmp_path, models={"good": ScriptedModel(at_random)})
    row = rows_of(report)["good plain"]
    assert len(set(row.repeats)) > 1
    assert row.value == pytest.approx(sum(row.repeats) / 3)


def test_a_taste_profile_is_asked_for_beside_the_list_and_paid_by_its_user(tmp_path: Path) -> None:
    chosen = experiment(
        split={"users": 20, "validation_users": 0},
        save_every=10,
        matrix={"prompts": ["taste"], "models": ["good"]},
    )

    def profiled(request: Request) -> str:
        assert request.schema
        asks_for_list = "items" in request.schema["properties"]
        return as_given(request) if asks_for_list else '{"cites": [1], "text": "?"}'

    report = run_with(chosen, tmp_path, models={"good": ScriptedModel(profiled)})
    assert report.findings == []
    row = rows_of(report)["good taste"]
    assert row.value == rows_of(report)["retrieval only"].value
    assert row.behaviour["calls"] == 40
    answers = read_answers(tmp_path / "answers" / "good_taste--test.jsonl")
    assert {(len(a.replies), a.profiled) for a in answers} == {(1, 1)}


def test_lists_for_another_history_are_not_taken_for_answers(
    sample: Dataset, tmp_path: Path
) -> None:
    split = {"users": 30, "validation_users": 0, "protocol": "temporal", "validation_cut": 0.7}
    chosen = experiment(split=split | {"cut": 0.8}, matrix={"models": ["none"]})
    run_with(chosen, tmp_path, dataset=sample)
    later = experiment(split=split | {"cut": 0.95}, matrix={"models": ["none"]})
    with pytest.raises(DataError, match="another history"):
        run_with(later, tmp_path, dataset=sample)


def test_a_history_has_the_same_digest_in_every_process() -> None:
    code = (
        "from rag_rec.evaluation.experiments.answers import digest_of;"
        "from rag_rec.evaluation.metrics.scorer import Task;"
        "from rag_rec.core import Constraints, UserHistory;"
        "without = Constraints(exclude=frozenset(map(str, range(50))));"
        "history = UserHistory.of('a', 'b').model_copy(update={'constraints': without});"
        "print(digest_of(Task('u', history, 'cold')))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_a_report_is_not_made_of_answers_to_something_else(tmp_path: Path) -> None:
    chosen = experiment(
        split={"users": 20, "validation_users": 0}, matrix={"prompts": ["plain"], "models": ["bad"]}
    )
    run_with(chosen, tmp_path)
    variant = {"name": "bad plain", "llm": "good", "prompt": "plain"}
    edited = experiment(split=chosen.split.model_dump(), matrix={}, variants=[variant])
    with pytest.raises(ConfigError, match="answers of another model"):
        run_with(edited, tmp_path, ask=False)


def test_two_runs_do_not_write_to_one_folder(tmp_path: Path) -> None:
    with FileLock(tmp_path / ".lock"), pytest.raises(ConfigError, match="another run is writing"):
        run_with(experiment(), tmp_path)


def test_a_run_that_died_while_it_built_its_index_builds_it_again(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / ".lock").touch()
    chosen = experiment(split={"users": 20, "validation_users": 0}, matrix={"models": ["none"]})
    report = run(chosen, tmp_path, embedder=HashEmbedder())
    assert report.users.measured == 20


def test_a_prompt_deeper_than_a_hundred_has_its_own_ceiling(tmp_path: Path) -> None:
    chosen = experiment(
        split={"users": 60, "validation_users": 0},
        pipeline={"k": 5, "candidates": 200, "reason_chars": 0},
        matrix={"models": ["none"]},
    )
    report = run_with(chosen, tmp_path)
    stages = report.funnel.retrieval
    assert stages["retrieved, first 200"] > stages["retrieved, first 100"]
    assert rows_of(report)["ceiling"].value == pytest.approx(stages["retrieved, first 200"])


def test_failures_are_misses_and_are_shown(tmp_path: Path) -> None:
    chosen = experiment(
        split={"users": 20, "validation_users": 0},
        pipeline={"k": 5, "candidates": 10, "reason_chars": 0, "reask": False},
        matrix={"prompts": ["plain"], "models": ["good"]},
    )
    report = run_with(chosen, tmp_path, models={"good": ScriptedModel("I would rather not.")})
    row = rows_of(report)["good plain"]
    assert row.behaviour["failed"] == 1
    assert row.value == 0
    said = (tmp_path / "report.md").read_text()
    assert "100.0 %" in said
    assert "order that was given is repeated" not in said


def test_prompts_that_do_not_fit_the_model_are_failures_and_are_shown(tmp_path: Path) -> None:
    chosen = experiment(
        split={"users": 20, "validation_users": 0},
        matrix={"prompts": ["plain"], "models": ["good"]},
    )
    model = ScriptedModel(as_given, context_tokens=500)
    row = rows_of(run_with(chosen, tmp_path, models={"good": model}))["good plain"]
    assert model.requests == []
    assert row.value == 0
    assert (row.behaviour["asked"], row.behaviour["failed"]) == (20, 1)
    assert row.behaviour["calls"] == 0
    assert row.delivered is not None
    assert row.delivered > 0, "users get retrieval's order"
    assert "came from a cache" not in (tmp_path / "report.md").read_text()
    errors = pl.read_parquet(tmp_path / "users.parquet").filter(pl.col("row") == "good plain")
    assert errors["error"].str.contains("tokens do not hold").all()


def test_a_report_without_people_holds_nothing_of_the_data(
    first: tuple[Path, Report], sample: Dataset, tmp_path: Path
) -> None:
    out = shutil.copytree(first[0], tmp_path / "copy")
    said = (out / "report.html").read_text()
    texts = {*sample.items["title"], *sample.interactions["user_id"]}
    assert any(text in said for text in texts)
    chosen = experiment(sensitivity={"variants": ["bad plain"], "users": 30})
    assert run_with(chosen, out, ask=False, people=False) == first[1]
    for name in ("report.html", "report.md", "report.json"):
        said = (out / name).read_text()
        assert "Leaderboard" in said or name == "report.json"
        assert not [text for text in texts if text in said]


def test_reviews_of_hidden_purchases_are_hidden_too(sample: Dataset, tmp_path: Path) -> None:
    canary = "zyzzyva-canary"
    log = sample.interactions
    last = log.group_by("user_id", maintain_order=True).last().select("user_id", "item_id")
    planted = last.with_columns(
        review_id=pl.lit("p") + pl.int_range(pl.len()).cast(pl.String),
        text=pl.lit(f"{canary} I bought this last"),
        rating=pl.lit(5.0),
        timestamp=pl.lit(None, dtype=pl.Int64),
    ).select("review_id", "item_id", "user_id", "text", "rating", "timestamp")
    from rag_rec.data import ReviewStore

    data = replace(sample, reviews=ReviewStore([*sample.reviews.frames(), planted]))
    model = ScriptedModel(at_random)
    chosen = experiment(
        matrix={"prompts": ["reviews"], "models": ["good"]},
        pipeline={"k": 5, "candidates": 10, "evidence": 1},
    )
    run_with(chosen, tmp_path, dataset=data, models={"good": model})
    assert model.requests
    assert all(canary not in turn.content for r in model.requests for turn in r.messages)
    # Chroma writes the unused slots of this file from memory that it has not cleared: what is there
    # is no part of the index, and may be anything that this process has held
    written = [p for p in tmp_path.rglob("*") if p.is_file() and p.name != "data_level0.bin"]
    assert {"chroma.sqlite3", "report.json"} <= {path.name for path in written}
    assert not [path for path in written if canary.encode() in path.read_bytes()]


def test_gates(first: tuple[Path, Report], tmp_path: Path) -> None:
    report = first[1]
    assert Gate.of("retrieval only:ndcg@5>=0.01").failures(report) == []
    (line,) = Gate.of("good plain:ndcg@5>=0.99").failures(report)
    assert "good plain" in line
    assert len(Gate.of("ndcg@5 > 0.99").failures(report)) == 3
    for wrong in ("ndcg@5", "ndcg@5>=x", "ndcg@5=>1", "ndcg@5>=1.2.3"):
        with pytest.raises(ConfigError, match="--gate"):
            Gate.of(wrong)
    with pytest.raises(ConfigError, match="was not measured"):
        Gate.of("ndcg@50>=0").failures(report)
    worse = run_with(
        experiment(),
        tmp_path,
        models={"good": ScriptedModel(backwards), "bad": ScriptedModel(as_given)},
    )
    (loss,) = losses(worse, report)
    assert loss.startswith("good plain: ndcg@5 fell")
    assert losses(report, report) == []
    tests = {e.row: e.comparison.p_holm / e.comparison.p for e in compare_reports(report, worse)}
    assert max(tests.values()) <= 5, "three variants and two blends, not the standing rows too"
    document = worse.document()
    for row in document["rows"]:
        del row["metrics"]["ndcg@5"]
    shallow = Report.model_validate(document)
    with pytest.raises(DataError, match="decided by ndcg@5, which 'test' did not measure"):
        losses(shallow, report)
    by_row = {entry.row: entry.comparison.verdict for entry in compare_reports(report, worse)}
    assert by_row["bad plain"] == "better"
    assert by_row["retrieval only"] == "no difference shown"


def test_reports_of_other_users_are_not_compared(
    first: tuple[Path, Report], tmp_path: Path
) -> None:
    other = run_with(experiment(seed=8), tmp_path)
    with pytest.raises(DataError, match="same users"):
        compare_reports(first[1], other)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metrik": "x"}, "metrik"),
        ({"metric": "ndcg@7"}, "needs 7 among ks"),
        ({"metric": "auc@5"}, "no metric 'auc@5'; write one of ndcg, recall"),
        ({"ks": [1, 5, 50]}, "lists have k = 5"),
        ({"data": {"sample": True, "items": "x.csv"}}, "either sample"),
        ({"sensitivity": {"variants": ["nobody"]}}, "which is no variant"),
        ({"split": {"cut": 0.5, "validation_cut": 0.6}}, "before cut"),
        ({"variants": [{"name": "none"}]}, "two variants are called 'none'"),
        ({"matrix": {"models": ["good", "none"]}}, "models to ask but no prompts"),
        ({"split": {"cold_below": 9, "hot_from": 9}}, "cold_below must lie below hot_from"),
        ({"budget": {"cost": 5}}, "needs a price for 'bad'"),
        ({"budget": {"prices": {"godo": [1, 1]}}}, "names 'godo', which no variant asks"),
    ],
)
def test_a_wrong_experiment_says_what_is_wrong(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        experiment(**change)


def test_the_ready_experiments_can_be_read() -> None:
    files = sorted((Path(__file__).parents[2] / "eval").glob("*.toml"))
    assert len(files) >= 2
    for file in files:
        assert Experiment.load(file).all_variants()


@pytest.mark.parametrize("name", ["sample", "movielens_small", "retrievers_temporal"])
def test_the_committed_reports_are_read_and_written_alike(name: str) -> None:
    path = Path(__file__).parents[2] / "eval" / "reports" / name / "report.json"
    assert read_report(path).document() == json.loads(path.read_text())


def test_a_report_with_a_damaged_row_is_refused(first: tuple[Path, Report], tmp_path: Path) -> None:
    document = first[1].document()
    document["rows"][0]["value"] = "high"
    (tmp_path / "report.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"report\.json.*rows\.0\.value"):
        read_report(tmp_path)


def test_a_report_of_another_format_says_how_to_write_it_again(
    first: tuple[Path, Report], tmp_path: Path
) -> None:
    document = first[1].document() | {"format": 1}
    (tmp_path / "report.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"no report of format 2.*rag-rec evaluate report"):
        read_report(tmp_path)

"""Experiments with scores: blends over all that was shown, what they add, honest audits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from experiment_help import experiment, run_with

from rag_rec import Recommender, Settings
from rag_rec.evaluation import Report
from rag_rec.index import ItemIndex
from rag_rec.llm import Request, scores_text
from rag_rec.pipeline import Blend
from rag_rec.testing import HashEmbedder, ScriptedModel


def by_letter(request: Request) -> str:
    """Score the letters, first to last."""
    assert request.ranking is not None
    return scores_text([-float(n) for n in range(len(request.ranking.labels))])


def backwards(request: Request) -> str:
    """Score the letters, last to first."""
    assert request.ranking is not None
    return scores_text([float(n) for n in range(len(request.ranking.labels))])


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    out = tmp_path_factory.mktemp("scores")
    models: dict[str, Any] = {"kept": ScriptedModel(by_letter), "turned": ScriptedModel(backwards)}
    chosen = experiment(matrix={"prompts": ["scores"], "models": ["none", "kept", "turned"]})
    return run_with(chosen, out, models=models), out


def test_scores_are_measured_like_any_list(ran: tuple[Report, Path]) -> None:
    report, _ = ran
    assert report.findings == []
    rows = {row.name: row for row in report.rows}
    assert rows["kept scores"].value == rows["none"].value
    assert rows["turned scores"].value < rows["none"].value
    behaviour = rows["kept scores"].behaviour
    assert (behaviour["valid"], behaviour["kept order"], behaviour["re-asked"]) == (1, 1, 0)


def test_a_model_against_retrieval_gets_no_weight_and_adds_nothing(
    ran: tuple[Report, Path],
) -> None:
    report, out = ran
    fit = report.blends["turned scores"]
    assert (fit.weight, fit.calls_saved) == (0, 1)
    assert {name for name in fit.added if name != "rare items"} >= {"all"}
    assert {one.value for one in fit.added.values()} == {0}
    assert fit.added["all"].users == report.users.measured
    blend = Blend.load(out / fit.file)
    assert blend.answer == "scores"
    index = ItemIndex.open(out / "index", HashEmbedder())
    settings = Settings(prompt="scores", blend=str(out / fit.file))
    made = Recommender(index, ScriptedModel(backwards), settings).recommend(index.user_ids[0])
    assert made.outcome == "retrieval_only"
    assert "Added to retrieval's ndcg@5" in (out / "report.md").read_text()


def test_several_orders_are_no_sign_of_retries(tmp_path: Path) -> None:
    from rag_rec.prompting import prompt_folder

    prompt = tmp_path / "averaged.toml"
    prompt.write_text((prompt_folder() / "scores.toml").read_text() + "permutations = 3\n")
    model = ScriptedModel(by_letter)
    chosen = experiment(
        variants=[{"name": "three", "llm": "kept", "prompt": str(prompt)}],
        matrix={},
        split={"users": 20, "validation_users": 20},
    )
    report = run_with(chosen, tmp_path / "out", models={"kept": model})
    assert report.findings == []
    assert len(model.requests) == 3 * (20 + 20)
    row = next(row for row in report.rows if row.name == "three")
    assert row.behaviour["calls"] == 60

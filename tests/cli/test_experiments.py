"""``rag-rec evaluate run | report | compare`` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from rag_rec.cli.app import app
from rag_rec.core.errors import ConfigError
from rag_rec.data import SAMPLE_FOLDER
from rag_rec.evaluation import Experiment

EXPERIMENT = """
name = "Without a model"
ks = [1, 5]
metric = "ndcg@5"

[data]
items = "items.jsonl"
interactions = "log.csv"

[split]
users = 40
validation_users = 0

[pipeline]
k = 5

[matrix]
models = ["none"]
retrievers = ["fused", "item-knn"]
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    lines = (SAMPLE_FOLDER / "items.jsonl").read_text().splitlines()[:80]
    (folder / "items.jsonl").write_text("\n".join(lines) + "\n")
    known = {json.loads(line)["item_id"] for line in lines}
    log = pl.read_csv(SAMPLE_FOLDER / "interactions.csv").filter(pl.col("item_id").is_in(known))
    log.write_csv(folder / "log.csv")
    (folder / "experiment.toml").write_text(EXPERIMENT)
    result = CliRunner().invoke(app, ["evaluate", "run", str(folder / "experiment.toml"),
                                      "--out", str(folder / "out")])  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "retrieval only" in result.output
    assert "no difference shown" in result.output.lower()
    return folder


def test_it_leaves_every_report(done: Path) -> None:
    names = {path.name for path in (done / "out").iterdir()}
    assert {"report.json", "report.md", "report.html", "users.parquet"} <= names


def test_reports_can_be_written_again_and_compared(done: Path) -> None:
    first = json.loads((done / "out" / "report.json").read_text())
    again = CliRunner().invoke(app, ["evaluate", "report", str(done / "experiment.toml"),
                                     "--out", str(done / "out"), "--json"])  # fmt: skip
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout) == first
    out = str(done / "out")
    compared = CliRunner().invoke(app, ["evaluate", "compare", out, out, "--json"])
    assert compared.exit_code == 0, compared.output
    rows = json.loads(compared.stdout)
    assert {row["verdict"] for row in rows} == {"no difference shown"}
    assert "none item-knn" in {row["row"] for row in rows}


def test_gates_decide_the_exit_code(done: Path) -> None:
    command = ["evaluate", "run", str(done / "experiment.toml"), "--out", str(done / "out")]
    kept = CliRunner().invoke(app, [*command, "--gate", "ndcg@5>=0.01",
                                    "--gate-against", str(done / "out")])  # fmt: skip
    assert kept.exit_code == 0, kept.output
    broken = CliRunner().invoke(app, [*command, "--gate", "none:ndcg@5>=0.9"])
    assert broken.exit_code == 100


def test_a_path_may_name_a_variable_that_must_be_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rag_rec.evaluation.experiments.study import load_data

    monkeypatch.delenv("NOWHERE_DATA", raising=False)
    chosen = Experiment.of({"name": "x", "data": {"items": "$NOWHERE_DATA/items.csv"}, "ks": [10]})
    with pytest.raises(ConfigError, match="NOWHERE_DATA; set it"):
        load_data(chosen.data, tmp_path / "x.toml")
    (tmp_path / "log.csv").write_text("user_id,item_id,timestamp\nu,a,1\nu,b,2\n")
    monkeypatch.setenv("NOWHERE_DATA", str(tmp_path))
    found = Experiment.of(
        {"name": "x", "data": {"interactions": "${NOWHERE_DATA}/log.csv"}, "ks": [10]}
    )
    assert load_data(found.data, None).interactions.height == 2

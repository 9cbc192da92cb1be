"""Reports and experiments that somebody else wrote, or damaged: read as they are, or one line."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile import TEXTS, is_done_or_refused

from rag_rec import ConfigError, DataError, Settings
from rag_rec.evaluation import Experiment, Report, compare_reports, conclusions, read_report
from rag_rec.evaluation.report.content import article_of
from rag_rec.evaluation.report.markdown import render_markdown

SAMPLE = Path(__file__).parents[2] / "eval" / "reports" / "sample" / "report.json"
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 10**9, 10**18, 10**400, 0.5, float("nan"), float("inf"), "", "x" * 5_000,
    TEXTS["half a pair"], [], {}, [[]], [[[0]]], [[[10**9]]], {"x": float("nan")},
)  # fmt: skip
DOCUMENT = json.loads(SAMPLE.read_text())


@pytest.fixture(scope="module")
def sample() -> Report:
    return read_report(SAMPLE)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the places of all values, of lists the first and the last."""
    yield at
    if isinstance(value, dict):
        inner = list(value.items())
    else:
        inner = (
            [(n, value[n]) for n in {0, len(value) - 1}]
            if value and at and isinstance(value, list)
            else []
        )
    for key, one in inner:
        yield from places(one, (*at, key))


def damaged(at: tuple[Any, ...], value: Any) -> Any:
    document = json.loads(json.dumps(DOCUMENT))
    target = document
    for key in at[:-1]:
        target = target[key]
    if at:
        target[at[-1]] = value
    return document if at else value


def used(path: Path, sample: Report) -> None:
    report = read_report(path)
    compare_reports(sample, report)
    compare_reports(report, sample)
    conclusions(report)
    render_markdown(article_of(report))


def test_every_damaged_report_is_used_or_refused_in_one_line(
    sample: Report, tmp_path: Path
) -> None:
    rng = random.Random(5)
    every = [at for at in places(DOCUMENT) if at[:2] != ("experiment", "data")]
    path = tmp_path / "report.json"
    for at in rng.sample(every, 120):
        path.write_text(json.dumps(damaged(at, rng.choice(VALUES))))
        assert is_done_or_refused(lambda: used(path, sample)), at


@pytest.mark.parametrize("value", [0, -1, 10**9])
def test_a_place_outside_the_lists_is_refused(value: int, tmp_path: Path) -> None:
    row = next(iter(DOCUMENT["hits"]["places"]))
    path = tmp_path / "report.json"
    path.write_text(json.dumps(damaged(("hits", "places", row, 0, 0), [value])))
    with pytest.raises(DataError, match="place"):
        read_report(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_figure_is_no_number(value: float, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(damaged(("rows", 0, "value"), value)))
    with pytest.raises(DataError, match="not a report"):
        read_report(path)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"[" * 50_000, b"9" * 5_000, b"null", b"[]", b'"x"', b"{}"]
)
def test_what_is_no_report_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(content)
    assert is_done_or_refused(lambda: read_report(path))


BASE: dict[str, Any] = {"name": "x", "data": {"sample": True}, "variants": [{"name": "a"}]}


@pytest.mark.parametrize(
    "changes",
    [
        {"pipeline": {"k": 10**9}},
        {"pipeline": {"candidates": 10**9}},
        {"ks": [10**9], "metric": "ndcg@1000000000"},
        {"seed": -1},
        {"repeats": 10**9},
        {"name": "x" * 5_000},
        {"variants": [{"name": "y" * 5_000}]},
        {"metric": "ndcg@" + "9" * 5_000},
    ],
)
def test_an_experiment_without_bounds_is_refused_in_one_line(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        Experiment.of(BASE | changes, where="e.toml")
    assert len(str(caught.value)) < 1_600
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("changes", [{"k": 10**9}, {"seed": -1}, {"seed": 2**63}])
def test_settings_without_bounds_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"less than|greater than"):
        Settings.load(None, **changes)

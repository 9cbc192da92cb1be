"""Whom an experiment asks under which condition, and when its budget ends it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rag_rec.core import Constraints, PromptError, Usage, UserHistory
from rag_rec.evaluation.experiments.answers import UserAnswer
from rag_rec.evaluation.experiments.conditions import plan_of, sensitivity_conditions
from rag_rec.evaluation.experiments.experiment import BudgetSettings
from rag_rec.evaluation.experiments.prompts import with_settings
from rag_rec.evaluation.experiments.spending import BudgetSpent, Spending, price_of
from rag_rec.evaluation.metrics.scorer import Task
from rag_rec.prompting import load_variant
from tests.experiment_help import experiment


def tasks(n: int) -> tuple[Task, ...]:
    barred = Constraints(exclude=frozenset({"barred"}))
    return tuple(
        Task(f"u{at}", UserHistory.of(*"abcdef", user_id=f"u{at}").model_copy(
            update={"constraints": barred}), "warm")
        for at in range(n)
    )  # fmt: skip


def test_the_test_comes_first_then_repeats_validation_and_sensitivity() -> None:
    chosen = experiment(repeats=3, seed=7, sensitivity={"variants": ["bad plain"], "users": 2})
    plan = plan_of(chosen, tasks(4), tasks(3))
    assert [condition.name for condition, _ in plan] == [
        "test", "repeat 2", "repeat 3", "validation", "shuffled",
        "history 5", "history 10", "history 20",
    ]  # fmt: skip
    asked = {condition.name: [v.name for v in variants] for condition, variants in plan}
    assert asked["test"] == asked["validation"] == ["none", "good plain", "bad plain"]
    assert asked["shuffled"] == asked["history 5"] == ["bad plain"]
    by_name = {condition.name: condition for condition, _ in plan}
    assert [by_name[name].seed for name in ("test", "repeat 2", "repeat 3")] == [7, 9, 10]
    assert [len(by_name[name].tasks) for name in ("test", "validation", "shuffled")] == [4, 3, 2]
    assert [name for name in by_name if by_name[name].shuffled] == ["shuffled"]


def test_nothing_is_asked_again_without_a_reason() -> None:
    plan = plan_of(experiment(), tasks(4), ())
    assert [condition.name for condition, _ in plan] == ["test"]


def test_a_shorter_history_keeps_the_older_items_out_of_the_lists() -> None:
    settings = {"variants": ["bad plain"], "users": 1, "shuffle": False, "history": [2, 9]}
    short, whole = sensitivity_conditions(experiment(sensitivity=settings), tasks(3))
    assert (short.name, whole.name) == ("history 2", "history 9")
    ((cut,), (same,)) = (short.tasks, whole.tasks)
    assert cut.history.item_ids == ("e", "f")
    assert cut.history.constraints.exclude == {"barred", "a", "b", "c", "d"}
    assert same.history.item_ids == tuple("abcdef")
    assert same.history.constraints.exclude == {"barred"}


def spent(**usage: float) -> UserAnswer:
    made = UserAnswer("u", [], [], [], [], "ok")
    return replace(made, usage=Usage.model_validate(usage))


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ({"calls": 3}, r"budget\.calls = 3 is spent \(3\)"),
        ({"tokens": 300}, r"budget\.tokens = 300 is spent \(360\)"),
        ({"cost": 0.0004}, r"budget\.cost = 0\.0004 is spent \(0\.00042\)"),
    ],
)
def test_a_limit_that_is_reached_ends_the_run(limit: dict[str, float], said: str) -> None:
    budget = BudgetSettings.model_validate(limit | {"prices": {"m": [1.0, 2.0]}})
    spending = Spending(budget)
    spending.check()
    spending.add("m", [spent(calls=1, prompt_tokens=100, completion_tokens=20)] * 2)
    spending.check()
    spending.add("m", [spent(calls=1, prompt_tokens=100, completion_tokens=20)])
    with pytest.raises(BudgetSpent, match=said):
        spending.check()


def test_no_limit_is_never_reached_and_a_model_without_a_price_costs_nothing() -> None:
    spending = Spending(BudgetSettings())
    spending.add("m", [spent(calls=10**6, prompt_tokens=10**9)])
    spending.check()
    assert price_of(Usage(prompt_tokens=10), None) == 0
    assert price_of(Usage(prompt_tokens=10**6, completion_tokens=10**6), (1.5, 2.0)) == 3.5


def test_a_prompt_without_settings_gets_a_table_of_them(tmp_path: Path) -> None:
    shipped = with_settings("plain", {}, tmp_path).read_text()
    bare = tmp_path / "bare.toml"
    bare.write_text(shipped.partition("[settings]")[0])
    made = load_variant(with_settings(str(bare), {"max_history": 3}, tmp_path / "out"))
    assert made.settings.max_history == 3
    assert made.user.template == load_variant("plain").user.template


def test_settings_that_a_prompt_cannot_have_are_refused_before_they_are_written(
    tmp_path: Path,
) -> None:
    with pytest.raises(PromptError, match="max_candidates"):
        with_settings("plain", {"max_candidates": 0}, tmp_path)
    assert list(tmp_path.iterdir()) == []

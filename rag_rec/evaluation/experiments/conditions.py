"""Conditions under which variants are asked: the test, repeats, validation, sensitivity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rag_rec.core import UserHistory
from rag_rec.evaluation.experiments.experiment import Experiment, VariantSettings
from rag_rec.evaluation.metrics.scorer import Task


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition under which variants are asked.

    Attributes:
        name: ``test``, ``validation``, ``shuffled``, ``history 5``, or ``repeat 2``.
        kind: What of it differs from the plain test.
        tasks: Who is asked for.
        seed: Sampling seed of the model.
    """

    name: str
    kind: Literal["plain", "shuffled"]
    tasks: tuple[Task, ...]
    seed: int


Plan = Sequence[tuple[Condition, Sequence[VariantSettings]]]
"""The conditions, in order, and who is asked in each."""


def conditions_of(
    experiment: Experiment, test: Sequence[Task], validation: Sequence[Task]
) -> list[Condition]:
    """Return the conditions under which every variant is asked: test, repeats, validation."""
    seed = experiment.seed
    repeats = [
        Condition(f"repeat {n}", "plain", tuple(test), seed + n)
        for n in range(2, experiment.repeats + 1)
    ]
    conditions = [Condition("test", "plain", tuple(test), seed), *repeats]
    if validation:
        conditions.append(Condition("validation", "plain", tuple(validation), seed))
    return conditions


def sensitivity_conditions(experiment: Experiment, test: Sequence[Task]) -> list[Condition]:
    """Return the conditions of sensitivity, for the first users of the test."""
    settings = experiment.sensitivity
    some = tuple(test[: settings.users])
    conditions = (
        [Condition("shuffled", "shuffled", some, experiment.seed)] if settings.shuffle else []
    )
    for n in settings.history:
        cut = tuple(Task(t.key, _cut(t.history, n), t.stratum) for t in some)
        conditions.append(Condition(f"history {n}", "plain", cut, experiment.seed))
    return conditions


def _cut(history: UserHistory, n: int) -> UserHistory:
    """The last ``n`` events; what was before them stays out of the lists."""
    constraints = history.constraints
    dropped = frozenset(event.item_id for event in history.events[:-n])
    return history.model_copy(
        update={
            "events": history.events[-n:],
            "constraints": constraints.model_copy(
                update={"exclude": constraints.exclude | dropped}
            ),
        }
    )

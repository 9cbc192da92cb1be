"""The circumstances under which variants are asked: the test, repeats, validation, sensitivity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rag_rec.core import UserHistory
from rag_rec.evaluation.experiments.experiment import Experiment, VariantSettings
from rag_rec.evaluation.metrics.scorer import Task


@dataclass(frozen=True, slots=True)
class Arm:
    """One circumstance under which a variant is asked.

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


Plan = Sequence[tuple[Arm, Sequence[VariantSettings]]]
"""The arms, in order, and who is asked in each."""


def arms_of(experiment: Experiment, test: Sequence[Task], validation: Sequence[Task]) -> list[Arm]:
    """The arms in which every variant is asked: the test, its repeats, validation."""
    seed = experiment.seed
    repeats = [
        Arm(f"repeat {n}", "plain", tuple(test), seed + n) for n in range(2, experiment.repeats + 1)
    ]
    arms = [Arm("test", "plain", tuple(test), seed), *repeats]
    if validation:
        arms.append(Arm("validation", "plain", tuple(validation), seed))
    return arms


def sensitivity_arms(experiment: Experiment, test: Sequence[Task]) -> list[Arm]:
    """The arms of sensitivity: candidates shuffled, histories cut; the first users of the test."""
    settings = experiment.sensitivity
    some = tuple(test[: settings.users])
    arms = [Arm("shuffled", "shuffled", some, experiment.seed)] if settings.shuffle else []
    for n in settings.history:
        cut = tuple(Task(t.key, _cut(t.history, n), t.stratum) for t in some)
        arms.append(Arm(f"history {n}", "plain", cut, experiment.seed))
    return arms


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

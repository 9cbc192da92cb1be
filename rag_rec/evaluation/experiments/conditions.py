"""Conditions under which variants are asked: the test, repeats, validation, sensitivity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rag_rec.core import UserHistory
from rag_rec.evaluation.experiments.experiment import Experiment, VariantSettings
from rag_rec.evaluation.metrics.scorer import Task


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition under which variants are asked.

    Attributes:
        name: ``test``, ``validation``, ``shuffled``, ``history 5``, or ``repeat 2``.
        tasks: Who is asked for.
        seed: Sampling seed of the model.
        shuffled: True where candidates are shown in random order.
    """

    name: str
    tasks: tuple[Task, ...]
    seed: int
    shuffled: bool = False


Plan = Sequence[tuple[Condition, Sequence[VariantSettings]]]
"""The conditions, in order, and who is asked in each."""


def plan_of(experiment: Experiment, test: tuple[Task, ...], validation: tuple[Task, ...]) -> Plan:
    """Return what is asked, in order: test, repeats and validation for all, then sensitivity."""
    seed, variants = experiment.seed, experiment.all_variants()
    repeats = range(2, experiment.repeats + 1)
    asked = [
        Condition("test", test, seed),
        *(Condition(f"repeat {n}", test, seed + n) for n in repeats),
        *([Condition("validation", validation, seed)] if validation else []),
    ]
    some = [one for one in variants if one.name in experiment.sensitivity.variants]
    extra = sensitivity_conditions(experiment, test) if some else []
    return [(one, variants) for one in asked] + [(one, some) for one in extra]


def sensitivity_conditions(experiment: Experiment, test: Sequence[Task]) -> list[Condition]:
    """Return the conditions of sensitivity, for the first users of the test."""
    settings, seed = experiment.sensitivity, experiment.seed
    some = tuple(test[: settings.users])
    cut = {n: tuple(replace(t, history=_cut(t.history, n)) for t in some) for n in settings.history}
    mixed = [Condition("shuffled", some, seed, shuffled=True)] if settings.shuffle else []
    return mixed + [Condition(f"history {n}", tasks, seed) for n, tasks in cut.items()]


def _cut(history: UserHistory, n: int) -> UserHistory:
    """Return the last ``n`` events; items of those before them stay out of the lists."""
    constraints = history.constraints
    dropped = frozenset(event.item_id for event in history.events[:-n])
    barred = constraints.model_copy(update={"exclude": constraints.exclude | dropped})
    return history.model_copy(update={"events": history.events[-n:], "constraints": barred})

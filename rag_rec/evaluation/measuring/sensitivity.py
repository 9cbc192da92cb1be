"""Dependence of a model's order on the order it was shown and on the length of the history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from rag_rec.evaluation.experiments.answers import Answers, Gathered, UserAnswer
from rag_rec.evaluation.experiments.conditions import Condition, sensitivity_conditions
from rag_rec.evaluation.experiments.study import Study
from rag_rec.evaluation.metrics.accuracy import measure
from rag_rec.evaluation.metrics.scorer import Scorer
from rag_rec.evaluation.report_model import ConditionFigures
from rag_rec.evaluation.statistics import mean_known


def measure_sensitivity(study: Study, found: Gathered) -> dict[str, dict[str, ConditionFigures]]:
    """Measure the chosen variants under each condition that anybody has answered for."""
    conditions = sensitivity_conditions(study.experiment, study.sampled.test.tasks)
    figures = {
        name: {
            condition.name: _figures(
                study, condition, found["test"][name], found.get(condition.name, {}).get(name, {})
            )
            for condition in conditions
        }
        for name in study.experiment.sensitivity.variants
    }
    return {
        name: {condition: one for condition, one in some.items() if one is not None}
        for name, some in figures.items()
    }


def _figures(
    study: Study, condition: Condition, plain: Answers, answers: Answers
) -> ConditionFigures | None:
    """Compare a variant's answers under a condition with its plain ones; None without any."""
    users = [task.key for task in condition.tasks if task.key in answers and task.key in plain]
    if not users:
        return None
    scorer, k = study.sampled.test.scorer, study.experiment.pipeline.kind.length

    def mean(lists: dict[str, list[str]]) -> float:
        relevance = scorer.relevance(lists, users, k)
        return float(measure(relevance, study.experiment.metric).mean())

    figures = ConditionFigures(
        users=len(users),
        planned=len(condition.tasks),
        value=mean({user: answers[user].counted for user in users}),
        as_asked=mean({user: plain[user].counted for user in users}),
    )
    if not condition.shuffled:
        kept = mean({user: answers[user].candidates[:k] for user in users})
        return figures.model_copy(update={"retrieval": kept})
    pairs = [(plain[user].by_model, answers[user].by_model) for user in users]
    mixed = [answers[user] for user in users]
    bias = {
        "correlation": mean_known(_tau(first, second) for first, second in pairs),
        "overlap": mean_known(_overlap(first, second) for first, second in pairs),
        "follows": mean_known(_tau(answer.shown, answer.by_model) for answer in mixed),
        "by_position": tuple(_by_position(mixed, scorer)),
    }
    return figures.model_copy(update=bias)


def _by_position(
    answers: Sequence[UserAnswer], scorer: Scorer
) -> list[tuple[int, int, float, float]]:
    users = [answer.user for answer in answers]
    places = scorer.relevance({a.user: a.shown for a in answers}, users).first_rank()
    ranks = scorer.relevance({a.user: a.by_model for a in answers}, users).first_rank()
    rows: list[tuple[int, int, float, float]] = []
    for place in range(1, int(places.max(initial=0)) + 1):
        there = ranks[places == place]
        if len(there):
            reciprocal = np.where(there > 0, 1 / np.maximum(there, 1), 0.0)
            rows.append((place, len(there), float((there == 1).mean()), float(reciprocal.mean())))
    return rows


def _tau(first: Sequence[str], second: Sequence[str]) -> float | None:
    """Return Kendall's tau over the items both name; None below two."""
    place = {item: at for at, item in enumerate(second)}
    shared = [place[item] for item in first if item in place]
    if len(shared) < 2:
        return None
    result: Any = stats.kendalltau(np.arange(len(shared)), shared)
    return float(result.statistic)


def _overlap(first: Sequence[str], second: Sequence[str]) -> float | None:
    longest = max(len(first), len(second))
    return len(set(first) & set(second)) / longest if longest else None

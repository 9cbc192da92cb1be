"""Fits on validation how much a model's order should count, and whom it pays to ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rag_rec.evaluation.experiments.answers import Answer
from rag_rec.evaluation.experiments.experiment import SplitSettings
from rag_rec.evaluation.metrics.accuracy import Values, measure
from rag_rec.evaluation.metrics.scorer import Scorer, Task
from rag_rec.evaluation.metrics.sensitivity import by_model
from rag_rec.pipeline import Blend, LengthWeight, blended

WEIGHTS = tuple(round(0.1 * step, 1) for step in range(11))


@dataclass(frozen=True, slots=True)
class Fit:
    """A blend and why.

    Attributes:
        blend: The weights.
        curve: Mean of the metric on validation at each of `WEIGHTS`.
        n_users: Validation users.
        asked: Share of the test's users the blend asks the model for.
        by_stratum: Weight, validation users and why, by stratum.
    """

    blend: Blend
    curve: list[float]
    n_users: int
    asked: float
    by_stratum: dict[str, tuple[float, int, str]]


def fit_blend(
    validation: Mapping[str, Answer],
    tasks: Sequence[Task],
    scorer: Scorer,
    *,
    metric: str,
    split: SplitSettings,
) -> Fit:
    """The weight with the best mean on validation, overall and by length of the history.

    A weight above 0 must beat 0 by more than one standard error of the paired difference;
    otherwise the model is not asked. A stratum with fewer than ten users takes the overall weight.

    Args:
        validation: The variant's answers to validation tasks, by user.
        tasks: The validation tasks.
        scorer: Holds their targets.
        metric: What is to be best, such as ``ndcg@10``.
        split: Where the strata begin.
    """
    users = [task.key for task in tasks]
    table = np.stack([_values(validation, users, scorer, metric, w) for w in WEIGHTS])
    overall, _ = _best(table)
    starts = {"cold": 0, "warm": split.cold_below, "hot": split.hot_from}
    by_stratum: dict[str, tuple[float, int, str]] = {}
    for name in starts:
        rows = np.array([task.stratum == name for task in tasks], np.bool_)
        n = int(rows.sum())
        found, why = (overall, "too few users: the overall weight") if n < 10 else _best(
            table[:, rows]
        )  # fmt: skip
        by_stratum[name] = (found, n, why)
    entries = tuple(
        LengthWeight(at_least=start, weight=by_stratum[name][0]) for name, start in starts.items()
    )
    blend = Blend(weight=overall, by_history=entries)
    asked = float(np.mean([blend.weight_for(len(t.history.events)) > 0 for t in tasks]))
    return Fit(blend, [float(v) for v in table.mean(axis=1)], len(users), asked, by_stratum)


def blend_answers(
    answers: Mapping[str, Answer], blend: Blend, tasks: Sequence[Task]
) -> dict[str, list[str]]:
    """The lists `Recommender` would make with a blend, from answers that are already there."""
    return {
        task.key: list_with(answers[task.key], blend.weight_for(len(task.history.events)))
        for task in tasks
    }


def list_with(answer: Answer, weight: float) -> list[str]:
    """One answer's list at a weight; at 0 the model is not asked, so it is retrieval's."""
    if weight == 0:
        return answer.candidates[: len(answer.items)]
    if answer.outcome == "failed":
        return []
    chosen = set(by_model(answer))
    return blended(answer.items, [i in chosen for i in answer.items], answer.candidates, weight)


def _values(
    answers: Mapping[str, Answer], users: Sequence[str], scorer: Scorer, metric: str, weight: float
) -> Values:
    lists = {user: list_with(answers[user], weight) for user in users}
    depth = max((len(items) for items in lists.values()), default=0)
    return measure(scorer.relevance(lists, users, depth), metric)


def _best(table: Values) -> tuple[float, str]:
    """The best weight of rows ``[weights, users]`` if it beats weight 0 by a standard error."""
    at = int(table.mean(axis=1).argmax())
    gain = table[at] - table[0]
    error = float(gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else 0.0
    if at == 0 or gain.mean() <= error:
        return 0.0, "no weight gains more than its standard error"
    return WEIGHTS[at], f"gains {gain.mean():.4f}, standard error {error:.4f}"

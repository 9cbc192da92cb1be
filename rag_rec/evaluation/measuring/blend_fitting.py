"""Fit on validation the weight of a model's order, by length of the history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rag_rec.evaluation.experiments.answers import Answers, Gathered, UserAnswer, answered
from rag_rec.evaluation.experiments.experiment import SplitSettings
from rag_rec.evaluation.experiments.study import Study
from rag_rec.evaluation.measuring.rows import LeaderboardRow
from rag_rec.evaluation.metrics.accuracy import Values, measure
from rag_rec.evaluation.metrics.scorer import Scorer, Task
from rag_rec.evaluation.report_model import Added, FittedBlend
from rag_rec.evaluation.statistics import bootstrap_interval
from rag_rec.list_types import TopK
from rag_rec.pipeline import Blend, LengthWeight, blended, blended_scores

WEIGHTS = tuple(round(0.1 * step, 1) for step in range(11))

MIN_USERS = 20
"""Validation users below which no blend is fitted."""

MIN_OF_STRATUM = 10
"""Users below which a stratum takes the overall weight."""

RARE_BELOW = 5
"""Events below which an item is rare: the bound of the 5-core in published protocols."""


@dataclass(frozen=True, slots=True)
class BlendFit:
    """A fitted blend and the grounds of its weights.

    Attributes:
        blend: The weights.
        curve: Mean of the metric on validation at each of `WEIGHTS`.
        by_stratum: Weight, validation users and reason of the choice, by stratum.
    """

    blend: Blend
    curve: list[float]
    by_stratum: dict[str, tuple[float, int, str]]


def fit_blends(
    study: Study, found: Gathered, tasks: Sequence[Task], rows: Sequence[LeaderboardRow]
) -> tuple[list[LeaderboardRow], dict[str, FittedBlend]]:
    """Fit a blend for every variant whose model answered for enough validation users.

    Each blend is written to a file of the run, and scored on the test once, in a row of its own.
    The pipeline blends plain lists only; for others nothing is fitted.
    """
    experiment, part = study.experiment, study.sampled.validation
    blend_rows: list[LeaderboardRow] = []
    blends: dict[str, FittedBlend] = {}
    asking = [one.name for one in experiment.all_variants() if one.llm != "none"]
    for name in asking if isinstance(experiment.pipeline.kind, TopK) else ():
        answers = found.get("validation", {}).get(name, {})
        known = answered(part.tasks, [answers])
        if len(known) >= MIN_USERS:
            fit = fit_blend(
                answers, known, part.scorer, metric=experiment.metric, split=experiment.split
            )
            row = next(row for row in rows if row.name == name)
            blend_row = _blend_row(study, row, fit.blend, tasks)
            blend_rows.append(blend_row)
            saved = _saved(study, name, fit, n_users=len(known), tasks=tasks)
            added = _added(study, blend_row, row, tasks)
            blends[name] = saved.model_copy(update={"added": added})
    return blend_rows, blends


def _blend_row(
    study: Study, row: LeaderboardRow, blend: Blend, tasks: Sequence[Task]
) -> LeaderboardRow:
    """Return the row of the lists `Recommender` would make, from answers already given."""
    lists = {
        task.key: list_with(row.answers[task.key], blend.weight_for(len(task.history.events)))
        for task in tasks
    }
    scorer, k = study.sampled.test.scorer, study.experiment.pipeline.kind.length
    relevance = scorer.relevance(lists, [task.key for task in tasks], k)
    return LeaderboardRow(f"blend of {row.name}", "blend", [relevance], lists)


def _saved(
    study: Study, variant: str, fit: BlendFit, *, n_users: int, tasks: Sequence[Task]
) -> FittedBlend:
    """Write a blend to a file of the run; return what the report says of it."""
    experiment, blend = study.experiment, fit.blend
    said = f"{variant}, {experiment.metric} of {n_users} users of {experiment.name}"
    file = f"blends/{variant.replace(' ', '_')}.toml"
    (study.out / "blends").mkdir(exist_ok=True)
    blend.model_copy(update={"fitted_on": said}).save(study.out / file)
    return FittedBlend(
        weight=blend.weight,
        by_history=blend.by_history,
        by_stratum=fit.by_stratum,
        curve=dict(zip(map(str, WEIGHTS), fit.curve, strict=True)),
        validation_users=n_users,
        calls_saved=1 - share_asked(blend, tasks),
        file=file,
    )


def _added(
    study: Study, blend_row: LeaderboardRow, row: LeaderboardRow, tasks: Sequence[Task]
) -> dict[str, Added]:
    """Return what a blend adds to the order in which its variant's candidates were retrieved."""
    experiment, scorer = study.experiment, study.sampled.test.scorer
    users = [task.key for task in tasks]
    kept = {user: list_with(row.answers[user], 0) for user in users}
    before = measure(scorer.relevance(kept, users), experiment.metric)
    gain = blend_row.values(experiment.metric) - before
    counts, ids = study.index.popularity, study.index.find
    rare = [
        all((at := ids(item)) is not None and counts[at] < RARE_BELOW for item in targets)
        for targets in scorer.targets_of(users)
    ]
    groups = {"all": np.ones(len(users), np.bool_), "rare items": np.array(rare, np.bool_)}
    for stratum in dict.fromkeys(task.stratum for task in tasks):
        groups[stratum] = np.array([task.stratum == stratum for task in tasks], np.bool_)
    found: dict[str, Added] = {}
    for name, chosen in groups.items():
        if some := int(chosen.sum()):
            low, high = bootstrap_interval(gain[chosen], seed=experiment.seed)
            mean = float(gain[chosen].mean())
            found[name] = Added(users=some, value=mean, low=low, high=high)
    return found


def share_asked(blend: Blend, tasks: Sequence[Task]) -> float:
    """Return the share of users for whom a blend asks the model."""
    return float(np.mean([blend.weight_for(len(t.history.events)) > 0 for t in tasks]))


def fit_blend(
    validation: Answers,
    tasks: Sequence[Task],
    scorer: Scorer,
    *,
    metric: str,
    split: SplitSettings,
) -> BlendFit:
    """Choose the weight with the best mean on validation, overall and by length of the history.

    A weight above 0 must beat 0 by more than one standard error of the paired difference;
    otherwise the model is not asked. A stratum with fewer than ten users takes the overall weight.

    Args:
        validation: The variant's answers to validation tasks, by user.
        tasks: The validation tasks.
        scorer: The scorer of their targets.
        metric: The metric to maximise, such as ``ndcg@10``.
        split: Its limits of the strata.
    """
    table = np.stack([_values(validation, tasks, scorer, metric, w) for w in WEIGHTS])
    overall, _ = _best(table)
    starts = {"cold": 0, "warm": split.cold_below, "hot": split.hot_from}
    by_stratum: dict[str, tuple[float, int, str]] = {}
    for name in starts:
        rows = np.array([task.stratum == name for task in tasks], np.bool_)
        few = (overall, "too few users: the overall weight")
        weight, why = _best(table[:, rows]) if rows.sum() >= MIN_OF_STRATUM else few
        by_stratum[name] = (weight, int(rows.sum()), why)
    entries = tuple(
        LengthWeight(at_least=start, weight=by_stratum[name][0]) for name, start in starts.items()
    )
    scored = any(validation[task.key].scores is not None for task in tasks)
    blend = Blend(weight=overall, by_history=entries, answer="scores" if scored else "list")
    return BlendFit(blend, table.mean(axis=1).tolist(), by_stratum)


def list_with(answer: UserAnswer, weight: float) -> list[str]:
    """Return one answer's list at a weight; at 0 the model is not asked: retrieval's order."""
    if weight == 0:
        return answer.candidates[: len(answer.items)]
    if answer.outcome == "failed":
        return []
    if answer.scores is not None:
        order = blended_scores(answer.scores, answer.candidates, weight)
        return list(dict.fromkeys([*order, *answer.candidates]))[: len(answer.items)]
    chosen = set(answer.by_model)
    return blended(answer.items, [i in chosen for i in answer.items], answer.candidates, weight)


def _values(
    answers: Answers, tasks: Sequence[Task], scorer: Scorer, metric: str, weight: float
) -> Values:
    lists = {task.key: list_with(answers[task.key], weight) for task in tasks}
    return measure(scorer.relevance(lists, [task.key for task in tasks]), metric)


def _best(table: Values) -> tuple[float, str]:
    """Return the best weight of ``[weights, users]`` if it beats 0 by a standard error."""
    at = int(table.mean(axis=1).argmax())
    gain = table[at] - table[0]
    error = float(gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else 0.0
    if at == 0 or gain.mean() <= error:
        return 0.0, "no weight gains more than its standard error"
    return WEIGHTS[at], f"gains {gain.mean():.4f}, standard error {error:.4f}"

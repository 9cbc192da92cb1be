"""The leaderboard: each row's metrics, interval, test, strata, and figures of its lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rag_rec.core import ConfigError
from rag_rec.evaluation.experiments.experiment import Experiment
from rag_rec.evaluation.experiments.sampling import STRATA
from rag_rec.evaluation.experiments.study import Study
from rag_rec.evaluation.measuring.model_behaviour import model_behaviour
from rag_rec.evaluation.measuring.rows import LeaderboardRow
from rag_rec.evaluation.metrics.accuracy import Values, measure, measure_all
from rag_rec.evaluation.metrics.beyond_accuracy import Catalog, describe_lists, serendipity
from rag_rec.evaluation.metrics.scorer import Relevance, Task
from rag_rec.evaluation.report_model import ReportRow, StratumFigures
from rag_rec.evaluation.statistics import Comparison, bootstrap_interval, compare_pairs


def leaderboard(
    study: Study, rows: Sequence[LeaderboardRow], tasks: Sequence[Task]
) -> list[ReportRow]:
    """Return every row as the report shows it.

    Raises:
        ConfigError: If the baseline is no row.
    """
    experiment = study.experiment
    values = {row.name: row.values(experiment.metric) for row in rows}
    comparisons = _compared(experiment, rows, values)
    beyond = _beyond(study, rows, tasks)
    return [
        _row(experiment, row, values[row.name], tasks).model_copy(
            update={
                "comparison": comparisons.get(row.name),
                "beyond": beyond.get(row.name, {}),
                **_of_variant(experiment, row, tasks),
            }
        )
        for row in rows
    ]


def _row(
    experiment: Experiment, row: LeaderboardRow, values: Values, tasks: Sequence[Task]
) -> ReportRow:
    """Return a row's accuracy; the rest of it is still empty."""
    low, high = bootstrap_interval(values, seed=experiment.seed)
    strata = _strata(values, tasks, experiment.seed)
    means = [found.value for found in strata.values()]
    every = [measure_all(found, experiment.ks) for found in row.relevance]
    return ReportRow(
        name=row.name,
        kind=row.kind,
        metrics={name: float(np.mean([some[name].mean() for some in every])) for name in every[0]},
        value=float(values.mean()),
        low=low,
        high=high,
        strata=strata,
        gap=max(means) - min(means),
        repeats=[_mean(found, experiment.metric) for found in row.relevance],
        delivered=None if row.delivered is None else _mean(row.delivered, experiment.metric),
    )


def _of_variant(
    experiment: Experiment, row: LeaderboardRow, tasks: Sequence[Task]
) -> dict[str, Any]:
    """Return what a variant's row says of its settings and of the behaviour of its model."""
    if row.kind != "variant":
        return {}
    variant = next(one for one in experiment.all_variants() if one.name == row.name)
    histories = {task.key: task.history.item_ids for task in tasks}
    price = experiment.budget.prices.get(variant.llm)
    behaviour = model_behaviour(list(row.answers.values()), histories, price)
    return {"behaviour": behaviour} | variant.model_dump(include={"llm", "prompt", "retriever"})


def _compared(
    experiment: Experiment, rows: Sequence[LeaderboardRow], values: Mapping[str, Values]
) -> dict[str, Comparison]:
    """Test variants and blends against the baseline, corrected for their number."""
    baseline = experiment.baseline
    if baseline not in values:
        raise ConfigError(f"baseline '{baseline}' is no row; there are {', '.join(values)}")
    made = [row.name for row in rows if row.kind in {"variant", "blend"}]
    tested = [name for name in made if name != baseline]
    pairs = [(values[baseline], values[name]) for name in tested]
    found = compare_pairs(pairs, alpha=experiment.alpha, seed=experiment.seed)
    return dict(zip(tested, found, strict=True))


def _mean(found: Relevance, metric: str) -> float:
    return float(measure(found, metric).mean())


def _strata(values: Values, tasks: Sequence[Task], seed: int) -> dict[str, StratumFigures]:
    strata = np.array([task.stratum for task in tasks])
    groups = {name: values[strata == name] for name in STRATA}
    ends = {name: bootstrap_interval(some, seed=seed) for name, some in groups.items() if len(some)}
    return {
        name: StratumFigures(
            users=len(groups[name]), value=float(groups[name].mean()), low=low, high=high
        )
        for name, (low, high) in ends.items()
    }


def _beyond(
    study: Study, rows: Sequence[LeaderboardRow], tasks: Sequence[Task]
) -> dict[str, dict[str, float | None]]:
    """Return the figures beyond accuracy of every row that has lists."""
    users, catalog = [task.key for task in tasks], Catalog.of(study.index)
    targets = list(map(frozenset, study.sampled.test.scorer.targets_of(users)))
    popular = next(row.lists for row in rows if row.name == "popularity")
    histories = {task.key: task.history.item_ids for task in tasks}
    found: dict[str, dict[str, float | None]] = {}
    for row in (row for row in rows if row.lists):
        surprises = [
            serendipity(row.lists[user], target, frozenset(popular[user]))
            for user, target in zip(users, targets, strict=True)
        ]
        found[row.name] = describe_lists(row.lists, histories, study.index, catalog)
        found[row.name]["serendipity"] = float(np.mean(surprises))
    return found

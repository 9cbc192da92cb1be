"""The leaderboard: each row's metrics, interval, test, strata, and figures of its lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rag_rec.core import ConfigError
from rag_rec.evaluation.experiments.sampling import STRATA
from rag_rec.evaluation.experiments.study import Study
from rag_rec.evaluation.metrics.accuracy import Values, measure, measure_all
from rag_rec.evaluation.metrics.beyond_accuracy import Catalog, describe_lists, serendipity
from rag_rec.evaluation.metrics.model_behaviour import model_behaviour
from rag_rec.evaluation.metrics.rows import LeaderboardRow
from rag_rec.evaluation.metrics.scorer import Relevance, Task
from rag_rec.evaluation.report_model import ReportRow, StratumFigures
from rag_rec.evaluation.statistics import Comparison, bootstrap_interval, compare_all


def leaderboard(
    study: Study, rows: Sequence[LeaderboardRow], tasks: Sequence[Task]
) -> list[ReportRow]:
    """Return every row as the report shows it.

    Raises:
        ConfigError: If the baseline is no row.
    """
    metric = study.experiment.metric
    values = {row.name: row.values(lambda r: measure(r, metric)) for row in rows}
    comparisons = _compared(study, rows, values)
    catalog = Catalog.of(study.index)
    strata = np.array([task.stratum for task in tasks])
    popular = next(row.lists for row in rows if row.name == "popularity")
    made = [
        _row(study, row, values[row.name], strata).model_copy(
            update={
                "comparison": comparisons.get(row.name),
                "beyond": _beyond(study, row, tasks, catalog, popular),
            }
        )
        for row in rows
    ]
    return [_of_variant(study, row, tasks, one) for row, one in zip(rows, made, strict=True)]


def _compared(
    study: Study, rows: Sequence[LeaderboardRow], values: Mapping[str, Values]
) -> dict[str, Comparison]:
    """Test variants and blends against the baseline, corrected for their number."""
    experiment = study.experiment
    if experiment.baseline not in values:
        raise ConfigError(
            f"baseline '{experiment.baseline}' is no row; there are {', '.join(values)}"
        )
    tested = [
        row.name
        for row in rows
        if row.kind in {"variant", "blend"} and row.name != experiment.baseline
    ]
    found = compare_all(
        [values[name] for name in tested],
        values[experiment.baseline],
        alpha=experiment.alpha,
        seed=experiment.seed,
    )
    return dict(zip(tested, found, strict=True))


def _row(study: Study, row: LeaderboardRow, values: Values, strata: NDArray[np.str_]) -> ReportRow:
    """Return a row's accuracy; the rest of it is still empty."""
    experiment = study.experiment
    low, high = bootstrap_interval(values, seed=experiment.seed)
    every = [measure_all(found, experiment.ks) for found in row.relevance]
    groups = {
        name: _stratum(values[strata == name], experiment.seed)
        for name in STRATA
        if (strata == name).any()
    }
    group_means = [group.value for group in groups.values()]
    return ReportRow(
        name=row.name,
        kind=row.kind,
        metrics={name: float(np.mean([some[name].mean() for some in every])) for name in every[0]},
        value=float(values.mean()),
        low=low,
        high=high,
        strata=groups,
        gap=max(group_means) - min(group_means),
        repeats=[_mean(found, experiment.metric) for found in row.relevance],
        delivered=None if row.delivered is None else _mean(row.delivered, experiment.metric),
        comparison=None,
        beyond={},
        behaviour={},
    )


def _mean(found: Relevance, metric: str) -> float:
    return float(measure(found, metric).mean())


def _stratum(values: Values, seed: int) -> StratumFigures:
    low, high = bootstrap_interval(values, seed=seed)
    return StratumFigures(users=len(values), value=float(values.mean()), low=low, high=high)


def _beyond(
    study: Study,
    row: LeaderboardRow,
    tasks: Sequence[Task],
    catalog: Catalog,
    popular: Mapping[str, Sequence[str]],
) -> dict[str, float | None]:
    if not row.lists:
        return {}
    users = [task.key for task in tasks]
    targets = study.sampled.test.scorer.targets_of(users)
    surprises = [
        serendipity(row.lists[user], frozenset(target), frozenset(popular[user]))
        for user, target in zip(users, targets, strict=True)
    ]
    histories = {task.key: task.history.item_ids for task in tasks}
    described = describe_lists(row.lists, histories, study.index, catalog)
    return described | {"serendipity": float(np.mean(surprises))}


def _of_variant(
    study: Study, row: LeaderboardRow, tasks: Sequence[Task], made: ReportRow
) -> ReportRow:
    """Add to a variant's row its settings and the behaviour of its model."""
    variant = next((v for v in study.experiment.all_variants() if v.name == row.name), None)
    if variant is None or row.kind != "variant":
        return made
    histories = {task.key: task.history.item_ids for task in tasks}
    price = study.experiment.budget.prices.get(variant.llm)
    return made.model_copy(
        update={
            "behaviour": model_behaviour(list(row.answers.values()), histories, price),
            "llm": variant.llm,
            "prompt": variant.prompt,
            "retriever": variant.retriever,
        }
    )

"""The leaderboard: each row's metrics, interval, test, strata, and what its lists are like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag_rec.core import ConfigError
from rag_rec.evaluation.experiments.experiment import VariantSettings
from rag_rec.evaluation.experiments.sampling import STRATA
from rag_rec.evaluation.experiments.study import Study
from rag_rec.evaluation.metrics.accuracy import Values, measure, measure_all
from rag_rec.evaluation.metrics.beyond_accuracy import Catalog, describe_lists, serendipity
from rag_rec.evaluation.metrics.model_behaviour import manners
from rag_rec.evaluation.metrics.rows import Row
from rag_rec.evaluation.metrics.scorer import Relevance, Task
from rag_rec.evaluation.statistics import bootstrap_interval, compare_all

Report = dict[str, Any]


def leaderboard(study: Study, rows: Sequence[Row], tasks: Sequence[Task]) -> list[Report]:
    """Every row as the report shows it.

    Raises:
        ConfigError: If the baseline is no row.
    """
    metric = study.experiment.metric
    values = {row.name: row.values(lambda r: measure(r, metric)) for row in rows}
    comparisons = _compared(study, rows, values)
    catalog = Catalog.of(study.index)
    variants = {variant.name: variant for variant in study.experiment.all_variants()}
    strata = np.array([task.stratum for task in tasks])
    popular = rows[1].lists
    return [
        _row(study, row, values[row.name], strata)
        | {"comparison": comparisons.get(row.name)}
        | _described(study, row, tasks, catalog, popular)
        | _behaved(study, row, tasks, variants.get(row.name))
        for row in rows
    ]


def _compared(study: Study, rows: Sequence[Row], values: Mapping[str, Values]) -> dict[str, Report]:
    """Variants and blends against the baseline, corrected for their number."""
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
    return {name: asdict(one) for name, one in zip(tested, found, strict=True)}


def _row(study: Study, row: Row, values: Values, strata: NDArray[np.str_]) -> Report:
    experiment = study.experiment
    low, high = bootstrap_interval(values, seed=experiment.seed)
    every = [measure_all(found, experiment.ks) for found in row.relevance]
    means = {name: float(np.mean([some[name].mean() for some in every])) for name in every[0]}
    groups = {
        name: _group(values[strata == name], experiment.seed)
        for name in STRATA
        if (strata == name).any()
    }
    means_by_group = [group["value"] for group in groups.values()]
    repeats = [_mean(found, experiment.metric) for found in row.relevance]
    return {
        "name": row.name,
        "kind": row.kind,
        "metrics": means,
        "value": float(values.mean()),
        "low": low,
        "high": high,
        "strata": groups,
        "gap": max(means_by_group) - min(means_by_group),
        "repeats": repeats,
        "delivered": None if row.delivered is None else _mean(row.delivered, experiment.metric),
    }


def _mean(found: Relevance, metric: str) -> float:
    return float(measure(found, metric).mean())


def _group(values: Values, seed: int) -> Report:
    low, high = bootstrap_interval(values, seed=seed)
    return {"users": len(values), "value": float(values.mean()), "low": low, "high": high}


def _described(
    study: Study,
    row: Row,
    tasks: Sequence[Task],
    catalog: Catalog,
    popular: Mapping[str, Sequence[str]],
) -> Report:
    if not row.lists:
        return {"beyond": {}}
    users = [task.key for task in tasks]
    targets = study.sampled.test.scorer.targets_of(users)
    surprises = [
        serendipity(row.lists[user], frozenset(target), frozenset(popular[user]))
        for user, target in zip(users, targets, strict=True)
    ]
    histories = {task.key: task.history.item_ids for task in tasks}
    described = describe_lists(row.lists, histories, study.index, catalog)
    return {"beyond": described | {"serendipity": float(np.mean(surprises))}}


def _behaved(
    study: Study, row: Row, tasks: Sequence[Task], variant: VariantSettings | None
) -> Report:
    histories = {task.key: task.history.item_ids for task in tasks}
    prices = study.experiment.budget.prices
    price = prices.get(variant.llm) if variant else None
    found = manners(list(row.answers.values()), histories, price) if row.kind == "variant" else {}
    about = {"llm": variant.llm, "prompt": variant.prompt, "retriever": variant.retriever} if (
        variant
    ) else {}  # fmt: skip
    return {"manners": found, **about}

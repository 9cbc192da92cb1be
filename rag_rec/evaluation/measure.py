"""From answers and scorers to a report; nothing here asks a model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rag_rec.core import ConfigError, __version__
from rag_rec.evaluation.audit import audit
from rag_rec.evaluation.blend_fitting import MIN_USERS, fit_blends
from rag_rec.evaluation.experiments.answers import Answers, Gathered, answered
from rag_rec.evaluation.experiments.sampling import STRATA
from rag_rec.evaluation.experiments.study import Study
from rag_rec.evaluation.metrics.leaderboard import leaderboard
from rag_rec.evaluation.metrics.rows import (
    CEILING,
    LeaderboardRow,
    retrieved,
    standing_rows,
    variant_row,
)
from rag_rec.evaluation.metrics.scorer import Task
from rag_rec.evaluation.metrics.sensitivity import measure_sensitivity
from rag_rec.evaluation.report_model import (
    FORMAT,
    DataSummary,
    Funnel,
    ListShape,
    Report,
    TargetPlaces,
    UserCounts,
)

_FUNNEL = (10, 20, 50, 100)


@dataclass(frozen=True, slots=True)
class Details:
    """Data of single users, for the browser over users and the per-user table.

    Attributes:
        tasks: The users, in the report's order.
        user_ids: Their own ids.
        targets: Their targets.
        rows: The leaderboard's rows.
        deep: Retrieval's order, 100 deep or deeper.
        titles: Title by item id, for every item.
    """

    tasks: Sequence[Task]
    user_ids: Sequence[str]
    targets: Sequence[tuple[str, ...]]
    rows: Sequence[LeaderboardRow]
    deep: Mapping[str, Sequence[str]]
    titles: Mapping[str, str]


def measure_study(study: Study, found: Gathered, notes: Sequence[str]) -> tuple[Report, Details]:
    """Score all variants over the users that every one of them has answered for.

    Raises:
        ConfigError: If there is no such user, or the baseline is no row.
    """
    experiment, part = study.experiment, study.sampled.test
    pipeline = experiment.pipeline
    tasks = finished(part.tasks, list(found["test"].values()))
    users = [task.key for task in tasks]
    deep = retrieved(study, tasks)
    rows = [*standing_rows(study, tasks, part.scorer, deep), *_variants(study, found, users)]
    blend_rows, blends = fit_blends(study, found, tasks, rows)
    rows += blend_rows
    report = Report(
        format=FORMAT,
        version=__version__,
        name=experiment.name,
        description=experiment.description,
        experiment=experiment,
        lists=ListShape(length=pipeline.kind.length, n_shown=pipeline.n_shown),
        cores=os.cpu_count(),
        data=_data(study),
        users=UserCounts(
            planned=len(part.tasks),
            measured=len(tasks),
            strata={name: sum(task.stratum == name for task in tasks) for name in STRATA},
        ),
        notes=[*notes, *_shortfalls(study, found, tasks)],
        findings=audit(study, tasks, rows),
        rows=leaderboard(study, rows, tasks),
        funnel=_funnel(study, rows, users, deep),
        blends=blends,
        sensitivity=measure_sensitivity(study, found),
        hits=_places(part.scorer.digest(), tasks, rows),
    )
    own = {task.key: user_id for task, user_id in zip(part.tasks, part.user_ids, strict=True)}
    titles = dict(zip(study.index.item_ids, study.index.items["title"].fill_null(""), strict=True))
    user_ids, targets = [own[user] for user in users], part.scorer.targets_of(users)
    return report, Details(tasks, user_ids, targets, rows, deep, titles)


def finished(tasks: Sequence[Task], answers: Sequence[Answers]) -> list[Task]:
    """Return the longest beginning of the tasks for which every variant has answered.

    Tasks are in random order, so a run that was cut short is a smaller sample; users in the
    middle that some variant has no answer for are never skipped.

    Raises:
        ConfigError: If not even the first user has been answered for by all.
    """
    known = answered(tasks, answers)
    if not known:
        raise ConfigError("no user has been answered for by every variant yet; go on with the run")
    return known


def _variants(study: Study, found: Gathered, users: Sequence[str]) -> list[LeaderboardRow]:
    """Return a row for each variant, over those of its repeats that are complete."""
    repeats = [name for name in found if name == "test" or name.startswith("repeat ")]
    rows: list[LeaderboardRow] = []
    for variant in study.experiment.all_variants():
        every = [found[name][variant.name] for name in repeats]
        whole = [answers for answers in every if all(user in answers for user in users)]
        rows.append(
            variant_row(
                variant.name,
                whole,
                users,
                study.sampled.test.scorer,
                k=study.experiment.pipeline.kind.length,
            )
        )
    return rows


def _data(study: Study) -> DataSummary:
    manifest = study.index.manifest
    return DataSummary(
        items=manifest.n_items,
        users=manifest.n_users,
        events_fitted_on=manifest.n_interactions,
        reviews_fitted_on=manifest.n_reviews,
        reviews_hidden=study.sampled.n_reviews_hidden,
        fusion=manifest.retrieval.get("fusion"),
        index=manifest.digest(),
    )


def _shortfalls(study: Study, found: Gathered, tasks: Sequence[Task]) -> list[str]:
    """Name everything that was planned and is missing."""
    planned = len(study.sampled.test.tasks)
    notes: list[str] = []
    if len(tasks) < planned:
        notes.append(
            f"{len(tasks)} of {planned} users have been answered for by every variant; the "
            "report is on those, the first in an order drawn before anything was asked"
        )
    repeats = [f"repeat {n}" for n in range(2, study.experiment.repeats + 1)]
    for variant in study.experiment.all_variants():
        whole = 1 + sum(
            all(task.key in found.get(name, {}).get(variant.name, {}) for task in tasks)
            for name in repeats
        )
        if whole < study.experiment.repeats:
            notes.append(
                f"{variant.name}: {whole} of {study.experiment.repeats} repeats are complete; "
                "its figures are averages over those"
            )
    n_validation = len(study.sampled.validation.tasks)
    asking = [v.name for v in study.experiment.all_variants() if v.llm != "none"]
    for name in asking:
        n = len(found.get("validation", {}).get(name, {}))
        if n < n_validation:
            fitted = "" if n >= MIN_USERS else "; no blend is fitted"
            notes.append(f"{name}: {n} of {n_validation} validation users answered{fitted}")
    return notes


def _funnel(
    study: Study,
    rows: Sequence[LeaderboardRow],
    users: Sequence[str],
    deep: Mapping[str, Sequence[str]],
) -> Funnel:
    """Measure the share of users whose target is still there after every stage."""
    scorer, pipeline = study.sampled.test.scorer, study.experiment.pipeline
    depth = max(len(items) for items in deep.values())
    found = scorer.relevance(deep, users, depth).hits
    cuts = sorted({*(n for n in _FUNNEL if n <= depth), pipeline.n_shown, pipeline.kind.length})
    by_variant: dict[str, dict[str, float]] = {}
    for row in (row for row in rows if row.kind == "variant"):
        proposed = {user: row.answers[user].candidates for user in users}
        seen = {user: row.answers[user].shown for user in users}
        by_variant[row.name] = {
            "proposed": _recall(scorer.relevance(proposed, users, depth).hits),
            "in the prompt": _recall(scorer.relevance(seen, users, depth).hits),
            "in the list": _recall(row.relevance[0].hits),
            "first": _recall(row.relevance[0].hits[:, :1]),
        }
    stages = {f"retrieved, first {n}": _recall(found[:, :n]) for n in cuts}
    return Funnel(retrieval=stages, variants=by_variant)


def _recall(hits: NDArray[np.bool_]) -> float:
    return float(hits.any(axis=1).mean())


def _places(digest: str, tasks: Sequence[Task], rows: Sequence[LeaderboardRow]) -> TargetPlaces:
    return TargetPlaces(
        task=digest,
        users=[task.key for task in tasks],
        strata=[task.stratum for task in tasks],
        n_relevant=rows[0].relevance[0].n_relevant.tolist(),
        places={
            row.name: [
                [(np.flatnonzero(hits) + 1).tolist() for hits in found.hits]
                for found in row.relevance
            ]
            for row in rows
            if row.name != CEILING
        },
    )

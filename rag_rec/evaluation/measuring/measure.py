"""From answers and scorers to a report; nothing here asks a model."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rag_rec.core import ConfigError, __version__
from rag_rec.evaluation.experiments.answers import Answers, Gathered, answered
from rag_rec.evaluation.experiments.sampling import STRATA
from rag_rec.evaluation.experiments.study import Study
from rag_rec.evaluation.measuring.audit import audit
from rag_rec.evaluation.measuring.blend_fitting import MIN_USERS, fit_blends
from rag_rec.evaluation.measuring.leaderboard import leaderboard
from rag_rec.evaluation.measuring.rows import (
    CEILING,
    LeaderboardRow,
    retrieved,
    standing_rows,
    variant_row,
)
from rag_rec.evaluation.measuring.sensitivity import measure_sensitivity
from rag_rec.evaluation.metrics.scorer import Task
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

    Tasks are in random order, so a run that was cut short is a smaller sample; users in the
    middle that some variant has no answer for are never skipped.

    Raises:
        ConfigError: If not even the first user has been answered for, or the baseline is no row.
    """
    experiment, part = study.experiment, study.sampled.test
    pipeline = experiment.pipeline
    tasks = answered(part.tasks, list(found["test"].values()))
    if not tasks:
        raise ConfigError("no user has been answered for by every variant yet; go on with the run")
    users = [task.key for task in tasks]
    deep = retrieved(study, tasks)
    repeats = _complete_repeats(study, found, users)
    variants = [variant_row(name, some, users, study) for name, some in repeats.items()]
    rows = [*standing_rows(study, tasks, deep), *variants]
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
        notes=[*notes, *_shortfalls(study, found, repeats, len(tasks))],
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


def _complete_repeats(
    study: Study, found: Gathered, users: Sequence[str]
) -> dict[str, list[Answers]]:
    """Return by variant the answers of the test, and of those repeats that are complete."""
    names = [name for name in found if name == "test" or name.startswith("repeat ")]
    return {
        variant.name: [
            found[name][variant.name]
            for name in names
            if all(user in found[name][variant.name] for user in users)
        ]
        for variant in study.experiment.all_variants()
    }


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


def _shortfalls(
    study: Study, found: Gathered, repeats: Mapping[str, Sequence[Answers]], n_measured: int
) -> Iterator[str]:
    """Name everything that was planned and is missing."""
    planned, n_repeats = len(study.sampled.test.tasks), study.experiment.repeats
    if n_measured < planned:
        yield (
            f"{n_measured} of {planned} users have been answered for by every variant; the "
            "report is on those, the first in an order drawn before anything was asked"
        )
    for name, whole in repeats.items():
        if len(whole) < n_repeats:
            yield (
                f"{name}: {len(whole)} of {n_repeats} repeats are complete; its figures are "
                "averages over those"
            )
    n_validation = len(study.sampled.validation.tasks)
    for name in (v.name for v in study.experiment.all_variants() if v.llm != "none"):
        n = len(found.get("validation", {}).get(name, {}))
        if n < n_validation:
            fitted = "" if n >= MIN_USERS else "; no blend is fitted"
            yield f"{name}: {n} of {n_validation} validation users answered{fitted}"


def _funnel(
    study: Study,
    rows: Sequence[LeaderboardRow],
    users: Sequence[str],
    deep: Mapping[str, Sequence[str]],
) -> Funnel:
    """Measure the share of users whose target is still there after every stage."""
    scorer, pipeline = study.sampled.test.scorer, study.experiment.pipeline
    depth = max(len(items) for items in deep.values())
    cuts = sorted({*(n for n in _FUNNEL if n <= depth), pipeline.n_shown, pipeline.kind.length})

    def recall(lists: Mapping[str, Sequence[str]], n: int = depth) -> float:
        return float(scorer.relevance(lists, users).hits[:, :n].any(axis=1).mean())

    by_variant = {
        row.name: {
            "proposed": recall({user: row.answers[user].candidates for user in users}),
            "in the prompt": recall({user: row.answers[user].shown for user in users}),
            "in the list": recall(row.lists),
            "first": recall(row.lists, 1),
        }
        for row in rows
        if row.kind == "variant"
    }
    stages = {f"retrieved, first {n}": recall(deep, n) for n in cuts}
    return Funnel(retrieval=stages, variants=by_variant)


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

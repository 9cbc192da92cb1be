"""From answers and scorers to a report: nothing here asks anything."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rag_rec.core import ConfigError, __version__
from rag_rec.evaluation.audit import leaks, lists_hit, outsiders, retries
from rag_rec.evaluation.blend_fitting import WEIGHTS, blend_answers, fit_blend
from rag_rec.evaluation.experiments.answers import Answer
from rag_rec.evaluation.experiments.conditions import sensitivity_arms
from rag_rec.evaluation.experiments.retrievers import proposing
from rag_rec.evaluation.experiments.sampling import STRATA
from rag_rec.evaluation.experiments.study import Study
from rag_rec.evaluation.metrics.accuracy import measure
from rag_rec.evaluation.metrics.leaderboard import leaderboard
from rag_rec.evaluation.metrics.rows import (
    CEILING,
    RETRIEVAL,
    Row,
    counted,
    retrieved,
    standing_rows,
    variant_row,
)
from rag_rec.evaluation.metrics.scorer import Task
from rag_rec.evaluation.metrics.sensitivity import position_bias

Gathered = dict[str, dict[str, dict[str, Answer]]]
"""Answers by arm, variant and user."""

Report = dict[str, Any]

FORMAT = 1
_FUNNEL = (10, 20, 50, 100)
_PROBED = 400
"""Users with whom a retriever is asked under a borrowed history."""

_ENOUGH = 20
"""Validation users below which no blend is fitted."""


@dataclass(frozen=True, slots=True)
class Details:
    """What the browser over users and the per-user table need beside the report.

    Attributes:
        tasks: The users, in the report's order.
        user_ids: Their own ids.
        targets: What they took.
        rows: The leaderboard's rows.
        deep: Retrieval's order, 100 deep or deeper.
        titles: Title by item id, for every item that occurs.
    """

    tasks: Sequence[Task]
    user_ids: Sequence[str]
    targets: Sequence[tuple[str, ...]]
    rows: Sequence[Row]
    deep: Mapping[str, Sequence[str]]
    titles: Mapping[str, str]


def measure_study(study: Study, found: Gathered, notes: Sequence[str]) -> tuple[Report, Details]:
    """Scores all variants over the users that every one of them has answered for.

    Raises:
        ConfigError: If there is no such user, or the baseline is no row.
    """
    experiment, part = study.experiment, study.sampled.test
    tasks = finished(part.tasks, list(_tests(found).values()))
    users = [task.key for task in tasks]
    deep = retrieved(study, tasks)
    scorer, k = part.scorer, experiment.pipeline.k
    repeats = [arm for arm in found if arm == "test" or arm.startswith("repeat ")]
    rows = standing_rows(study, tasks, scorer, deep)
    for variant in experiment.all_variants():
        whole = [found[arm][variant.name] for arm in repeats]
        whole = [answers for answers in whole if all(user in answers for user in users)]
        rows.append(variant_row(variant.name, whole, users, scorer, k))
    blends = _blends(study, found, tasks, rows)
    report: Report = {
        "format": FORMAT,
        "version": __version__,
        "name": experiment.name,
        "description": experiment.description,
        "experiment": experiment.model_dump(mode="json"),
        "cores": os.cpu_count(),
        "data": _data(study),
        "users": _users(study, tasks),
        "notes": [*notes, *_shortfalls(study, found, tasks)],
        "findings": _findings(study, tasks, rows),
        "rows": leaderboard(study, rows, tasks),
        "funnel": _funnel(study, rows, users, deep),
        "blends": blends,
        "sensitivity": _sensitivity(study, found),
        "hits": _hits(part.scorer.digest(), users, tasks, rows),
    }
    rank = {user: at for at, user in enumerate(task.key for task in part.tasks)}
    details = Details(
        tasks,
        [part.user_ids[rank[user]] for user in users],
        scorer.targets_of(users),
        rows,
        deep,
        {item.item_id: item.title for item in map(study.index.item, range(study.index.n_items))},
    )
    return report, details


def finished(tasks: Sequence[Task], answers: Sequence[Mapping[str, Answer]]) -> list[Task]:
    """The longest beginning of the tasks for which every variant has answered.

    Tasks are in random order, so a run that was cut short is a smaller sample; users in the
    middle that some variant has no answer for are never skipped.

    Raises:
        ConfigError: If not even the first user has been answered for by all.
    """
    known = answered(tasks, answers)
    if not known:
        raise ConfigError("no user has been answered for by every variant yet; go on with the run")
    return known


def answered(tasks: Sequence[Task], answers: Sequence[Mapping[str, Answer]]) -> list[Task]:
    """The tasks before the first one that some variant has no answer for."""
    n = 0
    while n < len(tasks) and all(tasks[n].key in found for found in answers):
        n += 1
    return list(tasks[:n])


def _tests(found: Gathered) -> dict[str, dict[str, Answer]]:
    return found["test"]


def _data(study: Study) -> Report:
    manifest = study.index.manifest
    fusion = manifest.retrieval
    return {
        "items": manifest.n_items,
        "users": manifest.n_users,
        "events fitted on": manifest.n_interactions,
        "reviews fitted on": manifest.n_reviews,
        "reviews hidden": study.sampled.n_reviews_hidden,
        "fusion": fusion.get("fusion"),
        "index": manifest.digest(),
    }


def _users(study: Study, tasks: Sequence[Task]) -> Report:
    return {
        "planned": len(study.sampled.test.tasks),
        "measured": len(tasks),
        "strata": {name: sum(task.stratum == name for task in tasks) for name in STRATA},
    }


def _shortfalls(study: Study, found: Gathered, tasks: Sequence[Task]) -> list[str]:
    """What was planned and is not there."""
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
            all(task.key in found.get(arm, {}).get(variant.name, {}) for task in tasks)
            for arm in repeats
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
            fitted = "" if n >= _ENOUGH else "; no blend is fitted"
            notes.append(f"{name}: {n} of {n_validation} validation users answered{fitted}")
    return notes


# --- the other parts --------------------------------------------------------------------------


def _funnel(
    study: Study, rows: Sequence[Row], users: Sequence[str], deep: Mapping[str, Sequence[str]]
) -> Report:
    """Recall at every stage: how often the target is still there."""
    scorer = study.sampled.test.scorer
    depth = max(len(items) for items in deep.values())
    found = scorer.relevance(deep, users, depth)
    pipeline = study.experiment.pipeline
    cuts = sorted({*(n for n in _FUNNEL if n <= depth), pipeline.depth, pipeline.k})
    stages: Report = {f"retrieved, first {n}": _recall(found.hits[:, :n]) for n in cuts}
    by_variant: Report = {}
    for row in rows:
        if row.kind != "variant":
            continue
        proposed = {user: row.answers[user].candidates for user in users}
        seen = {u: row.answers[u].candidates[: row.answers[u].n_shown] for u in users}
        by_variant[row.name] = {
            "proposed": _recall(scorer.relevance(proposed, users, depth).hits),
            "in the prompt": _recall(scorer.relevance(seen, users, depth).hits),
            "in the list": _recall(row.relevance[0].hits),
            "first": _recall(row.relevance[0].hits[:, :1]),
        }
    return {"retrieval": stages, "variants": by_variant}


def _recall(hits: np.ndarray) -> float:  # type: ignore[type-arg]
    return float(hits.any(axis=1).mean())


def _blends(
    study: Study, found: Gathered, tasks: Sequence[Task], rows: list[Row]
) -> dict[str, Report]:
    """Fits a blend for every model variant that answered for all validation users.

    Each blend becomes a row of its own, scored on the test once.
    """
    experiment, part = study.experiment, study.sampled.validation
    fits: dict[str, Report] = {}
    for variant in experiment.all_variants():
        answers = found.get("validation", {}).get(variant.name, {})
        known = answered(part.tasks, [answers])
        if variant.llm == "none" or len(known) < _ENOUGH:
            continue
        fit = fit_blend(
            answers, known, part.scorer, metric=experiment.metric, split=experiment.split
        )
        row = next(row for row in rows if row.name == variant.name)
        lists = blend_answers(row.answers, fit.blend, tasks)
        users = [task.key for task in tasks]
        relevance = study.sampled.test.scorer.relevance(lists, users, experiment.pipeline.k)
        rows.append(Row(f"blend of {variant.name}", "blend", [relevance], lists))
        asked = np.mean([fit.blend.weight_for(len(t.history.events)) > 0 for t in tasks])
        said = f"{variant.name}, {experiment.metric} of {fit.n_users} users of {experiment.name}"
        path = study.out / "blends" / f"{variant.name.replace(' ', '_')}.toml"
        path.parent.mkdir(exist_ok=True)
        fit.blend.model_copy(update={"fitted_on": said}).save(path)
        fits[variant.name] = {
            "weight": fit.blend.weight,
            "by_history": [entry.model_dump() for entry in fit.blend.by_history],
            "by_stratum": {name: list(values) for name, values in fit.by_stratum.items()},
            "curve": dict(zip(map(str, WEIGHTS), fit.curve, strict=True)),
            "validation users": fit.n_users,
            "calls saved": 1 - float(asked),
            "file": f"blends/{path.name}",
        }
    return fits


def _sensitivity(study: Study, found: Gathered) -> dict[str, Report]:
    experiment, scorer = study.experiment, study.sampled.test.scorer
    metric, k = experiment.metric, experiment.pipeline.k
    report: dict[str, Report] = {}
    for name in experiment.sensitivity.variants:
        part: Report = {}
        plain = _tests(found)[name]
        for arm in sensitivity_arms(experiment, study.sampled.test.tasks):
            answers = found.get(arm.name, {}).get(name, {})
            users = [task.key for task in arm.tasks if task.key in answers and task.key in plain]
            if not users:
                continue
            lists = {user: counted(answers[user]) for user in users}
            before = {user: counted(plain[user]) for user in users}
            entry: Report = {
                "users": len(users),
                "planned": len(arm.tasks),
                "value": float(measure(scorer.relevance(lists, users, k), metric).mean()),
                "as asked": float(measure(scorer.relevance(before, users, k), metric).mean()),
            }
            if arm.kind == "shuffled":
                mixed = {user: answers[user] for user in users}
                entry |= asdict(position_bias(plain, mixed, scorer))
            else:
                kept = {u: answers[u].candidates[:k] for u in users}
                entry["retrieval"] = float(measure(scorer.relevance(kept, users, k), metric).mean())
            part[arm.name] = entry
        report[name] = part
    return report


def _findings(study: Study, tasks: Sequence[Task], rows: Sequence[Row]) -> list[str]:
    """Signs that answers were known; any of them makes the report void."""
    scorer, users = study.sampled.test.scorer, [task.key for task in tasks]
    known = {task.key: task.history.item_ids for task in tasks}
    used = {variant.retriever for variant in study.experiment.all_variants()} - {"fused"}
    proposers = {RETRIEVAL: study.retriever.retrieve} | {
        name: proposing(name, study.rankings[name]) for name in sorted(used)
    }
    found: list[str] = []
    for name, propose in proposers.items():
        leak = leaks(propose, tasks[:_PROBED], scorer, depth=20, seed=study.experiment.seed)
        found += [f"{name}: {leak}"] if leak else []
    for row in (row for row in rows if row.kind == "variant"):
        answers = list(row.answers.values())
        hit = lists_hit(row.answers, users, scorer)
        for sign in (retries(answers, hit), outsiders(answers, known)):
            found += [f"{row.name}: {sign}"] if sign else []
    return found


def _hits(digest: str, users: Sequence[str], tasks: Sequence[Task], rows: Sequence[Row]) -> Report:
    """Places of the targets, from which every accuracy figure can be computed again."""
    return {
        "task": digest,
        "users": list(users),
        "strata": [task.stratum for task in tasks],
        "n_relevant": rows[0].relevance[0].n_relevant.tolist(),
        "places": {
            row.name: [[_places(hits) for hits in found.hits] for found in row.relevance]
            for row in rows
            if row.name != CEILING
        },
    }


def _places(hits: np.ndarray) -> list[int]:  # type: ignore[type-arg]
    return [int(at) + 1 for at in np.flatnonzero(hits)]

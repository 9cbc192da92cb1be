"""From a data set to the fit, the users who are asked for, and what only the scorer knows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from rag_rec.core import Constraints, DataError, Interaction, UserHistory
from rag_rec.data import Dataset, reviews_to_fit
from rag_rec.evaluation.experiments.experiment import SplitSettings
from rag_rec.evaluation.metrics.scorer import Scorer, Task, pseudonym

STRATA = ("cold", "warm", "hot")

_AT = {"fit": 0, "validation": 1, "test": 2}


@dataclass(frozen=True, slots=True)
class Part:
    """Users who are asked for, in random order, and the scorer of their targets."""

    tasks: tuple[Task, ...]
    scorer: Scorer
    user_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sampled:
    """A split with its users drawn.

    Attributes:
        fit: What models and indexes may see.
        validation: Users whose earlier events decide blends.
        n_reviews_hidden: Reviews left out of the fit because they are about hidden events.
    """

    fit: Dataset
    test: Part
    validation: Part
    n_reviews_hidden: int


def sample_users(dataset: Dataset, settings: SplitSettings, seed: int) -> Sampled:
    """Split the log, hide what lies ahead, and draw users in proportion to their strata.

    Reviews count as events: one that a user wrote about a hidden purchase, or, with the temporal
    protocol, after the cut, would tell the answer.

    Raises:
        DataError: If the log cannot be split this way.
    """
    log = dataset.interactions
    if settings.protocol == "temporal":
        placed, known_until = _temporal(log, settings)
    else:
        placed, known_until = _leave_last_out(log), None
    fit_log = placed.filter(pl.col("part") == "fit").select(log.columns)
    if not fit_log.height:
        raise DataError("nothing is left to fit on; users need three events and more")
    hidden = placed.filter(pl.col("part") != "fit").select("user_id", "item_id").unique()
    reviews = reviews_to_fit(dataset.reviews, hidden, known_until)
    test = _part(placed, "test", settings, settings.users, seed)
    if not test.tasks:
        raise DataError("no user has an event to be asked with and one to predict")
    validation, n_validation = Part((), Scorer({}), ()), settings.validation_users
    if n_validation:
        validation = _part(placed, "validation", settings, n_validation, seed + 1)
    fit = replace(dataset, interactions=fit_log, reviews=reviews)
    return Sampled(fit, test, validation, dataset.reviews.count - reviews.count)


def _leave_last_out(log: pl.DataFrame) -> pl.DataFrame:
    age = pl.len().over("user_id") - 1 - pl.int_range(pl.len()).over("user_id")
    part = pl.when(age == 0).then(pl.lit("test")).when(age == 1).then(pl.lit("validation"))
    return log.with_columns(part=part.otherwise(pl.lit("fit")))


def _temporal(log: pl.DataFrame, settings: SplitSettings) -> tuple[pl.DataFrame, int]:
    if log["timestamp"].null_count():
        raise DataError(
            "the temporal split needs a time for every event; use protocol = 'leave-last-out'",
            field="timestamp",
        )
    times = np.sort(log["timestamp"].to_numpy())
    first, second = (
        int(times[int(len(times) * share)]) for share in (settings.validation_cut, settings.cut)
    )
    if first >= second:
        raise DataError("both cuts fall on one moment; move validation_cut and cut apart")
    time = pl.col("timestamp")
    part = pl.when(time < first).then(pl.lit("fit")).when(time < second).then(pl.lit("validation"))
    return log.with_columns(part=part.otherwise(pl.lit("test"))), first


def _part(placed: pl.DataFrame, name: str, settings: SplitSettings, n: int, seed: int) -> Part:
    """Take each user's first event in this part as the target, all before it as the history."""
    users = placed.with_columns(at=pl.col("part").replace_strict(_AT)).group_by(
        "user_id", maintain_order=True
    )
    here, before = pl.col("at") == _AT[name], pl.col("at") < _AT[name]
    past = [pl.col(column).filter(before) for column in ("item_id", "timestamp", "rating")]
    asked = users.agg(pl.col("item_id").filter(here).first().alias("target"), *past)
    rows = asked.filter(pl.col("target").is_not_null() & (pl.col("item_id").list.len() > 0)).rows()
    strata = [_stratum(len(row[2]), settings) for row in rows]
    chosen = _draw(strata, n, seed)
    tasks = tuple(_task(rows[at], strata[at], seed) for at in chosen)
    found = {task.key: frozenset({rows[at][1]}) for task, at in zip(tasks, chosen, strict=True)}
    return Part(tasks, Scorer(found), tuple(rows[at][0] for at in chosen))


def _task(row: tuple[str, str, list[str], list[int], list[float]], stratum: str, seed: int) -> Task:
    user_id, _, *columns = row
    events = tuple(
        Interaction(item_id=item_id, timestamp=time, rating=rating)
        for item_id, time, rating in zip(*columns, strict=True)
    )
    key, constraints = pseudonym(user_id, seed), Constraints(allow_out_of_stock=True)
    return Task(key, UserHistory(user_id=key, events=events, constraints=constraints), stratum)


def _stratum(n_events: int, settings: SplitSettings) -> str:
    if n_events < settings.cold_below:
        return "cold"
    return "hot" if n_events >= settings.hot_from else "warm"


def _draw(strata: list[str], n: int, seed: int) -> list[int]:
    """Draw rows in random order, of each stratum by its share (largest remainder)."""
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(strata)).tolist()
    if n == 0 or n >= len(strata):
        return shuffled
    shares = {name: n * sum(s == name for s in strata) / len(strata) for name in STRATA}
    quota = {name: int(share) for name, share in shares.items()}
    by_remainder = sorted(STRATA, key=lambda name: quota[name] - shares[name])
    for name in by_remainder[: n - sum(quota.values())]:
        quota[name] += 1
    chosen: list[int] = []
    for row in shuffled:
        name = strata[row]
        if quota[name]:
            quota[name] -= 1
            chosen.append(row)
    return chosen

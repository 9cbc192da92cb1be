"""The split at one moment for all users: nothing from after it is in the fit."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rag_rec.core import DataError
from rag_rec.data.dataset import Dataset
from rag_rec.data.splits.split import Role, Split, fit_of, split_of


def split_at_time(
    dataset: Dataset, *, cut: float, every: bool = False, validation: bool = False
) -> Split:
    """Fit on what lies before a moment; each user's first event from then on is the target.

    Asked are users with an event before the cut. Their later events are hidden, and so are all
    events and reviews from the cut on, also those of users who are not asked. An item that is first
    taken after the cut is new: the fit knows its text and nothing else.

    With ``every``, each event from the cut on is a question, asked with its user's events of
    earlier times, which may lie after the cut, too. The order of tied events chooses no target.

    Args:
        dataset: The whole data.
        cut: The first moment that is not fitted on, in Unix seconds; or, below 1, the share of all
            events that lie before it.
        every: True to ask for every event from the cut on, not for each user's first.
        validation: True to split what lies before the test's cut, by the same share, once more.

    Raises:
        DataError: If an event has no time, or the cut leaves nothing on one of its sides.
    """
    times = dataset.interactions["timestamp"]
    if times.null_count():
        raise DataError(
            f"a cut in time needs a time for every event, and {times.null_count()} of {len(times)} "
            "have none; use the protocol within-users, which cuts by position",
            field="timestamp",
        )
    ordered = np.sort(times.to_numpy())
    moment, end = _moment(ordered, cut), int(ordered[-1]) + 1
    if validation:
        known = ordered[ordered < moment]
        moment, end = _moment(known, len(known) / len(ordered)) if len(known) else moment, moment
    time = pl.col("timestamp")
    is_known = time < moment
    needs = f"users with events before and after the cut (Unix time {moment})"
    if every:
        role = pl.when(is_known).then(int(Role.FIT)).otherwise(int(Role.HIDDEN))
        fit = fit_of(dataset, role, needs=needs, known_until=moment)
        questions = list(_questions(dataset.interactions.filter(time < end), moment))
        if not questions:
            raise DataError(f"nobody can be asked for: this protocol needs {needs}")
        users, inputs, targets = map(list, zip(*questions, strict=True))
        return Split(fit, users, inputs, targets, [False] * len(users), moment)
    is_first = pl.int_range(pl.len()).over("user_id") == is_known.sum().over("user_id")
    role = (
        pl.when(is_known).then(int(Role.FIT))
        .when(is_first & (time < end)).then(int(Role.TARGET))
        .otherwise(int(Role.HIDDEN))
    )  # fmt: skip
    return split_of(dataset, role, needs=needs, known_until=moment)


def _questions(log: pl.DataFrame, moment: int) -> Iterator[tuple[str, list[str], str]]:
    """Yield user, earlier items and item of each event from a moment on that has earlier ones."""
    users = log.group_by("user_id", maintain_order=True).agg("item_id", "timestamp")
    for user, items, times in users.iter_rows():
        for at in range(bisect_left(times, moment), len(times)):
            if n_earlier := bisect_left(times, times[at]):
                yield user, items[:n_earlier], items[at]


def _moment(times: NDArray[np.int64], cut: float) -> int:
    """Return the moment of a cut, from all times in order."""
    return int(times[int(len(times) * cut)]) if cut < 1 else int(cut)

"""The split at one moment for all users: nothing from after it is in the fit."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rag_rec.core import DataError
from rag_rec.data.dataset import Dataset
from rag_rec.data.splits.split import Role, Split, split_of


def split_at_time(dataset: Dataset, *, cut: float, validation: bool = False) -> Split:
    """Fit on what lies before a moment; each user's first event from then on is the target.

    Asked are users with an event before the cut. Their later events are hidden, and so are all
    events and reviews from the cut on, also those of users who are not asked. An item that is first
    taken after the cut is new: the fit knows its text and nothing else.

    Args:
        dataset: The whole data.
        cut: The first moment that is not fitted on, in Unix seconds; or, below 1, the share of all
            events that lie before it.
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
    is_first = pl.int_range(pl.len()).over("user_id") == is_known.sum().over("user_id")
    role = (
        pl.when(is_known).then(int(Role.FIT))
        .when(is_first & (time < end)).then(int(Role.TARGET))
        .otherwise(int(Role.HIDDEN))
    )  # fmt: skip
    needs = f"users with events before and after the cut (Unix time {moment})"
    return split_of(dataset, role, needs=needs, known_until=moment)


def _moment(times: NDArray[np.int64], cut: float) -> int:
    """Return the moment of a cut, from all times in order."""
    return int(times[int(len(times) * cut)]) if cut < 1 else int(cut)

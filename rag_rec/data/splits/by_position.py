"""Splits by the place of an event in its user's history; they need no times."""

from __future__ import annotations

import polars as pl

from rag_rec.core import DataError
from rag_rec.data.dataset import Dataset
from rag_rec.data.splits.split import Role, Split, split_of

_PLACE = pl.int_range(pl.len()).over("user_id")
_LENGTH = pl.len().over("user_id").cast(pl.Int64)


def leave_last_out(dataset: Dataset, *, hidden: int = 2, n_target: int = 1) -> Split:
    """Make each user's ``n_target``-th event from the end the target, those before it the input.

    Args:
        dataset: The whole data; its log is in time order within each user.
        hidden: Events of each user, from the end, that the fit does not see; nor does it see
            the user's reviews of them.
        n_target: 1 for the test; 2, with ``hidden=3``, to choose settings on validation.

    Raises:
        DataError: If no user has an event to be asked with.
    """
    if hidden < n_target:
        raise DataError("the target must not be in what is fitted")
    age = _LENGTH - 1 - _PLACE
    role = (
        pl.when(age >= hidden).then(int(Role.FIT))
        .when(age >= n_target).then(int(Role.KNOWN))
        .when(age == n_target - 1).then(int(Role.TARGET))
        .otherwise(int(Role.HIDDEN))
    )  # fmt: skip
    return split_of(dataset, role, needs=f"users with {hidden + 1} events and more")


def split_within_users(dataset: Dataset, *, share: float, validation: bool = False) -> Split:
    """Fit on the first part of each user's events; the event after it is the target.

    The events after the target are hidden. A user of ``n`` events gives ``floor(share * n)`` of
    them to the fit; a user of whom that leaves none is not asked for.

    Args:
        dataset: The whole data; its log is in time order within each user.
        share: Share of each user's events that the fit sees, between 0 and 1.
        validation: True to split what the test's fit sees, by the same share, once more.

    Raises:
        DataError: If no user has an event to be asked with.
    """
    fitted = (_LENGTH * share).floor().cast(pl.Int64)
    if validation:
        fitted = (fitted * share).floor().cast(pl.Int64)
    role = (
        pl.when(fitted > _PLACE).then(int(Role.FIT))
        .when(fitted == _PLACE).then(int(Role.TARGET))
        .otherwise(int(Role.HIDDEN))
    )  # fmt: skip
    needs = f"users of whose events {share:g} are one and more"
    return split_of(dataset, role, needs=needs)

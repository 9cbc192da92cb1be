"""`Split`: the events a model is fitted on, those it is asked with, those it is to predict."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import IntEnum

import polars as pl

from rag_rec.core import DataError
from rag_rec.data.dataset import Dataset
from rag_rec.data.splits.known_reviews import reviews_to_fit
from rag_rec.data.splits.ties import is_tied


class Role(IntEnum):
    """The part that an event plays in a split."""

    FIT = 0
    """The fit sees it; so does its user's question."""
    KNOWN = 1
    """Only its user's question sees it."""
    TARGET = 2
    """The event to predict."""
    HIDDEN = 3
    """Nothing sees it."""


@dataclass(frozen=True, slots=True)
class Split:
    """One task: predict the next item, for some users.

    Attributes:
        fit: The data set a model is fitted on.
        users: ``user_id`` of each question; a user may be asked about more than once.
        inputs: Items of each question's history, oldest first.
        targets: The item that was taken next.
        tied: True where the target shares its time with another event of its user, so that the
            file's order chose it, which may have been sorted by anything.
        known_until: Time (Unix seconds) from which on the fit knows nothing; None for no cut.
    """

    fit: Dataset
    users: list[str]
    inputs: list[list[str]]
    targets: list[str]
    tied: list[bool]
    known_until: int | None = None

    def only(self, users: Collection[str]) -> Split:
        """Return the same fit with the questions of some users.

        Raises:
            DataError: If one of them is not in this split.
        """
        known = set(self.users)
        unknown = next((user for user in users if user not in known), None)
        if unknown is not None:
            raise DataError(f"user {unknown} has no target in the log; take them out of the list")
        return self.at([at for at, user in enumerate(self.users) if user in users])

    def at(self, kept: Collection[int]) -> Split:
        """Return the same fit with the questions at some places."""
        return replace(
            self,
            users=[self.users[at] for at in kept],
            inputs=[self.inputs[at] for at in kept],
            targets=[self.targets[at] for at in kept],
            tied=[self.tied[at] for at in kept],
        )


def split_of(
    dataset: Dataset, role: pl.Expr, *, needs: str, known_until: int | None = None
) -> Split:
    """Return the split in which each event of the log plays the given part.

    A user with a target and an event before it is one question. Users are in the log's order.

    Args:
        dataset: The whole data; its log is in time order within each user.
        role: The `Role` of each event, computed over the log's columns; at most one target a user.
        needs: Words for the users that the protocol needs, for the error.
        known_until: Time (Unix seconds) from which on the fit knows nothing, for reviews.

    Raises:
        DataError: If nothing is left to fit on, or no user can be asked for.
    """
    log = dataset.interactions.with_columns(role=role, tied=is_tied())
    inputs = log.filter(pl.col("role") <= Role.KNOWN).group_by("user_id", maintain_order=True)
    targets = log.filter(pl.col("role") == Role.TARGET).select("user_id", "item_id", "tied")
    asked = inputs.agg(pl.col("item_id").alias("input")).join(
        targets, on="user_id", how="inner", maintain_order="left"
    )
    if not asked.height:
        raise DataError(f"nobody can be asked for: this protocol needs {needs}")
    return Split(
        fit_of(dataset, role, needs=needs, known_until=known_until),
        asked["user_id"].to_list(),
        asked["input"].to_list(),
        asked["item_id"].to_list(),
        asked["tied"].to_list(),
        known_until,
    )


def fit_of(
    dataset: Dataset, role: pl.Expr, *, needs: str, known_until: int | None = None
) -> Dataset:
    """Return the data set with the events of the fit, and the reviews that it may see.

    Args:
        dataset: As in `split_of`, like the rest.
        role: The `Role` of each event; every one but `Role.FIT` is kept from the fit.
        needs: Words for the users that the protocol needs, for the error.
        known_until: Time from which on nothing is known, for reviews.

    Raises:
        DataError: If nothing is left to fit on.
    """
    log = dataset.interactions.with_columns(role=role)
    fit = log.filter(pl.col("role") == Role.FIT).drop("role")
    if not fit.height:
        raise DataError(f"nothing is left to fit on: this protocol needs {needs}")
    unseen = log.filter(pl.col("role") != Role.FIT).select("user_id", "item_id").unique()
    reviews = reviews_to_fit(dataset.reviews, unseen, known_until)
    return replace(dataset, interactions=fit, reviews=reviews)

"""Splits: the events a model is fitted on, those it is asked with, those it is to predict."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from rag_rec.core import DataError
from rag_rec.data.dataset import Dataset
from rag_rec.data.reviews import ReviewStore

PROTOCOLS: Mapping[str, int] = {"leave-last-out": 2, "leave-last-out-fit-validation": 1}
"""Events of each user, from the end, that the fit does not see.

``leave-last-out``: fitted without the last two events, asked with all but the last, which is the
target; the event between them is for choosing settings. ``leave-last-out-fit-validation``: that
event enters the fit.
"""


@dataclass(frozen=True, slots=True)
class Split:
    """One task: predict the next item of some users.

    Attributes:
        fit: The data set a model is fitted on.
        users: ``user_id`` of the users to predict for.
        inputs: Items of each user's history, oldest first.
        targets: The item that each user took next.
    """

    fit: Dataset
    users: list[str]
    inputs: list[list[str]]
    targets: list[str]

    def only(self, users: Collection[str]) -> Split:
        """Return the same fit with some of the users.

        Raises:
            DataError: If one of them is not in this split.
        """
        known = set(self.users)
        unknown = next((user for user in users if user not in known), None)
        if unknown is not None:
            raise DataError(f"user {unknown} has no target in the log; take them out of the list")
        kept = [at for at, user in enumerate(self.users) if user in users]
        return Split(
            self.fit,
            [self.users[at] for at in kept],
            [self.inputs[at] for at in kept],
            [self.targets[at] for at in kept],
        )


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
    log = dataset.interactions.with_columns(
        age=pl.len().over("user_id") - 1 - pl.int_range(pl.len()).over("user_id")
    )
    fit = log.filter(pl.col("age") >= hidden).drop("age")
    known = log.filter(pl.col("age") >= n_target)
    inputs = known.group_by("user_id", maintain_order=True).agg(pl.col("item_id").alias("input"))
    targets = log.filter(pl.col("age") == n_target - 1).select("user_id", "item_id")
    asked = inputs.join(targets, on="user_id", how="inner", maintain_order="left")
    if not asked.height:
        raise DataError(f"no user has the {n_target + 1} events that this protocol needs")
    unseen = log.filter(pl.col("age") < hidden).select("user_id", "item_id").unique()
    return Split(
        replace(dataset, interactions=fit, reviews=reviews_to_fit(dataset.reviews, unseen)),
        asked["user_id"].to_list(),
        asked["input"].to_list(),
        asked["item_id"].to_list(),
    )


def reviews_to_fit(
    reviews: ReviewStore, hidden: pl.DataFrame, known_until: int | None = None
) -> ReviewStore:
    """Leave out reviews of hidden events and, where there is a cut, those written after it.

    Args:
        reviews: All reviews.
        hidden: ``user_id`` and ``item_id`` of the hidden events.
        known_until: Time (Unix seconds) from which on nothing is known; None for no cut.
    """

    def kept() -> Iterator[pl.DataFrame]:
        for frame in reviews.frames():
            left = frame.join(hidden, on=["user_id", "item_id"], how="anti", maintain_order="left")
            if known_until is not None:
                left = left.filter(
                    pl.col("timestamp").is_null() | (pl.col("timestamp") < known_until)
                )
            yield left

    return ReviewStore(kept())


def hide_items(split: Split, share: float, seed: int = 0) -> Split:
    """Turn a task into one about new items: they leave the fit, and their takers are the users.

    Args:
        split: The task.
        share: Share of the catalog, drawn at random, whose events and reviews the fit does not
            see.
        seed: Seed of the draw.

    Raises:
        DataError: If nobody took one of them.
    """
    ids = split.fit.items["item_id"]
    hidden = ids.sample(round(share * len(ids)), seed=seed)
    kept = ~pl.col("item_id").is_in(hidden.implode())
    log = split.fit.interactions.filter(kept)
    reviews = ReviewStore(frame.filter(kept) for frame in split.fit.reviews.frames())
    new = set(hidden)
    takers = {
        user for user, target in zip(split.users, split.targets, strict=True) if target in new
    }
    if not takers:
        raise DataError(f"nobody took one of the {len(new)} hidden items; hide a larger share")
    fit = replace(split.fit, interactions=log, reviews=reviews)
    return replace(split.only(takers), fit=fit)


def shuffle_ties(dataset: Dataset, seed: int) -> Dataset:
    """Put events of one user at one time in random order.

    Where a log gives no times at all, ties cannot be known: each pair of neighbours (first and
    second, third and fourth, or second and third and so on) is swapped with probability one half.
    """
    rng = np.random.default_rng(seed)
    log = dataset.interactions
    place = log.select(place=pl.int_range(pl.len()).over("user_id"))["place"].to_numpy()
    if log["timestamp"].null_count() < log.height:
        key = pl.Series(rng.random(log.height))
        tied = pl.when(pl.col("timestamp").is_null()).then(pl.lit(place)).otherwise(key)
        order = log.with_columns(_key=tied).sort(
            "user_id", "timestamp", "_key", maintain_order=True
        )
        return replace(dataset, interactions=order.drop("_key"))
    owner = log["user_id"].rle_id().to_numpy()
    phase = rng.integers(0, 2, log.height)[owner]
    pair = (place + phase) // 2
    _, number = np.unique(owner.astype(np.int64) * (pair.max() + 1) + pair, return_inverse=True)
    swapped = rng.integers(0, 2, len(log))[number]
    key = pair * 2 + (place + phase + swapped) % 2
    order = np.lexsort((key, owner))
    return replace(dataset, interactions=log[order])

"""The split of users: some are unseen in the fit (strong generalisation)."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from rag_rec.core import DataError
from rag_rec.data.dataset import Dataset
from rag_rec.data.reviews import ReviewStore
from rag_rec.data.splits.split import Role, Split, split_of


def split_users(
    dataset: Dataset, *, share: float, validation: bool = False, seed: int = 0
) -> Split:
    """Fit without some users; the last event of each of them is the target, the rest the input.

    Of all users, drawn at random, ``1 - share`` are the test's and as many validation's. The fit
    sees no event and no review of either, so both are asked of one fit (Liang et al., WWW 2018,
    with one target a user).

    Args:
        dataset: The whole data; its log is in time order within each user.
        share: Share of the users who are not the test's, above one half and below 1.
        validation: True to ask for validation's users.
        seed: Seed of the draw.

    Raises:
        DataError: If nobody is left to fit on or to ask.
    """
    users = dataset.interactions["user_id"].unique(maintain_order=True)
    n_unseen = round((1 - share) * len(users))
    if not 0 < 2 * n_unseen < len(users):
        raise DataError(
            f"of {len(users)} users, {n_unseen} for the test and as many for validation leave "
            "nobody to ask or to fit on; move --cut, between 0.5 and 1"
        )
    drawn = users.shuffle(seed)
    test, other = drawn[:n_unseen], drawn[n_unseen : 2 * n_unseen]
    asked, hidden = (other, test) if validation else (test, other)
    known_reviews = ~pl.col("user_id").is_in(drawn[: 2 * n_unseen].implode())
    reviews = ReviewStore(frame.filter(known_reviews) for frame in dataset.reviews.frames())
    user, age = pl.col("user_id"), pl.int_range(pl.len(), 0, -1).over("user_id")
    role = (
        pl.when(user.is_in(hidden.implode())).then(int(Role.HIDDEN))
        .when(~user.is_in(asked.implode())).then(int(Role.FIT))
        .when(age == 1).then(int(Role.TARGET))
        .otherwise(int(Role.KNOWN))
    )  # fmt: skip
    needs = "users with two events and more"
    return split_of(replace(dataset, reviews=reviews), role, needs=needs)

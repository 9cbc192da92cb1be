"""Options of ``rag-rec evaluate retrieval`` that say who is asked what, and their meaning."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from rag_rec.cli.console import note
from rag_rec.core import ConfigError
from rag_rec.data import Dataset, moment_of, rated_at_least
from rag_rec.data import k_core as k_core_of
from rag_rec.evaluation import DEFAULT_CUT, RetrievalOptions, tied_share

MOST_TIED = 0.2
"""Share of tied targets above which events of one time are measured in random order."""
FILE_ORDER = "none"

Cut = Annotated[
    str | None,
    typer.Option(
        metavar="TIME|SHARE",
        help="temporal, temporal-every: the first moment that is not fitted on, as a date and "
        "time (UTC) or Unix seconds, or the share of events before it. within-users: the share of "
        "each user's events that is fitted on. new-users: the share of users who are not the "
        "test's; as many again "
        f"are validation's. {DEFAULT_CUT:g} unless given.",
    ),
]
MinRating = Annotated[
    float | None,
    typer.Option(metavar="R", help="Keep events rated R or higher only, before the split."),
]
KCore = Annotated[
    int | None,
    typer.Option(
        metavar="K",
        min=2,
        help="Keep users and items with K events or more only, repeatedly, before the split.",
    ),
]
Train = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help="A split that files give: what is fitted on. Repeatable. In these files a row is an "
        "event, or an event with the history before it. Without --train, the fit has what the "
        "other files tell of the time before the questions.",
    ),
]
Validation = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Of a given split: --target validation's rows.")
]
Test = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Of a given split: the rows that are asked, each with its own history, or with its "
        "user's events of the earlier files and of earlier times.",
    ),
]


def refuse(others: Mapping[str, Any]) -> None:
    """Refuse options that mean nothing where files give the split.

    Raises:
        ConfigError: If one of them is set.
    """
    for name, value in others.items():
        if value:
            raise ConfigError(f"--train, --validation and --test give the split; leave {name} out")


def filtered(data: Dataset, min_rating: float | None, core: int | None) -> Dataset:
    """Return the events of high ratings, and their k-core; say how many that leaves."""
    before = data.interactions.height
    if min_rating is not None:
        data = rated_at_least(data, min_rating)
    if core is not None:
        data = k_core_of(data, core)
    if before > data.interactions.height:
        note(
            f"kept: {data.interactions.height} of {before} interactions, {data.n_users} users, "
            f"{data.items.height} items"
        )
    return data


def cut_of(text: str) -> float:
    """Return a share below 1, or Unix seconds."""
    try:
        share = float(text)
    except ValueError:
        share = 1.0
    if 0 < share < 1:
        return share
    moment = moment_of(text)
    if moment is None or moment < 1:
        raise ConfigError(
            f"--cut {text}: write a share between 0 and 1, a time such as 2011-06-01 or "
            "'2011-06-01 12:00:00', or Unix seconds"
        )
    return moment


def seeds_of(shuffle: str | None, data: Dataset, options: RetrievalOptions) -> tuple[int, ...]:
    """Return the seeds of the orders to measure; none for the file's own order."""
    if shuffle is not None:
        return () if shuffle == FILE_ORDER else numbers_of(shuffle, "--shuffle-ties")
    tied = tied_share(data, options)
    if tied <= MOST_TIED:
        return ()
    note(
        f"{tied:.1%} of the targets share their time with another event of their user: events of "
        f"one time are put in random order (--shuffle-ties {FILE_ORDER} keeps the file's)"
    )
    return (0,)


def numbers_of(text: str, option: str) -> tuple[int, ...]:
    """Return whole numbers written between commas.

    Raises:
        ConfigError: If they are not.
    """
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise ConfigError(f"{option} {text}: write whole numbers of 0 or more between commas")
    return tuple(map(int, parts))

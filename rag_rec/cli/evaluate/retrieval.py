"""The command line of measuring retrieval: ``rag-rec evaluate retrieval``."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rag_rec.cli.console import note, steps_shown
from rag_rec.cli.evaluate.retrieval_tables import mean_of, show
from rag_rec.cli.inspect import Columns, Read
from rag_rec.cli.loading import (
    Format,
    Formats,
    Interactions,
    Items,
    MaxRejected,
    OnError,
    OnErrors,
    Rejects,
    Reviews,
    note_loaded,
    reading,
)
from rag_rec.core import ConfigError
from rag_rec.data import MAX_REJECTED, Dataset, moment_of, rated_at_least
from rag_rec.data import k_core as k_core_of
from rag_rec.evaluation import (
    DEFAULT_CUT,
    PROTOCOLS,
    RetrievalOptions,
    RetrievalReport,
    evaluate_retrieval,
    read_candidates,
    shuffle_ties,
    tied_share,
)
from rag_rec.retrieval import RetrievalConfig

app = typer.Typer(
    no_args_is_help=True,
    help="Measure retrieval, or compare prompts and models, on data of your own.",
)

Protocols = StrEnum("Protocols", list(PROTOCOLS))
Targets = StrEnum("Targets", ["test", "validation"])

MOST_TIED = 0.2
"""Share of tied targets above which events of one time are measured in random order."""
FILE_ORDER = "none"

Cut = Annotated[
    str | None,
    typer.Option(
        metavar="TIME|SHARE",
        help="temporal: the first moment that is not fitted on, as a date and time (UTC) or Unix "
        "seconds, or the share of events before it. within-users: the share of each user's events "
        "that is fitted on. new-users: the share of users who are not the test's; as many again "
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


@app.callback()
def _group() -> None:
    """Measure, on data of your own."""


@app.command()
def retrieval(
    items: Items = None,
    interactions: Interactions = None,
    folder: Annotated[Path | None, typer.Option(help="For formats that are a folder.")] = None,
    reviews: Reviews = None,
    format: Format = Formats["auto"],  # noqa: A002
    columns: Columns = None,
    read: Read = None,
    on_error: OnError = OnErrors.stop,
    rejects: Rejects = Path("rejected.csv"),
    max_rejected: MaxRejected = MAX_REJECTED,
    min_rating: MinRating = None,
    k_core: KCore = None,
    protocol: Annotated[
        Protocols, typer.Option(help="; ".join(f"{n}: {is_}" for n, is_ in PROTOCOLS.items()) + ".")
    ] = Protocols["leave-last-out"],
    cut: Cut = None,
    target: Annotated[
        Targets,
        typer.Option(
            help="validation: the event before the test's; with a cut, the same cut once more "
            "inside what the test's fit sees; of new-users, other users. To choose settings."
        ),
    ] = Targets.test,
    mask_history: Annotated[
        bool, typer.Option(help="Keep items of the history out of the rankings.")
    ] = True,
    k: Annotated[str, typer.Option(metavar="K,K", help="List lengths.")] = "5,10,20,50",
    candidates: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Lines 'user item item ...': these users only, and their candidates ranked too.",
        ),
    ] = None,
    shuffle: Annotated[
        str | None,
        typer.Option(
            "--shuffle-ties",
            metavar="SEED,SEED",
            help="Mean over runs in which events of one time are in random order; where there "
            "are no times, neighbours are swapped at random. Where more than "
            f"{MOST_TIED:.0%} of the targets share their time with another event of their user, "
            f"seed 0 is the default and the figure to quote; '{FILE_ORDER}' keeps the file's "
            "order, which may have been sorted by anything.",
        ),
    ] = None,
    hide_items: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            min=0.0,
            max=0.9,
            help="Hide this share of the items from the fit: rows are of users who took one, "
            "strata of all.",
        ),
    ] = 0.0,
    memory_gib: Annotated[float, typer.Option(help="Memory that fitting may use.")] = 6.0,
    ranker: Annotated[bool, typer.Option(help="Fit a ranker where the log allows one.")] = True,
    keep: Annotated[
        Path | None,
        typer.Option("--index", metavar="DIR", help="Keep the index here, and use it again."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Measure how often, and how high, retrieval ranks each user's next item."""
    data = Dataset.load(
        folder,
        items=items,
        interactions=interactions,
        reviews=reviews,
        **reading(format.value, columns, read, on_error, rejects, max_rejected),
    )
    note_loaded(data, rejects)
    data = _filtered(data, min_rating, k_core)
    options = RetrievalOptions(
        protocol=protocol.value,
        cut=None if cut is None else _cut(cut),
        mask_history=mask_history,
        ks=_numbers(k, "--k"),
        n_target=1 if target is Targets.test else 2,
        retrieval=RetrievalConfig.within(memory_gib, ranker=ranker, given=candidates is not None),
        index=keep,
        hidden_items=hide_items,
        candidates=read_candidates(candidates) if candidates else None,
    )
    if seeds := _seeds(shuffle, data, options):
        report = mean_of([_run(shuffle_ties(data, seed), options) for seed in seeds])
    else:
        report = _run(data, options)
    report |= {"shuffled_ties": list(seeds), "min_rating": min_rating, "k_core": k_core}
    report["cores"] = os.cpu_count()
    if as_json:
        sys.stdout.write(json.dumps(report) + "\n")
    else:
        show(report, options.ks)


def _filtered(data: Dataset, min_rating: float | None, core: int | None) -> Dataset:
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


def _cut(text: str) -> float:
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


def _seeds(shuffle: str | None, data: Dataset, options: RetrievalOptions) -> tuple[int, ...]:
    """Return the seeds of the orders to measure; none for the file's own order."""
    if shuffle is not None:
        return () if shuffle == FILE_ORDER else _numbers(shuffle, "--shuffle-ties")
    tied = tied_share(data, options)
    if tied <= MOST_TIED:
        return ()
    note(
        f"{tied:.1%} of the targets share their time with another event of their user: events of "
        f"one time are put in random order (--shuffle-ties {FILE_ORDER} keeps the file's)"
    )
    return (0,)


def _run(data: Dataset, options: RetrievalOptions) -> RetrievalReport:
    with steps_shown() as step:
        return evaluate_retrieval(data, replace(options, on_step=step))


def _numbers(text: str, option: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise ConfigError(f"{option} {text}: write whole numbers of 0 or more between commas")
    return tuple(map(int, parts))

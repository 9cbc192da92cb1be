"""The command line of measuring retrieval: ``rag-rec evaluate retrieval``."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rag_rec.cli.console import steps_shown, write_json
from rag_rec.cli.evaluate.questions import (
    FILE_ORDER,
    MOST_TIED,
    Cut,
    KCore,
    MinRating,
    Test,
    Train,
    Validation,
    cut_of,
    filtered,
    numbers_of,
    refuse,
    seeds_of,
)
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
from rag_rec.data import MAX_REJECTED, Dataset, GivenFiles, load_given
from rag_rec.evaluation import (
    PROTOCOLS,
    RetrievalOptions,
    RetrievalReport,
    evaluate_retrieval,
    read_candidates,
    shuffle_ties,
)
from rag_rec.index import DEFAULT_EMBEDDER, SentenceTransformerEmbedder
from rag_rec.retrieval import RetrievalConfig

app = typer.Typer(
    no_args_is_help=True,
    help="Measure retrieval, or compare prompts and models, on data of your own.",
)

Protocols = StrEnum("Protocols", list(PROTOCOLS))
Targets = StrEnum("Targets", ["test", "validation"])


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
    train: Train = None,
    validation: Validation = None,
    test: Test = None,
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
    embedder: Annotated[
        str,
        typer.Option(metavar="NAME", help="Any sentence-transformers model, or a folder of one."),
    ] = DEFAULT_EMBEDDER,
    ranker: Annotated[bool, typer.Option(help="Fit a ranker where the log allows one.")] = True,
    keep: Annotated[
        Path | None,
        typer.Option("--index", metavar="DIR", help="Keep the index here, and use it again."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Measure how often, and how high, retrieval ranks each user's next item."""
    how = reading(format.value, columns, read, on_error, rejects, max_rejected)
    split, n_target = None, 1 if target is Targets.test else 2
    if train or validation or test:
        refuse({
            "--interactions": interactions, "--folder": folder, "--cut": cut,
            "--min-rating": min_rating, "--k-core": k_core, "--shuffle-ties": shuffle,
            "--protocol": protocol is not Protocols["leave-last-out"],
        })  # fmt: skip
        files = GivenFiles(tuple(train or ()), validation, test, items, reviews)
        split = load_given(files, ask_validation=n_target == 2, **how)
        data = split.fit
    else:
        data = Dataset.load(folder, items=items, interactions=interactions, reviews=reviews, **how)
    note_loaded(data, rejects)
    data = filtered(data, min_rating, k_core)
    options = RetrievalOptions(
        protocol=protocol.value,
        given=split,
        cut=None if cut is None else cut_of(cut),
        mask_history=mask_history,
        ks=numbers_of(k, "--k"),
        n_target=n_target,
        retrieval=RetrievalConfig.within(memory_gib, ranker=ranker, given=candidates is not None),
        index=keep,
        embedder=SentenceTransformerEmbedder(embedder),
        hidden_items=hide_items,
        candidates=read_candidates(candidates) if candidates else None,
    )
    if seeds := seeds_of(shuffle, data, options) if split is None else ():
        report = mean_of([_run(shuffle_ties(data, seed), options) for seed in seeds])
    else:
        report = _run(data, options)
    report["shuffled_ties"] = list(seeds)
    report["min_rating"], report["k_core"] = min_rating, k_core
    report["cores"] = os.cpu_count()
    if as_json:
        write_json(json.dumps(report))
    else:
        show(report, options.ks)


def _run(data: Dataset, options: RetrievalOptions) -> RetrievalReport:
    with steps_shown() as step:
        return evaluate_retrieval(data, replace(options, on_step=step))

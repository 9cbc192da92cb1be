"""The command line of measuring retrieval: ``rag-rec evaluate retrieval``."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rag_rec.cli.console import note, steps_shown
from rag_rec.cli.evaluate.retrieval_tables import mean_of, show
from rag_rec.core import ConfigError
from rag_rec.data import FORMATS, Dataset
from rag_rec.evaluation import (
    PROTOCOLS,
    RetrievalOptions,
    evaluate_retrieval,
    read_candidates,
    shuffle_ties,
)
from rag_rec.retrieval import RetrievalConfig

app = typer.Typer(
    no_args_is_help=True,
    help="Measure retrieval, or compare prompts and models, on data of your own.",
)

Protocols = StrEnum("Protocols", list(PROTOCOLS))
EvaluateFormats = StrEnum("EvaluateFormats", list(FORMATS))
Targets = StrEnum("Targets", ["test", "validation"])


@app.callback()
def _group() -> None:
    """Measure, on data of your own."""


@app.command()
def retrieval(
    items: Annotated[Path | None, typer.Option(metavar="FILE", help="Catalog.")] = None,
    interactions: Annotated[Path | None, typer.Option(metavar="FILE", help="Log.")] = None,
    folder: Annotated[Path | None, typer.Option(help="For formats that are a folder.")] = None,
    reviews: Annotated[Path | None, typer.Option(metavar="FILE", help="Reviews.")] = None,
    format: Annotated[EvaluateFormats, typer.Option()] = EvaluateFormats["auto"],  # noqa: A002
    protocol: Annotated[Protocols, typer.Option(help="The events that the fit sees.")] = Protocols[
        "leave-last-out"
    ],
    target: Annotated[
        Targets, typer.Option(help="validation: the event before the test's, to choose settings.")
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
            "are no times, neighbours are swapped at random.",
        ),
    ] = None,
    hide_items: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            min=0.0,
            max=0.9,
            help="Hide this share of the items from the fit and measure users who took one: "
            "recall of new items.",
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
        format=format.value,
    )
    for line in data.notices:
        note(line)
    options = RetrievalOptions(
        protocol=protocol.value,
        mask_history=mask_history,
        ks=_numbers(k, "--k"),
        n_target=1 if target is Targets.test else 2,
        retrieval=RetrievalConfig.within(memory_gib, ranker=ranker, given=candidates is not None),
        index=keep,
        hidden_items=hide_items,
        candidates=read_candidates(candidates) if candidates else None,
    )
    if shuffle is None:
        report = _run(data, options)
    else:
        seeds = _numbers(shuffle, "--shuffle-ties")
        report = mean_of([_run(shuffle_ties(data, seed), options) for seed in seeds])
        report["shuffled_ties"] = list(seeds)
    report["cores"] = os.cpu_count()
    if as_json:
        sys.stdout.write(json.dumps(report) + "\n")
    else:
        show(report, options.ks)


def _run(data: Dataset, options: RetrievalOptions) -> dict[str, Any]:
    with steps_shown() as step:
        return evaluate_retrieval(data, replace(options, on_step=step))


def _numbers(text: str, option: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise ConfigError(f"{option} {text}: write whole numbers of 0 or more between commas")
    return tuple(map(int, parts))

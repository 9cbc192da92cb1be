"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rag_rec.core import ConfigError
from rag_rec.llm import spec_help
from rag_rec.prompting import variant_names

AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON document on stdout and nothing else.")
]
IndexDir = Annotated[Path, typer.Option("--index", metavar="DIR", help="A built index.")]
Llm = Annotated[
    str | None,
    typer.Option(
        "--llm", metavar="SPEC", help="Which model:\n\n" + spec_help().replace("\n", "\n\n")
    ),
]
K = Annotated[
    int | None,
    typer.Option("--k", min=1, help="List length (10 unless the settings say otherwise)."),
]
NewItems = Annotated[
    float | None,
    typer.Option(
        "--new-items",
        min=0,
        max=1,
        metavar="SHARE",
        help="Share of the list for items without events, as far as there are such: 0.1 of 10 is "
        "1; one at least.",
    ),
]
Prompt = Annotated[
    str | None,
    typer.Option(
        "--prompt",
        metavar="NAME",
        help="Prompt variant: " + ", ".join(variant_names()) + ", or a .toml file.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Settings as TOML, with the tables prices, batch and request; options win over it.",
    ),
]

ListTypes = StrEnum("ListTypes", ["topk", "bundle", "sequence", "slate"])
ListType = Annotated[
    ListTypes,
    typer.Option(
        "--type",
        help="topk: the best. bundle: items that go together. sequence: in an order that matters. "
        "slate: a page of rows with themes.",
    ),
]

# of batches
Users = Annotated[
    Path,
    typer.Option(
        "--users",
        metavar="FILE",
        help="CSV, JSON lines or Parquet. A column user_id; if wanted custom_id, history (item "
        "ids: a list, or between |), profile (plain words), request (a wish in plain words), "
        "constraints (JSON), k.",
    ),
]
BatchK = Annotated[
    int | None,
    typer.Option("--k", min=1, help="List length (of a row, for slates), where a row names none."),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column", metavar="OURS=THEIRS", help="Name a column, as user_id=customer; repeatable."
    ),
]


def columns_of(pairs: Iterable[str]) -> dict[str, str]:
    """Return our column to the file's, from pairs on the command line.

    Raises:
        ConfigError: If one is not a pair.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        ours, _, theirs = pair.partition("=")
        if not ours or not theirs:
            raise ConfigError(f"--column {pair}: write it as OURS=THEIRS, such as user_id=customer")
        found[ours] = theirs
    return found

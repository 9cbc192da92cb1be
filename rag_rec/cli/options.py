"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rag_rec.llm import SPECS
from rag_rec.prompting import variant_names

AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON document on stdout and nothing else.")
]
IndexDir = Annotated[Path, typer.Option("--index", metavar="DIR", help="A built index.")]
Llm = Annotated[
    str | None,
    typer.Option("--llm", metavar="SPEC", help="Which model:\n\n" + SPECS.replace("\n", "\n\n")),
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
        help="Settings as TOML ([prices], [batch], [request] too); options win over it.",
    ),
]

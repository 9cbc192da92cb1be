"""The command line ``rag-rec``: its commands, each of which is imported when it is used.

Results go to stdout, progress and messages to stderr. Exit 0: done. 1: it failed, and one line
says why and what to do. 2: the command was not understood.
"""

from __future__ import annotations

import logging
import os
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from rag_rec.cli.console import note
from rag_rec.core import RagRecError, __version__, redacted

COMMANDS = {
    "demo": (
        "demo",
        "Build the sample's index and recommend for three of its customers, one of them cold.",
    ),
    "inspect": (
        "inspect",
        "Show how the columns of files would be read, before an index is built.",
    ),
    "index": ("index", "Build an index, or update it: tables that are not given are kept."),
    "recommend": (
        "recommend",
        "Recommend for one user: known by id, by a history of items, or by plain words.",
    ),
    "show": (
        "show",
        "Look inside an index: its manifest, users, an item, a user's history or prompt; check it.",
    ),
    "batch": ("batch", "Recommend for a whole file of users, and go on where it stopped."),
    "adapt": (
        "adapt.embedder",
        "Learn from an index's own log: tune its embedder or a ranker, or export training files.",
    ),
    "evaluate": (
        "evaluate.experiments",
        "Measure retrieval, or compare prompts and models, on data of your own.",
    ),
}
"""File of each command, whose ``app`` it is, and its line of help."""


class CommandLoader(TyperGroup):
    """A group that imports a command when it is called; its own help imports none."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = {
            name: TyperCommand(name, help=line) for name, (_, line) in COMMANDS.items()
        }
        self._listing = False

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, or None if there is none of this name."""
        if self._listing or cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        file = import_module(f"rag_rec.cli.{COMMANDS[cmd_name][0]}")
        command = typer.main.get_command(file.app)
        command.name = cmd_name
        return command

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help from `COMMANDS`."""
        self._listing = True
        super().format_help(ctx, formatter)
        self._listing = False


app = typer.Typer(
    cls=CommandLoader,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"rag-rec {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[  # noqa: ARG001
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Recommendations from a language model that can only name your items.

    Start with **rag-rec demo**. Then: **rag-rec index** your files, **rag-rec recommend** for a
    user, **rag-rec show** what the model was sent.
    """
    if debug:
        os.environ["RAG_REC_DEBUG"] = "1"


def main() -> None:
    """Run the command line: errors become one line and an exit code."""
    logging.captureWarnings(capture=True)
    # threads that spin while they wait bring a busy machine to a standstill
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        app()
    except RagRecError as error:
        if os.environ.get("RAG_REC_DEBUG"):
            raise
        note(f"error: {redacted(str(error))}")
        sys.exit(1)
    except KeyboardInterrupt:
        note("interrupted")
        sys.exit(130)

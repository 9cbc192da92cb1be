"""Write docs/reference/cli.md from the Typer app. `--check` only compares."""

from __future__ import annotations

import re
import sys

import typer.main
from generated import ROOT, write_or_check
from typer.cli import get_docs_for_click

from rag_rec.cli import app

PAGE = ROOT / "docs" / "reference" / "cli.md"
NOTE = "<!-- written by scripts/write_cli.py from the code; do not edit -->\n\n"


def describe_commands() -> str:
    """The page: every command with its arguments, options and defaults."""
    group = typer.main.get_command(app)
    text = get_docs_for_click(
        obj=group, ctx=typer.Context(group), name="rag-rec", title="Command line"
    )
    text = re.sub(r"</?span[^>]*>", "`", text)
    text = re.sub(r"\n\n(\S+) {2,}(\S.*)", r"\n    * `\1`: \2", text)  # tables inside a help text
    for entity, character in (("&#x27;", "'"), ("&quot;", '"'), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(entity, character)
    return NOTE + "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n"


if __name__ == "__main__":
    sys.exit(write_or_check(PAGE, describe_commands(), script="scripts/write_cli.py"))

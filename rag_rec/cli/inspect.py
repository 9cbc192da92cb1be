"""``rag-rec inspect``: the columns of files, as an index would read them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from rag_rec.cli.console import note, terminal, write_json
from rag_rec.cli.options import AsJson
from rag_rec.core import ConfigError
from rag_rec.data import Choices, TableReport, inspect_file

app = typer.Typer(add_completion=False)

TABLES = ("items", "reviews", "interactions")
TableNames = StrEnum("TableNames", TABLES)

Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files of any kind.")]
ReadAs = Annotated[
    TableNames | None, typer.Option("--as", help="The table; otherwise told by the columns.")
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TABLE.OURS=THEIRS",
        help="Name a column, such as items.title=product_name; items.released= leaves one out. "
        "Repeatable.",
    ),
]
Read = Annotated[
    list[str] | None,
    typer.Option(
        "--read",
        metavar="TABLE.OURS=FORM",
        help="How values are written: items.price=comma (or point), interactions.timestamp="
        "day-first (or month-first, yyyymmdd), 'items.categories=;' (or other signs, line, space, "
        "whole). Otherwise told by all values of the column. Repeatable.",
    ),
]


@app.command()
def inspect(
    files: Files,
    table: ReadAs = None,
    columns: Columns = None,
    read: Read = None,
    as_json: AsJson = False,
) -> None:
    """Show how the columns of files would be read, before an index is built.

    For each column: the column of ours it is read as and the form of its values, the share of rows
    that have a value, values that cannot be read, and a sample.

    Example: rag-rec inspect items.csv log.csv --columns items.title=product_name
    """
    named, forms = by_table("--columns", columns or ()), by_table("--read", read or ())
    choices = {name: Choices(named.get(name, {}), forms.get(name, {})) for name in TABLES}
    found = [
        inspect_file(path, table=table and table.value, choices=choices)  # pyright: ignore
        for path in files
    ]
    if as_json:
        documents = [
            dataclasses.asdict(report) | {"path": str(report.path), "notices": notices}
            for report, notices in found
        ]
        write_json(json.dumps(documents, ensure_ascii=False))
        return
    console = terminal()
    for report, notices in found:
        console.print(table_of_columns(report))
        for line in notices:
            note(line)


def table_of_columns(report: TableReport) -> Table:
    """Return a file's columns as a table for a terminal."""
    title = f"{report.path.name}: {report.rows} rows, read as {report.table}"
    if report.separator:
        title += f"; between fields {report.separator.replace(chr(9), 'a tab')}"
    shown = Table(title=escape(title), title_justify="left")
    for name in ("column", "read as", "filled", "unreadable", "sample"):
        shown.add_column(name, justify="right" if name == "filled" else "left")
    for column in report.columns:
        form = f" ({column.form})" if column.said else ""
        name = escape(column.name + form) if column.name else "[yellow]not read[/]"
        n_given = column.filled - column.gaps
        is_counted = report.rows and (column.name or column.filled)
        filled = f"{n_given / report.rows:.0%}" if is_counted else ""
        unread = f"{column.unread}, such as {column.unread_example!r}" if column.unread else ""
        shown.add_row(escape(column.source), name, filled, escape(unread), escape(column.sample))
    return shown


def by_table(option: str, pairs: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return pairs of the command line by table: our column to what is said of it.

    Raises:
        ConfigError: If one is not of the form ``TABLE.OURS=VALUE``.
    """
    found: dict[str, dict[str, str]] = {}
    for pair in pairs:
        ours, is_pair, value = pair.partition("=")
        table, _, name = ours.partition(".")
        if table not in TABLES or not name or not is_pair:
            example = "items.title=product_name" if option == "--columns" else "items.price=comma"
            form = "TABLE.OURS=THEIRS" if option == "--columns" else "TABLE.OURS=FORM"
            raise ConfigError(
                f"{option} {pair}: write it as {form}, such as {example}; "
                f"tables are {', '.join(TABLES)}"
            )
        found.setdefault(table, {})[name] = value
    return found

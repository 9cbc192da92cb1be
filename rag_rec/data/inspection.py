"""Look at a file as an index would read it, without building one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rag_rec.core import DataError
from rag_rec.data.formats.base import TableName
from rag_rec.data.matching import checked_columns, match_columns
from rag_rec.data.rejects import Rejects
from rag_rec.data.report import TableReport
from rag_rec.data.schema import INTERACTIONS, ITEMS, REVIEWS, Column
from rag_rec.data.tables import NO_CHOICES, Choices, header_of, read_table

_TABLES: Mapping[TableName, Sequence[Column]] = {
    "items": ITEMS,
    "reviews": REVIEWS,
    "interactions": INTERACTIONS,
}


def inspect_file(
    path: Path, *, table: TableName | None = None, choices: Mapping[str, Choices] | None = None
) -> tuple[TableReport, list[str]]:
    """Read a whole file and report on each of its columns.

    Args:
        path: The file.
        table: The table to read it as; None to tell by its columns.
        choices: For each table, columns and forms that the user named.

    Returns:
        The report, and remarks, of which the last says why the file cannot be indexed if so.

    Raises:
        DataError: If the file cannot be read.
    """
    table = table or _table_of(header_of(path))
    columns, chosen = _TABLES[table], (choices or {}).get(table, NO_CHOICES)
    rejects = Rejects("skip", None)
    loose = [replace(column, required=False, hints=()) for column in columns]
    for _ in read_table(path, loose, table=table, rejects=rejects, choices=chosen, everything=True):
        pass
    report = rejects.reports[0] if rejects.reports else TableReport(path, table)
    header = [column.source for column in report.columns]
    try:
        checked_columns(header, columns, chosen.columns, table=table, path=path)
    except DataError as error:
        rejects.notice(f"an index would stop here: {error}")
    return report, rejects.notices


def _table_of(header: Sequence[str]) -> TableName:
    """Return the table that a file with these columns holds."""
    found = match_columns(header, REVIEWS, {})
    if not {"user_id", "item_id"} <= found.keys():
        return "items"
    return "reviews" if "text" in found else "interactions"

"""Read one column of a table: its form from all its values, then its values, with a report."""

from __future__ import annotations

import polars as pl

from rag_rec.data.parts import FileParts
from rag_rec.data.report import ColumnReport
from rag_rec.data.schema import Column
from rag_rec.data.values.base import Form
from rag_rec.data.values.kinds import KINDS, form_named, gaps_in
from rag_rec.data.values.lists import WHOLE

_SHOWN = 60
_WORDS = ":token_seq"
"""End of a RecBole header whose values are words between spaces."""


class ColumnReader:
    """Reads one column of a table.

    Args:
        column: The column of the table.
        source: Its name in the file; None if the file has none.
        parts: All rows of the file.
        form: Name of the form that the user chose; None to infer it.

    Attributes:
        source: Its name in the file.
        report: Its report; complete when all parts are read.
    """

    def __init__(
        self, column: Column, source: str | None, parts: FileParts, form: str | None = None
    ) -> None:
        self.column, self.source = column, source
        self._kind = KINDS[column.kind]
        chosen = self._inferred(parts) if form is None else form_named(column.kind, form)
        self.report = ColumnReport(source or "", column.name, *chosen, expected=self._kind.expected)

    def _inferred(self, parts: FileParts) -> Form:
        if self.source is None:
            return Form()
        given = (self._given(text)[0].drop_nulls() for text in parts.texts(self.source))
        form = self._kind.form_of(given)
        is_words = self.source.endswith(_WORDS) and form.name == WHOLE
        return Form("space", "names between spaces") if is_words else form

    def read(self, frame: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
        """Return the values of a part, and a mask of those that make a bad row."""
        name, dtype = self.column.name, self._kind.dtype
        if self.source is None or self.source not in frame:
            values = pl.Series(name, [None], dtype).new_from_index(0, frame.height)
        else:
            given, gaps = self._given(frame[self.source].alias("text"))
            values = self._kind.read(given, self.report.form).cast(dtype).rename(name)
            self._count(given, gaps, values)
        required = pl.Series([self.column.required]).new_from_index(0, frame.height)
        if self.column.kind in {"text", "prose", "name"} and not self.column.required:
            values = values.fill_null("")
        return values, values.is_null() & required

    def _given(self, text: pl.Series) -> tuple[pl.Series, pl.Series]:
        """Return the values without words for a missing one, and those words."""
        stripped = text.str.strip_chars()
        is_gap = gaps_in(stripped, self.column.kind).fill_null(value=False)
        kept = text if self.column.kind == "text" else stripped
        return kept.set(is_gap | (stripped == ""), None), stripped.filter(is_gap)

    def _count(self, given: pl.Series, gaps: pl.Series, values: pl.Series) -> None:
        unread = given.filter(values.is_null() & given.is_not_null())
        report = self.report
        report.gaps += len(gaps)
        report.unread += len(unread)
        report.filled += given.count() + len(gaps)
        report.gap = report.gap or _first(gaps)
        report.unread_example = report.unread_example or _first(unread)
        report.sample = report.sample or _first(given.filter(values.is_not_null()))


def unread_column(source: str, parts: FileParts) -> ColumnReport:
    """Return the report on a column of the file that no column of the table is read from."""
    report = ColumnReport(source)
    for text in parts.texts(source):
        given = text.filter(text.str.strip_chars() != "")
        report.filled += len(given)
        report.sample = report.sample or _first(given)
    return report


def _first(texts: pl.Series) -> str:
    text = str(texts.drop_nulls()[0]) if texts.count() else ""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"

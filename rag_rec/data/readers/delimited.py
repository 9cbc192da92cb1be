"""Delimited text as chunks: columnar, and record by record only to name what is wrong."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from rag_rec.core import DataError
from rag_rec.data.chunk import CHUNK_ROWS, Chunk, Lines, brief
from rag_rec.data.rejects import BadRow, Rejects


def read_csv(plain: Path, path: Path, separator: str, rejects: Rejects) -> Iterator[Chunk]:
    """Chunks of an unpacked file; ``path`` is what errors call it. No quotes in tab separation."""
    quote = None if separator == "\t" else '"'
    start = 0
    try:
        scan = pl.scan_csv(
            plain, separator=separator, quote_char=quote, infer_schema=False, encoding="utf8"
        )
        for batch in scan.collect_batches(chunk_size=CHUNK_ROWS, maintain_order=True):
            frame = batch.filter(~pl.all_horizontal(pl.all().is_null()))  # blank lines
            if frame.height:
                yield Chunk(frame, path, _csv_lines(plain, separator, quote, start))
                start += frame.height
    except pl.exceptions.NoDataError:
        raise DataError("the file is empty; a header line is needed", path=path) from None
    except pl.exceptions.PolarsError as error:
        yield from _csv_by_line(plain, path, separator, quote, start, rejects, error)


def _records(plain: Path, separator: str, quote: str | None) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each record, header first; decodes leniently."""
    csv.field_size_limit(1 << 30)
    quoting = csv.QUOTE_NONE if quote is None else csv.QUOTE_MINIMAL
    with plain.open(newline="", encoding="utf-8-sig", errors="replace") as handle:
        reader = csv.reader(handle, delimiter=separator, quoting=quoting)
        begin = 1
        for fields in reader:
            if any(fields):
                yield begin, fields
            begin = reader.line_num + 1


def _csv_lines(plain: Path, separator: str, quote: str | None, start: int) -> Lines:
    def lines(rows: Sequence[int]) -> list[int]:
        wanted = {row + start + 1 for row in rows}
        found = {
            n: line for n, (line, _) in enumerate(_records(plain, separator, quote)) if n in wanted
        }
        return [found[row + start + 1] for row in rows]

    return lines


def _csv_by_line(
    plain: Path,
    path: Path,
    separator: str,
    quote: str | None,
    done: int,
    rejects: Rejects,
    cause: Exception,
) -> Iterator[Chunk]:
    """The rows after ``done``, one by one, because the columnar reader gave up."""
    records = _records(plain, separator, quote)
    _, header = next(records, (1, []))
    good: list[list[str]] = []
    numbers: list[int] = []
    n_bad = 0
    for n, (line, fields) in enumerate(records):
        if n < done:
            continue
        problem = _csv_problem(fields, header)
        if problem:
            n_bad += 1
            rejects.add([BadRow(path, line, "(row)", problem, separator.join(fields))])
        else:
            good.append(fields)
            numbers.append(line)
    if not n_bad:
        raise DataError(f"cannot be read as CSV ({brief(cause)})", path=path) from cause
    if good:
        frame = pl.DataFrame(good, schema=dict.fromkeys(header, pl.String), orient="row")
        yield Chunk(frame, path, lambda rows: [numbers[row] for row in rows])


def _csv_problem(fields: list[str], header: list[str]) -> str | None:
    if len(fields) != len(header):
        return f"{len(header)} fields as in the header"
    if any("�" in field for field in fields):
        return "UTF-8 text"
    return None

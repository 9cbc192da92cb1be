"""Files as chunks of text columns, by their ending.

Every reader yields frames whose columns are all text, at most `CHUNK_ROWS` rows at a time, so
that a table is validated in one place whatever it was stored in. The fast path is columnar; only
a chunk that does not parse is walked line by line, to say which line is at fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rag_rec.core import DataError
from rag_rec.data.chunk import Chunk, Wanted
from rag_rec.data.readers.compressed import ending, plain_file
from rag_rec.data.readers.delimited import read_csv
from rag_rec.data.readers.json_lines import is_document, read_document, read_lines
from rag_rec.data.readers.parquet import read_parquet
from rag_rec.data.rejects import Rejects


def read_chunks(path: Path, *, rejects: Rejects, wanted: Wanted | None = None) -> Iterator[Chunk]:
    """Chunks of one file, by its ending.

    Args:
        path: ``.csv``, ``.tsv``, ``.inter``/``.item``/``.user`` (tab separated), ``.jsonl``,
            ``.json`` (lines, an array or an object of objects), ``.parquet``; may end in ``.gz``
            or be the only member of a ``.zip``.
        wanted: Whether a key of JSON lines is worth reading; None for all of them.
        rejects: Where bad lines go.

    Raises:
        DataError: If the file is missing, of unknown kind, or has a bad line and rejects stop.
    """
    with plain_file(path) as plain:
        match ending(plain):
            case "csv" | "txt":
                yield from read_csv(plain, path, ",", rejects)
            case "tsv" | "inter" | "item" | "user":
                yield from read_csv(plain, path, "\t", rejects)
            case "jsonl" | "ndjson" | "json":
                with plain.open("rb") as handle:
                    if ending(plain) == "json" and is_document(handle):
                        yield from read_document(handle, path)
                    else:
                        yield from read_lines(handle, path, wanted, rejects)
            case "parquet" | "pq":
                yield from read_parquet(plain, path)
            case other:
                raise DataError(
                    f"cannot read files ending in '.{other}'; "
                    "use .csv, .tsv, .jsonl, .json or .parquet, plain, .gz or .zip",
                    path=path,
                )

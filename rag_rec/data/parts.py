"""The rows of a file as text, on disk in parts, to be read more than once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import polars as pl
import polars.selectors as cs

from rag_rec.data.readers.files import LINE


class FileParts:
    """The rows of a file on disk.

    Args:
        chunks: Chunks as `read_chunks` yields them; all are taken at once.
        folder: A folder that outlives this object.
        wanted: Test for a column whose values are kept.

    Attributes:
        header: Names of all columns, in order.
        n_rows: Number of rows.
    """

    def __init__(
        self, chunks: Iterable[pl.DataFrame], folder: Path, wanted: Callable[[str], bool]
    ) -> None:
        self.header: list[str] = []
        self.n_rows = 0
        self._files: list[Path] = []
        for chunk in chunks:
            self.header = list(dict.fromkeys((*self.header, *chunk.drop(LINE).columns)))
            kept = [name for name in chunk.columns if name == LINE or wanted(name)]
            self._files.append(folder / f"{len(self._files)}.parquet")
            chunk[kept].write_parquet(self._files[-1], compression="lz4")
            self.n_rows += chunk.height

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the rows in parts, with `LINE`; a part may lack columns that are empty in it."""
        for file in self._files:
            yield pl.read_parquet(file)

    def texts(self, source: str) -> Iterator[pl.Series]:
        """Yield the values of one column in parts."""
        for file in self._files:
            if source in pl.read_parquet_schema(file):
                column = pl.scan_parquet(file).select(cs.by_name(source)).collect()
                yield column[source].alias("text")  # polars reads "*" and "^x$" as patterns

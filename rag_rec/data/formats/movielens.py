"""``movielens``: a folder with movies, ratings and tags, which serve as reviews.

``extracts`` (``movieId``, ``extract``), where there is such a file, gives the descriptions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import polars as pl

from rag_rec.core import DataError
from rag_rec.data.formats.auto import read_auto
from rag_rec.data.formats.base import Format, Sources, TableName, TableRows, Tables
from rag_rec.data.rejects import Rejects
from rag_rec.data.schema import ITEMS, Column
from rag_rec.data.tables import read_table

_STEMS: dict[str, TableName] = {"movies": "items", "ratings": "interactions", "tags": "reviews"}
_ENDINGS = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet")
_EXTRACTS = (ITEMS[0], Column("extract", "text", aliases=("extract",)))


def _read(sources: Sources, rejects: Rejects) -> Tables:
    folder = sources.folder
    if folder is None or not folder.is_dir():
        raise DataError("the movielens format needs a folder", path=folder)
    found: dict[TableName, Path | None] = {
        table: _file(folder, stem) for stem, table in _STEMS.items()
    }
    files: dict[TableName, Path] = {
        table: path for table, path in found.items() if path is not None
    }
    if not {"items", "interactions"} <= files.keys():
        raise DataError("a MovieLens folder holds movies.csv and ratings.csv", path=folder)
    columns = {"items": {"title": "title", "categories": "genres"}}
    tables = read_auto(Sources(files=files, columns=columns), rejects)
    extracts = _file(folder, "extracts")
    if extracts is None or tables.items is None:
        return tables
    return replace(tables, items=_described(tables.items, extracts, rejects))


MOVIELENS = Format("movielens", _read, takes_folder=True)


def _file(folder: Path, stem: str) -> Path | None:
    paths: Iterable[Path] = (folder / (stem + ending) for ending in _ENDINGS)
    return next((path for path in paths if path.is_file()), None)


def _described(items: TableRows, path: Path, rejects: Rejects) -> TableRows:
    table = pl.concat(items.frames)
    extracts = pl.concat(read_table(path, _EXTRACTS, table="items", rejects=rejects))
    joined = table.join(extracts.unique("item_id", keep="first"), on="item_id", how="left")
    rejects.notice(f"{path.name}: descriptions for {extracts.height} of {table.height} items")
    described = joined.with_columns(description=pl.col("extract").fill_null(""))
    return replace(items, frames=[described.select(table.columns)])

"""``movielens``: a folder with movies, ratings and tags, which serve as reviews.

The files are CSV, or those of the 1M and 10M sets (``.dat``, fields between ``::``).
``extracts`` (``movieId``, ``extract``), where there is such a file, gives the descriptions.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from rag_rec.core import DataError
from rag_rec.data.formats.auto import read_auto
from rag_rec.data.formats.base import Format, Sources, TableName, TableRows, Tables
from rag_rec.data.rejects import Rejects
from rag_rec.data.schema import ITEMS, Column
from rag_rec.data.tables import read_table

_STEMS: dict[TableName, str] = {"items": "movies", "interactions": "ratings", "reviews": "tags"}
_ENDINGS = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet", ".dat", ".dat.gz")
_DAT: dict[TableName, tuple[str, ...]] = {
    "items": ("item_id", "title", "categories"),
    "interactions": ("user_id", "item_id", "rating", "timestamp"),
    "reviews": ("user_id", "item_id", "text", "timestamp"),
}
"""Columns of the 1M and 10M files, which have no header."""

_EXTRACTS = (ITEMS[0], Column("extract", "text", aliases=("extract",)))


def _read(sources: Sources, rejects: Rejects) -> Tables:
    folder = sources.folder
    if folder is None or not folder.is_dir():
        raise DataError("the movielens format needs a folder", path=folder)
    files: dict[TableName, Path] = {
        table: path for table, stem in _STEMS.items() if (path := _file(folder, stem))
    }
    if not {"items", "interactions"} <= files.keys():
        raise DataError(
            "a MovieLens folder holds movies.csv and ratings.csv, or movies.dat and ratings.dat",
            path=folder,
        )
    columns = {table: _columns(table, path) for table, path in files.items()}
    tables = read_auto(Sources(files=files, columns=columns), rejects)
    extracts = _file(folder, "extracts")
    if extracts is None or tables.items is None:
        return tables
    return replace(tables, items=_described(tables.items, extracts, rejects))


MOVIELENS = Format("movielens", _read, takes_folder=True)


def _file(folder: Path, stem: str) -> Path | None:
    paths = (folder / (stem + ending) for ending in _ENDINGS)
    return next((path for path in paths if path.is_file()), None)


def _columns(table: TableName, path: Path) -> dict[str, str]:
    if ".dat" in path.suffixes:
        return {name: f"column {n}" for n, name in enumerate(_DAT[table], 1)}
    return {"title": "title", "categories": "genres"} if table == "items" else {}


def _described(items: TableRows, path: Path, rejects: Rejects) -> TableRows:
    table = items.table(ITEMS)
    rows = TableRows(read_table(path, _EXTRACTS, table="items", rejects=rejects), path)
    extracts = rows.table(_EXTRACTS).unique("item_id", keep="first")
    joined = table.join(extracts, on="item_id", how="left", maintain_order="left")
    rejects.notice(f"{path.name}: descriptions for {extracts.height} of {table.height} items")
    described = joined.with_columns(description=pl.col("extract").fill_null(""))
    return replace(items, frames=[described.select(table.columns)])

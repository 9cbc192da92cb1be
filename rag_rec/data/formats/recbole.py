"""``recbole``: ``*.inter`` and ``*.item``, of a folder or single; headers ``name:type``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rag_rec.core import DataError
from rag_rec.data.formats.auto import read_auto
from rag_rec.data.formats.base import Format, Sources, TableName, Tables
from rag_rec.data.rejects import Rejects


def _read(sources: Sources, rejects: Rejects) -> Tables:
    if sources.folder is not None:
        sources = replace(sources, files={**sources.files, **_files(sources.folder)})
    return read_auto(sources, rejects)


RECBOLE = Format("recbole", _read, takes_folder=True)


def _files(folder: Path) -> dict[TableName, Path]:
    if not folder.is_dir():
        raise DataError("the recbole format needs a folder", path=folder)
    log, items = _only(folder, "inter"), _only(folder, "item")
    if log is None:
        raise DataError("a RecBole folder holds one .inter file", path=folder)
    return {"interactions": log} if items is None else {"interactions": log, "items": items}


def _only(folder: Path, ending: str) -> Path | None:
    hits = sorted([*folder.glob(f"*.{ending}"), *folder.glob(f"*.{ending}.gz")])
    if len(hits) > 1:
        raise DataError(f"more than one .{ending} file; name one of them", path=folder)
    return hits[0] if hits else None

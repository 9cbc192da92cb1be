"""Writing one index version: embed new texts, store everything, leave a manifest."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rag_rec.core import IndexNotFound, OnStep, StaleIndex, StorageError, plain_text
from rag_rec.data import Dataset, ReviewStore, updated
from rag_rec.index.embedders.ahead import TextTable, embedded_ahead
from rag_rec.index.embedders.text import Embedder
from rag_rec.index.files import (
    CHROMA,
    ITEMS_FILE,
    LOG_FILE,
    REVIEWS_FILE,
    check_files,
    file_records,
    own_files,
)
from rag_rec.index.live.log import LiveLog
from rag_rec.index.live.merging import with_changes
from rag_rec.index.manifest import EmbedderInfo, Manifest
from rag_rec.index.notices import notices
from rag_rec.index.review_table import ReviewTable
from rag_rec.index.row_order import in_row_order
from rag_rec.index.store import ITEMS, REVIEWS, VectorStore
from rag_rec.index.texts import item_texts
from rag_rec.index.vector_writer import VectorWriter, WriterTools
from rag_rec.index.versions import current_version, new_version

Finish = Callable[[Path, Path | None], dict[str, Any]]
"""Fits the rest of a version; returns the manifest's record of it.

It is given the version's folder, and that of the version before where that can be read.
"""

STAGED = ".staged"
"""Folder beside the versions: shards of a build over several processes, until it is done."""

_SLICE = 512


def write_index(
    dataset: Dataset | None,
    folder: Path,
    embedder: Embedder,
    *,
    finish: Finish,
    reuse: bool = True,
    replace: bool = False,
    on_step: OnStep | None = None,
) -> tuple[Manifest, int]:
    """Write a new version of the index at ``folder`` and make it the current one.

    Args:
        dataset: The data to index; tables that it was not given are kept from the current version.
            None for those of the current version with the live changes, which are then in it.
        folder: The index; made when it is not there.
        embedder: Makes the vectors.
        finish: Fits the rest of the version from its folder.
        reuse: Take vectors over from the current version for texts that did not change.
        replace: Keep nothing of the current version's data.
        on_step: Receives progress.

    Returns:
        The manifest, and the number of texts that were embedded.

    Raises:
        IndexLocked: If another process is writing this index.
        IndexNotFound: If live changes are to be put into an index that is not there.
        StaleIndex: If tables have to be kept of a version that cannot be read.
        StorageError: If they have to be kept of a damaged one, or the folder cannot be written.
    """
    with new_version(folder) as version:
        needed = dataset is None or (not replace and not dataset.is_whole)
        current = _current(folder, is_needed=needed)
        held = Manifest.read(current) if current else None
        in_it = held.live_seq if held else 0
        live, live_seq = LiveLog(folder), in_it
        if dataset is None:
            stored = stored_data(current or current_version(folder)[0])
            changes = live.since(in_it)
            dataset = with_changes(stored, [change for _, change in changes])
            live_seq = changes[-1][0] if changes else in_it
        elif replace:
            live_seq = max(in_it, live.last())
        elif current:
            dataset = updated(dataset, stored_data(current))
        dataset = in_row_order(dataset)
        same = held is not None and held.embedder.digest == embedder.digest
        previous = current if same and reuse else None
        ahead = embedded_ahead(_texts(dataset), embedder, previous, folder / STAGED, on_step)
        store = VectorStore(version / CHROMA, create=True)
        doing = "storing" if ahead else "embedding"
        tools = WriterTools(version, ahead or embedder, store, previous, on_step, doing)
        try:
            n_embedded = _write_items(dataset, tools) + _write_reviews(dataset, tools)
        finally:
            store.close()
        dataset.interactions.write_parquet(version / LOG_FILE)
        manifest = Manifest(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            embedder=EmbedderInfo.of(embedder),
            dataset_digest=dataset.digest,
            n_items=dataset.items.height,
            n_retired=dataset.retired.height,
            n_reviews=dataset.reviews.count,
            n_interactions=dataset.interactions.height,
            n_users=dataset.n_users,
            live_seq=live_seq,
            retrieval=finish(version, current),
            notices=(*dataset.notices, *notices(dataset)),
            files=file_records(version),
        )
        manifest.write(version)
        shutil.rmtree(folder / STAGED, ignore_errors=True)
    live.forget(in_it)
    live.close()
    return manifest, n_embedded - (ahead.n_taken_over if ahead else 0)


def stored_data(version: Path) -> Dataset:
    """Return the data that an index version holds."""
    items = pl.read_parquet(version / ITEMS_FILE)
    table = ReviewTable(version / REVIEWS_FILE)
    try:
        reviews = ReviewStore(table.frames())
    finally:
        table.close()
    return Dataset(
        items=items.filter(~pl.col("retired")).drop("retired"),
        interactions=pl.read_parquet(version / LOG_FILE),
        reviews=reviews,
        retired=items.filter("retired").drop("retired"),
    )


def indexed_ids(folder: str | Path) -> list[str]:
    """Return the ids of all items of an index, retired ones too; none if it cannot be read."""
    version = _current(Path(folder), is_needed=False)
    return pl.read_parquet(version / ITEMS_FILE)["item_id"].to_list() if version else []


def _current(folder: Path, *, is_needed: bool) -> Path | None:
    """Return the current version, None if there is none or it cannot be used and need not be."""
    try:
        version, manifest = current_version(folder)
        check_files(version, manifest.files, own_files(manifest.files))
    except IndexNotFound:
        return None
    except StaleIndex as error:
        if not is_needed:
            return None
        raise StaleIndex(
            f"the tables that are not given cannot be kept: {folder} was written by another "
            "version; give items, reviews and interactions, or --replace",
            expected=error.expected,
            found=error.found,
        ) from error
    except StorageError as error:
        if not is_needed:
            return None
        raise StorageError(
            f"the tables that are not given cannot be kept: {error}; or give items, reviews and "
            "interactions, or --replace",
            path=folder,
        ) from error
    return version


def _texts(dataset: Dataset) -> tuple[TextTable, TextTable]:
    """Return the texts of items and reviews, sliced as `_write_items` and `_write_reviews` do."""
    items = _all_items(dataset)
    return (
        TextTable(ITEMS, items.height, map(item_texts, items.iter_slices(_SLICE))),
        TextTable(REVIEWS, dataset.reviews.count, map(_review_texts, _review_slices(dataset))),
    )


def _all_items(dataset: Dataset) -> pl.DataFrame:
    return pl.concat([
        dataset.items.with_columns(retired=pl.lit(value=False)),
        dataset.retired.with_columns(retired=pl.lit(value=True)),
    ])  # fmt: skip


def _review_slices(dataset: Dataset) -> Iterator[pl.DataFrame]:
    return (part for one in dataset.reviews.frames() for part in one.iter_slices(_SLICE))


def _review_texts(part: pl.DataFrame) -> list[str]:
    return [plain_text(text) for text in part["text"]]


def _write_items(dataset: Dataset, tools: WriterTools) -> int:
    """Store the catalog and, behind it, the retired items."""
    items = _all_items(dataset)
    items.write_parquet(tools.version / ITEMS_FILE)
    with VectorWriter(ITEMS, items.height, tools) as vectors:
        for part in items.iter_slices(_SLICE):
            rows = part.select("item_id", "price", "brand", "in_stock").iter_rows(named=True)
            vectors.add(item_texts(part), list(rows))
    return vectors.n_embedded


def _write_reviews(dataset: Dataset, tools: WriterTools) -> int:
    ids = pl.concat([dataset.items, dataset.retired]).select("item_id").with_row_index("item_ix")
    users = dataset.interactions.select("user_id").unique(maintain_order=True)
    users = users.with_row_index("user_ix")
    owners = [np.empty(0, np.int32)]
    writers = [np.empty(0, np.int32)]
    columns = ("review_id", "item_id", "user_id", "rating", "timestamp")
    table = ReviewTable(tools.version / REVIEWS_FILE, create=True)
    with VectorWriter(REVIEWS, dataset.reviews.count, tools) as vectors:
        for part in _review_slices(dataset):
            table.add(part)
            placed = part.join(ids, on="item_id", how="left", maintain_order="left")
            placed = placed.join(users, on="user_id", how="left", maintain_order="left")
            owners.append(placed["item_ix"].cast(pl.Int32).to_numpy())
            writers.append(placed["user_ix"].cast(pl.Int32).fill_null(-1).to_numpy())
            vectors.add(_review_texts(part), list(part.select(columns).iter_rows(named=True)))
    table.close()
    np.save(tools.version / "review_items.npy", np.concatenate(owners))
    np.save(tools.version / "review_users.npy", np.concatenate(writers))
    return vectors.n_embedded

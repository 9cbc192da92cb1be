"""Builds one index version: embeds what is new, stores everything, leaves a manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rag_rec.core import IndexNotFound, OnStep, StaleIndex, plain_text
from rag_rec.data import Dataset
from rag_rec.index.embedders.text import Embedder, Vectors
from rag_rec.index.manifest import EmbedderInfo, Manifest
from rag_rec.index.store import ITEMS, REVIEWS, Metadata, VectorStore
from rag_rec.index.texts import item_texts
from rag_rec.index.versions import current_version, new_version

Finish = Callable[[Path], dict[str, Any]]
"""Fits what belongs to a version from its folder; returns what the manifest says of it."""

_SLICE = 512


@dataclass(frozen=True, slots=True)
class _Known:
    """Vectors of an earlier version by the hash of their text."""

    hashes: NDArray[np.uint64]
    order: NDArray[np.int64]
    vectors: Vectors

    @classmethod
    def of(cls, folder: Path, name: str) -> _Known:
        hashes = np.load(folder / f"{name}_hashes.npy", allow_pickle=False)
        order = np.argsort(hashes, kind="stable")
        vectors = np.load(folder / f"{name}_vectors.npy", mmap_mode="r", allow_pickle=False)
        return cls(hashes[order], order, vectors)

    def find(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Row of each hash, -1 where there is none."""
        if not len(self.hashes):
            return np.full(len(hashes), -1, np.int64)
        place = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.where(self.hashes[place] == hashes, self.order[place], -1)


class _Table:
    """One of the two tables of a version while it is being written."""

    def __init__(self, folder: Path, name: str, n: int, writer: _Writer) -> None:
        self._writer = writer
        self._name = name
        self._n = n
        self._done = 0
        self._vectors_path = folder / f"{name}_vectors.npy"
        self._hashes_path = folder / f"{name}_hashes.npy"
        self._hashes = np.empty(n, np.uint64)
        shape = (n, writer.embedder.dimension)
        if n:
            np.lib.format.open_memmap(self._vectors_path, "w+", np.float32, shape)
        else:
            np.save(self._vectors_path, np.empty(shape, np.float32))

    def add(self, texts: Sequence[str], metadata: Sequence[Metadata]) -> None:
        """Embeds and stores the next rows."""
        for low in range(0, len(texts), _SLICE):
            part = texts[low : low + _SLICE]
            hashes = np.array([_hash(text) for text in part], np.uint64)
            vectors = self._writer.vectors(self._name, part, hashes, self._step)
            end = self._done + len(part)
            # mapped anew each time: pages of a mapping that stays open stay in memory
            mapped = np.lib.format.open_memmap(self._vectors_path, "r+")
            mapped[self._done : end] = vectors
            del mapped
            self._hashes[self._done : end] = hashes
            self._writer.store_later(
                self._name, self._done, vectors, part, metadata[low : low + _SLICE]
            )
            self._done = end

    def finish(self) -> None:
        """Writes the hashes; the vectors are already there."""
        np.save(self._hashes_path, self._hashes)

    def _step(self, n: int) -> None:
        self._writer.step(self._name, n, self._n)


class _Writer:
    """What both tables share: the embedder, the store, vectors that can be taken over."""

    def __init__(self, embedder: Embedder, store: VectorStore, on_step: OnStep | None) -> None:
        self.embedder = embedder
        self.store = store
        self.known: dict[str, _Known] = {}
        self.n_embedded = 0
        self._on_step = on_step
        self._steps: dict[str, int] = {}
        self._pool = ThreadPoolExecutor(1)
        self._stored: Future[None] | None = None

    def vectors(
        self,
        name: str,
        texts: Sequence[str],
        hashes: NDArray[np.uint64],
        step: Callable[[int], None],
    ) -> Vectors:
        """Vectors of texts, taken over from the earlier version where the text is the same."""
        known = self.known.get(name)
        if known is None:
            self.n_embedded += len(texts)
            return self.embedder.embed(texts, step)
        rows = known.find(hashes)
        result = np.empty((len(texts), self.embedder.dimension), np.float32)
        result[rows >= 0] = known.vectors[rows[rows >= 0]]
        fresh = np.flatnonzero(rows < 0)
        if len(fresh):
            result[fresh] = self.embedder.embed([texts[i] for i in fresh.tolist()])
        self.n_embedded += len(fresh)
        step(len(texts))
        return result

    def store_later(self, name: str, start: int, *rows: Any) -> None:
        """Stores rows while the next are embedded; at most one slice waits."""
        self.wait()
        self._stored = self._pool.submit(self.store.add, name, start, *rows)

    def wait(self) -> None:
        """Returns when all rows are stored; raises what storing raised."""
        if self._stored is not None:
            self._stored.result()
            self._stored = None

    def close(self) -> None:
        """Ends the thread and closes the store."""
        self._pool.shutdown()
        self.store.close()

    def step(self, name: str, n: int, total: int) -> None:
        """Reports ``n`` more rows of a table as done."""
        self._steps[name] = self._steps.get(name, 0) + n
        if self._on_step:
            self._on_step(f"embedding {name}", self._steps[name], total)


def write_index(
    dataset: Dataset,
    folder: Path,
    embedder: Embedder,
    *,
    finish: Finish,
    reuse: bool = True,
    on_step: OnStep | None = None,
) -> tuple[Manifest, int]:
    """Writes a new version of the index at ``folder`` and makes it the current one.

    Args:
        dataset: What to index.
        folder: The index; made when it is not there.
        embedder: Makes the vectors.
        finish: Fits the rest of the version from its folder.
        reuse: Take vectors over from the current version for texts that did not change.
        on_step: Told of progress.

    Returns:
        The manifest, and the number of texts that were embedded.

    Raises:
        IndexLocked: If another process is writing this index.
    """
    with new_version(folder) as version:
        store = VectorStore(version / "chroma", create=True)
        writer = _Writer(embedder, store, on_step)
        if reuse:
            writer.known = _reusable(folder, embedder)
        try:
            _write_items(dataset, version, writer)
            _write_reviews(dataset, version, writer)
            writer.wait()
        finally:
            writer.close()
        dataset.interactions.write_parquet(version / "interactions.parquet")
        manifest = Manifest(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            embedder=describe(embedder),
            dataset_digest=dataset.digest,
            n_items=dataset.items.height,
            n_reviews=dataset.reviews.count,
            n_interactions=dataset.interactions.height,
            n_users=dataset.n_users,
            retrieval=finish(version),
            notices=tuple(dataset.notices),
        )
        manifest.write(version)
    return manifest, writer.n_embedded


def describe(embedder: Embedder) -> EmbedderInfo:
    """The embedder as the manifest names it."""
    return EmbedderInfo(name=embedder.name, digest=embedder.digest, dimension=embedder.dimension)


def _reusable(folder: Path, embedder: Embedder) -> dict[str, _Known]:
    try:
        version = current_version(folder)
        if Manifest.read(version).embedder.digest != embedder.digest:
            return {}
    except (IndexNotFound, StaleIndex):
        return {}
    return {name: _Known.of(version, name) for name in (ITEMS, REVIEWS)}


def _write_items(dataset: Dataset, version: Path, writer: _Writer) -> None:
    items = dataset.items
    items.write_parquet(version / "items.parquet")
    table = _Table(version, ITEMS, items.height, writer)
    for part in items.iter_slices(_SLICE):
        rows = part.select("item_id", "price", "brand", "in_stock").iter_rows(named=True)
        table.add(item_texts(part), [_without_blanks(row) for row in rows])
    table.finish()


def _write_reviews(dataset: Dataset, version: Path, writer: _Writer) -> None:
    ids = dataset.items.select("item_id").with_row_index("item_ix")
    users = dataset.interactions.select("user_id").unique(maintain_order=True)
    users = users.with_row_index("user_ix")
    table = _Table(version, REVIEWS, dataset.reviews.count, writer)
    owners: list[NDArray[np.int32]] = []
    writers: list[NDArray[np.int32]] = []
    for frame in dataset.reviews.frames():
        for part in frame.iter_slices(_SLICE):
            placed = part.join(ids, on="item_id", how="left", maintain_order="left")
            owners.append(placed["item_ix"].cast(pl.Int32).to_numpy())
            by = part.join(users, on="user_id", how="left", maintain_order="left")["user_ix"]
            writers.append(by.cast(pl.Int32).fill_null(-1).to_numpy())
            texts = [plain_text(text) or "-" for text in part["text"]]
            columns = ("review_id", "item_id", "user_id", "rating", "timestamp")
            rows = part.select(columns).iter_rows(named=True)
            table.add(texts, [_without_blanks(row) for row in rows])
    table.finish()
    np.save(version / "review_items.npy", np.concatenate([np.empty(0, np.int32), *owners]))
    np.save(version / "review_users.npy", np.concatenate([np.empty(0, np.int32), *writers]))


def _without_blanks(row: dict[str, Any]) -> Metadata:
    return {name: value for name, value in row.items() if value is not None and value != ""}


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")

"""Writing one index version: embed new texts, store everything, leave a manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rag_rec.core import IndexNotFound, OnStep, StaleIndex, plain_text
from rag_rec.data import Dataset
from rag_rec.index.embedders.text import Embedder, Vectors
from rag_rec.index.store import ITEMS, REVIEWS, Metadata, VectorStore
from rag_rec.index.versions import EmbedderInfo, Manifest, current_version, new_version

Finish = Callable[[Path], dict[str, Any]]
"""Fits the rest of a version from its folder; returns the manifest's record of it."""

_SLICE = 512
_MAX_CHARS = 2_000


def write_index(
    dataset: Dataset,
    folder: Path,
    embedder: Embedder,
    *,
    finish: Finish,
    reuse: bool = True,
    on_step: OnStep | None = None,
) -> tuple[Manifest, int]:
    """Write a new version of the index at ``folder`` and make it the current one.

    Args:
        dataset: The data to index.
        folder: The index; made when it is not there.
        embedder: Makes the vectors.
        finish: Fits the rest of the version from its folder.
        reuse: Take vectors over from the current version for texts that did not change.
        on_step: Receives progress.

    Returns:
        The manifest, and the number of texts that were embedded.

    Raises:
        IndexLocked: If another process is writing this index.
    """
    with new_version(folder) as version:
        store = VectorStore(version / "chroma", create=True)
        previous = _reusable(folder, embedder) if reuse else None
        tools = _Tools(version, embedder, store, previous, on_step)
        try:
            n_embedded = _write_items(dataset, tools) + _write_reviews(dataset, tools)
        finally:
            store.close()
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
    return manifest, n_embedded


def describe(embedder: Embedder) -> EmbedderInfo:
    """Return the embedder as the manifest names it."""
    return EmbedderInfo(name=embedder.name, digest=embedder.digest, dimension=embedder.dimension)


def item_texts(items: pl.DataFrame) -> list[str]:
    """Return one text an item, for the embedder and the sources that read words.

    It holds title, brand, categories and description, or the id of an item that has none of them.
    """
    return list(_texts(items))


def _texts(items: pl.DataFrame) -> Iterator[str]:
    names = ("item_id", "title", "brand", "categories", "description")
    for item_id, title, brand, categories, description in items.select(names).iter_rows():
        parts = (title, brand, ", ".join(dict.fromkeys(categories)), description)
        text = ". ".join(plain for part in parts if part and (plain := plain_text(part)))
        yield text[:_MAX_CHARS] or item_id


def _reusable(folder: Path, embedder: Embedder) -> Path | None:
    """Return the current version if its vectors were made by the same model."""
    try:
        version = current_version(folder)
        same = Manifest.read(version).embedder.digest == embedder.digest
    except (IndexNotFound, StaleIndex):
        return None
    return version if same else None


@dataclass(frozen=True, slots=True)
class _Tools:
    """The version that is written, and the things that both of its tables need."""

    version: Path
    embedder: Embedder
    store: VectorStore
    previous: Path | None
    on_step: OnStep | None


def _write_items(dataset: Dataset, tools: _Tools) -> int:
    items = dataset.items
    items.write_parquet(tools.version / "items.parquet")
    with _TableWriter(ITEMS, items.height, tools) as table:
        for part in items.iter_slices(_SLICE):
            rows = part.select("item_id", "price", "brand", "in_stock").iter_rows(named=True)
            table.add(item_texts(part), [_without_blanks(row) for row in rows])
    return table.n_embedded


def _write_reviews(dataset: Dataset, tools: _Tools) -> int:
    ids = dataset.items.select("item_id").with_row_index("item_ix")
    users = dataset.interactions.select("user_id").unique(maintain_order=True)
    users = users.with_row_index("user_ix")
    owners = [np.empty(0, np.int32)]
    writers = [np.empty(0, np.int32)]
    columns = ("review_id", "item_id", "user_id", "rating", "timestamp")
    with _TableWriter(REVIEWS, dataset.reviews.count, tools) as table:
        for part in (part for one in dataset.reviews.frames() for part in one.iter_slices(_SLICE)):
            placed = part.join(ids, on="item_id", how="left", maintain_order="left")
            placed = placed.join(users, on="user_id", how="left", maintain_order="left")
            owners.append(placed["item_ix"].cast(pl.Int32).to_numpy())
            writers.append(placed["user_ix"].cast(pl.Int32).fill_null(-1).to_numpy())
            texts = [plain_text(text) or "-" for text in part["text"]]
            rows = part.select(columns).iter_rows(named=True)
            table.add(texts, [_without_blanks(row) for row in rows])
    np.save(tools.version / "review_items.npy", np.concatenate(owners))
    np.save(tools.version / "review_users.npy", np.concatenate(writers))
    return table.n_embedded


def _without_blanks(row: dict[str, Any]) -> Metadata:
    return {name: value for name, value in row.items() if value is not None and value != ""}


class _TableWriter:
    """Embeds and stores the rows of one table; one slice is stored while the next is embedded.

    Args:
        name: `ITEMS` or `REVIEWS`.
        n: Rows the table will have.
        tools: The version and the rest.
    """

    def __init__(self, name: str, n: int, tools: _Tools) -> None:
        self.n_embedded = 0
        self._name, self._n, self._tools = name, n, tools
        self._known = _KnownVectors.of(tools.previous, name) if tools.previous else None
        self._done = self._reported = 0
        self._hashes = np.empty(n, np.uint64)
        self._path = tools.version / f"{name}_vectors.npy"
        shape = (n, tools.embedder.dimension)
        if n:
            np.lib.format.open_memmap(self._path, "w+", np.float32, shape)
        else:
            np.save(self._path, np.empty(shape, np.float32))
        self._pool = ThreadPoolExecutor(1)
        self._stored: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown()
        if kind is None:
            self._wait()
            np.save(self._tools.version / f"{self._name}_hashes.npy", self._hashes)

    def add(self, texts: Sequence[str], metadata: Sequence[Metadata]) -> None:
        """Embed and store the next rows, one slice."""
        hashes = np.array([_hash(text) for text in texts], np.uint64)
        vectors = self._vectors(texts, hashes)
        start, self._done = self._done, self._done + len(texts)
        # mapped anew each time: pages of a mapping that stays open stay in memory
        mapped = np.lib.format.open_memmap(self._path, "r+")
        mapped[start : self._done] = vectors
        del mapped
        self._hashes[start : self._done] = hashes
        self._wait()
        rows = (self._name, start, vectors, texts, metadata)
        self._stored = self._pool.submit(self._tools.store.add, *rows)

    def _vectors(self, texts: Sequence[str], hashes: NDArray[np.uint64]) -> Vectors:
        """Return the vectors of texts, from the earlier version where the text is the same."""
        embedder = self._tools.embedder
        if self._known is None:
            self.n_embedded += len(texts)
            return embedder.embed(texts, self._report)
        rows = self._known.find(hashes)
        result = np.empty((len(texts), embedder.dimension), np.float32)
        result[rows >= 0] = self._known.vectors[rows[rows >= 0]]
        fresh = np.flatnonzero(rows < 0)
        if len(fresh):
            result[fresh] = embedder.embed([texts[i] for i in fresh.tolist()])
        self.n_embedded += len(fresh)
        self._report(len(texts))
        return result

    def _wait(self) -> None:
        """Return when the rows handed over are stored; raise the error of storing them."""
        if self._stored is not None:
            self._stored.result()
            self._stored = None

    def _report(self, n: int) -> None:
        self._reported += n
        if self._tools.on_step:
            self._tools.on_step(f"embedding {self._name}", self._reported, self._n)


@dataclass(frozen=True, slots=True)
class _KnownVectors:
    """Vectors of an earlier version by the hash of their text."""

    hashes: NDArray[np.uint64]
    order: NDArray[np.int64]
    vectors: Vectors

    @classmethod
    def of(cls, folder: Path, name: str) -> _KnownVectors:
        hashes = np.load(folder / f"{name}_hashes.npy", allow_pickle=False)
        order = np.argsort(hashes, kind="stable")
        vectors = np.load(folder / f"{name}_vectors.npy", mmap_mode="r", allow_pickle=False)
        return cls(hashes[order], order, vectors)

    def find(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the row of each hash, -1 where there is none."""
        if not len(self.hashes):
            return np.full(len(hashes), -1, np.int64)
        place = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.where(self.hashes[place] == hashes, self.order[place], -1)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")

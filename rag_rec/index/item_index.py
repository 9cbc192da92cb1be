"""`ItemIndex`: one open index version, read only."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rag_rec.core import DataError, Interaction, Item, UserHistory
from rag_rec.index.eligibility import Eligibility
from rag_rec.index.embedders.text import Embedder, SentenceTransformerEmbedder, Vectors
from rag_rec.index.files import (
    CHROMA,
    ITEMS_FILE,
    LOG_FILE,
    REVIEWS_FILE,
    check_files,
    chroma_files,
    files_read_at_opening,
    reading,
)
from rag_rec.index.manifest import Manifest
from rag_rec.index.review_table import ReviewTable
from rag_rec.index.store import VectorStore, private_copy
from rag_rec.index.versions import current_version, hold


class VectorRows(Protocol):
    """Vectors that are looked up by row number; an array is one."""

    def __getitem__(self, rows: NDArray[np.integer], /) -> Vectors:
        """Return the vectors of some rows, of any shape: float32 ``[..., dimension]``."""
        ...


class ItemIndex:
    """The catalog, its vectors, its reviews and the log, as one version holds them.

    Nothing is written into the version's folder, so it may be on a read-only volume. Updates leave
    the version alone as long as it is open.

    Attributes:
        folder: The version's folder.
        items: The catalog in a neutral order (see `in_row_order`), retired items last; row number
            is ``item_ix``.
        retired: True for each item that is no longer in the catalog, ``[n_items]``.
    """

    def __init__(self, version: Path, embedder: Embedder | None = None) -> None:
        """Open a version folder; most callers use `open`."""
        self.folder = version
        with reading(version / ITEMS_FILE):
            items = pl.read_parquet(version / ITEMS_FILE)
        self.items = items.drop("retired")
        self.retired: NDArray[np.bool_] = items["retired"].to_numpy()
        self._given_embedder = embedder
        self._cache: dict[int, Item] = {}
        self._let_go: Callable[[], object] | None = None

    @classmethod
    def open(cls, folder: str | Path, embedder: Embedder | None = None) -> Self:
        """Open the current version of the index at ``folder``.

        Args:
            folder: The index.
            embedder: Must be the one the index was built with; by default it is loaded by name
                when a text has to be embedded, and not before.

        Raises:
            IndexNotFound: If there is no index.
            StaleIndex: If the embedder is another, or another library version wrote the index.
            StorageError: If a file is damaged, missing or foreign. Of files beyond those of
                `files_read_at_opening` only the size is compared; `verify_index` reads every byte.
        """
        version, manifest = current_version(Path(folder))
        if embedder is not None:
            manifest.check_embedder(embedder)
        held = hold(version)
        try:
            check_files(version, manifest.files, files_read_at_opening(manifest.files))
            opened = cls(version, embedder)
        except BaseException:
            os.close(held)
            raise
        opened.manifest = manifest
        opened._let_go = weakref.finalize(opened, os.close, held)
        return opened

    @cached_property
    def manifest(self) -> Manifest:
        """Contents and origin of the version."""
        return Manifest.read(self.folder)

    @property
    def n_items(self) -> int:
        """Number of rows: items, retired ones included."""
        return self.items.height

    @property
    def n_built(self) -> int:
        """Number of items that retrieval was fitted with: the first rows."""
        return self.n_items

    @property
    def live_seq(self) -> int:
        """Number of the last live change that was taken up."""
        return self.manifest.live_seq

    def refresh(self) -> None:
        """Take up what changed meanwhile: here nothing, as a version never changes."""

    @cached_property
    def embedder(self) -> Embedder:
        """The embedder of the index, loaded at first use and checked against the manifest."""
        if self._given_embedder is not None:
            return self._given_embedder
        embedder = SentenceTransformerEmbedder(self.manifest.embedder.name)
        self.manifest.check_embedder(embedder)
        return embedder

    @cached_property
    def store(self) -> VectorStore:
        """Chroma's collections, in a temporary copy: Chroma writes where it reads.

        No step of a recommendation needs them. They are for a look inside, and for other tools.
        """
        check_files(self.folder, self.manifest.files, chroma_files(self.manifest.files))
        self._copy = private_copy(self.folder / CHROMA)
        return VectorStore(self._copy.path)

    @cached_property
    def item_vectors(self) -> Vectors:
        """Unit rows, float32 ``[n_items, dimension]``, mapped from disk; zeros without text."""
        return _mapped(self.folder / "items_vectors.npy")

    @property
    def vector_rows(self) -> VectorRows:
        """The vectors by row number, those of rows beyond the version too."""
        return self.item_vectors

    def vectors_of(self, rows: Sequence[int] | NDArray[np.integer]) -> Vectors:
        """Return the vectors of some rows, of any shape: float32 ``[..., dimension]``."""
        return self.vector_rows[np.asarray(rows, np.int64)]

    def cosines(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the cosine of every item with a unit vector, ``[n_items]``."""
        return self.item_vectors @ vector

    @cached_property
    def has_vector(self) -> NDArray[np.bool_]:
        """True for each item that has a text and so a vector, ``[n_items]``."""
        return np.any(self.item_vectors, axis=1)

    @cached_property
    def review_vectors(self) -> Vectors:
        """Unit rows, float32 ``[n_reviews, dimension]``, mapped from disk."""
        return _mapped(self.folder / "reviews_vectors.npy")

    @cached_property
    def review_items(self) -> NDArray[np.int32]:
        """``item_ix`` of each review, ``[n_reviews]``."""
        return _loaded(self.folder / "review_items.npy")

    @cached_property
    def review_users(self) -> NDArray[np.int32]:
        """Author of each review, ``[n_reviews]``: the user's place in the log, -1 for others."""
        return _loaded(self.folder / "review_users.npy")

    @cached_property
    def item_ids(self) -> list[str]:
        """Ids by row number."""
        return self.items["item_id"].to_list()

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Row number of each item id."""
        return {item_id: row for row, item_id in enumerate(self.item_ids)}

    @cached_property
    def eligibility(self) -> Eligibility:
        """The rules that decide which items may be listed."""
        return Eligibility(self.items, self.row_of, self.retired)

    @cached_property
    def popularity(self) -> NDArray[np.int64]:
        """Number of events of each item in the log, ``[n_items]``."""
        counts = np.zeros(self.n_items, np.int64)
        for item_id, n in self.interactions["item_id"].value_counts().iter_rows():
            if (row := self.row_of.get(item_id)) is not None:
                counts[row] = n
        return counts

    def find(self, item_id: str) -> int | None:
        """Return the row number of an item id, None if it is not in the catalog."""
        return self.row_of.get(item_id)

    def item(self, item_ix: int) -> Item:
        """Return the item at a row number, marked as new if the log has no events of it."""
        found = self._cache.get(item_ix)
        if found is None:
            row = self.items.row(item_ix, named=True)
            row["brand"] = row["brand"] or None
            found = Item(**row, is_new=not self.popularity[item_ix])
            self._cache[item_ix] = found
        return found

    def item_by_id(self, item_id: str) -> Item:
        """Return the item of an id.

        Raises:
            DataError: If it is not in the catalog.
        """
        row = self.find(item_id)
        if row is None:
            raise DataError(f"no item '{item_id}' in the index", field="item_id")
        return self.item(row)

    def nearest(
        self, vectors: Vectors, n: int
    ) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Return row numbers and cosines of the ``n`` nearest items of each vector, nearest first.

        Every item that has a vector is compared, the retired ones too. A vector of zeros is near
        to none.

        Args:
            vectors: Unit rows, float32 ``[b, dimension]``.
            n: Number of items.
        """
        return [self._nearest(vector, n) for vector in vectors]

    def _nearest(
        self, vector: NDArray[np.float32], n: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        cosines = self.cosines(vector)
        compared = self.has_vector if vector.any() else np.zeros_like(self.has_vector)
        cosines[~compared] = -np.inf
        least = np.partition(cosines, -n)[-n] if n < len(cosines) else -np.inf
        near = np.flatnonzero((cosines >= least) & compared)
        near = near[np.argsort(-cosines[near], kind="stable")][:n]
        return near, cosines[near]

    # --- the log --------------------------------------------------------------------------

    @cached_property
    def interactions(self) -> pl.DataFrame:
        """``user_id, item_id, timestamp, rating``, sorted by user and time."""
        with reading(self.folder / LOG_FILE):
            return pl.read_parquet(self.folder / LOG_FILE)

    @cached_property
    def _spans(self) -> dict[str, tuple[int, int]]:
        rows = self.interactions.with_row_index("row")
        spans = rows.group_by("user_id", maintain_order=True).agg(
            pl.col("row").min().alias("start"), pl.len().alias("n")
        )
        return {user: (start, n) for user, start, n in spans.iter_rows()}

    @property
    def user_ids(self) -> list[str]:
        """Users of the log, in its order: by id."""
        return list(self._spans)

    def has_user(self, user_id: str) -> bool:
        """Return True if the log has events of a user."""
        return user_id in self._spans

    def history(self, user_id: str) -> UserHistory:
        """Return the log of one user, oldest first.

        Raises:
            DataError: If the log has no events of the user.
        """
        span = self._spans.get(user_id)
        if span is None:
            raise DataError(
                f"no user '{user_id}' in the index; give a history of item ids or a profile text",
                field="user_id",
            )
        rows = self.interactions.slice(*span).rows()
        events = tuple(
            Interaction(item_id=item_id, timestamp=time, rating=rating)
            for _, item_id, time, rating in rows
        )
        return UserHistory(user_id=user_id, events=events)

    # --- reviews --------------------------------------------------------------------------

    @cached_property
    def _reviews(self) -> ReviewTable:
        return ReviewTable(self.folder / REVIEWS_FILE)

    @cached_property
    def _by_item(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        order = np.argsort(self.review_items, kind="stable")
        starts = np.searchsorted(self.review_items[order], np.arange(self.n_items + 1))
        return order, starts

    def reviews_of(self, item_ix: int) -> NDArray[np.int64]:
        """Return the row numbers of an item's reviews."""
        order, starts = self._by_item
        return order[starts[item_ix] : starts[item_ix + 1]]

    def review_texts(self, rows: Sequence[int]) -> list[str]:
        """Return texts of some reviews as one line each, in the order given."""
        return self._reviews.texts(rows)

    def reviews_by(self, user_id: str, n: int) -> list[tuple[str, str]]:
        """Return item id and text of up to ``n`` reviews that a user wrote."""
        return self._reviews.written_by(user_id, n)

    def close(self) -> None:
        """Close the files that were opened, and remove the copy of Chroma if one was made."""
        if "_reviews" in self.__dict__:
            self._reviews.close()
        if "store" in self.__dict__:
            self.store.close()
            self._copy.close()
        if self._let_go:
            self._let_go()


def _mapped(path: Path) -> Vectors:
    """Return a plain array over the file; `np.memmap` itself is slow to index."""
    with reading(path):
        return np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)


def _loaded(path: Path) -> NDArray[np.int32]:
    with reading(path):
        return np.load(path, allow_pickle=False)

"""`Dataset`: a validated catalog, its reviews and its interaction log."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from rag_rec.core import DataError
from rag_rec.data.rejects import BadRow, OnError, Rejects
from rag_rec.data.schema import INTERACTIONS, ITEMS, REVIEWS, ROW, dtypes, empty

Format = Literal["auto", "amazon", "movielens", "recbole", "sequences"]
Mappings = Mapping[str, str]


class ReviewStore:
    """Reviews on disk, in parts, so that their number does not matter to memory.

    The folder holds ``part-*.parquet`` with the columns of `REVIEWS` and goes with this object.

    Attributes:
        count: Number of reviews.
        digest: SHA-256 of their content.
    """

    def __init__(self, frames: Iterable[pl.DataFrame]) -> None:
        """Stores the frames in order."""
        self._folder = Path(tempfile.mkdtemp(prefix="rag-rec-reviews-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self.count = 0
        state = hashlib.sha256()
        for number, frame in enumerate(frames):
            frame.write_parquet(self._folder / f"part-{number:06d}.parquet")
            self.count += frame.height
            state.update(frame_digest(frame).encode())
        self.digest = state.hexdigest()

    def frames(self) -> Iterator[pl.DataFrame]:
        """The frames in order, one in memory at a time."""
        for part in sorted(self._folder.glob("part-*.parquet")):
            yield pl.read_parquet(part)


@dataclass(slots=True)
class Dataset:
    """Validated tables with fixed column names.

    Attributes:
        items: ``item_id, title, description, brand, price, categories, released, in_stock``;
            one row an item, in file order.
        interactions: ``user_id, item_id, timestamp, rating``, sorted by user and time (stable:
            events without a time keep the file's order).
        reviews: The review store; ``review_id, item_id, user_id, text, rating, timestamp``.
        notices: What a person should know about the load, one line each.
        rejected: Number of rows set aside.
    """

    items: pl.DataFrame
    interactions: pl.DataFrame
    reviews: ReviewStore
    notices: list[str] = field(default_factory=list)
    rejected: int = 0

    @classmethod
    def load(
        cls,
        folder: str | Path | None = None,
        *,
        items: str | Path | None = None,
        reviews: str | Path | None = None,
        interactions: str | Path | None = None,
        format: Format = "auto",  # noqa: A002
        columns: Mapping[str, Mappings] | None = None,
        on_error: OnError = "stop",
        rejects_file: str | Path = "rejected.csv",
    ) -> Dataset:
        """Reads and validates a data set.

        Args:
            folder: A MovieLens or RecBole folder; the other formats take single files.
            items: The catalog. Without it, the catalog is the items that occur in the log.
            reviews: Reviews.
            interactions: The log. With ``format="amazon"`` it is taken from the reviews.
            format: ``auto`` recognises usual column names in CSV, JSON lines and Parquet;
                ``amazon`` the 2014, 2018 and 2023 files; ``movielens`` and ``recbole`` their
                folders; ``sequences`` lines of ``user item item ...``.
            columns: For each table (``items``, ``reviews``, ``interactions``), our column name to
                the file's, where it is not recognised.
            on_error: ``stop`` at the first bad row, or ``skip`` it into ``rejects_file``.
            rejects_file: CSV of the rows set aside.

        Raises:
            DataError: On missing files or columns, or a bad row when ``on_error`` is ``stop``.
        """
        from rag_rec.data.formats import Sources, read_format  # it builds on this file

        rejects = Rejects(on_error, Path(rejects_file))
        paths = {"folder": folder, "items": items, "reviews": reviews, "interactions": interactions}
        known = {name: Path(path) for name, path in paths.items() if path is not None}
        sources = Sources(**known, columns=columns or {})
        return read_format(format, sources, rejects)

    @property
    def digest(self) -> str:
        """SHA-256 over all three tables."""
        parts = (frame_digest(self.items), frame_digest(self.interactions), self.reviews.digest)
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    @property
    def n_users(self) -> int:
        """Users with at least one interaction."""
        return self.interactions["user_id"].n_unique()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a table's rows come from: the file, and how row numbers become line numbers."""

    path: Path
    lines: Callable[[Sequence[int]], list[int]]

    def bad(self, rows: pl.DataFrame, expected: str) -> list[BadRow]:
        """Reports for rows whose item id is at fault."""
        if not rows.height:
            return []
        found = zip(self.lines(rows[ROW].to_list()), rows["item_id"], strict=True)
        return [BadRow(self.path, line, "item_id", expected, item_id) for line, item_id in found]


def assemble(
    items: pl.DataFrame | None,
    reviews: Iterable[pl.DataFrame],
    interactions: Iterable[pl.DataFrame],
    rejects: Rejects,
    origins: Mapping[str, Origin],
) -> Dataset:
    """Checks what only shows across tables: duplicate items, ids outside the catalog."""
    log = pl.concat([empty(INTERACTIONS), *interactions])
    if items is None:
        items = _items_of(log, rejects)
    else:
        items = _unique_items(items, rejects, origins["items"])
    if not items.height:
        raise DataError("there are no items", path=origins["items"].path if origins else None)
    known = items.select("item_id")
    log = known_only(log, known, rejects, origins.get("interactions"))
    words = (known_only(frame, known, rejects, origins.get("reviews")) for frame in reviews)
    store = ReviewStore(_with_ids(_with_text(frame, rejects) for frame in words))
    log = log.sort("user_id", "timestamp", nulls_last=False, maintain_order=True)
    return Dataset(
        items.select(*dtypes(ITEMS)),
        log.select(*dtypes(INTERACTIONS)),
        store,
        rejects.notices,
        rejects.count,
    )


def known_only(
    frame: pl.DataFrame, known: pl.DataFrame, rejects: Rejects, origin: Origin | None
) -> pl.DataFrame:
    """The rows whose item is in the catalog; the others are bad rows."""
    if origin is None:
        return frame
    rejects.add(origin.bad(frame.join(known, on="item_id", how="anti"), "an id of the catalog"))
    return frame.join(known, on="item_id", how="semi", maintain_order="left")


def frame_digest(frame: pl.DataFrame) -> str:
    """SHA-256 of a frame's content, independent of chunking."""
    text = frame.select(pl.struct(pl.all()).struct.json_encode().alias("row"))["row"]
    state = hashlib.sha256()
    for part in text.rechunk().to_frame().iter_slices(10_000):
        state.update("\n".join(part["row"].to_list()).encode())
    return state.hexdigest()


def _items_of(log: pl.DataFrame, rejects: Rejects) -> pl.DataFrame:
    ids = log.select("item_id").unique(maintain_order=True)
    rejects.notice(f"no catalog given: it is the {ids.height} items of the log, known by id only")
    table = pl.concat([empty(ITEMS), ids], how="diagonal")
    return table.with_columns(
        pl.col("title", "description", "brand").fill_null(""),
        categories=pl.lit([], dtype=pl.List(pl.String)),
        in_stock=pl.lit(value=True),
    )


def _unique_items(items: pl.DataFrame, rejects: Rejects, origin: Origin) -> pl.DataFrame:
    items = items.with_columns(
        pl.col("in_stock").fill_null(value=True), pl.col("categories").fill_null([])
    )
    first = items.unique("item_id", keep="first", maintain_order=True)
    repeated = items.join(first.select(ROW), on=ROW, how="anti")
    rejects.add(origin.bad(repeated, "an id that occurs once"))
    return first


def _with_text(frame: pl.DataFrame, rejects: Rejects) -> pl.DataFrame:
    full = frame.filter(pl.col("text").str.strip_chars() != "")
    if full.height < frame.height:
        rejects.notice(f"{frame.height - full.height} reviews without text are not indexed")
    return full


def _with_ids(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Numbers the reviews that carry no id of their own: ``r1``, ``r2``, ... in file order."""
    start = 1
    for frame in frames:
        numbers = pl.format("r{}", pl.int_range(start, start + frame.height, dtype=pl.Int64))
        given = pl.when(pl.col("review_id") != "").then(pl.col("review_id"))
        yield frame.with_columns(review_id=given.otherwise(numbers)).select(*dtypes(REVIEWS))
        start += frame.height

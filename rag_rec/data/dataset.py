"""`Dataset`: a validated catalog, its reviews and its interaction log."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import polars as pl

from rag_rec.core import ConfigError, DataError
from rag_rec.data.formats.base import Sources, TableName, TableRows, Tables
from rag_rec.data.formats.registry import FORMATS, format_named
from rag_rec.data.rejects import MAX_REJECTED, OnError, Rejects
from rag_rec.data.report import TableReport
from rag_rec.data.reviews import ReviewStore, frame_digest
from rag_rec.data.schema import INTERACTIONS, ITEMS, LINE, REVIEWS, dtypes, empty

ITEM_ID = {"item_id": pl.String()}
SAMPLE_FOLDER = Path(__file__).parent / "sample"


@dataclass(slots=True)
class Dataset:
    """Validated tables with fixed column names.

    Attributes:
        items: ``item_id, title, description, brand, price, categories, released, in_stock``;
            one row an item, in file order.
        interactions: ``user_id, item_id, timestamp, rating``, sorted by user and time (stable:
            events without a time keep the file's order).
        reviews: The review store; ``review_id, item_id, user_id, text, rating, timestamp``.
        notices: Remarks on the load for a person, one line each.
        rejected: Number of rows set aside.
        given: The tables that were read; the others are empty, or made of those.
        retired: Items that are no longer in the catalog, whose events and reviews still teach.
        reports: For each file, how its columns were read.
    """

    items: pl.DataFrame
    interactions: pl.DataFrame
    reviews: ReviewStore
    notices: list[str] = field(default_factory=list)
    rejected: int = 0
    given: frozenset[TableName] = frozenset(get_args(TableName))
    retired: pl.DataFrame = field(default_factory=lambda: empty(ITEMS).drop(LINE))
    reports: list[TableReport] = field(default_factory=list)

    @classmethod
    def load(
        cls,
        folder: str | Path | None = None,
        *,
        items: str | Path | None = None,
        reviews: str | Path | None = None,
        interactions: str | Path | None = None,
        format: str = "auto",  # noqa: A002
        columns: Mapping[str, Mapping[str, str]] | None = None,
        forms: Mapping[str, Mapping[str, str]] | None = None,
        on_error: OnError = "stop",
        rejects_file: str | Path = "rejected.csv",
        earlier_items: Iterable[str] = (),
        max_rejected: float = MAX_REJECTED,
    ) -> Dataset:
        """Read and validate a data set.

        Args:
            folder: A MovieLens or RecBole folder; the other formats take single files.
            items: The catalog. Without it, the catalog is the items that occur in the log.
            reviews: Reviews.
            interactions: The log. With ``format="amazon"`` it is taken from the reviews.
            format: ``auto`` recognises usual column names in CSV, JSON lines and Parquet;
                ``amazon`` the 2014, 2018 and 2023 files; ``movielens`` and ``recbole`` their
                folders; ``sequences`` lines of ``user item item ...``. See `register_format` for
                one of your own.
            columns: For each table (``items``, ``reviews``, ``interactions``), our column name to
                the file's, where it is not recognised; an empty name leaves the column out.
            forms: For each table, our column name to the form of its values, where that is not
                recognised: ``comma`` or ``point``, ``day-first``, ``month-first`` or ``yyyymmdd``,
                or the separator of lists.
            on_error: ``stop`` at the first bad row, or ``skip`` it into ``rejects_file``.
            rejects_file: CSV of the rows set aside.
            earlier_items: Ids that the log and the reviews may name although the catalog does
                not, such as those of the index that is updated.
            max_rejected: Largest share of a file's rows that may be set aside.

        Raises:
            ConfigError: On an unknown format, or sources that it cannot take.
            DataError: On missing files or columns, or a bad row when ``on_error`` is ``stop``,
                or more of them than ``max_rejected`` allows.
        """
        chosen = format_named(format)
        given: dict[TableName, str | Path | None] = {
            "items": items,
            "reviews": reviews,
            "interactions": interactions,
        }
        files: dict[TableName, Path] = {
            table: Path(path) for table, path in given.items() if path is not None
        }
        if not files and folder is None:
            raise ConfigError("nothing to read: give items, interactions, reviews or a folder")
        if folder is not None and not chosen.takes_folder:
            names = " or ".join(known.name for known in FORMATS.values() if known.takes_folder)
            raise ConfigError(f"a folder needs a format that takes one: --format {names}")
        place = None if folder is None else Path(folder)
        rejects = Rejects(on_error, Path(rejects_file))
        tables = chosen.read(Sources(place, files, columns or {}, forms or {}), rejects)
        earlier = pl.DataFrame({"item_id": [*earlier_items]}, ITEM_ID)
        data = checked(tables, rejects, earlier)
        rejects.check(max_rejected)
        return data

    @property
    def is_whole(self) -> bool:
        """True if all three tables were given."""
        return self.given == frozenset(get_args(TableName))

    @property
    def digest(self) -> str:
        """SHA-256 over all three tables, whatever the order of the items."""
        items, log = frame_digest(self.items.sort("item_id")), frame_digest(self.interactions)
        parts = [items, log, self.reviews.digest]
        if self.retired.height:
            parts.append(frame_digest(self.retired.sort("item_id")))
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    @property
    def n_users(self) -> int:
        """Number of users with at least one interaction."""
        return self.interactions["user_id"].n_unique()


def load_sample() -> Dataset:
    """Load the shop "Larch & Lantern", made up: 300 items, 430 customers, 1,500 reviews and more.

    Its structure is planted (docs/sample.md).
    """
    return Dataset.load(
        items=SAMPLE_FOLDER / "items.jsonl",
        reviews=SAMPLE_FOLDER / "reviews.jsonl",
        interactions=SAMPLE_FOLDER / "interactions.csv",
    )


def checked(tables: Tables, rejects: Rejects, earlier: pl.DataFrame) -> Dataset:
    """Check what only shows across tables: repeated items, ids outside the catalog."""
    events, texts = tables.interactions, tables.reviews
    log = events.table(INTERACTIONS) if events else empty(INTERACTIONS)
    if tables.items is not None:
        items = _unique(tables.items, rejects)
    else:
        items = items_of(log.clear() if earlier.height else log, rejects)
    if not items.height and not earlier.height:
        raise DataError("there are no items", path=tables.items and tables.items.path)
    known = pl.concat([items.select("item_id"), earlier]).unique()
    if events:
        log = events.known(log, known, rejects)
    reviews = (texts.known(frame, known, rejects) for frame in texts.frames) if texts else ()
    store = ReviewStore(_with_ids(_with_text(frame, rejects) for frame in reviews))
    log = log.sort("user_id", "timestamp", nulls_last=False, maintain_order=True)
    return Dataset(
        items.select(*dtypes(ITEMS)),
        log.select(*dtypes(INTERACTIONS)),
        store,
        rejects.notices,
        rejects.count,
        frozenset(name for name in get_args(TableName) if getattr(tables, name) is not None),
        reports=rejects.reports,
    )


def items_of(log: pl.DataFrame, rejects: Rejects) -> pl.DataFrame:
    """Return a catalog of the items in a log."""
    ids = log.select("item_id").unique(maintain_order=True)
    if ids.height:
        count = f"{ids.height} items of the log"
        rejects.notice(f"no catalog given: it is the {count}, known by id only")
    table = pl.concat([empty(ITEMS), ids], how="diagonal")
    return _filled(table.with_columns(pl.col("title", "description", "brand").fill_null("")))


def _unique(items: TableRows, rejects: Rejects) -> pl.DataFrame:
    """Return the catalog; an id that occurs again makes a bad row."""
    table = items.table(ITEMS)
    first = table.unique("item_id", keep="first", maintain_order=True)
    repeated = table.join(first.select(LINE), on=LINE, how="anti", maintain_order="left")
    items.reject(repeated, "an id that occurs once", rejects)
    return _filled(first)


def _filled(items: pl.DataFrame) -> pl.DataFrame:
    return items.with_columns(
        pl.col("in_stock").fill_null(value=True), pl.col("categories").fill_null([])
    )


def _with_text(frame: pl.DataFrame, rejects: Rejects) -> pl.DataFrame:
    full = frame.filter(pl.col("text").str.strip_chars() != "")
    if full.height < frame.height:
        rejects.notice(f"{frame.height - full.height} reviews without text are not indexed")
    return full


def _with_ids(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Number the reviews that carry no id of their own: ``r1``, ``r2``, ... in file order."""
    start = 1
    for frame in frames:
        numbers = pl.format("r{}", pl.int_range(start, start + frame.height, dtype=pl.Int64))
        given = pl.when(pl.col("review_id") != "").then(pl.col("review_id"))
        yield frame.with_columns(review_id=given.otherwise(numbers)).select(*dtypes(REVIEWS))
        start += frame.height

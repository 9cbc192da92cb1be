"""One function a file format: which files hold which table, and how their rows differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import polars as pl

from rag_rec.core import ConfigError, DataError
from rag_rec.data.dataset import Dataset, Format, Origin, ReviewStore, assemble, known_only
from rag_rec.data.readers.compressed import plain_file
from rag_rec.data.rejects import BadRow, Rejects
from rag_rec.data.schema import (
    INTERACTIONS,
    ITEMS,
    REVIEWS,
    ROW,
    Column,
    dtypes,
    empty,
    match_columns,
)
from rag_rec.data.tables import read_chunks
from rag_rec.data.validate import find_lines, read_table


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a data set lies, and how its columns are named where that is not recognised."""

    folder: Path | None = None
    items: Path | None = None
    reviews: Path | None = None
    interactions: Path | None = None
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def origins(self) -> dict[str, Origin]:
        """The same with their line finders."""
        return {
            name: Origin(path, partial(find_lines, path)) for name, path in self.paths().items()
        }

    def paths(self) -> dict[str, Path]:
        """The single files by table."""
        tables = {"items": self.items, "reviews": self.reviews, "interactions": self.interactions}
        return {name: path for name, path in tables.items() if path is not None}


def read_format(name: Format, sources: Sources, rejects: Rejects) -> Dataset:
    """Reads `sources` as the named format."""
    readers: dict[str, Callable[[Sources, Rejects], Dataset]] = {
        "auto": _auto,
        "amazon": _amazon,
        "movielens": _movielens,
        "recbole": _recbole,
        "sequences": _sequences,
    }
    if name not in readers:
        raise ConfigError(f"unknown format '{name}'; choose one of {', '.join(readers)}")
    if not sources.paths() and sources.folder is None:
        raise ConfigError("nothing to read: give items, interactions, reviews or a folder")
    return readers[name](sources, rejects)


def _auto(sources: Sources, rejects: Rejects) -> Dataset:
    if sources.folder is not None:
        raise ConfigError("a folder needs a format: movielens or recbole (--format NAME)")
    return assemble(
        _items(sources, ITEMS, rejects),
        _frames(sources, "reviews", REVIEWS, rejects),
        _log(sources, rejects),
        rejects,
        sources.origins(),
    )


def _items(sources: Sources, columns: Sequence[Column], rejects: Rejects) -> pl.DataFrame | None:
    if sources.items is None:
        return None
    mapping = sources.columns.get("items", {})
    frames = read_table(sources.items, columns, mapping=mapping, rejects=rejects)
    return pl.concat([empty(columns), *frames])


def _frames(
    sources: Sources, table: str, columns: Sequence[Column], rejects: Rejects
) -> Iterator[pl.DataFrame]:
    path = sources.paths().get(table)
    if path is not None:
        mapping = sources.columns.get(table, {})
        yield from read_table(path, columns, mapping=mapping, rejects=rejects)


# --- logs whose rows hold a whole history ---------------------------------------------------

_HISTORY_NAMES = ("itemidlist", "historyitemid", "itemids", "history")
_HISTORY = (
    Column("user_id", "id", required=True, aliases=INTERACTIONS[0].aliases),
    Column("history", "text", required=True, aliases=_HISTORY_NAMES),
    Column("item_id", "text", aliases=INTERACTIONS[1].aliases),
)


def _log(sources: Sources, rejects: Rejects) -> Iterator[pl.DataFrame]:
    """One event a row, or one user a row with a list of items and perhaps the one after them."""
    path = sources.interactions
    if path is None:
        return
    mapping = sources.columns.get("interactions", {})
    if "history" in mapping or _holds_histories(path, rejects):
        rows = read_table(path, _HISTORY, mapping=mapping, rejects=rejects)
        yield _unrolled(pl.concat(rows), rejects, path)
    else:
        yield from read_table(path, INTERACTIONS, mapping=mapping, rejects=rejects)


def _holds_histories(path: Path, rejects: Rejects) -> bool:
    quiet = replace(rejects, on_error="stop", notices=[])
    chunk = next(read_chunks(path, rejects=quiet), None)
    return chunk is not None and "history" in match_columns(chunk.frame.columns, _HISTORY, {})


def _unrolled(rows: pl.DataFrame, rejects: Rejects, path: Path) -> pl.DataFrame:
    """Events of each user's longest row; shorter rows are its beginnings (augmentation)."""
    ids = pl.col("history").str.strip_chars("[] ").str.replace_all(r"[,'\"]", " ")
    events = ids.str.extract_all(r"\S+")
    target = pl.when(pl.col("item_id") != "").then(pl.concat_list("item_id")).otherwise([])
    rows = rows.with_columns(item_id=pl.concat_list(events, target))
    rows = rows.with_columns(length=pl.col("item_id").list.len())
    longest = rows.sort("length", descending=True, maintain_order=True).unique(
        "user_id", keep="first", maintain_order=True
    )
    if longest.height < rows.height:
        rejects.notice(
            f"{path.name}: {rows.height} rows of {longest.height} users; "
            "each user's longest is used"
        )
    return _as_log(longest.select("user_id", "item_id", ROW).explode("item_id"))


def _as_log(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        timestamp=pl.lit(None, dtype=pl.Int64), rating=pl.lit(None, dtype=pl.Float64)
    ).select(*dtypes(INTERACTIONS), ROW)


# --- Amazon -----------------------------------------------------------------------------------

_AMAZON_ITEMS = (
    Column("item_id", "id", required=True, aliases=("parentasin", "asin")),
    Column("title", "text", aliases=("title",)),
    Column("description", "text", aliases=("description",)),
    Column("brand", "text", aliases=("brand", "store")),
    Column("price", "price", aliases=("price",), lenient=True),
    Column("categories", "list", aliases=("categories", "category")),
    Column("released", "date", aliases=("released",)),
    Column("in_stock", "flag", aliases=("instock",)),
)
_AMAZON_REVIEWS = (
    Column("review_id", "text", aliases=("reviewid",)),
    Column("item_id", "id", required=True, aliases=("parentasin", "asin")),
    Column("user_id", "id", required=True, aliases=("userid", "reviewerid")),
    Column("headline", "text", aliases=("summary", "title")),
    Column("text", "text", aliases=("reviewtext", "text")),
    Column("rating", "number", aliases=("overall", "rating")),
    Column("timestamp", "time", aliases=("unixreviewtime", "timestamp")),
)


def _amazon(sources: Sources, rejects: Rejects) -> Dataset:
    """Product files and review files of 2014, 2018 and 2023; the log is the reviews' own."""
    path = sources.reviews or sources.interactions
    if path is None:
        raise ConfigError("the amazon format needs its review file: --reviews FILE")
    reviews = replace(sources, reviews=path)
    items = _items(sources, _AMAZON_ITEMS, rejects)
    if items is not None:
        items = _repeats_dropped(_description_joined(items), rejects, sources.items)
    known = None if items is None else items.select("item_id")
    origin = reviews.origins()["reviews"]
    log: list[pl.DataFrame] = []

    def words() -> Iterator[pl.DataFrame]:
        for frame in _frames(reviews, "reviews", _AMAZON_REVIEWS, rejects):
            kept = frame if known is None else known_only(frame, known, rejects, origin)
            log.append(kept.select(*dtypes(INTERACTIONS), ROW))
            headline, text = pl.col("headline").str.strip_chars(), pl.col("text").str.strip_chars()
            both = pl.concat_str(headline, text, separator=". ")
            whole = pl.when(headline == "").then(text).when(text == "").then(headline)
            yield kept.with_columns(text=whole.otherwise(both)).select(*dtypes(REVIEWS), ROW)

    origins = {name: o for name, o in sources.origins().items() if name == "items"}
    store = ReviewStore(words())
    return assemble(items, store.frames(), log, rejects, origins)


def _description_joined(items: pl.DataFrame) -> pl.DataFrame:
    inner = pl.col("description").str.strip_chars().str.strip_chars("[]")
    joined = inner.str.replace_all(r"""^["']|["']$""", "").str.replace_all(
        r"""["'],\s*["']""", "\n"
    )
    is_list = pl.col("description").str.starts_with("[")
    return items.with_columns(description=pl.when(is_list).then(joined).otherwise("description"))


def _repeats_dropped(items: pl.DataFrame, rejects: Rejects, path: Path | None) -> pl.DataFrame:
    """The crawls repeat products; the first line of each is kept and the others counted."""
    first = items.unique("item_id", keep="first", maintain_order=True)
    if first.height < items.height and path is not None:
        rejects.notice(f"{path.name}: {items.height - first.height} repeated items left out")
    return first


# --- MovieLens --------------------------------------------------------------------------------


def _movielens(sources: Sources, rejects: Rejects) -> Dataset:
    """``movies``, ``ratings`` and ``tags`` (as reviews) of a folder.

    ``extracts.jsonl`` (``movieId``, ``extract``), when there is one, gives the descriptions.
    """
    folder = _folder(sources, "movielens")
    movies = _file(folder, "movies")
    ratings = _file(folder, "ratings")
    if movies is None or ratings is None:
        raise DataError("a MovieLens folder holds movies.csv and ratings.csv", path=folder)
    found = Sources(
        items=movies,
        interactions=ratings,
        reviews=_file(folder, "tags"),
        columns={"items": {"title": "title", "categories": "genres"}},
    )
    items = _items(found, ITEMS, rejects)
    extracts = _file(folder, "extracts")
    if extracts is not None and items is not None:
        items = _described(items, extracts, rejects)
    return assemble(
        items,
        _frames(found, "reviews", REVIEWS, rejects),
        _log(found, rejects),
        rejects,
        found.origins(),
    )


def _described(items: pl.DataFrame, path: Path, rejects: Rejects) -> pl.DataFrame:
    columns = (ITEMS[0], Column("extract", "text", aliases=("extract",)))
    extracts = pl.concat(read_table(path, columns, mapping={}, rejects=rejects))
    joined = items.join(extracts.unique("item_id", keep="first"), on="item_id", how="left")
    rejects.notice(f"{path.name}: descriptions for {extracts.height} of {items.height} items")
    return joined.with_columns(description=pl.col("extract").fill_null("")).drop("extract")


# --- RecBole ----------------------------------------------------------------------------------


def _recbole(sources: Sources, rejects: Rejects) -> Dataset:
    """``*.inter`` and ``*.item`` of a folder, or given as single files; headers ``name:type``."""
    if sources.folder is not None:
        folder = _folder(sources, "recbole")
        inter = _only(folder, "inter")
        if inter is None:
            raise DataError("a RecBole folder holds one .inter file", path=folder)
        sources = replace(sources, interactions=inter, items=_only(folder, "item"), folder=None)
    return _auto(sources, rejects)


# --- sequence files ---------------------------------------------------------------------------


def _sequences(sources: Sources, rejects: Rejects) -> Dataset:
    """Lines ``user item item ...`` in time order; the catalog as in ``auto``."""
    path = sources.interactions
    if path is None:
        raise ConfigError("the sequences format needs its file: --interactions FILE")
    return assemble(
        _items(sources, ITEMS, rejects),
        _frames(sources, "reviews", REVIEWS, rejects),
        _sequence_log(path, rejects),
        rejects,
        sources.origins() | {"interactions": Origin(path, list)},
    )


def _sequence_log(path: Path, rejects: Rejects) -> Iterator[pl.DataFrame]:
    for lines, numbers in _text_lines(path):
        parts = lines.str.strip_chars().str.extract_all(r"\S+")
        frame = pl.DataFrame({"line": numbers, "parts": parts, "text": lines})
        bad = frame.filter(pl.col("parts").list.len() < 2)
        rejects.add(
            BadRow(path, line, "(line)", "a user and at least one item", text)
            for line, text in bad.select("line", "text").iter_rows()
        )
        good = frame.filter(pl.col("parts").list.len() >= 2)
        yield _as_log(
            good.select(
                user_id=pl.col("parts").list.first(),
                item_id=pl.col("parts").list.slice(1),
                _row=pl.col("line").cast(pl.Int64),
            ).explode("item_id")
        )


def _text_lines(path: Path) -> Iterator[tuple[pl.Series, list[int]]]:
    """Non-blank lines of a text file with their numbers."""
    with plain_file(path) as plain:
        try:
            text = plain.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"is not UTF-8 text ({error.reason})", path=path) from error
    pairs = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    yield pl.Series([line for _, line in pairs], dtype=pl.String), [n for n, _ in pairs]


# --- folders ----------------------------------------------------------------------------------


def _folder(sources: Sources, name: str) -> Path:
    if sources.folder is None or not sources.folder.is_dir():
        raise DataError(f"the {name} format needs a folder", path=sources.folder)
    return sources.folder


def _file(folder: Path, stem: str) -> Path | None:
    endings: Iterable[str] = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet")
    return next((folder / (stem + e) for e in endings if (folder / (stem + e)).is_file()), None)


def _only(folder: Path, ending: str) -> Path | None:
    hits = sorted([*folder.glob(f"*.{ending}"), *folder.glob(f"*.{ending}.gz")])
    if len(hits) > 1:
        raise DataError(f"more than one .{ending} file; name one of them", path=folder)
    return hits[0] if hits else None

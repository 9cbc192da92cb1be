"""The three tables: their columns, the names that files give them, and the reading of values.

Everything here works on whole columns; no Python code runs once a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import polars as pl

from rag_rec.data.readers.files import LINE

ValueKind = Literal["id", "text", "number", "price", "time", "date", "flag", "list"]


class ValueType(NamedTuple):
    """The type of a kind of value, and the words for it in error messages."""

    dtype: pl.DataType
    expected: str


KINDS: Mapping[ValueKind, ValueType] = {
    "id": ValueType(pl.String(), "a non-empty id"),
    "text": ValueType(pl.String(), "text"),
    "number": ValueType(pl.Float64(), "a finite number"),
    "price": ValueType(pl.Float64(), "a price of 0 or more, such as 12.50 or $12.50"),
    "time": ValueType(
        pl.Int64(), "unix seconds or milliseconds, or a date and time such as 2024-05-01 12:00:00"
    ),
    "date": ValueType(pl.Date(), "a date such as 2024-05-01"),
    "flag": ValueType(pl.Boolean(), "true or false"),
    "list": ValueType(pl.List(pl.String()), "a list"),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        name: Its name in this library.
        kind: The kind of its values.
        required: True if a row without it is a bad row.
        aliases: Names under which files carry it, lower case, letters and digits only.
        lenient: True if a value that cannot be read is left empty and counted, instead of
            making its row a bad one.
    """

    name: str
    kind: ValueKind
    required: bool = False
    aliases: tuple[str, ...] = ()
    lenient: bool = False


_ITEM_NAMES = ("itemid", "item", "movieid", "iid")
_PRODUCT_NAMES = ("parentasin", "asin", "productid", "sku", "stockcode")
_ITEM_ID = Column("item_id", "id", required=True, aliases=_ITEM_NAMES + _PRODUCT_NAMES)
_USER_ID = ("userid", "user", "uid", "reviewerid", "customerid", "sessionid")
_TIME = ("timestamp", "time", "unixreviewtime", "datetime", "date", "invoicedate", "createdat")
_RATING = ("rating", "overall", "stars", "score")

ITEMS: tuple[Column, ...] = (
    Column("item_id", "id", required=True, aliases=(*_ITEM_NAMES, "id", *_PRODUCT_NAMES)),
    Column("title", "text", aliases=("title", "titles", "name", "itemname", "productname")),
    Column("description", "text", aliases=("description", "descriptions", "summary", "extract")),
    Column("brand", "text", aliases=("brand", "store", "manufacturer", "label")),
    Column("price", "price", aliases=("price", "unitprice", "listprice")),
    Column(
        "categories", "list",
        aliases=("categories", "category", "genres", "genre", "attributes", "tags"),
    ),
    Column("released", "date", aliases=("released", "releasedate", "publicationdate")),
    Column("in_stock", "flag", aliases=("instock", "available", "isavailable")),
)  # fmt: skip

REVIEWS: tuple[Column, ...] = (
    Column("review_id", "text", aliases=("reviewid",)),
    _ITEM_ID,
    Column("user_id", "text", aliases=_USER_ID),
    Column("text", "text", aliases=("text", "reviewtext", "review", "body", "content", "tag")),
    Column("rating", "number", aliases=_RATING),
    Column("timestamp", "time", aliases=_TIME),
)

INTERACTIONS: tuple[Column, ...] = (
    Column("user_id", "id", required=True, aliases=_USER_ID),
    _ITEM_ID,
    Column("timestamp", "time", aliases=_TIME),
    Column("rating", "number", aliases=_RATING),
)


def dtypes(columns: Sequence[Column]) -> dict[str, pl.DataType]:
    """Return column name to polars type, in table order."""
    return {column.name: KINDS[column.kind].dtype for column in columns}


def empty(columns: Sequence[Column]) -> pl.DataFrame:
    """Return a table without rows, with the column `LINE`."""
    return pl.DataFrame(schema={**dtypes(columns), LINE: pl.Int64()})


def normalise(name: str) -> str:
    """Return a header as aliases spell it.

    >>> normalise("item ID:token")
    'itemid'
    """
    return "".join(c for c in name.split(":")[0].lower() if c.isalnum())


def match_columns(
    header: Sequence[str], columns: Sequence[Column], mapping: Mapping[str, str]
) -> dict[str, str]:
    """Map table columns to the columns of a file, for those that are found.

    Args:
        header: Names in the file.
        columns: The table.
        mapping: Table column to file column, as given by the user; wins over aliases.
    """
    found = {name: source for name, source in mapping.items() if source in header}
    free = [name for name in header if name not in found.values()]
    for column in columns:
        if column.name in found:
            continue
        for alias in (normalise(column.name), *column.aliases):
            hit = next((name for name in free if normalise(name) == alias), None)
            if hit is not None:
                found[column.name] = hit
                free.remove(hit)
                break
    return found


def read_value(column: Column) -> pl.Expr:
    """Return an expression from a text column to its typed value; null if it cannot be read."""
    text = pl.col(column.name)
    stripped = text.str.strip_chars()
    match column.kind:
        case "id":
            return pl.when(stripped != "").then(stripped)
        case "text":
            return text
        case "number":
            return _finite(stripped.cast(pl.Float64, strict=False))
        case "price":
            digits = stripped.str.replace(r"^(?:[$€£¥]|USD|EUR|GBP)\s*", "")
            plain = digits.str.replace_all(r"(\d),(\d{3})\b", "$1$2")
            value = _finite(plain.cast(pl.Float64, strict=False))
            return pl.when(value >= 0).then(value)
        case "time":
            return _seconds(stripped)
        case "date":
            return stripped.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
        case "flag":
            return stripped.str.to_lowercase().replace_strict(
                {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False},
                default=None,
                return_dtype=pl.Boolean,
            )
        case "list":
            return _parts(stripped)


def _finite(value: pl.Expr) -> pl.Expr:
    return pl.when(value.is_finite()).then(value)


def _seconds(text: pl.Expr) -> pl.Expr:
    number = _finite(text.cast(pl.Float64, strict=False))
    seconds = pl.when(number.abs() >= 1e11).then(number / 1000).otherwise(number)
    written = pl.coalesce(
        text.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False),
        text.str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False),
        text.str.to_datetime("%Y-%m-%dT%H:%M:%SZ", strict=False),
        text.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime),
    ).dt.epoch("s")
    in_range = pl.when(seconds.abs() < 1e11).then(seconds).cast(pl.Int64, strict=False)
    return pl.coalesce(in_range, written)


_QUOTED = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""


def _parts(text: pl.Expr) -> pl.Expr:
    """Read a JSON or Python list (nested lists are flattened), or parts between ``|``."""
    quoted = text.str.extract_all(_QUOTED).list.eval(
        pl.element().str.slice(1, pl.element().str.len_chars() - 2).str.replace_all(r"\\(.)", "$1")
    )
    bare = text.str.strip_chars("[]").str.split("|").list.eval(pl.element().str.strip_chars())
    is_list = text.str.starts_with("[") & text.str.contains(r"""["']""")
    parts = pl.when(is_list).then(quoted).otherwise(bare)
    return parts.list.eval(pl.element().filter(pl.element() != ""))

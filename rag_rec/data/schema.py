"""The three tables: their columns, and the names that files give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from rag_rec.data.readers.files import LINE
from rag_rec.data.values.kinds import KINDS, ValueKind


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        name: Its name in this library.
        kind: The kind of its values.
        required: True if a row without it is a bad row; other values that cannot be read are
            left empty and counted.
        aliases: Names under which files carry it, lower case, letters and digits only; the first
            that a file has is taken.
        hints: Words of a column's name that may mean this one, though it is no alias: reading
            stops with a question. Without hints, the column is optional.
    """

    name: str
    kind: ValueKind
    required: bool = False
    aliases: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ITEM_NAMES = _names("itemid item movieid iid")
_PRODUCT_NAMES = _names(
    "parentasin productid handle sku variantsku stockcode articleid artikelnummer bookid"
    " businessid showid newsid trackid songid artistid animeid gameid appid recipeid courseid"
    " venueid locationid poiid listingid asin isbn isbn13"
)
_ITEM_HINTS = _names("item product article sku id")
_ITEM_ID = Column(
    "item_id", "id", required=True, aliases=_ITEM_NAMES + _PRODUCT_NAMES, hints=_ITEM_HINTS
)
_USER_ID = _names(
    "userid user uid reviewerid customerid custid customer visitorid memberid username"
    " kundennummer sessionid session"
)
_USER_HINTS = _names("user customer visitor member session reviewer")
_TIME = _names(
    "timestamp unixreviewtime time datetime date eventtime eventdate eventtimestamp utctimestamp"
    " checkintime reviewtime reviewdate ratingdate dateadded invoicedate orderdate purchasedate"
    " transactiondate transactiondt tdat createdat created datum zeit"
)
_TIME_HINTS = _names("time timestamp date datetime")
_RATING = _names(
    "rating overall stars starrating score bookrating userrating ratingscore bewertung"
)

ITEMS: tuple[Column, ...] = (
    Column(
        "item_id", "id", required=True, aliases=(*_ITEM_NAMES, "id", *_PRODUCT_NAMES),
        hints=_ITEM_HINTS,
    ),
    Column(
        "title", "text", hints=_names("title titel name"),
        aliases=_names(
            "title titles name itemname producttitle productname prodname itemtitle movietitle"
            " booktitle tracktitle trackname songname gametitle appname animename artistname"
            " displayname originaltitle titel bezeichnung artikelname produktname nom nombre"
        ),
    ),
    Column(
        "description", "prose",
        aliases=_names(
            "description descriptions productdescription itemdescription longdescription"
            " shortdescription detaildesc bodyhtml overview abstract plot synopsis summary extract"
            " aboutthegame beschreibung"
        ),
    ),
    Column(
        "brand", "name",
        aliases=_names(
            "brand brandname store manufacturer vendor label marke hersteller marque marca"
            " author authors bookauthor artist artists developer developers publisher publishers"
        ),
    ),
    Column(
        "price", "price",
        aliases=_names(
            "price unitprice listprice saleprice variantprice regularprice currentprice finalprice"
            " pricefinal priceusd priceeur preis verkaufspreis vkpreis prix precio prezzo prijs"
        ),
    ),
    Column(
        "categories", "list",
        aliases=_names(
            "categories category genres genre productcategory categoryname categorycode"
            " googleproductcategory producttypename producttype maincategory categorypath"
            " productcategoryname productcategorytree listedin class kategorie kategorien"
            " warengruppe trackgenre attributes tags keywords type"
        ),
    ),
    Column(
        "released", "date",
        aliases=_names(
            "released releasedate datereleased daterelease releaseyear publicationdate"
            " publicationyear yearofpublication yearofrelease publisheddate originalpublicationyear"
            " year erscheinungsdatum"
        ),
    ),
    Column(
        "in_stock", "flag",
        aliases=_names(
            "instock available isavailable availability stock stockstatus stockquantity stockqty"
            " inventory inventoryquantity variantinventoryqty quantity isopen bestand lagerbestand"
            " verfügbar verfügbarkeit"
        ),
    ),
)  # fmt: skip

REVIEWS: tuple[Column, ...] = (
    Column("review_id", "text", aliases=("reviewid",)),
    _ITEM_ID,
    Column("user_id", "text", aliases=_USER_ID),
    Column(
        "text", "text", hints=_names("text review body comment tag"),
        aliases=_names(
            "text reviewtext reviewbody review body content comment comments reviewcontent tag"
        ),
    ),
    Column("rating", "number", aliases=_RATING),
    Column("timestamp", "time", aliases=_TIME, hints=_TIME_HINTS),
)  # fmt: skip

INTERACTIONS: tuple[Column, ...] = (
    Column("user_id", "id", required=True, aliases=_USER_ID, hints=_USER_HINTS),
    _ITEM_ID,
    Column("timestamp", "time", aliases=_TIME, hints=_TIME_HINTS),
    Column("rating", "number", aliases=_RATING),
)


def dtypes(columns: Sequence[Column]) -> dict[str, pl.DataType]:
    """Return column name to polars type, in table order."""
    return {column.name: KINDS[column.kind].dtype for column in columns}


def empty(columns: Sequence[Column]) -> pl.DataFrame:
    """Return a table without rows, with the column `LINE`."""
    return pl.DataFrame(schema={**dtypes(columns), LINE: pl.Int64()})

"""Names of columns: of public data sets, near ones, and those that are left out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from rag_rec import DataError, Dataset
from rag_rec.data import Choices, inspect_file
from rag_rec.data.matching import match_columns
from rag_rec.data.schema import INTERACTIONS, ITEMS, REVIEWS

TABLES = {"items": ITEMS, "reviews": REVIEWS, "interactions": INTERACTIONS}

# headers as the data sets are published: table, columns, and those that are read
PUBLISHED: Mapping[str, tuple[str, str, dict[str, str]]] = {
    "Amazon 2018 products": (
        "items",
        ("category|tech1|description|fit|title|also_buy|tech2|brand|feature|rank|also_view|main_cat"
        "|similar_item|date|price|asin|imageURL|imageURLHighRes|details"),
        {"item_id": "asin", "title": "title", "description": "description", "brand": "brand",
         "price": "price", "categories": "category"},
    ),
    "Amazon 2018 reviews": (
        "reviews",
        ("overall|verified|reviewTime|reviewerID|asin|style|reviewerName|reviewText|summary"
        "|unixReviewTime|vote|image"),
        {"item_id": "asin", "user_id": "reviewerID", "text": "reviewText", "rating": "overall",
         "timestamp": "unixReviewTime"},
    ),
    "Amazon 2023 products": (
        "items",
        ("main_category|title|average_rating|rating_number|features|description|price|images|videos"
        "|store|categories|details|parent_asin|bought_together|subtitle|author"),
        {"item_id": "parent_asin", "title": "title", "description": "description",
         "brand": "store", "price": "price", "categories": "categories"},
    ),
    "Amazon 2023 reviews": (
        "reviews",
        ("rating|title|text|images|asin|parent_asin|user_id|timestamp|helpful_vote"
        "|verified_purchase"),
        {"item_id": "parent_asin", "user_id": "user_id", "text": "text", "rating": "rating",
         "timestamp": "timestamp"},
    ),
    "Amazon US reviews": (
        "reviews",
        ("marketplace|customer_id|review_id|product_id|product_parent|product_title"
        "|product_category|star_rating|helpful_votes|total_votes|vine|verified_purchase"
        "|review_headline|review_body|review_date"),
        {"review_id": "review_id", "item_id": "product_id", "user_id": "customer_id",
         "text": "review_body", "rating": "star_rating", "timestamp": "review_date"},
    ),
    "MovieLens movies": (
        "items", "movieId|title|genres",
        {"item_id": "movieId", "title": "title", "categories": "genres"},
    ),
    "MovieLens ratings": (
        "interactions", "userId|movieId|rating|timestamp",
        {"user_id": "userId", "item_id": "movieId", "rating": "rating", "timestamp": "timestamp"},
    ),
    "MovieLens tags": (
        "reviews", "userId|movieId|tag|timestamp",
        {"user_id": "userId", "item_id": "movieId", "text": "tag", "timestamp": "timestamp"},
    ),
    "Steam store": (
        "items",
        ("appid|name|release_date|english|developer|publisher|platforms|required_age|categories"
        "|genres|steamspy_tags|achievements|positive_ratings|owners|price"),
        {"item_id": "appid", "title": "name", "released": "release_date", "brand": "developer",
         "categories": "categories", "price": "price"},
    ),
    "Steam games": (
        "items", "app_id|title|date_release|win|mac|linux|rating|price_final|price_original",
        {"item_id": "app_id", "title": "title", "released": "date_release",
         "price": "price_final"},
    ),
    "Steam recommendations": (
        "interactions", "app_id|helpful|funny|date|is_recommended|hours|user_id|review_id",
        {"item_id": "app_id", "user_id": "user_id", "timestamp": "date"},
    ),
    "Goodreads books": (
        "items",
        ("isbn|text_reviews_count|series|country_code|popular_shelves|asin|is_ebook|average_rating"
        "|description|format|link|authors|publisher|num_pages|publication_year|url|image_url"
        "|book_id|ratings_count|work_id|title|title_without_series"),
        {"item_id": "book_id", "title": "title", "description": "description",
         "brand": "authors", "released": "publication_year"},
    ),
    "Goodreads reviews": (
        "reviews",
        ("user_id|book_id|review_id|rating|review_text|date_added|date_updated|read_at|started_at"
        "|n_votes|n_comments"),
        {"user_id": "user_id", "item_id": "book_id", "review_id": "review_id",
         "rating": "rating", "text": "review_text", "timestamp": "date_added"},
    ),
    "Book-Crossing books": (
        "items",
        "ISBN|Book-Title|Book-Author|Year-Of-Publication|Publisher|Image-URL-S",
        {"item_id": "ISBN", "title": "Book-Title", "brand": "Book-Author",
         "released": "Year-Of-Publication"},
    ),
    "Book-Crossing ratings": (
        "interactions", "User-ID|ISBN|Book-Rating",
        {"user_id": "User-ID", "item_id": "ISBN", "rating": "Book-Rating"},
    ),
    "Yelp businesses": (
        "items",
        ("business_id|name|address|city|state|postal_code|latitude|longitude|stars|review_count"
        "|is_open|attributes|categories|hours"),
        {"item_id": "business_id", "title": "name", "in_stock": "is_open",
         "categories": "categories"},
    ),
    "Yelp reviews": (
        "reviews", "review_id|user_id|business_id|stars|useful|funny|cool|text|date",
        {"review_id": "review_id", "user_id": "user_id", "item_id": "business_id",
         "rating": "stars", "text": "text", "timestamp": "date"},
    ),
    "H&M articles": (
        "items",
        ("article_id|product_code|prod_name|product_type_no|product_type_name|product_group_name"
        "|colour_group_name|department_no|department_name|index_name|section_name|detail_desc"),
        {"item_id": "article_id", "title": "prod_name", "categories": "product_type_name",
         "description": "detail_desc"},
    ),
    "H&M transactions": (
        "interactions", "t_dat|customer_id|article_id|price|sales_channel_id",
        {"timestamp": "t_dat", "user_id": "customer_id", "item_id": "article_id"},
    ),
    "REES46 cosmetics shop": (
        "interactions",
        ("event_time|event_type|product_id|category_id|category_code|brand|price|user_id"
        "|user_session"),
        {"timestamp": "event_time", "item_id": "product_id", "user_id": "user_id"},
    ),
    "Netflix titles": (
        "items",
        ("show_id|type|title|director|cast|country|date_added|release_year|rating|duration"
        "|listed_in|description"),
        {"item_id": "show_id", "title": "title", "released": "release_year",
         "categories": "listed_in", "description": "description"},
    ),
    "Netflix prize": (
        "interactions", "Cust_Id|Rating|Date|Movie_Id",
        {"user_id": "Cust_Id", "rating": "Rating", "timestamp": "Date", "item_id": "Movie_Id"},
    ),
    "RecBole MovieLens items": (
        "items", "item_id:token|movie_title:token_seq|release_year:token|class:token_seq",
        {"item_id": "item_id:token", "title": "movie_title:token_seq",
         "released": "release_year:token", "categories": "class:token_seq"},
    ),
    "RecBole interactions": (
        "interactions", "user_id:token|item_id:token|rating:float|timestamp:float",
        {"user_id": "user_id:token", "item_id": "item_id:token", "rating": "rating:float",
         "timestamp": "timestamp:float"},
    ),
    "Last.fm listening": (
        "interactions", "userID|artistID|weight",
        {"user_id": "userID", "item_id": "artistID"},
    ),
    "Last.fm artists": (
        "items", "id|name|url|pictureURL", {"item_id": "id", "title": "name"},
    ),
    "Gowalla": (
        "interactions", "user|check-in time|latitude|longitude|location id",
        {"user_id": "user", "timestamp": "check-in time", "item_id": "location id"},
    ),
    "RetailRocket": (
        "interactions", "timestamp|visitorid|event|itemid|transactionid",
        {"timestamp": "timestamp", "user_id": "visitorid", "item_id": "itemid"},
    ),
    "TMDB 5000 movies": (
        "items",
        ("budget|genres|homepage|id|keywords|original_language|original_title|overview|popularity"
        "|production_companies|release_date|revenue|runtime|status|tagline|title|vote_average"),
        {"item_id": "id", "title": "title", "description": "overview",
         "released": "release_date", "categories": "genres"},
    ),
    "Instacart products": (
        "items", "product_id|product_name|aisle_id|department_id",
        {"item_id": "product_id", "title": "product_name"},
    ),
    "MIND news": (
        "items",
        "NewsID|Category|SubCategory|Title|Abstract|URL|Title Entities|Abstract Entities",
        {"item_id": "NewsID", "title": "Title", "description": "Abstract",
         "categories": "Category"},
    ),
    "Etsy listings": (
        "items",
        "TITLE|DESCRIPTION|PRICE|CURRENCY_CODE|QUANTITY|TAGS|MATERIALS|IMAGE1|SKU",
        {"item_id": "SKU", "title": "TITLE", "description": "DESCRIPTION", "price": "PRICE",
         "in_stock": "QUANTITY", "categories": "TAGS"},
    ),
    "Shopify products": (
        "items",
        ("Handle|Title|Body (HTML)|Vendor|Product Category|Type|Tags|Published|Option1 Name"
        "|Variant SKU|Variant Inventory Qty|Variant Price|Image Src|Status"),
        {"item_id": "Handle", "title": "Title", "description": "Body (HTML)",
         "brand": "Vendor", "categories": "Product Category", "price": "Variant Price",
         "in_stock": "Variant Inventory Qty"},
    ),
    "WooCommerce products": (
        "items",
        ("ID|Type|SKU|Name|Published|Is featured?|Short description|Description|In stock?|Stock"
        "|Regular price|Categories|Tags|Images"),
        {"item_id": "ID", "title": "Name", "description": "Description",
         "in_stock": "In stock?", "price": "Regular price", "categories": "Categories"},
    ),
    "Google Merchant feed": (
        "items",
        ("id|title|description|link|image_link|availability|price|brand|gtin"
        "|google_product_category|condition"),
        {"item_id": "id", "title": "title", "description": "description",
         "in_stock": "availability", "price": "price", "brand": "brand",
         "categories": "google_product_category"},
    ),
    "UCI online retail": (
        "interactions",
        "InvoiceNo|StockCode|Description|Quantity|InvoiceDate|UnitPrice|CustomerID|Country",
        {"item_id": "StockCode", "timestamp": "InvoiceDate", "user_id": "CustomerID"},
    ),
    "Ta-Feng": (
        "interactions",
        ("TRANSACTION_DT|CUSTOMER_ID|AGE_GROUP|PIN_CODE|PRODUCT_SUBCLASS|PRODUCT_ID|AMOUNT|ASIN"
        "|SALES_PRICE"),
        {"timestamp": "TRANSACTION_DT", "user_id": "CUSTOMER_ID", "item_id": "PRODUCT_ID"},
    ),
    "Spotify tracks": (
        "items", "track_id|artists|album_name|track_name|popularity|duration_ms|track_genre",
        {"item_id": "track_id", "title": "track_name", "brand": "artists",
         "categories": "track_genre"},
    ),
    "Food.com recipes": (
        "items", "name|id|minutes|contributor_id|submitted|tags|nutrition|steps|description",
        {"item_id": "id", "title": "name", "categories": "tags", "description": "description"},
    ),
    "Anime ratings": (
        "interactions", "user_id|anime_id|rating",
        {"user_id": "user_id", "item_id": "anime_id", "rating": "rating"},
    ),
    "a German shop": (
        "items", "Artikelnummer|Bezeichnung|Beschreibung|Marke|Preis|Kategorie|Lagerbestand",
        {"item_id": "Artikelnummer", "title": "Bezeichnung", "description": "Beschreibung",
         "brand": "Marke", "price": "Preis", "categories": "Kategorie",
         "in_stock": "Lagerbestand"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_columns_of_public_data_sets_are_known(name: str) -> None:
    table, header, expected = PUBLISHED[name]
    assert match_columns(header.split("|"), TABLES[table], {}) == expected


def load(tmp_path: Path, header: str, table: str = "items", **options: object) -> Dataset:
    path = tmp_path / f"{table}.csv"
    path.write_text(f"{header}\n" + ",".join("1" for _ in header.split(",")) + "\n")
    return Dataset.load(**{table: path}, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("table", "header", "advice"),
    [
        ("items", "code,headline", "--columns items.item_id=THEIRS"),
        ("items", "recipe_id_no,title", "--columns items.item_id=recipe_id_no"),
        (
            "items",
            "aisle_id,dept_id,title",
            "items.item_id=THEIRS, perhaps one of aisle_id, dept_id",
        ),
        ("items", "item_id,prod_titel", "--columns items.title=prod_titel"),
        ("items", "item_id,main title", '--columns items.title="main title"'),
        ("items", "item_id,prodcutname", "--columns items.title=prodcutname"),
        ("interactions", "client,item_id", "--columns interactions.user_id=THEIRS"),
        ("interactions", "userId2,item_id,x", "--columns interactions.user_id=userId2"),
        ("interactions", "user_id,item_id,visitTime", "--columns interactions.timestamp=visitTime"),
        ("items", "u1,a1,5.0,1369699200", '--columns "items.item_id=column 1"'),
    ],
)
def test_a_near_name_stops_with_the_option_that_is_accepted(
    tmp_path: Path, table: str, header: str, advice: str
) -> None:
    with pytest.raises(DataError) as caught:
        load(tmp_path, header, table)
    assert advice in str(caught.value)
    assert header.split(",")[0] in str(caught.value)


def test_a_column_can_be_left_out_by_either_name(tmp_path: Path) -> None:
    header = "item_id,title,release_date"
    for name in ("released", "release_date"):
        data = load(tmp_path, header, columns={"items": {name: ""}})
        assert data.items["released"].to_list() == [None]
        assert "items.csv: not read: release_date" in data.notices
    with pytest.raises(DataError, match="no such column to map: colour"):
        load(tmp_path, header, columns={"items": {"colour": ""}})
    without = load(tmp_path, "item_id,main_title", columns={"items": {"title": ""}})
    assert without.items["title"].to_list() == [""]


def test_a_name_for_an_id_cannot_be_left_out(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column for item_id"):
        load(tmp_path, "item_id,title", columns={"items": {"item_id": ""}})


def test_a_file_without_a_header_is_read_by_numbers(tmp_path: Path) -> None:
    log = tmp_path / "ratings.dat"
    log.write_text("1::1::5::978300760\n1::2::4::978300761\n")
    named = {"user_id": "column 1", "item_id": "column 2", "timestamp": "column 4"}
    data = Dataset.load(interactions=log, columns={"interactions": named})
    assert data.interactions.rows() == [("1", "1", 978300760, None), ("1", "2", 978300761, None)]
    choices = {"interactions": Choices(named)}
    report, _ = inspect_file(log, table="interactions", choices=choices)
    assert (report.rows, report.separator) == (2, "::")
    assert [c.name for c in report.columns] == ["user_id", "item_id", "", "timestamp"]

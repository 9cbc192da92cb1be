"""Values as files write them: numbers, prices, times, dates, lists, flags and texts."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rag_rec import ConfigError
from rag_rec.data.values.kinds import KINDS, ValueKind, form_named, gaps_in


def read(kind: ValueKind, *texts: str) -> list[object]:
    """Return the values of a column in the form that all of them show."""
    column = pl.Series(texts, dtype=pl.String)
    return KINDS[kind].read(column, form_of(kind, *texts)).to_list()


def form_of(kind: ValueKind, *texts: str) -> str:
    return KINDS[kind].form_of([pl.Series(texts, dtype=pl.String)]).name


# --- prices and numbers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("12.50", 12.5), ("$12.50", 12.5), ("US$ 1,299.00", 1299), ("12.50 EUR", 12.5),
        ("EUR 12.50", 12.5), ("9.99 €", 9.99), ("9.99\u00a0€", 9.99), ("£4.99/kg", 4.99),
        ("₹1,29,999.00", 129999), ("CHF 1'299.00", 1299), ("CHF 12.-", 12), ("1e3", 1000),
        ("$9.99 - $19.99", 9.99), ("9.99–19.99 USD", 9.99), ("9.99 to 12", 9.99),
        ("from 9.99", 9.99), ("Starting at $5", 5), ("9.99+", 9.99), ("19.99 incl. VAT", 19.99),
        ("Free", 0), ("Free to Play", 0), ("gratis", 0), (".99", 0.99), ("0", 0),
        ("EUR12.50", 12.5), ("12.50EUR", 12.5), ("R$ 12.90", 12.9), ("1200円", 1200),
        ("$12.50 (20% off)", 12.5), ("Rs. 1,299.50", 1299.5), ("AU$5", 5),
        ("-1", None), ("cheap", None), ("2 for 1", None), ("call us", None), ("1.2.3", None),
        ("inf", None), ("12 monkeys", None), ("$", None),
    ],
)  # fmt: skip
def test_price_texts_of_shops(text: str, price: float | None) -> None:
    assert read("price", text) == [price]


@pytest.mark.parametrize(
    ("texts", "prices"),
    [
        (["169,06", "€ 143,50", "1.299,00"], [169.06, 143.5, 1299]),
        (["12,5", "1.234"], [12.5, 1234]),
        (["12.5", "1,234"], [12.5, 1234]),
        (["1 299,00 kr", "12,-"], [1299, 12]),
        (["1,234"], [1234]),
        (["1.234", "899"], [1234, 899]),
        (["0.125", "1.234"], [0.125, 1.234]),
        (["0,125", "1,234"], [0.125, 1.234]),
        # the one that disagrees with the column is unreadable, not misread
        (["1,50", "2,50", "3.75"], [1.5, 2.5, None]),
    ],
)
def test_the_column_decides_the_decimal_mark(texts: list[str], prices: list[float]) -> None:
    assert read("price", *texts) == prices


def test_a_mark_that_no_value_shows_is_named_as_a_guess() -> None:
    (said,) = [KINDS["price"].form_of([pl.Series([text])]).said for text in ("1,234",)]
    assert "'1,234' is 1234, a guess; the other is comma" in said
    assert "guess" not in KINDS["price"].form_of([pl.Series(["1,234", "9.99"])]).said
    ranges = KINDS["price"].form_of([pl.Series(["9.99 - 12.99", "5"])])
    assert ranges.said == "1 ranges count by their lower end"


@pytest.mark.parametrize(
    ("text", "number"),
    [("4.5", 4.5), ("-1", -1), ("4.0 out of 5 stars", 4), ("3/5", 3), ("87 %", 87),
     ("1,204", 1204), ("good", None), ("nan", None), ("1e999", None)],
)  # fmt: skip
def test_numbers(text: str, number: float | None) -> None:
    assert read("number", "1.5", text)[1] == number


AMOUNTS = st.lists(st.integers(0, 10**9).map(lambda cents: cents / 100), min_size=1, max_size=8)
SIGNS = st.sampled_from(["{}", "€ {}", "{} €", "${}", "USD {}", "{} kr"])


@given(AMOUNTS, SIGNS, st.sampled_from([(".", ","), (",", "."), (",", " "), (".", "'"), (".", "")]))
def test_prices_written_with_either_mark_are_read_back(
    amounts: list[float], sign: str, marks: tuple[str, str]
) -> None:
    def written(amount: float) -> str:
        english = f"{amount:,.2f}"
        return sign.format(english.translate(str.maketrans({".": marks[0], ",": marks[1]})))

    assert read("price", *map(written, amounts)) == pytest.approx(amounts)


# --- times and dates ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "1573808122", "1573808122.0", "1573808122000", "1573808122000000", "1573808122000000000",
        "2019-11-15 08:55:22", "2019-11-15T08:55:22", "2019-11-15T08:55:22Z",
        "2019-11-15T08:55:22.123456+00:00", "2019-11-15 08:55:22 UTC", "2019-11-15T10:55:22+0200",
        "2019-11-15 08:55:22.123 +0000 UTC", "2019/11/15 08:55:22", "11/15/2019 8:55:22 AM",
        "15.11.2019 08:55:22", "15/11/2019, 08:55:22", "Fri Nov 15 00:55:22 -0800 2019",
        "Fri, 15 Nov 2019 08:55:22 GMT", "15 Nov 2019 08:55:22", "Nov 15, 2019 8:55:22 am",
        "20191115085522", "2019年11月15日 08:55:22", " 2019-11-15 08:55:22 ",
        "Fri Nov 15 2019 08:55:22 GMT+0000 (Coordinated Universal Time)",
        "15-Nov-19 08.55.22.000000 AM",
    ],
)  # fmt: skip
def test_one_moment_in_many_writings(text: str) -> None:
    assert read("time", text.strip()) == [1573808122]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("9/16/2006", date(2006, 9, 16)), ("16.9.2006", date(2006, 9, 16)),
        ("Jul 12, 2018", date(2018, 7, 12)), ("12 July 2018", date(2018, 7, 12)),
        ("12 Jul, 2018", date(2018, 7, 12)), ("July 2018", date(2018, 7, 1)),
        ("21st March 2020", date(2020, 3, 21)), ("01-Jan-1995", date(1995, 1, 1)),
        ("12. Mai 2026", date(2026, 5, 12)), ("09 16, 2006", date(2006, 9, 16)),
        ("1999", date(1999, 1, 1)), ("1999.0", date(1999, 1, 1)), ("1999-05", date(1999, 5, 1)),
        ("20190102", date(2019, 1, 2)), ("2019-01-02T23:30:00-05:00", date(2019, 1, 2)),
        ("1577923200", date(2020, 1, 2)), ("1577923200000", date(2020, 1, 2)),
        ("-315619200", date(1960, 1, 1)), ("Coming soon", None), ("Q3 2019", None),
        ("2019-02-30", None), ("13/13/2019", None), ("12", None), ("Foo 12, 2018", None),
    ],
)  # fmt: skip
def test_dates(text: str, day: date | None) -> None:
    assert read("date", text) == [day]


@pytest.mark.parametrize(
    ("texts", "form"),
    [
        (["1/2/2020", "1/13/2020"], "month-first"),
        (["1/2/2020", "13/1/2020"], "day-first"),
        (["01.02.2020"], "day-first"),
        (["01-02-2020"], "day-first"),
        (["1/2/2020"], "month-first"),
        (["20190102", "20191231"], "yyyymmdd"),
        (["201901", "201912"], "yyyymmdd"),
        (["2019", "2020"], "yyyymmdd"),
        (["1", "2019"], "month-first"),
        (["20190102", "1577923200"], "month-first"),
        (["2020-01-02"], "month-first"),
    ],
)
def test_the_column_decides_the_order_of_day_and_month(texts: list[str], form: str) -> None:
    assert form_of("time", *texts) == form


@given(
    st.lists(st.integers(10**8, 3 * 10**9), min_size=1, max_size=6),
    st.sampled_from(["%d.%m.%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p",
                     "%d %b %Y %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%a %b %d %H:%M:%S +0000 %Y"]),
)  # fmt: skip
def test_times_written_alike_are_read_back(moments: list[int], form: str) -> None:
    proof = int(datetime(2001, 11, 25, tzinfo=UTC).timestamp())
    texts = [datetime.fromtimestamp(at, UTC).strftime(form) for at in (*moments, proof)]
    assert read("time", *texts) == [*moments, proof]


# --- lists ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[{'id': 16, 'name': 'Animation'}, {'id': 35, 'name': 'Comedy'}]",
         ["Animation", "Comedy"]),
        ('[{"id": 16, "name": "Animation"}]', ["Animation"]),
        ('{"id": 16, "name": "Animation"}', ["Animation"]),
        ('[{"genre": "Drama"}]', ["Drama"]),
        ("{'fantasy, paranormal': 31, 'fiction': 8}", ["fantasy, paranormal", "fiction"]),
        ('["a", "b"]', ["a", "b"]), ("['a', \"b's\"]", ["a", "b's"]), ("['a' 'b']", ["a", "b"]),
        ("[['Home', 'Tea'], ['Home', 'Pots']]", ["Home", "Tea", "Pots"]),
        ('["caf\\u00e9", "x\\"y"]', ["café", 'x"y']), ("[Action, Comedy]", ["Action", "Comedy"]),
        ("[]", []), ("['a', None]", ["a"]), ('["Home &amp; Kitchen"]', ["Home & Kitchen"]),
        ("[{'id': 1, 'na", None), ("__import__('os')", ["__import__('os')"]),
        ("[__import__('os').getpid()]", None), ('[{"id": 1, "a": "x", "b": "y"}]', None),
    ],
)  # fmt: skip
def test_literals_of_names_and_objects(text: str, names: list[str] | None) -> None:
    assert read("list", text) == [names]


@pytest.mark.parametrize(
    ("texts", "form", "first"),
    [
        (["Restaurants, Noodles, Ramen"], ",", ["Restaurants", "Noodles", "Ramen"]),
        (["Action;Indie", "Indie"], ";", ["Action", "Indie"]),
        (["a|b", "c"], "|", ["a", "b"]),
        (["Tea > Black", "Tea"], ">", ["Tea", "Black"]),
        (["Tea >> Black Tea"], ">", ["Tea", "Black Tea"]),
        (["Tea &gt; Black &amp; Green"], ">", ["Tea", "Black & Green"]),
        (["Home > Tea|Kitchen > Pots"], "|>", ["Home", "Tea", "Kitchen", "Pots"]),
        (["Clothing, Clothing > Shirts", "Hats"], ",>", ["Clothing", "Shirts"]),
        (["Garden > Clocks, Watches & Radios"], ">", ["Garden", "Clocks, Watches & Radios"]),
        (["Arts, Crafts & Sewing", "Toys"], "whole", ["Arts, Crafts & Sewing"]),
        (["Bars, Food", "Pizza, Food", "Arts, Crafts & Sewing"], ",", ["Bars", "Food"]),
        (["Home &amp; Kitchen", "Tea"], "whole", ["Home & Kitchen"]),
        (["appliances.kitchen.kettle", "a.b"], ".", ["appliances", "kitchen", "kettle"]),
        (["St. Patrick"], "whole", ["St. Patrick"]),
        (["Home / Tea"], "/", ["Home", "Tea"]),
        (["Home/Kitchen/Tea"], "/", ["Home", "Kitchen", "Tea"]),
        (['["Clothing >> Shirts &amp; Tops"]'], ">", ["Clothing", "Shirts & Tops"]),
        (["[Sale] Kitchen, Garden"], ",", ["[Sale] Kitchen", "Garden"]),
        (["['R&B', 'a, b']"], "whole", ["R&B", "a, b"]),
        (["R/C toys"], "whole", ["R/C toys"]),
        (["Tea\nCoffee"], "line", ["Tea", "Coffee"]),
    ],
)
def test_the_column_decides_the_separator(texts: list[str], form: str, first: list[str]) -> None:
    assert form_of("list", *texts) == form
    assert read("list", *texts)[0] == first


NAMES = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8).filter(
    lambda name: name.casefold() not in {"na", "nan", "nat", "nil", "null", "none", "undefined"}
)


@example([["0", "Y"]], ", ")  # a name, where Spanish has a word for "and"
@given(
    st.lists(st.lists(NAMES, min_size=2, max_size=4, unique=True), min_size=1, max_size=5),
    st.sampled_from(["|", "; ", ", ", " > "]),
)
def test_names_between_any_separator_are_read_back(rows: list[list[str]], sign: str) -> None:
    assert read("list", *(sign.join(row) for row in rows)) == rows
    assert read("list", *(json.dumps(row) for row in rows)) == rows
    assert read("list", *(repr([{"id": 1, "name": n} for n in row]) for row in rows)) == rows


# --- flags, texts and missing values --------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "flag"),
    [("yes", True), ("In Stock", True), ("3", True), ("12,0", True), ("TRUE", True),
     ("https://schema.org/InStock", True), ("onbackorder", True), ("0", False), ("-2", False),
     ("out of stock", False), ("Sold out", False), ("no", False), ("perhaps", None)],
)  # fmt: skip
def test_flags_are_words_or_pieces_in_stock(text: str, flag: bool | None) -> None:
    assert read("flag", text) == [flag]


def test_entities_are_resolved_in_every_text() -> None:
    assert read("text", "Tom &amp; Gerri&#39;s", "a & b", "R&B; soul") == [
        "Tom & Gerri's", "a & b", "R&B; soul"
    ]  # fmt: skip
    assert read("name", "Black &amp;amp; Decker", "['Ann', 'Ben']") == [
        "Black & Decker",
        "Ann, Ben",
    ]
    assert read("prose", '["Two", "lines &lt;3"]', "[sic] one") == ["Two\nlines <3", "[sic] one"]
    assert read("id", "a&amp;b") == ["a&amp;b"]


@pytest.mark.parametrize(
    "text", ["\\N", "NULL", "NaN", "nan", "null", "None", "<NA>", "#N/A", "NA"]
)
def test_words_for_missing_are_missing_everywhere(text: str) -> None:
    for kind in KINDS:
        assert gaps_in(pl.Series([f" {text} "]), kind).to_list() == [True], kind


@pytest.mark.parametrize("text", ["—", "-", "n/a", "n.a.", "?", "(no genres listed)"])
def test_signs_for_missing_are_text_in_a_title(text: str) -> None:
    assert gaps_in(pl.Series([text]), "price").to_list() == [True]
    assert gaps_in(pl.Series([text]), "list").to_list() == [True]
    assert gaps_in(pl.Series(["—"]), "text").to_list() == [False]


@given(st.lists(st.text() | st.text("0123456789.,-/ €$[]{}'\":;|>"), max_size=4))
def test_any_text_is_read_or_null_in_every_kind(texts: list[str]) -> None:
    column = pl.Series(texts, dtype=pl.String)
    for kind, values in KINDS.items():
        form = values.form_of([column])
        assert "\n" not in form.said
        read = values.read(column, form.name)
        assert (len(read), read.dtype) == (len(texts), values.dtype), kind


def test_a_form_can_be_chosen_and_an_unknown_one_names_the_others() -> None:
    assert KINDS["price"].read(pl.Series(["1,234"]), form_named("price", "comma").name)[0] == 1.234
    assert form_named("list", "|,").name == "|,"
    for kind, name in [("price", "dot"), ("date", "us"), ("list", "x"), ("text", "comma")]:
        with pytest.raises(ConfigError):
            form_named(kind, name)  # type: ignore[arg-type]

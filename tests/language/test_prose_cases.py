"""Prices, numbers, names and words in sentences of several languages, read by hand beforehand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_rec.language import (
    Names,
    amount_of,
    beginnings_of,
    brands_in,
    content_stems,
    digits_in,
    limits_in,
    names_in,
    numbers_in,
    praise_in,
    prices_in,
    spaced_words,
    words_of,
)


@pytest.mark.parametrize(
    ("digits", "amount"),
    [
        ("7", 7),
        ("0,5", 0.5),
        ("12,500", 12_500),
        ("12.500", 12.5),
        ("3,14159", 3.14159),
        ("1,234,567", 1_234_567),
        ("1,234,567.89", 1_234_567.89),
        ("1.234.567,89", 1_234_567.89),
        ("1.234.567", 1_234_567),
        ("1,234.567", 1_234.567),
    ],
)
def test_marks_in_an_amount(digits: str, amount: float) -> None:
    assert amount_of(digits) == pytest.approx(amount)


@pytest.mark.parametrize(
    ("text", "prices", "limits"),
    [
        ("Für 12,50 € zu haben", {12.5}, set()),
        ("ab 1.299,00 € im Laden", {1299}, set()),
        ("coûte 9,90 €, livraison 4 €", {9.9, 4}, set()),
        ("¥1,200 each, or $8.99 for two", {1200, 8.99}, set()),
        ("5 EUR, 6 GBP, 7 USD, 8 pounds, 1 dollar", {5, 6, 7, 8, 1}, set()),
        ("a price of 7 and a price tag of 8", {7, 8}, set()),
        ("Costing only 15", {15}, set()),
        ("costs less than 20", set(), {20}),
        ("Cheaper than $8.99, at most £30", set(), {8.99, 30}),
        ("no more than €1.000,00", set(), {1000}),
        ("a 12 kg pan, 30 cm wide, for 4 people", set(), set()),
        ("under 300 pages, under 40% fat, under 5 minutes", set(), set()),
        ("5 europium, 6 poundage", set(), set()),
        ("", set(), set()),
    ],
)
def test_prices_and_limits(text: str, prices: set[float], limits: set[float]) -> None:
    assert (prices_in(text), limits_in(text)) == (prices, limits)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("twenty steps in 3 parts", {20, 3}),
        ("a two-piece set of Twelve", {2, 12}),
        ("a hundred and one, a dozen more", {100, 12}),
        ("someone often attends a weekend", set()),
        ("model X200 from 1907", {200, 1907}),
    ],
)
def test_numbers_in_digits_and_words(text: str, numbers: set[float]) -> None:
    assert numbers_in(text) == numbers
    assert digits_in(text) <= numbers


@given(st.sampled_from("€£$"), st.integers(1, 99_999), st.sampled_from(["kg", "cm", "pages", "%"]))
def test_a_price_is_a_number_and_a_measure_is_no_limit(sign: str, amount: int, unit: str) -> None:
    assert prices_in(f"for {sign}{amount}") == digits_in(f"for {sign}{amount}") == {amount}
    assert limits_in(f"under {amount} {unit}") == set()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Tea from Kyoto-Uji and Émile.", ["Kyoto-Uji", "Émile"]),
        ("It lasts. Then Anna said: Buy it!", ["Anna"]),
        ("„Ein Buch“ von Jörg – Heute", ["Buch", "Jörg"]),
        ("What I like", []),
        ("the iPhone of McCoy", ["McCoy"]),
    ],
)
def test_capitalised_words_inside_a_sentence(text: str, names: list[str]) -> None:
    assert list(names_in(text)) == names


def test_brands_are_the_longest_run_that_is_one() -> None:
    known = {"acme", "acme tools", "black & decker", "ölmühle", "perfect", "seven oaks of kent"}
    for text, brands in {
        "Acme Tools makes it": ["acme tools"],
        "the acme of taste": [],
        "Acme's own": ["acme"],
        "by Black & Decker": ["black decker"],
        "von Ölmühle": ["ölmühle"],
        "Perfect for two": [],
        "from Seven Oaks of Kent": ["seven oaks of kent"],
    }.items():
        assert list(brands_in(text, known.__contains__)) == brands, text


def test_mentions_are_the_longest_names_in_singular_or_plural() -> None:
    names = Names(["Tea", "Black Tea", "Teapots", "Batteries", "Apple"], ["O’Neil", "Apple"])
    text = "black tea, a teapot, one battery and teas by o'neil; glass, apples"
    found = [(m.field, m.name, text[m.start : m.end]) for m in names.mentions(text)]
    assert found == [
        ("category", "Black Tea", "black tea"),
        ("category", "Teapots", "teapot"),
        ("category", "Batteries", "battery"),
        ("category", "Tea", "teas"),
        ("brand", "O’Neil", "o'neil"),
        ("brand", "Apple", "apples"),
    ]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("kettles", "a kettle", True),
        ("parties", "the party", True),
        ("pouring", "poured", True),
        ("Anna’s lid", "lids of Anna", True),
        ("teapot", "tea", False),
        ("ring", "rice", False),
    ],
)
def test_stems_join_the_forms_of_a_word(one: str, other: str, same: bool) -> None:
    assert (content_stems(one) == content_stems(other)) is same


def test_plain_words_carry_no_stem() -> None:
    assert content_stems("I would really love to recommend this item") == set()
    assert beginnings_of("gardening gardeners") == {"garden"}


def test_words_of_other_languages() -> None:
    assert words_of("L’Oréal’s ÜBER-groß") == ["l'oréal", "über-gross", "über", "gross"]
    assert spaced_words("  Salz & Öl, 2×! ") == "salz öl 2"


@pytest.mark.parametrize(
    ("text", "praise"),
    [
        ("It won an award", {"won", "award"}),
        ("a wonderful window into freedom", set()),
        ("Winner, best-seller and Honoured", {"winn", "best-sell", "honour"}),
        ("sugar-free, on sale", {"free", "sale"}),
        ("a salesman of fairies", set()),
    ],
)
def test_praise_that_others_must_have_granted(text: str, praise: set[str]) -> None:
    assert praise_in(text) == praise

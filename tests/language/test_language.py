"""Facts in prose: prices, numbers, and names of a catalog."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_rec.core import CURRENCY_SIGNS
from rag_rec.language import Names, amount_of, digits_in, limits_in, numbers_in, prices_in


@pytest.mark.parametrize("sign", CURRENCY_SIGNS)
def test_every_currency_marks_a_price_before_and_behind(sign: str) -> None:
    assert prices_in(f"it is {sign}12.50") == prices_in(f"for 12,50 {sign} each") == {12.5}
    assert limits_in(f"under {sign}40") == {40}


@pytest.mark.parametrize(
    ("text", "prices", "limits"),
    [
        ("costs 12.50, not £14; under £40", {12.5, 14}, {40}),
        ("a 20 cm pan for 30 euros", {30}, set()),
        ("no more than 1,200", set(), {1200}),
        ("under 3.5 kg and 20 minutes", set(), set()),
        ("priced at just 9.99", {9.99}, set()),
    ],
)
def test_prices_and_limits_in_sentences(text: str, prices: set[float], limits: set[float]) -> None:
    assert (prices_in(text), limits_in(text)) == (prices, limits)


@given(st.integers(0, 10**6).map(lambda cents: cents / 100))
def test_an_amount_is_read_as_written_in_either_style(amount: float) -> None:
    english = f"{amount:,.2f}"
    german = english.translate(str.maketrans({".": ",", ",": "."}))
    assert amount_of(english) == amount_of(german) == amount
    assert digits_in(f"for {english} or less") == {amount}


def test_numbers_in_words_count() -> None:
    assert numbers_in("two of a dozen, 1,200 in all") == {2, 12, 1200}


@given(st.text())
def test_any_text_has_numbers_and_mentions_or_none(text: str) -> None:
    names = Names(["Tea", "Black Tea"], ["Salt & Pepper"])
    assert all(value >= 0 for value in prices_in(text) | limits_in(text))
    ends = [0]
    for mention in names.mentions(text):
        assert ends[-1] <= mention.start < mention.end <= len(text)
        ends.append(mention.end)


def test_names_with_entities_are_the_names_they_stand_for() -> None:
    names = Names(["Home &amp; Kitchen"], ["Black &amp; Decker"])
    found = [(m.field, m.name) for m in names.mentions("a black & decker for home & kitchen")]
    assert found == [("brand", "Black &amp; Decker"), ("category", "Home &amp; Kitchen")]

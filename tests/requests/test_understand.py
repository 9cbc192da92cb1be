"""Wishes in plain words: what is understood, who decides, and what a model cannot smuggle in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_rec import (
    ConfigError,
    Constraints,
    ItemIndex,
    Recommender,
    Settings,
    UserHistory,
    describe,
    where,
)
from rag_rec.constraints import both
from rag_rec.core import one_line
from rag_rec.requests import Names, by_keywords, read_request, request_for, with_request
from rag_rec.testing import ScriptedModel, check_list

NAMES = Names(["Tea", "Black Tea", "Teapots", "Books", "Pots & Pans"], ["Acme", "Halm & Folio"])
ROWS = [
    json.loads(line) for line in (Path(__file__).parent / "requests.jsonl").read_text().splitlines()
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a teapot below £30", "price<30 and category=Teapots"),
        ("pots and pans", ""),
        ("Pots & Pans by Halm & Folio", "category='Pots & Pans' and brand='Halm & Folio'"),
        ("black tea, at most 12,50", "price<=12.5 and category='Black Tea'"),
        ("no tea, no books", "not category=Tea and not category=Books"),
        ("not from Acme", "not brand=Acme"),
        ("books since 2020", "category=Books and released>=2020-01-01"),
        ("a walk of at most 12 km", ""),
        ("more than 10 but less than 20", "price>10 and price<20"),
    ],
)
def test_keywords(text: str, expected: str) -> None:
    found = by_keywords(text, NAMES)
    assert found.constraints == (where(expected) if expected else Constraints())
    assert found.how == "keywords"


@given(st.text() | st.text(alphabet="underobt 0123456789,.-&tea"))
def test_any_text_is_read_and_can_be_put_to_a_model(text: str) -> None:
    found = by_keywords(text, NAMES)
    assert (found.request, found.how) == (text, "keywords")
    assert found.query == one_line(text)
    asked = request_for(text, NAMES).messages[-1].content
    assert asked.count("<request>") == asked.count("</request>") == 1


def form(**fields: object) -> str:
    empty = {"max_price": 0, "min_price": 0, "categories": [], "not_categories": []}
    return json.dumps(empty | {"brands": [], "not_brands": [], "query": "x"} | fields)


def test_what_a_model_says_counts_only_if_the_request_says_it() -> None:
    request = "a teapot under 40"
    found = read_request(request, form(max_price=40, categories=["teapots"]), NAMES)
    assert describe(found.constraints) == "price<40 and category=Teapots"
    assert (found.how, found.dropped) == ("model", ())
    invented = read_request(
        request,
        form(max_price=10, brands=["Acme"], categories=["Tea", "Gold"], min_price=True),
        NAMES,
    )
    assert invented.constraints == Constraints()
    assert invented.dropped == (
        "max_price 10 is not in the request",
        "categories “Tea” is not in the request",
        "categories “Gold” is not in the request",
        "brands “Acme” is not in the request",
    )


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["max_price", "min_price", "categories", "brands", "query", "x"]), inner
    ),
    max_leaves=8,
))  # fmt: skip
def test_any_form_reads_as_constraints_the_request_states(value: object) -> None:
    request = "tea between 5 and 20, not from Acme"
    try:
        found = read_request(request, json.dumps(value), NAMES)
    except ValueError:
        return
    assert found.constraints.max_price in {None, 5, 20}
    assert found.constraints.min_price in {None, 5, 20}
    assert found.constraints.categories <= {"Tea", "Teapots", "Black Tea"}
    assert found.constraints.brands <= {"Acme"}


def test_a_request_is_understood_obeyed_and_returned(hash_index: ItemIndex) -> None:
    recommender = Recommender(hash_index)
    result = recommender.recommend([], 5, text="black tea for at most 10")
    assert result.understood is not None
    assert describe(result.understood.constraints) == 'price<=10 and category="Black Tea"'
    assert result.understood.how == "keywords"
    assert result.items
    assert all("Black Tea" in slot.item.categories for slot in result.items)


def test_a_model_reads_and_keywords_stand_in(
    hash_index: ItemIndex,
) -> None:
    reading = form(max_price=10, categories=["Black Tea"], query="strong breakfast tea")
    model = ScriptedModel(reading, "{}", "not a form", "{}")
    recommender = Recommender(hash_index, model, Settings(reask=False))
    first = recommender.recommend([], 3, text="black tea for 10 at most")
    assert first.understood is not None
    assert (first.understood.how, first.understood.query) == ("model", "strong breakfast tea")
    assert "strong breakfast tea" in model.requests[1].messages[-1].content
    second = recommender.understand("black tea for 10 at most")
    assert second.how == "keywords"
    assert recommender.understand("black tea for 10 at most").how == "keywords"
    assert "cannot be used" in (second.problem or "")


def test_both_constraints_hold_or_it_is_said_that_they_cannot() -> None:
    merged = both(where("price<=20 and category in (a, b)"), where("price>=5 and category=b"))
    assert merged == where("price>=5 and price<=20 and category=b")
    with pytest.raises(ConfigError, match="contradict each other: no price is at least"):
        both(where("price<=20"), where("price>=30"))
    with pytest.raises(ConfigError, match="brands A and B have none in common"):
        both(where("brand=A"), where("brand=B"))


def test_sixty_requests_are_read_without_a_model(hash_index: ItemIndex) -> None:
    """The expectations were written before the code that reads the requests."""
    recommender = Recommender(hash_index)
    assert len(ROWS) == 60
    exact = 0
    for row in ROWS:
        understood = recommender.understand(row["request"])
        wanted = where(row["where"]) if row["where"] else Constraints()
        exact += describe(understood.constraints) == describe(wanted)
        history = with_request(UserHistory(), understood)
        check_list(recommender.recommend(history, 5), hash_index, history, 5)
    assert exact >= 48

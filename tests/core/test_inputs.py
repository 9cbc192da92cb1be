"""Input types: immutable, strict about names, and constraints that can be met."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from rag_rec import Candidate, Constraints, DataError, Interaction, Item, UserHistory
from rag_rec.core import Usage


@pytest.mark.parametrize(
    ("kind", "fields", "match"),
    [
        (Item, {"item_id": ""}, "item_id"),
        (Item, {"item_id": "a", "colour": "red"}, "colour"),
        (Item, {"title": "x"}, "item_id"),
        (Interaction, {"item_id": 7}, "item_id"),
        (Constraints, {"min_price": -1}, "min_price"),
        (Constraints, {"max_price": float("nan")}, "max_price"),
        (Constraints, {"max_price": float("inf")}, "max_price"),
        (Constraints, {"min_price": 10, "max_price": 5}, "no price is at least 10 and at most 5"),
        (Constraints, {"max_per_brand": 0}, "max_per_brand"),
        (Constraints, {"relax": ("price", "price")}, "names a constraint twice"),
        (Constraints, {"relax": ("colour",)}, "relax"),
        (UserHistory, {"user_id": ""}, "user_id"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_field(
    kind: type[Any], fields: dict[str, Any], match: str
) -> None:
    with pytest.raises(ValidationError, match=match):
        kind(**fields)


@pytest.mark.parametrize(
    ("after", "before", "can_be"),
    [
        (date(2020, 1, 1), date(2020, 1, 3), True),
        (date(2020, 1, 1), date(2020, 1, 2), False),
        (date(2020, 1, 1), date(2020, 1, 1), False),
        (date(2020, 1, 2), date(2020, 1, 1), False),
        (date(2020, 1, 1), None, True),
        (None, date(2020, 1, 1), True),
    ],
)
def test_a_day_must_lie_between_the_bounds(
    after: date | None, before: date | None, can_be: bool
) -> None:
    if can_be:
        Constraints(released_after=after, released_before=before)
    else:
        with pytest.raises(ValidationError, match="no day is after"):
            Constraints(released_after=after, released_before=before)


def test_equal_bounds_of_a_price_are_one_price() -> None:
    asked = Constraints(min_price=5, max_price=5)
    assert (asked.min_price, asked.max_price) == (5, 5)


def test_a_history_of_ids_keeps_order_and_repeats() -> None:
    history = UserHistory.of("b", "a", "b", user_id="u")
    assert history.item_ids == ("b", "a", "b")
    assert (history.user_id, history.profile) == ("u", None)
    assert UserHistory.of() == UserHistory()


@pytest.mark.parametrize("ids", [(3,), ("",), ("a", None), (["a"],)])
def test_a_history_of_something_else_is_refused(ids: tuple[Any, ...]) -> None:
    with pytest.raises(DataError, match=r"expected item ids \(text\), found "):
        UserHistory.of(*ids)


def test_equal_inputs_are_equal_keys() -> None:
    one, other = UserHistory.of("a", "b"), UserHistory.of("a", "b")
    assert one == other
    assert len({one, other}) == 1
    assert Constraints(brands=frozenset({"a", "b"})) == Constraints(brands=frozenset({"b", "a"}))
    with pytest.raises(ValidationError, match="frozen"):
        one.profile = "x"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Candidate("a", 1.0, {}).score = 2.0  # type: ignore[misc]


def test_usage_is_summed_field_by_field() -> None:
    one = Usage(calls=1, prompt_tokens=10, completion_tokens=5, wall_s=0.5, cached=0)
    other = Usage(calls=0, cached=1, wall_s=0.25)
    expected = Usage(calls=1, prompt_tokens=10, completion_tokens=5, wall_s=0.75, cached=1)
    assert sum([one, other], Usage()) == expected

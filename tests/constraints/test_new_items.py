"""The share of a list that goes to new items: kept as far as possible, never at a list's length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_rec import ConfigError, Constraints, Item, where
from rag_rec.constraints import Tally, both, choose, describe, n_new_items

ITEMS = st.lists(
    st.tuples(st.booleans(), st.sampled_from("xyz"), st.integers(1, 30)), max_size=25
).map(
    lambda rows: {
        f"{n}": Item(item_id=f"{n}", is_new=new, brand=brand, price=price)
        for n, (new, brand, price) in enumerate(rows)
    }
)
SHARES = st.floats(0, 1)


@given(ITEMS, SHARES, st.integers(1, 12), st.none() | st.integers(1, 30))
def test_as_many_new_items_as_are_wanted_or_qualify(
    items: dict[str, Item], share: float, k: int, price: int | None
) -> None:
    asked = Constraints(new_items=share, max_price=price)
    preferred = [item_id for item_id, item in items.items() if not item.is_new][:k]
    chosen = choose(preferred, list(items), k, item_of=items.__getitem__, constraints=asked)
    fair = [i for i in items.values() if price is None or (i.price or 0) <= price]
    assert len(chosen) == min(k, len(fair))
    n_new = sum(items[choice.item_id].is_new for choice in chosen)
    assert n_new >= min(n_new_items(asked, k), sum(item.is_new for item in fair))
    plain = asked.model_copy(update={"new_items": 0})
    without = choose(preferred, list(items), k, item_of=items.__getitem__, constraints=plain)
    if sum(items[choice.item_id].is_new for choice in without) >= n_new_items(asked, k):
        assert chosen == without, "a list that holds enough is left as it is"


@given(ITEMS, SHARES, st.integers(1, 12), st.integers(1, 3))
def test_other_counts_hold_and_no_list_gets_shorter(
    items: dict[str, Item], share: float, k: int, most: int
) -> None:
    plain = Constraints(max_per_brand=most)
    asked = plain.model_copy(update={"new_items": share})
    chosen, without = (
        choose((), list(items), k, item_of=items.__getitem__, constraints=rules)
        for rules in (asked, plain)
    )
    assert len(chosen) >= len(without)
    assert Tally(asked, [items[choice.item_id] for choice in chosen]).holds


@given(st.integers(1, 100), SHARES)
def test_places_follow_the_share(k: int, share: float) -> None:
    n = n_new_items(Constraints(new_items=share), k)
    assert (n == 0) == (share == 0)
    assert n == 1 or abs(n - share * k) <= 0.5 + 1e-9


@given(SHARES)
def test_text_is_written_as_it_is_read(share: float) -> None:
    asked = Constraints(new_items=share, max_per_brand=1)
    assert where(describe(asked)) == asked


def test_the_larger_share_holds() -> None:
    assert both(where("new_items=0.1"), where("new_items=0.3")).new_items == 0.3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("new_items=1.5", "column 11: new_items is from 0 to 1"),
        ("new_items=nan", "column 11: new_items is from 0 to 1"),
        ("new_items>0.2", "write new_items=0.2"),
        ("new_items=some", "'some' is not a share; write a number such as 0.1"),
    ],
)
def test_what_is_no_share_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        where(text)

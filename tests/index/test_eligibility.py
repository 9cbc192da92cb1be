"""Eligibility decides for the whole catalog as the rules of single items do."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag_rec import ConfigError, Constraints, ItemIndex, UserHistory
from rag_rec.constraints import failed
from rag_rec.testing import eligible_items

FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "allow_seen": st.booleans(),
    "allow_out_of_stock": st.booleans(),
    "exclude": st.frozensets(st.sampled_from(["tea-001", "kit-005", "unknown"])),
    "min_price": st.sampled_from([0.0, 12.5]),
    "max_price": st.sampled_from([20.0, 60.0]),
    "categories": st.frozensets(st.sampled_from(["tea", "Kitchen", "none such"]), min_size=1),
    "not_categories": st.frozensets(st.sampled_from(["TEA", "books"])),
    "released_after": st.just(date(2019, 1, 1)),
    "released_before": st.just(date(2022, 1, 1)),
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.fixed_dictionaries({}, optional=FIELDS),
    st.lists(st.sampled_from(["tea-001", "tea-009", "gone"])),
)
def test_the_mask_is_the_rule_of_every_item(
    hash_index: ItemIndex, fields: dict[str, Any], seen: list[str]
) -> None:
    history = UserHistory.of(*seen).model_copy(update={"constraints": Constraints(**fields)})
    mask = hash_index.eligibility.mask(history)
    listed = {hash_index.item_ids[row] for row in mask.nonzero()[0]}
    assert listed == eligible_items(hash_index, history)


def test_breaking_is_what_each_item_fails(hash_index: ItemIndex) -> None:
    brand = next(filter(None, hash_index.items["brand"].to_list()))
    asked = Constraints(brands=frozenset({brand.upper()}), max_price=40, allow_out_of_stock=True)
    breaks = hash_index.eligibility.breaks(asked)
    assert 0 < breaks.sum() < len(breaks)
    for row, item_id in enumerate(hash_index.item_ids):
        assert breaks[row] == bool(failed(hash_index.item_by_id(item_id), asked))


def test_a_mask_may_be_changed_without_changing_the_next(hash_index: ItemIndex) -> None:
    first = hash_index.eligibility.mask(UserHistory())
    kept = first.copy()
    first[:] = False
    assert (hash_index.eligibility.mask(UserHistory()) == kept).all()


def test_brands_are_known_whatever_their_case(hash_index: ItemIndex) -> None:
    brand = next(filter(None, hash_index.items["brand"].to_list()))
    eligibility = hash_index.eligibility
    assert eligibility.is_brand(brand)
    assert eligibility.is_brand(f" {brand.upper()} ")
    assert not eligibility.is_brand("no such brand")


def test_a_wanted_name_that_no_item_has_is_refused_with_the_nearest(hash_index: ItemIndex) -> None:
    hash_index.eligibility.check_names(Constraints(not_brands=frozenset({"nobody"})))
    with pytest.raises(ConfigError, match=r"no item has the category 'Teaa'; near it: .*tea"):
        hash_index.eligibility.check_names(Constraints(categories=frozenset({"Teaa"})))
    with pytest.raises(ConfigError, match=r"no item has the brand 'zzzz'$"):
        hash_index.eligibility.check_names(Constraints(brands=frozenset({"zzzz"})))

"""Blends of the model's order with retrieval's, and the small files that hold their weights."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_rec import ConfigError, ItemIndex, Recommender
from rag_rec.pipeline import Blend
from rag_rec.pipeline.blend import LengthWeight, blend_list, blended

CHOSEN = st.lists(st.booleans(), min_size=6, max_size=6)
WEIGHTS = st.floats(0, 1)


@given(st.permutations("abcdef"), CHOSEN, st.permutations("abcdefgh"), WEIGHTS)
def test_a_blend_is_a_permutation(
    items: list[str], chosen: list[bool], retrieved: list[str], weight: float
) -> None:
    assert sorted(blended(items, chosen, retrieved, weight)) == sorted(items)
    in_retrieval = sorted(items, key=retrieved.index)
    assert blended(items, chosen, retrieved, 0.0) == in_retrieval
    assert blended(items, [True] * 6, retrieved, 1.0) == items
    assert blended(in_retrieval, [True] * 6, retrieved, weight) == in_retrieval, "both agree"


@given(st.permutations("abcdef"), st.permutations("abcdef"), WEIGHTS)
def test_two_items_change_places_only_where_the_orders_differ(
    items: list[str], retrieved: list[str], weight: float
) -> None:
    found = blended(items, [True] * 6, retrieved, weight)
    for before in items:
        for after in items:
            if items.index(before) < items.index(after) and (
                retrieved.index(before) < retrieved.index(after)
            ):
                assert found.index(before) < found.index(after)


@pytest.mark.parametrize(
    ("weight", "chosen", "order"),
    [
        # places of the model: c 1, b 2, a 3; of retrieval: a 1, b 2, c 3
        (0.0, [True, True, True], "abc"),
        (0.49, [True, True, True], "acb"),  # 1/11 and 1/13 together are more than 2/12
        (0.51, [True, True, True], "cab"),
        (1.0, [True, True, True], "cba"),
        (1.0, [True, False, False], "cba"),
        (0.6, [True, False, False], "cab"),  # those that fill up count by retrieval alone
    ],
)
def test_blends_worked_out_by_hand(weight: float, chosen: list[bool], order: str) -> None:
    assert "".join(blended("cba", chosen, "abc", weight)) == order


def test_a_list_keeps_everything_but_the_order(hash_index: ItemIndex) -> None:
    made = Recommender(hash_index).recommend("user-042", 5)
    llm = tuple(slot.model_copy(update={"origin": "llm"}) for slot in made.items)
    ids = [slot.item_id for slot in made.items]
    result = blend_list(made.model_copy(update={"items": llm}), ids[::-1], 0.0)
    assert [slot.item_id for slot in result.items] == ids[::-1]
    assert [slot.rank for slot in result.items] == [1, 2, 3, 4, 5]
    as_made = {slot.item_id: slot.model_copy(update={"rank": 0}) for slot in llm}
    assert all(
        slot.model_copy(update={"rank": 0}) == as_made[slot.item_id] for slot in result.items
    )
    assert result.model_copy(update={"items": made.items}) == made
    backfilled = blend_list(made, ids[::-1], 1.0)
    assert [slot.item_id for slot in backfilled.items] == ids, "nothing speaks for another order"


ENTRIES = st.dictionaries(st.integers(0, 10**6), WEIGHTS, max_size=4)


@given(WEIGHTS, ENTRIES, st.text(st.characters(codec="utf-8"), max_size=30), st.integers(0, 10**6))
def test_any_blend_is_read_back_from_its_file(
    tmp_path_factory: pytest.TempPathFactory,
    weight: float,
    entries: dict[int, float],
    fitted_on: str,
    n_events: int,
) -> None:
    by_history = tuple(LengthWeight(at_least=n, weight=entries[n]) for n in sorted(entries))
    blend = Blend(weight=weight, by_history=by_history, fitted_on=fitted_on)
    path = tmp_path_factory.mktemp("blend") / "blend.toml"
    blend.save(path)
    again = Blend.load(path)
    assert again == blend
    assert again.digest() == blend.digest()
    below = [n for n in entries if n <= n_events]
    assert again.weight_for(n_events) == (entries[max(below)] if below else weight)


def test_a_digest_is_of_the_weights_alone() -> None:
    entry = LengthWeight(at_least=5, weight=0.5)
    blend = Blend(weight=0.2, by_history=(entry,))
    assert blend.digest() == blend.model_copy(update={"fitted_on": "Beauty"}).digest()
    others = [
        Blend(weight=0.2),
        Blend(weight=0.3, by_history=(entry,)),
        Blend(weight=0.2, by_history=(entry.model_copy(update={"at_least": 6}),)),
    ]
    assert blend.digest() not in {other.digest() for other in others}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "weight"),
        ("weight = -0.1", "greater than or equal to 0"),
        ("weight = nan", "weight"),
        ('weight = "half"', "weight"),
        ("weight = 1\n[[by_history]]\nweight = 1", "at_least"),
        ("weight = 1\n[[by_history]]\nat_least = -1\nweight = 1", "greater than or equal to 0"),
        ("weight = 1\n[[by_history]]\nat_least = 1.5\nweight = 1", "at_least"),
        (("weight = 1\n" + "[[by_history]]\nat_least = 3\nweight = 1\n" * 2), "rising"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=match) as caught:
        Blend.load(path)
    assert "mine.toml" in str(caught.value)

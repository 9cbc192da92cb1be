"""Kinds of lists by name, options that none can have, and constraints that are given up."""

from __future__ import annotations

import pytest

from rag_rec import Bundle, ConfigError, Item, PlaySequence, Slate, TopK, where
from rag_rec.list_types import LIST_TYPES, kind_of, list_type_of, register_list_type
from rag_rec.list_types.base import composed_from_pool, marked
from rag_rec.list_types.objective import Pool
from rag_rec.list_types.top_k import TopKType


def test_constraints_are_given_up_only_for_a_list_that_stays_short() -> None:
    asked = where("price<=10").model_copy(update={"relax": ("price",)})
    items = [Item(item_id=str(n), price=price) for n, price in enumerate((50.0, 5.0, 60.0, 6.0))]

    def search(pool: Pool) -> tuple[list[int], dict[str, object]]:
        best = sorted(range(4), key=lambda at: -pool.relevance[at])
        return [at for at in best if pool.holds([at])][:length], {}

    class Asked:
        history = type("History", (), {"constraints": asked})

    for length, given_up in ((2, [(), ()]), (3, [(), (), ("price",)])):
        composed = composed_from_pool(TopK(k=length), items, Asked, search)  # type: ignore[arg-type]
        assert [choice.relaxed for choice in composed.choices] == given_up
        assert [choice.item_id for choice in composed.choices] == ["1", "3", "0"][:length]
    assert marked(Pool.of(items, asked, 1), [2])[0].relaxed == ("price",)


def test_kinds_by_name_and_by_class() -> None:
    sizes = {"topk": (10, 2), "bundle": (3, 2), "sequence": (5, 2), "slate": (12, 6)}
    for name, (by_default, with_two) in sizes.items():
        assert (kind_of(name).length, kind_of(name, 2).length) == (by_default, with_two)
        assert list_type_of(kind_of(name)) is LIST_TYPES[name]
    with pytest.raises(ConfigError, match="no list type 'pile'; there are topk, bundle, sequence"):
        kind_of("pile")

    class Pile(TopK):
        pass

    class PileType(TopKType):
        name = "pile"
        kind = Pile

    with pytest.raises(ConfigError, match="Pile is no registered kind of list"):
        list_type_of(Pile())
    register_list_type(PileType())
    try:
        assert isinstance(list_type_of(kind_of("pile", 4)), PileType)
    finally:
        del LIST_TYPES["pile"]


@pytest.mark.parametrize(
    ("kind", "given", "match"),
    [
        (Bundle, {"anchors": ("a", "a")}, "an anchor is named twice"),
        (Bundle, {"anchors": ("a", "b"), "slots": (where("price<=2"),)}, "2 anchors do not fit 1"),
        (Bundle, {"budget": 0}, "greater than 0"),
        (Bundle, {"budget": float("inf")}, "finite"),
        (PlaySequence, {"max_duration": -1}, "greater than 0"),
        (Slate, {"diversity": 1.5}, "less than or equal to 1"),
        (Slate, {"rows": 0}, "greater than or equal to 1"),
    ],
)
def test_options_that_no_list_can_have(kind: type, given: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        kind(**given)

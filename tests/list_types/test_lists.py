"""Bundles, sequences and slates through the recommender: limits kept, hostile replies."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
from catalogs import random_index

from rag_rec import (
    Bundle,
    BundleList,
    ConfigError,
    Constraints,
    DataError,
    ItemIndex,
    PlaySequence,
    RecommendationList,
    Recommender,
    SequenceList,
    Slate,
    SlatePage,
    UserHistory,
    where,
)
from rag_rec.constraints import ItemRules, Tally, failed, without
from rag_rec.list_types import Kind
from rag_rec.testing import ScriptedModel

N_CASES = int(os.environ.get("RAG_REC_CASES", "100"))


@pytest.fixture(scope="module")
def recommender(hash_index: ItemIndex) -> Recommender:
    return Recommender(hash_index)


def test_a_bundle_keeps_budget_slots_and_anchors(recommender: Recommender) -> None:
    slots = (where("category=Teapots"), where("category=Black Tea"))
    result = recommender.recommend("user-042", kind=Bundle(slots=slots, budget=60))
    assert isinstance(result, BundleList)
    assert len(result.items) == 2
    assert result.total_price is not None
    assert result.total_price <= 60
    assert result.slots == ("category=Teapots", 'category="Black Tea"')
    assert "Teapots" in result.items[0].item.categories
    anchored = recommender.recommend("user-042", kind=Bundle(size=3, anchors=("kit-001",)))
    assert "kit-001" in {slot.item_id for slot in anchored.items}
    assert len(anchored.items) == 3
    with pytest.raises(ConfigError, match="anchor 'kit-001' breaks a constraint: price"):
        recommender.recommend([], kind=Bundle(anchors=("kit-001",)), constraints=where("price<=2"))
    with pytest.raises(ConfigError, match="anchors alone break the budget"):
        recommender.recommend([], kind=Bundle(anchors=("kit-001",), budget=2))
    with pytest.raises(DataError, match="no item 'nope'"):
        recommender.recommend([], kind=Bundle(anchors=("nope",)))
    with pytest.raises(ValueError, match="2 anchors do not fit 1"):
        Bundle(size=1, anchors=("a", "b"))


def test_a_slot_nothing_fills_makes_the_bundle_shorter(recommender: Recommender) -> None:
    slots = (where("category=Teapots"), where("category=Teapots and price>900"))
    result = recommender.recommend("user-042", kind=Bundle(slots=slots))
    assert len(result.items) == 1
    assert result.shortfall == "1 of 2 items: no more qualify"


def test_a_sequence_and_a_page(recommender: Recommender, hash_index: ItemIndex) -> None:
    sequence = recommender.recommend("user-042", kind=PlaySequence(length=4))
    assert isinstance(sequence, SequenceList)
    assert len(sequence.items) == 4
    page = recommender.recommend("user-042", kind=Slate(rows=3, per_row=3))
    assert isinstance(page, SlatePage)
    assert len(page.rows) == 3
    listed = [item_id for row in page.rows for item_id in row.item_ids]
    assert listed == [slot.item_id for slot in page.items]
    assert len(set(listed)) == 9
    cold = recommender.recommend([], kind=Slate(), profile="a quiet cup of tea")
    assert cold.rows


def test_the_models_choices_stay_where_they_hold(hash_index: ItemIndex) -> None:
    entries = [{"label": n, "cites": [1], "reason": "x"} for n in (3, 3, 99, 7)]
    model = ScriptedModel(json.dumps({"items": entries}))
    result = Recommender(hash_index, model).recommend("user-042", kind=Bundle(size=3))
    assert result.outcome == "partial"
    assert sorted(slot.origin for slot in result.items) == ["backfill", "llm", "llm"]
    assert result.repairs.reasked == 1, "typed lists are asked again as plain ones are"
    assert (result.repairs.duplicate, result.repairs.unknown_label) == (2, 2), "in both replies"
    labels = model.requests[0].messages[-1].content
    assert "Choose a bundle of 3 items that go together." in labels


def test_no_seen_item_comes_right_after_itself(recommender: Recommender) -> None:
    again = Constraints(allow_seen=True)
    history = UserHistory.of("tea-004", "kit-001").model_copy(update={"constraints": again})
    assert recommender.recommend(history, kind=PlaySequence(length=5)).items[0].item_id != "kit-001"


# --- whatever a model writes ---------------------------------------------------------------------


def check_typed(
    result: RecommendationList, kind: Kind, history: UserHistory, index: ItemIndex
) -> None:
    asked = history.constraints
    ids = [slot.item_id for slot in result.items]
    assert len(ids) == len(set(ids)) <= kind.length
    assert set(ids) <= set(index.item_ids)
    barred = set(asked.exclude) | (set() if asked.allow_seen else set(history.item_ids))
    anchors = set(kind.anchors) if isinstance(kind, Bundle) else set()
    given_up = {name for slot in result.items for name in slot.relaxed}
    assert given_up <= set(asked.relax)
    for slot in result.items:
        assert slot.item_id not in barred or slot.item_id in anchors
        assert set(failed(slot.item, asked)) <= set(slot.relaxed)
    items = [slot.item for slot in result.items]
    assert Tally(without(asked, [n for n in asked.relax if n in given_up]), items).holds
    assert len(ids) == kind.length or result.shortfall
    json.loads(result.model_dump_json())
    match kind:
        case Bundle():
            assert anchors <= set(ids)
            if kind.budget is not None:
                assert sum(item.price or 0 for item in items) <= kind.budget + 1e-6
            for slot, text in zip(items, result.slots, strict=False):  # type: ignore[attr-defined]
                assert not ItemRules(where(text)).failed(slot)
        case Slate():
            rows = result.rows  # type: ignore[attr-defined]
            assert [i for row in rows for i in row.item_ids] == ids
            assert all(len(row.item_ids) <= kind.per_row for row in rows)
            assert len(rows) <= kind.rows
        case _:
            if kind.max_duration is not None:
                assert sum(kind.durations[i] for i in ids) <= kind.max_duration + 1e-6


def random_kind(rng: random.Random, index: ItemIndex) -> Kind:
    match rng.randrange(4):
        case 0:
            budget = rng.choice([None, 20.0, 50.0, 90.0])
            return Bundle(size=rng.randrange(1, 5), budget=budget)
        case 1:
            categories = {name for row in index.items["categories"].to_list() for name in row}
            names = [*sorted(categories), "Nonsense", "Nothing"]
            picked = rng.sample(names, min(len(names), rng.randrange(1, 4)))
            slots = tuple(where(f'category="{name}"') for name in picked)
            return Bundle(slots=slots, budget=rng.choice([None, 60.0]))
        case 2:
            durations = {item_id: rng.uniform(1, 30) for item_id in index.item_ids[::2]}
            limit = rng.choice([None, 40.0])
            return PlaySequence(length=rng.randrange(1, 6), durations=durations, max_duration=limit)
        case _:
            return Slate(rows=rng.randrange(1, 4), per_row=rng.randrange(1, 4))


def random_limits(rng: random.Random, index: ItemIndex) -> Constraints:
    names = ["price", "category", "max_per_brand", "max_per_category", "min_categories"]
    rng.shuffle(names)
    return Constraints(
        exclude=frozenset(rng.sample(index.item_ids, min(rng.choice([0, 5, 200]), index.n_items))),
        allow_seen=rng.random() < 0.3,
        max_price=rng.choice([None, None, 25.0, 60.0]),
        not_categories=rng.choice([frozenset(), frozenset({"Books"})]),
        max_per_brand=rng.choice([None, 1, 2]),
        max_per_category=rng.choice([None, None, 1]),
        min_categories=rng.choice([None, None, 3]),
        category_level=rng.choice([-1, 0]),
        relax=tuple(names[: rng.choice([0, 0, 5])]),  # type: ignore[arg-type]
    )


def hostile(rng: random.Random) -> str:
    entries = [
        {
            "row": rng.randrange(-1, 5),
            "label": rng.choice([rng.randrange(-1, 60), rng.randrange(1, 9)]),
            "cites": [rng.randrange(-1, 99)],
            "reason": f"Number {rng.randrange(999)} won every award of Paris in 1907",
        }
        for _ in range(rng.randrange(10))
    ]
    text = json.dumps({"items": entries})
    return rng.choice(
        [text, text, text[: rng.randrange(len(text))], "", '{"items": [{"row": "x"}]}']
    )


def test_no_hostile_reply_breaks_a_list(hash_index: ItemIndex, tmp_path: Path) -> None:
    """Every other twenty over a random catalog; `make test-constraints` runs 10,000 cases."""
    rng = random.Random(3)
    model = ScriptedModel(lambda _: hostile(rng))
    for case in range(N_CASES):
        if case % 20 == 0:
            odd = case // 20 % 2
            index = random_index(rng, tmp_path / str(case)) if odd else hash_index
            recommenders = [
                Recommender(index, model),
                Recommender(index, model),
                Recommender(index),
            ]
            users = sorted(index.user_ids)
        kind = random_kind(rng, index)
        history = index.history(rng.choice(users)).model_copy(
            update={"constraints": random_limits(rng, index)}
        )
        recommender = rng.choice(recommenders)
        match kind:
            case Bundle():
                result: RecommendationList = recommender.recommend(history, kind=kind)
            case Slate():
                result = recommender.recommend(history, kind=kind)
            case _:
                result = recommender.recommend(history, kind=kind)
        check_typed(result, kind, history, index)
        assert "of Paris" not in result.model_dump_json()

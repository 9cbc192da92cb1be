"""Constraints: as text, item by item, over a catalog, over a list, and against hostile replies."""

from __future__ import annotations

import json
import os
import random
from datetime import date
from pathlib import Path

import pytest
from catalogs import random_index
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rag_rec import (
    ConfigError,
    Constraints,
    Dataset,
    Item,
    ItemIndex,
    Recommender,
    UserHistory,
    build_index,
)
from rag_rec.constraints import RELAXABLE, Tally, choose, describe, failed, where, without
from rag_rec.retrieval import open_retriever
from rag_rec.testing import HashEmbedder, ScriptedModel, check_list, check_retriever

# --- as text --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("price<=20", Constraints(max_price=20)),
        ("PRICE <= $12.50 AND price>=3", Constraints(max_price=12.5, min_price=3)),
        ("price=5", Constraints(max_price=5, min_price=5)),
        ("category=Black Tea", Constraints(categories=frozenset({"Black Tea"}))),
        (
            "category in (tea, 'Pots & Pans')",
            Constraints(categories=frozenset({"tea", "Pots & Pans"})),
        ),
        ("category=a and category=b", Constraints(all_categories=frozenset({"a", "b"}))),
        (
            "not category=gift and category!=toy",
            Constraints(not_categories=frozenset({"gift", "toy"})),
        ),
        ("not brand != Acme", Constraints(brands=frozenset({"Acme"}))),
        ("brand=Osmund's Hedge", Constraints(brands=frozenset({"Osmund's Hedge"}))),
        ('brand="Salt and Pepper"', Constraints(brands=frozenset({"Salt and Pepper"}))),
        ("released>=2020-02-01", Constraints(released_after=date(2020, 1, 31))),
        ("not released>2020-02-01", Constraints(released_before=date(2020, 2, 2))),
        ("in_stock", Constraints()),
        ("in_stock=any", Constraints(allow_out_of_stock=True)),
        ("max_per_brand=1 and min_categories=3 and category_level=0",
         Constraints(max_per_brand=1, min_categories=3, category_level=0)),
    ],
)  # fmt: skip
def test_where_reads(text: str, expected: Constraints) -> None:
    assert where(text) == expected


@pytest.mark.parametrize("brand", ["Black & Decker", "Black &amp; Decker", "BLACK  &AMP; decker"])
@pytest.mark.parametrize("text", ['brand="Black & Decker"', 'brand="Black &amp; Decker"'])
def test_names_are_compared_without_html_entities(brand: str, text: str) -> None:
    item = Item(item_id="a", brand=brand, categories=("Cafe\u0301",))
    assert failed(item, where(text)) == ()
    assert failed(item, where("category=CAF\u00c9")) == ()


def test_a_price_may_carry_any_currency_before_or_behind() -> None:
    assert where("price<=₹500") == where("price<= 500 €") == Constraints(max_price=500)


def test_a_strict_bound_leaves_its_own_price_out() -> None:
    item = Item(item_id="a", price=20.0)
    assert failed(item, where("price<20")) == failed(item, where("price>20")) == ("price",)
    assert failed(item, where("price<=20 and price>=20")) == ()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "the text is empty; write for example"),
        ("price<=cheap", r"column 8: 'cheap' is not a price; write a number such as 20"),
        ("price<= and category=tea", r"column 9: 'and' cannot stand here; expected a name, a v"),
        ("price<=20 category=tea", r"column 19: '=tea' cannot stand here; expected 'and'"),
        ("price<=20 and", r"column 14: the text ends here; expected 'not', a name"),
        ("colour=red", r"column 1: no field 'colour'; use price, category, brand"),
        ("category=tea or category=coffee", r"written category in \(tea, coffee\)"),
        ("category in (tea", r"column 17: the text ends here; expected '\)', ','"),
        ("category<tea", "compared with =, != or in"),
        ("category in (a) and category in (b)", "a second list of values; write one: category in"),
        ("brand=''", "no empty name"),
        ("released>soon", "column 10: 'soon' is not a date; write it as 2020-01-31"),
        ("released=2020-01-01", "a date is compared with < <= >= >"),
        ("in_stock=false", "in_stock=true .the default. or in_stock=any"),
        ("max_per_brand=0", "column 15: max_per_brand is 1 or more"),
        ("max_per_brand<3", "write max_per_brand=3"),
        ("price>30 and price<20", "no price is at least 30 and at most 20"),
        ("price<0", "no price is below 0"),
        ("price=inf", "a price is 0 or more, not inf"),
        ("released>2020-01-01 and released<2020-01-02", "no day is after"),
        ("price in (3, 4)", "price takes a sign and one value"),
    ],
)  # fmt: skip
def test_where_says_what_is_wrong_and_where(text: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match) as caught:
        where(text)
    assert "\n" not in str(caught.value)


def test_an_unknown_constraint_to_relax_is_refused() -> None:
    with pytest.raises(ConfigError, match="relax: no constraint 'prize'; use price, category"):
        where("price<=20", relax=["prize"])
    with pytest.raises(ValueError, match="twice"):
        Constraints(relax=("price", "price"))


@given(st.text() | st.text(alphabet="andotriceg=<>()\"', 0123"))
def test_where_reads_or_refuses_any_text(text: str) -> None:
    try:
        asked = where(text)
    except ConfigError as error:
        message = str(error)
    else:
        message = again = describe(asked)
        assert not again or where(again) == asked
    assert "\n" not in message


NAMES = st.sampled_from(
    ["Tea", "Black Tea", "Pots & Pans", "Osmund's Hedge", "and", "Ölmühle", "a,b"]
)
SETS = st.frozensets(NAMES, max_size=3)
PRICES = st.floats(0, 100).map(lambda p: round(p, 2))


@given(st.none() | PRICES, st.none() | PRICES, SETS, SETS, SETS, st.none() | st.dates())
@example(None, 0.07, frozenset(), frozenset(), frozenset(), None)
def test_what_describe_writes_where_reads(
    low: float | None,
    high: float | None,
    categories: frozenset[str],
    unwanted: frozenset[str],
    brands: frozenset[str],
    after: date | None,
) -> None:
    if low is not None and high is not None and low > high:
        low, high = high, low
    asked = Constraints(
        min_price=low, max_price=high, categories=categories, not_categories=unwanted,
        brands=brands, released_after=after,
    )  # fmt: skip
    text = describe(asked)
    assert (where(text) if text else Constraints()) == asked


# --- items and catalogs ---------------------------------------------------------------------------


def test_what_is_not_stated_does_not_qualify() -> None:
    bare = Item(item_id="a", title="bare")
    for text, broken in [
        ("price<=20", "price"),
        ("price>=0", "price"),
        ("category=tea", "category"),
        ("brand=Acme", "brand"),
        ("released>1900-01-01", "released"),
        ("released<2100-01-01", "released"),
    ]:
        assert failed(bare, where(text)) == (broken,)
    assert failed(bare, where("not category=tea and not brand=Acme")) == ()


BRANDS, CATEGORIES = ["Acme", "Ölmühle", "Nix"], ["Tea", "Black Tea", "Pots & Pans", "Books"]
ITEMS = st.builds(
    Item,
    item_id=st.just("?"),
    brand=st.none() | st.sampled_from(BRANDS),
    price=st.none() | st.sampled_from([0.0, 5.0, 12.5, 20.0, 40.0]),
    categories=st.lists(st.sampled_from(CATEGORIES), max_size=3).map(tuple),
    released=st.none() | st.sampled_from([date(2019, 1, 1), date(2020, 1, 1), date(2021, 1, 1)]),
    in_stock=st.booleans(),
)
SOME = st.sampled_from([None, None, 5.0, 12.5, 20.0])
ORDERS = st.permutations(
    ["price", "category", "brand", "released", "in_stock", "max_per_brand", "max_per_category",
     "min_categories"]
).flatmap(lambda names: st.integers(0, 8).map(lambda n: tuple(names[:n])))  # fmt: skip


@st.composite
def constraints_for(draw: st.DrawFn, brands: list[str], categories: list[str]) -> Constraints:
    low, high = draw(SOME), draw(SOME)
    if low is not None and high is not None and low > high:
        low, high = high, low
    few = st.frozensets(st.sampled_from(categories), max_size=2)
    return Constraints(
        min_price=low,
        max_price=high,
        categories=draw(few),
        all_categories=draw(st.just(frozenset[str]()) | few),
        not_categories=draw(few),
        brands=draw(st.frozensets(st.sampled_from(brands), max_size=2)),
        not_brands=draw(st.frozensets(st.sampled_from(brands), max_size=1)),
        released_after=draw(st.none() | st.just(date(2019, 6, 1))),
        released_before=draw(st.none() | st.just(date(2020, 6, 1))),
        allow_out_of_stock=draw(st.booleans()),
        max_per_brand=draw(st.none() | st.integers(1, 3)),
        max_per_category=draw(st.none() | st.integers(1, 3)),
        min_categories=draw(st.none() | st.integers(1, 4)),
        category_level=draw(st.integers(-2, 2)),
        relax=draw(st.just(()) | ORDERS),
    )


def check_choice(items: dict[str, Item], asked: Constraints, k: int, preferred: list[str]) -> None:
    chosen = choose(preferred, list(items), k, item_of=items.__getitem__, constraints=asked)
    ids = [choice.item_id for choice in chosen]
    assert len(ids) == len(set(ids)) <= k
    assert set(ids) <= set(items)
    given_up = {name for choice in chosen for name in choice.relaxed}
    assert given_up <= set(asked.relax)
    for choice in chosen:
        assert set(failed(items[choice.item_id], asked)) <= set(choice.relaxed)
    left = without(asked, [name for name in asked.relax if name in given_up])
    listed = [items[item_id] for item_id in ids]
    assert Tally(left, listed).holds
    if given_up:
        strict = asked.model_copy(update={"relax": ()})
        alone = choose(preferred, list(items), k, item_of=items.__getitem__, constraints=strict)
        assert len(alone) < k
        assert {c.item_id for c in alone} <= set(ids), "what qualifies comes before what does not"
    if len(ids) < k:
        weakest = without(asked, asked.relax)
        for item_id in set(items) - set(ids):
            item = items[item_id]
            assert failed(item, weakest) or Tally(weakest, listed).broken_by(item)


@given(
    st.lists(ITEMS, max_size=12), constraints_for(BRANDS, CATEGORIES), st.integers(1, 6), st.data()
)
def test_a_list_never_breaks_what_is_not_relaxed(
    rows: list[Item], asked: Constraints, k: int, data: st.DataObject
) -> None:
    items = {str(n): item.model_copy(update={"item_id": str(n)}) for n, item in enumerate(rows)}
    preferred = data.draw(st.lists(st.sampled_from(list(items)), max_size=5)) if items else []
    check_choice(items, asked, k, preferred)


def names_of(index: ItemIndex) -> tuple[list[str], list[str]]:
    brands = sorted({b for b in index.items["brand"].to_list() if b})
    return brands, sorted({c for row in index.items["categories"].to_list() for c in row})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_the_mask_over_the_catalog_is_the_check_of_each_item(
    hash_index: ItemIndex, data: st.DataObject
) -> None:
    asked = data.draw(constraints_for(*names_of(hash_index)))
    breaks = hash_index.eligibility.breaks(asked)
    rules = asked.model_copy(update={"allow_out_of_stock": True})
    assert breaks.tolist() == [
        bool(failed(hash_index.item(row), rules)) for row in range(hash_index.n_items)
    ]


def test_retrieval_keeps_the_protocol_under_constraints(hash_index: ItemIndex) -> None:
    texts = [
        "price<=20",
        "category=Tea and not brand=Nine Terraces",
        "price>500",
        "released>2020-01-01",
    ]
    users = [hash_index.history(user) for user in sorted(hash_index.user_ids)[:4]]
    users.append(UserHistory(profile="a quiet cup of tea"))
    histories = [
        user.model_copy(update={"constraints": where(text)}) for user in users for text in texts
    ]
    check_retriever(open_retriever(hash_index), hash_index, histories)


# --- whole lists ----------------------------------------------------------------------------------


def reply(*labels: object) -> str:
    items = [
        {"label": label, "reason": f"it goes well with your kettle {n}"}
        for n, label in enumerate(labels)
    ]
    return json.dumps({"items": items})


def test_fewer_items_qualify_and_the_list_says_so(hash_index: ItemIndex) -> None:
    recommender = Recommender(hash_index)
    asked = recommender.where("category=Green Tea and price<=20")
    result = recommender.recommend("user-042", 10, constraints=asked)
    assert 0 < len(result.items) < 10
    assert result.shortfall == f"{len(result.items)} of 10 items: no more qualify"
    assert all("Green Tea" in slot.item.categories for slot in result.items)
    filled = recommender.recommend(
        "user-042", 10, constraints=asked.model_copy(update={"relax": ("price", "category")})
    )
    assert [s.item_id for s in filled.items[: len(result.items)]] == [
        s.item_id for s in result.items
    ]
    assert len(filled.items) == 10
    broken = [slot.relaxed for slot in filled.items]
    assert broken[: len(result.items)] == [()] * len(result.items)
    assert all(broken[len(result.items) :])
    assert filled.shortfall is not None
    assert "only qualify without" in filled.shortfall


def test_a_name_no_item_has_is_refused_with_the_nearest(hash_index: ItemIndex) -> None:
    with pytest.raises(
        ConfigError, match="no item has the category 'gren tea'; near it: green tea"
    ):
        Recommender(hash_index).where("category=gren tea")


def test_a_model_that_names_too_many_of_one_brand_is_cut_and_counted(hash_index: ItemIndex) -> None:
    free = Recommender(hash_index, ScriptedModel(reply(*range(10, 4, -1))))
    asked = free.where("max_per_brand=1 and max_per_category=1 and category_level=0")
    history = hash_index.history("user-042").model_copy(update={"constraints": asked})
    result = free.recommend(history, 4)
    brands = [slot.item.brand for slot in result.items]
    assert len(set(brands)) == 4
    assert len({slot.item.categories[0] for slot in result.items}) == 4
    assert result.repairs.constraint > 0
    check_list(result, hash_index, history, 4)


def test_where_no_list_can_obey_no_model_is_asked(tmp_path: Path) -> None:
    titles = [{"item_id": str(n), "title": f"Kettle {n}"} for n in range(5)]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in titles))
    (tmp_path / "log.csv").write_text("user_id,item_id\nu,1\nu,2\nv,2\n")
    data = Dataset.load(items=tmp_path / "items.jsonl", interactions=tmp_path / "log.csv")
    build_index(data, tmp_path / "index", embedder=HashEmbedder())
    model = ScriptedModel(reply(1, 2, 3))
    recommender = Recommender.open(tmp_path / "index", model, embedder=HashEmbedder())
    result = recommender.recommend("u", 2, constraints=Constraints(min_categories=2))
    assert (result.items, result.outcome, model.requests) == ((), "retrieval_only", [])
    assert result.shortfall == "0 of 2 items: no more qualify"
    assert recommender.recommend("u", 2).outcome == "ok"


def hostile(rng: random.Random, n_labels: int) -> str:
    labels: list[object] = [rng.randrange(-2, n_labels + 4) for _ in range(rng.randrange(14))]
    whole = reply(*labels, *rng.choice([[], ["1"], [None], [1.5], [10**30]]))
    return rng.choice(
        [
            whole,
            whole,
            whole[: rng.randrange(len(whole))],
            "",
            "{}",
            rng.randbytes(40).decode("latin-1"),
        ]
    )


N_CASES = int(os.environ.get("RAG_REC_CASES", "400"))


def random_constraints(rng: random.Random, index: ItemIndex) -> Constraints:
    brands, categories = names_of(index)
    low = rng.choice([None, None, 5.0, 20.0])
    names = list(RELAXABLE)
    rng.shuffle(names)

    def some(values: list[str], n: int) -> frozenset[str]:
        chosen = rng.sample(values, min(n, len(values)))
        return frozenset(chosen) if rng.random() < 0.3 else frozenset()

    n_excluded = min(rng.choice([0, 0, 5, 250]), index.n_items)
    return Constraints(
        exclude=frozenset(rng.sample(index.item_ids, n_excluded)),
        allow_seen=rng.random() < 0.3,
        allow_out_of_stock=rng.random() < 0.3,
        min_price=low,
        max_price=rng.choice([None, None, 20.0, 35.0, 60.0]),
        categories=some(categories, 3),
        not_categories=some(categories, 5),
        brands=some(brands, 6),
        not_brands=some(brands, 6),
        released_after=rng.choice([None, None, date(2019, 1, 1)]),
        max_per_brand=rng.choice([None, None, 1, 2]),
        max_per_category=rng.choice([None, None, 1, 2]),
        min_categories=rng.choice([None, None, 2, 4]),
        category_level=rng.choice([-1, 0, 1]),
        relax=tuple(names[: rng.choice([0, 0, 2, 8])]),  # type: ignore[arg-type]
    )


def test_no_hostile_reply_breaks_a_constraint(hash_index: ItemIndex, tmp_path: Path) -> None:
    """Every other hundred over a random catalog; `make test-constraints` runs 10,000 cases."""
    rng = random.Random(11)
    model = ScriptedModel(lambda _: hostile(rng, 20))
    for start in range(0, N_CASES, 100):
        odd = start // 100 % 2
        index = random_index(rng, tmp_path / str(start)) if odd else hash_index
        recommender = Recommender(index, model)
        users = sorted(index.user_ids)
        histories = [
            index.history(rng.choice(users)).model_copy(
                update={"constraints": random_constraints(rng, index)}
            )
            for _ in range(min(100, N_CASES - start))
        ]
        k = rng.randrange(1, 12)
        for history, result in zip(
            histories, recommender.recommend_many(histories, k), strict=True
        ):
            check_list(result, index, history, k)

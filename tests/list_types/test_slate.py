"""Pages: themes from explanations or categories, rows that are full, items chosen as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from rag_rec import (
    Candidate,
    Constraints,
    Dataset,
    Evidence,
    Item,
    ItemIndex,
    Recommender,
    Slate,
    SlatePage,
    UserHistory,
    build_index,
    where,
)
from rag_rec.list_types import Theme
from rag_rec.list_types.objective import Pool
from rag_rec.list_types.slate import SlateObjective, compose_page, themes_of
from rag_rec.testing import HashEmbedder, eligible_items


class Unexplained:
    """Proposes items in the order of their ids and explains none of them."""

    def __init__(self, index: ItemIndex) -> None:
        self.index = index

    def retrieve(self, histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
        ids = sorted(self.index.item_ids)
        found = [Candidate(item_id, -at, {"mine": at}) for at, item_id in enumerate(ids, 1)]
        return [found[:k] for _ in histories]

    def explain(self, history: UserHistory, item_ids: Sequence[str]) -> dict[str, Evidence]:
        del history, item_ids
        return {}


def page_of(recommender: Recommender, user: object, kind: Slate) -> SlatePage:
    page = recommender.recommend(user, kind=kind)  # type: ignore[arg-type]
    assert isinstance(page, SlatePage)
    assert len({row.theme for row in page.rows}) == len(page.rows)
    return page


def test_a_page_is_chosen_as_a_whole() -> None:
    items = [Item(item_id=str(n)) for n in range(6)]
    pool = Pool.of(items, Constraints(), 0)
    alike = np.eye(6, dtype=np.float32)
    alike[0, 1] = alike[1, 0] = 1.0
    objective = SlateObjective(pool, alike, 0.7)
    everything = Theme("all", frozenset(range(6)))
    rows = compose_page(objective, [everything, everything], 2, [[], []])
    page = [position for row in rows for position in row]
    assert len(set(page)) == 4
    assert not {0, 1} <= set(page), "near duplicates do not both make the page"
    kept = compose_page(objective, [everything, everything], 2, [[1], [0, 0]])
    assert kept[0][0] == 1
    assert kept[1][0] == 0


def test_a_row_gives_an_item_away_when_another_needs_it() -> None:
    pool = Pool.of([Item(item_id=str(n)) for n in range(4)], Constraints(), 0)
    objective = SlateObjective(pool, np.eye(4, dtype=np.float32), 0.0)
    themes = [Theme("any", frozenset(range(4))), Theme("first", frozenset({0, 1}))]
    rows = compose_page(objective, themes, 2, [[], []])
    assert [set(row) for row in rows] == [{2, 3}, {0, 1}]
    kept = compose_page(objective, themes, 2, [[0], []])
    assert [set(row) for row in kept] == [{0, 2}, {1, 3}], "what the model chose stays in its row"


def test_rows_without_a_theme_of_their_own_show_anything() -> None:
    items = [Item(item_id=str(n), categories=("Tea",) if n < 3 else ()) for n in range(8)]
    pool = Pool.of(items, Constraints(), 0)
    titles = [theme.title for theme in themes_of(pool, {}, 3, 3)]
    assert titles == ["Tea", "More for you", "More for you"]
    assert len(themes_of(Pool.of(items[:4], Constraints(), 0), {}, 3, 3)) == 2, "four fill two rows"
    assert [t.title for t in themes_of(Pool.of([], Constraints(), 0), {}, 3, 3)] == ["More for you"]


def test_themes_are_of_items_that_qualify_while_there_are_enough() -> None:
    items = [
        Item(
            item_id=str(n), price=90.0 if n < 4 else 5.0, categories=("Dear" if n < 4 else "Fair",)
        )
        for n in range(9)
    ]
    pool = Pool.of(items, where("price<=20", relax=["price"]), 1)
    assert [theme.title for theme in themes_of(pool, {}, 1, 4)] == ["Fair"]
    assert [theme.title for theme in themes_of(pool, {}, 2, 4)] == ["Fair", "Dear"]


def test_themes_name_what_speaks_for_the_items(hash_index: ItemIndex) -> None:
    recommender = Recommender(hash_index)
    titles = {f"Because you took “{item.title}”": item.item_id for item in _all(hash_index)}
    categories = {name for item in _all(hash_index) for name in item.categories}
    for user in hash_index.user_ids[:15]:
        last = hash_index.history(user).item_ids[-3:]
        for row in page_of(recommender, user, Slate()).rows:
            if row.theme in titles:
                assert titles[row.theme] in last
                history = UserHistory.of(titles[row.theme])
                linked = recommender.retriever.explain(history, row.item_ids)
                assert set(linked) == set(row.item_ids)
            elif row.theme in categories:
                items = map(hash_index.item_by_id, row.item_ids)
                assert all(row.theme in item.categories for item in items)
            else:
                assert row.theme.startswith("More for you")


def _all(index: ItemIndex) -> list[Item]:
    return [index.item(at) for at in range(index.n_items)]


@pytest.mark.parametrize("kind", [Slate(), Slate(rows=5, per_row=5), Slate(rows=1, per_row=9)])
def test_a_page_is_full_while_items_last(hash_index: ItemIndex, kind: Slate) -> None:
    for retriever in (None, Unexplained(hash_index)):
        recommender = Recommender(hash_index, retriever=retriever)
        for user in [*hash_index.user_ids[:10], UserHistory()]:
            page = page_of(recommender, user, kind)
            assert page.shortfall is None
            assert [len(row.item_ids) for row in page.rows] == [kind.per_row] * kind.rows


def test_a_row_that_constraints_keep_from_its_theme_is_no_longer_named_after_it(
    hash_index: ItemIndex,
) -> None:
    recommender = Recommender(hash_index, retriever=Unexplained(hash_index))
    free = page_of(recommender, [], Slate(rows=2, per_row=4))
    one_brand = Constraints(max_per_brand=1)
    user = UserHistory().model_copy(update={"constraints": one_brand})
    page = page_of(recommender, user, Slate(rows=2, per_row=4))
    assert page.shortfall is None
    assert [row.theme for row in page.rows] != [row.theme for row in free.rows]
    for row in page.rows:
        items = map(hash_index.item_by_id, row.item_ids)
        assert row.theme.startswith("More") or all(row.theme in i.categories for i in items)


def test_a_retriever_that_explains_nothing_gets_categories(hash_index: ItemIndex) -> None:
    recommender = Recommender(hash_index, retriever=Unexplained(hash_index))
    page = page_of(recommender, "user-042", Slate())
    assert not any(row.theme.startswith("Because") for row in page.rows)
    assert not page.rows[0].theme.startswith("More")


def test_a_catalog_without_categories_has_pages_too(tmp_path: Path) -> None:
    lines = "".join(f"i{n},thing {n}\n" for n in range(14))
    (tmp_path / "items.csv").write_text("item_id,title\n" + lines)
    build_index(Dataset.load(items=tmp_path / "items.csv"), tmp_path / "i", embedder=HashEmbedder())
    with Recommender(ItemIndex.open(tmp_path / "i", HashEmbedder())) as recommender:
        page = page_of(recommender, ["i3"], Slate(rows=3, per_row=4))
        assert page.shortfall is None
        short = page_of(recommender, ["i3"], Slate(rows=4, per_row=4))
        assert len(short.items) == len(eligible_items(recommender.index, UserHistory.of("i3")))
        assert short.shortfall == "13 of 16 items: no more qualify"

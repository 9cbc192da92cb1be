"""Sentences from reviews, pools under counts and relaxation, words about users in a catalog."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from rag_rec import Candidate, Constraints, Dataset, Evidence, ItemIndex, UserHistory, build_index
from rag_rec.retrieval import open_retriever, pools, review_quotes, review_sentences
from rag_rec.testing import HashEmbedder, eligible_items

ITEMS = "item_id,title,brand\na,Iron kettle,x\nb,Copper pan,x\nc,Wooden spoon,y\nd,Plain jar,\n"
REVIEWS = """user_id,item_id,text
u1,a,This kettle boils quickly. It came on Tuesday in the post.
u2,a,This kettle boils quickly indeed. It came on Monday with the mail.
u3,a,Lovely heavy kettle for everyday breakfast. Ok.
u4,a,Unfortunately the handle broke after two weeks.
u5,b,Copper copper copper pan.
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ItemIndex:
    folder: Path = tmp_path_factory.mktemp("evidence")
    for name, text in {"items": ITEMS, "reviews": REVIEWS}.items():
        (folder / f"{name}.csv").write_text(text)
    data = Dataset.load(items=folder / "items.csv", reviews=folder / "reviews.csv")
    build_index(data, folder / "index", embedder=HashEmbedder())
    return ItemIndex.open(folder / "index", HashEmbedder())


def texts(found: Sequence[Evidence]) -> list[str]:
    return [evidence.text for evidence in found]


CANDIDATES = [[Candidate(name, 1.0, {}) for name in ("a", "b", "d", "unheard of")]]


def test_quotes_are_the_nearest_reviews_and_items_without_any_are_absent(index: ItemIndex) -> None:
    history = UserHistory(profile="unfortunately the handle broke")
    (found,) = review_quotes(index, [history], CANDIDATES, 2)
    assert set(found) == {"a", "b"}
    assert [len(quotes) for quotes in found.values()] == [2, 1]
    taste = index.embedder.embed([history.profile or ""])[0]
    rows = index.reviews_of(index.row_of["a"])
    cosines = np.sort(index.review_vectors[rows] @ taste)[::-1][:2]
    assert [quote.similarity for quote in found["a"]] == pytest.approx(cosines)
    assert found["a"][0].text.startswith("Unfortunately")


def test_a_history_counts_before_words_and_words_before_candidates(index: ItemIndex) -> None:
    words = "unfortunately the handle broke"
    both = UserHistory.of("b").model_copy(update={"profile": words})
    users = [both, UserHistory.of("b"), UserHistory.of("unheard of"), UserHistory()]
    found = review_quotes(index, users, CANDIDATES * 4, 4)
    assert found[0] == found[1]
    assert found[2] == found[3]
    (quote,) = found[1]["b"]
    row = index.row_of["b"]
    expected = index.review_vectors[list(index.reviews_of(row))] @ index.item_vectors[row]
    assert quote.similarity == pytest.approx(expected[0])


def test_sentences_are_short_different_and_not_all_praise(index: ItemIndex) -> None:
    history = UserHistory(profile="kettle boils quickly")
    (found,) = review_sentences(index, [history], CANDIDATES, 2)
    assert len(found["a"]) == 2
    first, second = texts(found["a"])
    assert first in {"This kettle boils quickly.", "This kettle boils quickly indeed."}
    assert second == "Unfortunately the handle broke after two weeks."
    assert texts(found["b"]) == ["Copper copper copper pan."]
    (three,) = review_sentences(index, [history], CANDIDATES, 3)
    assert len(three["a"]) == 3
    assert "Lovely heavy kettle for everyday breakfast." in texts(three["a"])
    (one,) = review_sentences(index, [history], CANDIDATES, 1)
    assert texts(one["a"]) == [first]
    assert review_sentences(index, [history], CANDIDATES, 0) == [{}]


class Few:
    """A retriever that knows some items, and counts how much it was asked for."""

    def __init__(self, ids: Sequence[str]) -> None:
        self.ids, self.asked = ids, []

    def retrieve(self, histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
        self.asked.append(k)
        return [[Candidate(name, 9.0, {"mine": 1}) for name in self.ids[:k]] for _ in histories]

    def explain(self, history: UserHistory, item_ids: Sequence[str]) -> dict[str, Evidence]:  # noqa: ARG002
        return {}


def pool_of(index: ItemIndex, ids: str, constraints: Constraints, n: int, k: int) -> str:
    history = UserHistory(constraints=constraints)
    return "".join(c.item_id for c in pools(Few(ids), index, [history], n, k)[0])


def test_missing_candidates_are_filled_up_below_the_retrievers_own(index: ItemIndex) -> None:
    (found,) = pools(Few("c?c"), index, [UserHistory()], 4, 2)
    # nobody took anything: all are as popular as each other, and ranked by row
    popular = [(name, {"popularity": rank}) for rank, name in enumerate(index.item_ids, 1)]
    rest = [(name, ranks) for name, ranks in popular if name != "c"]
    assert [(c.item_id, c.sources) for c in found] == [("c", {"mine": 1}), *rest]
    assert [c.score for c in found] == [9, 0, 0, 0]
    assert pool_of(index, "cc", Constraints(exclude=frozenset("abc")), 4, 2) == "d"


def test_under_counts_what_fills_the_list_comes_first(index: ItemIndex) -> None:
    one = Constraints(max_per_brand=1)
    assert pool_of(index, "abcd", one, 2, 2).startswith("ac")
    assert set(pool_of(index, "abcd", one, 3, 3)) == set("abcd")
    assert pool_of(index, "abcd", one, 3, 3)[:3] == "acd", "d has no brand to count"


def test_a_list_longer_than_the_wanted_candidates_is_filled_all_the_same(
    index: ItemIndex,
) -> None:
    assert pool_of(index, "abcd", Constraints(max_per_brand=1), 2, 3)[:3] == "acd"


def test_only_as_much_is_given_up_as_the_list_needs(index: ItemIndex) -> None:
    asked = Constraints(brands=frozenset({"y"}), exclude=frozenset("d"), relax=("brand",))
    assert pool_of(index, "abcd", asked, 1, 1) == "c"
    assert pool_of(index, "abcd", asked, 1, 2)[:2] == "ca"
    assert set(pool_of(index, "abcd", asked, 1, 4)) == set("abc"), "an exclusion is never given up"
    nothing = Constraints(brands=frozenset({"z"}), max_per_brand=1)
    assert pool_of(index, "abcd", nothing, 3, 2) == ""


def test_words_reach_every_item_that_qualifies_in_a_larger_catalog(hash_index: ItemIndex) -> None:
    retriever = open_retriever(hash_index)
    assert hash_index.n_items > 200
    last = hash_index.items["categories"].to_list()
    for name in sorted({path[-1] for path in last if path})[:6]:
        asked = Constraints(categories=frozenset({name}), allow_out_of_stock=True)
        user = UserHistory(profile="a green tea from Japan", constraints=asked)
        free = eligible_items(hash_index, user)
        found = retriever.retrieve([user], 200)[0]
        assert {candidate.item_id for candidate in found} == free
        taste = hash_index.embedder.embed([user.profile or ""])[0]
        near = {i for i in free if hash_index.item_vectors[hash_index.row_of[i]] @ taste > 1e-3}
        assert near <= {c.item_id for c in found if "profile" in c.sources}

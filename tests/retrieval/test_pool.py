"""Pools fill a list whatever the retriever returns, and leave a good retriever's output alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag_rec import Candidate, Constraints, Evidence, ItemIndex, UserHistory
from rag_rec.retrieval import open_retriever, pools
from rag_rec.testing import eligible_items


class Foreign:
    """A retriever that returns whatever ids it was given."""

    def __init__(self, ids: Sequence[str]) -> None:
        self.ids = ids

    def retrieve(self, histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
        found = [Candidate(item_id, 1 / n, {"mine": n}) for n, item_id in enumerate(self.ids, 1)]
        return [found[:k] for _ in histories]

    def explain(self, history: UserHistory, item_ids: Sequence[str]) -> dict[str, Evidence]:
        text = f"Mine, after {len(history.events)} events."
        return {name: Evidence(item_id=name, kind="history", text=text) for name in item_ids}


CONSTRAINTS = [
    Constraints(),
    Constraints(allow_out_of_stock=True, allow_seen=True),
    Constraints(max_price=30, exclude=frozenset({"tea-001"})),
    Constraints(categories=frozenset({"no such category"})),
    Constraints(categories=frozenset({"no such category"}), relax=("category",)),
    Constraints(max_per_brand=2),
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.sampled_from(["tea-001", "tea-002", "kit-001", "kit-005", "unknown", ""])),
    st.sampled_from(CONSTRAINTS),
    st.integers(1, 12),
)
def test_any_retriever_fills_a_list(
    hash_index: ItemIndex, ids: list[str], constraints: Constraints, k: int
) -> None:
    history = UserHistory.of("kit-005", "kit-900").model_copy(update={"constraints": constraints})
    found = pools(Foreign(ids), hash_index, [history], k, k)[0]
    names = [candidate.item_id for candidate in found]
    assert len(set(names)) == len(names)
    weakest = constraints.model_copy(
        update={"categories": frozenset()} if constraints.relax else {}
    )
    allowed = eligible_items(hash_index, history.model_copy(update={"constraints": weakest}))
    assert set(names) <= allowed
    assert len(names) >= min(k, len(allowed))
    scores = [candidate.score for candidate in found]
    assert scores == sorted(scores, reverse=True)
    if not constraints.relax and constraints.max_per_brand is None:
        mine = [item_id for item_id in dict.fromkeys(ids[:k]) if item_id in allowed]
        assert names[: len(mine)] == mine
        events = hash_index.popularity[[hash_index.row_of[n] for n in names[len(mine) :]]]
        assert list(events) == sorted(events, reverse=True)
        assert all(set(candidate.sources) == {"popularity"} for candidate in found[len(mine) :])


@pytest.mark.parametrize("n", [1, 20, 400])
def test_the_shipped_retriever_is_left_as_it_is(hash_index: ItemIndex, n: int) -> None:
    retriever = open_retriever(hash_index)
    users = [hash_index.history(user) for user in hash_index.user_ids[:20]]
    users += [UserHistory(), UserHistory.of("tea-001", "tea-001")]
    assert pools(retriever, hash_index, users, n, 5) == retriever.retrieve(users, n)

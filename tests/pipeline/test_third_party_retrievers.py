"""A retriever that a third party writes in forty lines serves every list, batch and a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import bm25s
import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore

from rag_rec import (
    Bundle,
    Candidate,
    Constraints,
    Evidence,
    ItemIndex,
    PlaySequence,
    RecommendationRequest,
    Recommender,
    Retriever,
    Slate,
    TopK,
    UserHistory,
    where,
)
from rag_rec.batch import BatchPipeline
from rag_rec.batch.users import read_users
from rag_rec.integrations import LangChainRetriever
from rag_rec.list_types import LIST_TYPES, Kind
from rag_rec.testing import HashEmbedder, ScriptedModel, check_list, check_retriever

KINDS = [
    TopK(k=6),
    Bundle(size=3),
    Bundle(slots=(where("category=Teaware"), where("category=Tea"))),
    PlaySequence(length=4),
    Slate(rows=2, per_row=3),
]


SHARED = "Shares words with what you took."


class TitleSearch:
    """Items whose titles share words with the last titles of the history, by BM25."""

    def __init__(self, index: ItemIndex) -> None:
        self.index = index
        self.titles = [title or "" for title in index.items["title"].to_list()]
        self.search = bm25s.BM25()
        self.search.index(bm25s.tokenize(self.titles, show_progress=False), show_progress=False)

    def retrieve(self, histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
        return [self._best(history, k) for history in histories]

    def explain(self, history: UserHistory, item_ids: Sequence[str]) -> dict[str, Evidence]:
        scores = self._scores(history)
        return {
            item_id: Evidence(item_id=item_id, kind="history", text=SHARED, similarity=score)
            for item_id in item_ids
            if (score := float(scores[self.index.row_of[item_id]])) > 0
        }

    def _scores(self, history: UserHistory) -> np.ndarray:
        rows = [self.index.row_of[item_id] for item_id in history.item_ids[-3:]]
        query = " ".join([history.profile or "", *(self.titles[row] for row in rows)])
        words = bm25s.tokenize([query], show_progress=False, return_ids=False)[0]
        known = [word for word in words if word in self.search.vocab_dict]
        return self.search.get_scores(known) if known else np.zeros(self.index.n_items)

    def _best(self, history: UserHistory, k: int) -> list[Candidate]:
        scores = self._scores(history)
        allowed = np.flatnonzero(self.index.eligibility.mask(history))
        best = allowed[np.argsort(-scores[allowed], kind="stable")[:k]]
        return [
            Candidate(self.index.item_ids[row], float(scores[row]), {"bm25": rank})
            for rank, row in enumerate(best.tolist(), 1)
        ]


class Hashed(Embeddings):
    """The hash embedder for LangChain."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return HashEmbedder().embed(texts).tolist()

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def vector_store(index: ItemIndex) -> LangChainRetriever:
    """LangChain's own vector store; it explains nothing."""
    items = [index.item(at) for at in range(index.n_items)]
    store = InMemoryVectorStore(Hashed())
    store.add_documents(
        [Document(item.title or item.item_id, metadata={"item_id": item.item_id}) for item in items]
    )
    return LangChainRetriever(store.as_retriever(), index)


@pytest.fixture(scope="module", params=[TitleSearch, vector_store], ids=["bm25", "langchain"])
def retriever(hash_index: ItemIndex, request: pytest.FixtureRequest) -> Retriever:
    open_: Callable[[ItemIndex], Retriever] = request.param
    return open_(hash_index)


def users_of(index: ItemIndex) -> list[UserHistory]:
    users = [index.history(user) for user in index.user_ids[:5]]
    fair = users[0].model_copy(update={"constraints": Constraints(max_price=30, max_per_brand=1)})
    return [*users, fair, UserHistory(), UserHistory(profile="green tea")]


def test_bm25_keeps_the_contract(hash_index: ItemIndex) -> None:
    retriever = TitleSearch(hash_index)
    assert isinstance(retriever, Retriever)
    check_retriever(retriever, hash_index, users_of(hash_index)[:6])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
def test_every_kind_of_list_is_served(
    hash_index: ItemIndex, retriever: Retriever, kind: Kind
) -> None:
    recommender = Recommender(hash_index, retriever=retriever)
    assert {type(each) for each in KINDS} == {each.kind for each in LIST_TYPES.values()}
    for user in users_of(hash_index):
        result = recommender.recommend(user, kind=kind)
        assert len(result.items) == kind.length
        assert all(slot.reason for slot in result.items)
        if isinstance(kind, TopK):
            check_list(result, hash_index, user, kind.k)


def test_its_order_and_its_links_are_what_the_list_shows(hash_index: ItemIndex) -> None:
    retriever = TitleSearch(hash_index)
    user = UserHistory.of("tea-009")
    found = retriever.retrieve([user], 4)[0]
    slots = Recommender(hash_index, retriever=retriever).recommend(user, 4).items
    assert [slot.item_id for slot in slots] == [candidate.item_id for candidate in found]
    assert [slot.sources for slot in slots] == [{"bm25": rank} for rank in range(1, 5)]
    assert slots[0].reason == SHARED


def test_a_model_chooses_among_its_candidates(hash_index: ItemIndex, retriever: Retriever) -> None:
    reply = json.dumps({"items": [{"label": n, "reason": "it suits you"} for n in (3, 1)]})
    recommender = Recommender(hash_index, ScriptedModel(reply), retriever=retriever)
    user = hash_index.history("user-042")
    candidates = recommender.preview([RecommendationRequest(user, TopK(k=2))])[0].candidates
    result = recommender.recommend(user, 2)
    assert [slot.item_id for slot in result.items] == [candidates[2].item_id, candidates[0].item_id]
    assert result.outcome == "ok"


@pytest.mark.parametrize("list_type", LIST_TYPES)
def test_a_batch_is_served(
    hash_index: ItemIndex, retriever: Retriever, list_type: str, tmp_path: Path
) -> None:
    recommender = Recommender(hash_index, retriever=retriever)
    ids = sorted(hash_index.user_ids)[:6]
    (tmp_path / "users.csv").write_text("user_id\n" + "\n".join([*ids, "nobody"]))
    pipeline = BatchPipeline(recommender, list_type=list_type)
    states, failures = pipeline.begin(list(read_users(tmp_path / "users.csv")))
    assert [failure.kind for failure in failures] == ["unknown_user"]
    documents = [json.loads(record.line) for record in pipeline.complete(states)]
    alone = [recommender.recommend(user, kind=states[0].state.kind) for user in ids]
    assert [document["items"] for document in documents] == [
        result.model_dump(mode="json")["items"] for result in alone
    ]

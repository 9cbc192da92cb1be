"""The recommender inside real LangChain chains, and real LangChain retrievers inside it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore
from pydantic import Field

from rag_rec import (
    Bundle,
    ConfigError,
    Constraints,
    DataError,
    ItemIndex,
    PlaySequence,
    Recommender,
    UserHistory,
)
from rag_rec.integrations import LangChainRetriever, as_retriever, as_runnable, as_tool
from rag_rec.retrieval import Retriever, open_retriever
from rag_rec.testing import HashEmbedder, ScriptedModel, check_list

REPLY = json.dumps({"items": [{"label": n, "reason": f"it is number {n} for you"} for n in (2, 1)]})


@pytest.fixture
def recommender(hash_index: ItemIndex) -> Recommender:
    return Recommender(hash_index, ScriptedModel(REPLY))


# --- a recommender inside a chain -------------------------------------------------------------


def test_a_chain_around_the_runnable(recommender: Recommender, hash_index: ItemIndex) -> None:
    users = sorted(hash_index.user_ids)[:6]
    chain = (
        RunnablePassthrough()
        | RunnableLambda(lambda user: {"user_id": user, "k": 2})
        | as_runnable(recommender)
        | RunnableLambda(lambda result: [slot.item_id for slot in result.items])
    )
    expected = [[s.item_id for s in recommender.recommend(user, 2).items] for user in users]
    assert [chain.invoke(user) for user in users] == expected
    assert chain.batch(users) == expected
    assert asyncio.run(chain.ainvoke(users[0])) == expected[0]
    assert asyncio.run(chain.abatch(users)) == expected


def test_streaming_gives_the_one_whole_list(
    recommender: Recommender, hash_index: ItemIndex
) -> None:
    async def collect() -> list:
        runnable = as_runnable(recommender)
        return [part async for part in runnable.astream({"item_ids": ["tea-009"], "k": 2})]

    parts = asyncio.run(collect())
    assert len(parts) == 1
    check_list(parts[0], hash_index, UserHistory.of("tea-009"), 2)


class Calls(ScriptedModel):
    """A scripted model that keeps the size of each call."""

    sizes: list[int]

    def generate(self, requests: Any, on_done: Any = None) -> Any:
        requests = list(requests)
        self.sizes = [*getattr(self, "sizes", []), len(requests)]
        return super().generate(requests, on_done)


def test_a_batch_is_one_call_of_the_pipeline_for_each_length(hash_index: ItemIndex) -> None:
    model = Calls(REPLY)
    runnable = as_runnable(Recommender(hash_index, model))
    users = sorted(hash_index.user_ids)[:5]
    results = runnable.batch([{"user_id": user, "k": 2} for user in users])
    assert [result.user_id for result in results] == users
    assert model.sizes == [5]
    mixed = runnable.batch([{"user_id": user, "k": k} for user, k in zip(users, [1, 2, 1, 2, 1])])  # noqa: B905
    assert [result.user_id for result in mixed] == users
    assert [len(result.items) for result in mixed] == [1, 2, 1, 2, 1]
    assert model.sizes == [5, 3, 2]
    assert runnable.batch([]) == []


def test_one_bad_input_of_a_batch_costs_only_itself(recommender: Recommender) -> None:
    runnable = as_runnable(recommender)
    inputs = [{"user_id": "user-042", "k": 1}, "nobody", {"user_id": "user-042", "k": 0}]
    first, unknown, wrong = runnable.batch(inputs, return_exceptions=True)
    assert first.user_id == "user-042"
    assert isinstance(unknown, DataError)
    assert "greater than or equal to 1" in str(wrong)
    with pytest.raises(DataError, match="nobody"):
        runnable.batch(inputs)
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        runnable.invoke({"user": "user-042"})
    with pytest.raises(DataError, match="tea-000"):
        runnable.invoke({"item_ids": ["tea-000"]})


def test_every_input_of_a_batch_is_traced(recommender: Recommender) -> None:
    class Trace(BaseCallbackHandler):
        ends: list[Any]

        def on_chain_end(self, outputs: Any, **_: Any) -> None:
            self.ends.append(outputs)

    trace = Trace()
    trace.ends = []
    users = [{"user_id": "user-042", "k": 1}, {"item_ids": ["tea-009"], "k": 1}]
    assert as_runnable(recommender).batch(users, {"callbacks": [trace]}) == trace.ends


def test_documents_of_the_retriever_feed_a_chain(recommender: Recommender) -> None:
    retriever = as_retriever(recommender, k=3)
    chain = {"context": retriever, "question": RunnablePassthrough()} | RunnableLambda(
        lambda given: (
            f"{given['question']}: " + "; ".join(d.metadata["title"] for d in given["context"])
        )
    )
    text = chain.invoke("user-042")
    assert text.startswith("user-042: ")
    assert text.count(";") == 2
    documents = retriever.invoke("something to brew green tea in")
    assert [d.metadata["rank"] for d in documents] == [1, 2, 3]
    assert all(d.id in recommender.index.item_ids and d.page_content for d in documents)
    assert len(as_retriever(recommender).invoke("user-042")) == recommender.settings.k


def test_the_tool_answers_with_the_json_document(recommender: Recommender) -> None:
    tool = as_tool(recommender)
    assert tool.name == "recommend"
    assert set(tool.args) == {"user_id", "item_ids", "profile", "k"}
    document = json.loads(tool.invoke({"profile": "green tea", "k": 2}))
    assert len(document["items"]) == 2
    call = {
        "name": "recommend",
        "args": {"user_id": "user-042", "k": 1},
        "id": "1",
        "type": "tool_call",
    }
    assert json.loads(tool.invoke(call).content)["user_id"] == "user-042"


# --- a LangChain retriever inside a recommender -----------------------------------------------


class WordRetriever(BaseRetriever):
    """A LangChain retriever in memory: items by the number of words they share with the query."""

    documents: list[Document]
    n: int = 20
    queries: list[str] = Field(default_factory=list)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain's signature
    ) -> list[Document]:
        self.queries.append(query)
        words = set(query.lower().split())
        return sorted(
            self.documents, key=lambda d: -len(words & set(d.page_content.lower().split()))
        )[: self.n]


def documents_of(index: ItemIndex, **metadata: Any) -> list[Document]:
    items = [index.item(at) for at in range(index.n_items)]
    return [Document(page_content=item.title, id=item.item_id, metadata=metadata) for item in items]


@pytest.fixture
def words(hash_index: ItemIndex) -> WordRetriever:
    return WordRetriever(documents=documents_of(hash_index))


def store_of(index: ItemIndex) -> InMemoryVectorStore:
    """LangChain's own vector store with the items; its ids are its own, items are in metadata."""
    from langchain_core.embeddings import Embeddings

    class Hashed(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return HashEmbedder().embed(texts).tolist()

        def embed_query(self, text: str) -> list[float]:
            return self.embed_documents([text])[0]

    store = InMemoryVectorStore(Hashed())
    items = [index.item(at) for at in range(index.n_items)]
    store.add_texts(
        [item.title or item.item_id for item in items], [{"item_id": i.item_id} for i in items]
    )
    return store


def test_it_keeps_the_documents_order_and_drops_what_may_not_be_listed(
    hash_index: ItemIndex, words: WordRetriever
) -> None:
    documents = words.documents
    stale = Document(page_content="all words", id="no-longer-sold")
    fixed = RunnableLambda(lambda _: [stale, *documents[:9], *documents[:9]])
    history = UserHistory.of(documents[2].id or "").model_copy(
        update={"constraints": Constraints(exclude=frozenset({documents[4].id or ""}))}
    )
    retriever = LangChainRetriever(fixed, hash_index)
    assert isinstance(retriever, Retriever)
    found = retriever.retrieve([history], 5)[0]
    free = hash_index.eligibility.mask(history)
    expected = [d.id for d in documents[:9] if free[hash_index.row_of[d.id or ""]]][:5]
    assert [candidate.item_id for candidate in found] == expected
    assert {documents[2].id, documents[4].id}.isdisjoint(expected)
    assert [candidate.sources for candidate in found] == [
        {"langchain": rank} for rank in range(1, len(found) + 1)
    ]


def test_the_query_is_the_profile_and_the_last_titles(
    hash_index: ItemIndex, words: WordRetriever
) -> None:
    retriever = LangChainRetriever(words, hash_index, n_titles=2)
    history = UserHistory.of("tea-009", "kit-005", "unknown", "kit-001", "kit-001").model_copy(
        update={"profile": "likes green tea"}
    )
    titles = [hash_index.item_by_id(item_id).title for item_id in ("kit-001", "kit-005")]
    retriever.retrieve([history], 3)
    assert words.queries == [". ".join(["likes green tea", *titles])]
    assert retriever.retrieve([UserHistory()], 3) == [[]]
    assert retriever.retrieve([], 3) == []
    assert len(words.queries) == 1


def test_a_vector_store_is_asked_for_as_many_as_are_needed(hash_index: ItemIndex) -> None:
    retriever = LangChainRetriever(store_of(hash_index).as_retriever(), hash_index)
    users = [hash_index.history(user) for user in hash_index.user_ids[:8]]
    lists = retriever.retrieve(users, hash_index.n_items)
    for history, found in zip(users, lists, strict=True):
        assert len(found) == hash_index.eligibility.mask(history).sum()
    assert retriever.retrieve(users[:1], 10)[0] == retriever.retrieve(users, 10)[0]


def test_documents_that_name_no_item_are_an_error(
    hash_index: ItemIndex, words: WordRetriever
) -> None:
    wrong = words.model_copy(
        update={"documents": [Document(page_content="tea", metadata={"sku": "tea-009"})]}
    )
    users = [UserHistory(profile="tea")]
    with pytest.raises(ConfigError, match=r"names an item.*id_key to one of \['sku'\]"):
        LangChainRetriever(wrong, hash_index).retrieve(users, 1)
    found = LangChainRetriever(wrong, hash_index, id_key="sku").retrieve(users, 1)
    assert found[0][0].item_id == "tea-009"


def test_links_come_from_the_explainer(hash_index: ItemIndex, words: WordRetriever) -> None:
    shipped = open_retriever(hash_index)
    history = hash_index.history("user-042")
    ids = [candidate.item_id for candidate in shipped.retrieve([history], 5)[0]]
    assert LangChainRetriever(words, hash_index).explain(history, ids) == {}
    explained = LangChainRetriever(words, hash_index, explainer=shipped).explain(history, ids)
    assert explained == shipped.explain(history, ids)
    assert explained


@pytest.mark.parametrize("model", [None, ScriptedModel(REPLY)])
def test_lists_are_made_from_a_langchain_retriever(
    hash_index: ItemIndex, words: WordRetriever, model: ScriptedModel | None
) -> None:
    recommender = Recommender(hash_index, model, retriever=LangChainRetriever(words, hash_index))
    for user in [*hash_index.user_ids[:3], UserHistory(), UserHistory(profile="a kettle")]:
        history = recommender.history_of(user)
        check_list(recommender.recommend(user, 5), hash_index, history, 5)
    constraints = Constraints(max_price=30)
    history = hash_index.history("user-042").model_copy(update={"constraints": constraints})
    check_list(recommender.recommend(history, 4), hash_index, history, 4)
    assert len(recommender.recommend("user-042", kind=Bundle(size=3)).items) == 3
    assert recommender.recommend("user-042", kind=PlaySequence()).items

"""The recommender inside real LangChain chains."""

from __future__ import annotations

import asyncio
import json

import pytest
from langchain_core.runnables import RunnableLambda, RunnablePassthrough

from rag_rec import ItemIndex, Recommender, UserHistory
from rag_rec.testing import ScriptedModel, check_list

REPLY = json.dumps({"items": [{"label": n, "reason": f"it is number {n} for you"} for n in (2, 1)]})


@pytest.fixture
def recommender(hash_index: ItemIndex) -> Recommender:
    return Recommender(hash_index, ScriptedModel(REPLY))


def test_a_chain_around_the_runnable(recommender: Recommender, hash_index: ItemIndex) -> None:
    users = sorted(hash_index.user_ids)[:6]
    chain = (
        RunnablePassthrough()
        | RunnableLambda(lambda user: {"user_id": user, "k": 2})
        | recommender.as_runnable()
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
        return [
            part
            async for part in recommender.as_runnable().astream({"item_ids": ["tea-009"], "k": 2})
        ]

    parts = asyncio.run(collect())
    assert len(parts) == 1
    check_list(parts[0], hash_index, UserHistory.of("tea-009"), 2)


def test_a_batch_is_one_call_of_the_pipeline(
    recommender: Recommender, hash_index: ItemIndex
) -> None:
    users = sorted(hash_index.user_ids)[:5]
    results = recommender.as_runnable().batch([{"user_id": user, "k": 2} for user in users])
    assert [result.user_id for result in results] == users
    mixed = recommender.as_runnable().batch(
        [{"user_id": users[0], "k": 1}, {"user_id": users[1], "k": 2}]
    )
    assert [len(result.items) for result in mixed] == [1, 2]
    assert recommender.as_runnable().batch([]) == []


def test_documents_of_the_retriever_feed_a_chain(recommender: Recommender) -> None:
    retriever = recommender.as_retriever(k=3)
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


def test_the_tool_answers_with_the_json_document(recommender: Recommender) -> None:
    tool = recommender.as_tool()
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

"""The reply cache: nothing is paid twice, nothing broken is kept, many may use one file."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_rec import ConfigError, Recommender, Settings, StorageError
from rag_rec.core import Usage
from rag_rec.grounding import answer_schema
from rag_rec.index import ItemIndex
from rag_rec.llm import (
    CachedModel,
    Completion,
    Message,
    ModelOptions,
    OpenAIChatModel,
    ReplyCache,
    Request,
    RetryPolicy,
)
from rag_rec.testing import ChatServer, Response, ScriptedModel, check_chat_model, completion

SCHEMA = answer_schema(n_labels=4, k=2, reason_chars=40)
GOOD = '{"items":[{"label":1,"reason":"a"},{"label":3,"reason":"b"}]}'
ONCE = ModelOptions(retry=RetryPolicy(attempts=1), timeout_s=5)


def request(text: str = "Choose 2.") -> Request:
    return Request((Message("system", "JSON only."), Message("user", text)), SCHEMA)


def test_a_cached_model_keeps_the_contract(server: ChatServer, tmp_path: Path) -> None:
    check_chat_model(CachedModel(OpenAIChatModel("scripted", server.url), tmp_path / "c.sqlite"))


def test_the_second_night_costs_nothing(server: ChatServer, tmp_path: Path) -> None:
    asked = [request(f"user {n}") for n in range(30)]
    for night in range(2):
        model = CachedModel(OpenAIChatModel("scripted", server.url), tmp_path / "c.sqlite")
        replies = model.generate(iter(asked))
        assert [reply.error for reply in replies] == [None] * 30
        assert {reply.usage.calls for reply in replies} == ({1} if night == 0 else {0})
        assert {reply.usage.cached for reply in replies} == ({0} if night == 0 else {1})
        model.close()
    assert len(server.requests) == 30


def test_equal_requests_of_one_batch_are_asked_once(server: ChatServer, tmp_path: Path) -> None:
    model = CachedModel(OpenAIChatModel("scripted", server.url), tmp_path / "c.sqlite")
    done: list[int] = []
    replies = model.generate([request("a"), request("b"), request("a"), request("a")], done.append)
    assert len(server.requests) == 2
    assert [reply.usage.calls for reply in replies] == [1, 1, 0, 0]
    assert [reply.usage.cached for reply in replies] == [0, 0, 1, 1]
    assert len({reply.text for reply in replies}) == 1
    assert sum(done) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"messages": (Message("user", "other"),)},
        {"messages": (Message("user", "JSON only."), Message("user", "Choose 2."))},
        {"schema": answer_schema(n_labels=5, k=2, reason_chars=40)},
        {"max_tokens": 77},
        {"temperature": 0.5},
        {"seed": 1},
    ],
)
def test_whatever_can_change_the_reply_changes_the_key(
    change: dict[str, object], tmp_path: Path
) -> None:
    model = CachedModel(ScriptedModel(GOOD), tmp_path / "c.sqlite")
    assert model.key(replace(request(), **change)) != model.key(request())


def test_model_and_parameters_are_part_of_the_key(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path / "c.sqlite")
    other = ScriptedModel(GOOD)
    other.name = "scripted-2"
    keys = {
        CachedModel(model, cache, parameters=parameters).key(request())
        for model in (ScriptedModel(GOOD), other)
        for parameters in ({}, {"top_p": 0.9}, {"top_p": 0.5})
    }
    assert len(keys) == 6
    with pytest.raises(ConfigError, match="must be JSON"):
        CachedModel(other, cache, parameters={"x": {1, 2}})


TEXTS = st.text(st.characters(), max_size=20)


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=8))
def test_every_text_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, words: list[str]
) -> None:
    def echo(asked: Request) -> str:
        return asked.messages[-1].content.encode("utf-8", "replace").decode() or "-"

    path = tmp_path_factory.mktemp("c") / "c.sqlite"
    asked = [Request((Message("user", word),)) for word in words]
    first = CachedModel(ScriptedModel(echo), path)
    written = [reply.text for reply in first.generate(asked)]
    first.close()
    unasked = ScriptedModel("never asked")
    silent = CachedModel(unasked, path)
    read = silent.generate([a for a, text in zip(asked, written, strict=True) if text.strip()])
    assert [reply.text for reply in read] == [text for text in written if text.strip()]
    assert not unasked.requests
    silent.close()


@pytest.mark.parametrize(
    "answer",
    [
        Response(b"{}", 500),
        Response(b"<html>"),
        Response(completion(GOOD, finish="length")),
        Response(completion(None, refusal="no")),
        Response(completion("no JSON at all")),
        Response(completion('{"items":[]}')),
        Response(completion(GOOD.replace('"label":3', '"label":9'))),
        Response(completion(GOOD.replace('"label":3', '"label":3.5'))),
        Response(completion(GOOD.replace('"label":3', '"label":true'))),
        Response(completion(GOOD.replace("reason", "because"))),
    ],
)
def test_what_is_no_good_is_asked_again(answer: Response, tmp_path: Path) -> None:
    with ChatServer(lambda _: answer) as server:
        model = CachedModel(OpenAIChatModel("m", server.url, options=ONCE), tmp_path / "c.sqlite")
        model.generate([request()])
        model.generate([request()])
        assert len(server.requests) == 2
        model.close()


def test_a_recommender_with_a_cache_gives_the_same_lists(
    hash_index: ItemIndex, server: ChatServer, tmp_path: Path
) -> None:
    users = [f"user-{n:03d}" for n in range(1, 41)]
    lists = []
    for _ in range(2):
        model = CachedModel(OpenAIChatModel("scripted", server.url), tmp_path / "c.sqlite")
        recommender = Recommender(hash_index, model, Settings(k=3))
        lists.append(recommender.recommend_many(users))
        model.close()
    free = [result.model_copy(update={"usage": Usage()}) for result in lists[0]]
    assert free == [result.model_copy(update={"usage": Usage()}) for result in lists[1]]
    assert sum(result.usage.cached for result in lists[1]) == 40
    assert len(server.requests) == 40


def test_threads_share_a_cached_model(tmp_path: Path) -> None:
    with ChatServer() as server:
        model = CachedModel(OpenAIChatModel("scripted", server.url), tmp_path / "c.sqlite")

        def ask(part: int) -> None:
            for n in range(part, part + 40):
                assert model.generate([request(f"user {n}")])[0].error is None

        threads = [threading.Thread(target=ask, args=(10 * part,)) for part in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 110 <= len(server.requests) < 320
        again = model.generate([request(f"user {n}") for n in range(110)])
        assert sum(reply.usage.cached for reply in again) == 110
        model.close()


def store(path: Path, part: int, start: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    cache = ReplyCache(path)
    for n in range(200):
        key = (n if n % 2 else n + 1_000 * part).to_bytes(32, "big")
        if cache.get(key) is None:
            cache.put([(key, Completion(f"reply {int.from_bytes(key, 'big')}"))], "m")
    cache.close()


def test_processes_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "c.sqlite"
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(4)
    workers = [spawn.Process(target=store, args=(path, part, start)) for part in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    cache = ReplyCache(path)
    assert len(cache) == 100 + 4 * 100
    for number in (1, 199, 3_000, 3_198):
        reply = cache.get(number.to_bytes(32, "big"))
        assert reply is not None
        assert reply.text == f"reply {number}"
    cache.close()


def test_a_file_that_is_no_cache_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    path.write_bytes(b"these are notes, not a database" * 100)
    with pytest.raises(StorageError, match=r"c\.sqlite.*not a database.*remove this one"):
        ReplyCache(path)
    assert path.read_bytes().startswith(b"these are notes")
    with pytest.raises(StorageError, match="name another file"):
        ReplyCache(path / "below")


def test_nothing_but_text_is_in_the_file(tmp_path: Path) -> None:
    model = CachedModel(ScriptedModel(GOOD), tmp_path / "c.sqlite")
    model.generate([request()])
    model.close()
    model.close()
    with sqlite3.connect(tmp_path / "c.sqlite") as db:
        rows = db.execute("SELECT text, model FROM replies").fetchall()
    db.close()
    assert rows == [(GOOD, "scripted")]


def slowly(n: int, made: list[int]) -> Iterator[Request]:
    for i in range(n):
        made.append(i)
        yield request(f"user {i}")


def test_replies_are_stored_while_later_requests_wait(tmp_path: Path) -> None:
    made: list[int] = []
    cache = ReplyCache(tmp_path / "c.sqlite")
    seen: list[tuple[int, int]] = []

    def reply(_: Request) -> str:
        seen.append((len(made), len(cache)))
        return GOOD

    CachedModel(ScriptedModel(reply), cache).generate(slowly(600, made))
    assert seen[299] == (300, 256)
    assert len(cache) == 600
    cache.close()

"""Replies and lists of models that are hostile or broken: an error or an answer, nothing else."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hostile import JSON, TEXTS, is_done_or_refused, is_one_line

from rag_rec import ModelError
from rag_rec.llm import Message, ModelOptions, OpenAIChatModel, Request, RetryPolicy, read_body
from rag_rec.llm.adapters.openai_batch import BatchApi
from rag_rec.testing import ChatServer, Response, completion

ASKED = Request((Message("user", "Choose 1 items."),))
ONCE = ModelOptions(retry=RetryPolicy(attempts=1), context_tokens=8_192)
PLACES = (
    "VALUE",
    '{"choices": VALUE}',
    '{"choices": [VALUE]}',
    '{"choices": [{"message": VALUE, "finish_reason": "stop"}]}',
    '{"choices": [{"message": {"content": VALUE}, "finish_reason": "stop"}]}',
    '{"choices": [{"message": {"content": "x"}, "finish_reason": VALUE}]}',
    '{"choices": [{"message": {"refusal": VALUE}, "finish_reason": "stop"}]}',
    '{"choices": [{"message": {"tool_calls": VALUE}, "finish_reason": "stop"}]}',
    '{"choices": [{"message": {"content": "x"}}], "usage": VALUE}',
    '{"choices": [], "usage": {"prompt_tokens": VALUE, "completion_tokens": VALUE}}',
    '{"error": VALUE}',
    '{"error": {"message": VALUE, "code": VALUE, "param": VALUE}}',
    'data: {"choices": [{"delta": {"content": VALUE}}]}\n\ndata: [DONE]\n',
)


@pytest.mark.parametrize("status", [200, 400, 404, 500])
def test_every_body_is_an_answer_or_an_error(status: int) -> None:
    bodies = [place.replace("VALUE", value) for place in PLACES for value in JSON.values()]
    waiting = iter(bodies)
    with ChatServer(lambda _: Response(next(waiting).encode(), status)) as server:
        model = OpenAIChatModel("scripted", server.url, options=ONCE)
        for n, body in enumerate(bodies, 1):
            (found,) = model.generate([ASKED])
            assert found.error is None or isinstance(found.error, ModelError), body[:80]
            assert found.error is None or is_one_line(str(found.error)), body[:80]
            waiting = iter(bodies[n:])
        model.close()


@pytest.mark.parametrize("kind", TEXTS)
def test_every_text_of_a_reply_is_handed_on(kind: str) -> None:
    found = read_body(completion(TEXTS[kind]), "test")
    assert found.error is None


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/json; charset=hex"},
        {"content-type": "text/html; charset=idna"},
        {"retry-after": "nan"},
        {"retry-after": "9" * 400},
        {"retry-after": "Mon, 01 Jan 99999 00:00:00 +9999"},
        {"retry-after": "Mon, 01 Jan 0001 00:00:00"},
        {"content-encoding": "gzip"},
        {"content-encoding": "gzip, gzip"},
        {"content-encoding": "br"},
        {"location": "http://["},
        {"location": "x" * 70_000},
        {"location": "http://\xff/"},
    ],
)
@pytest.mark.parametrize("status", [200, 302, 429, 503])
def test_every_header_is_an_answer_or_an_error(headers: dict[str, str], status: int) -> None:
    with ChatServer(lambda _: Response(completion("x"), status, headers)) as server:
        model = OpenAIChatModel("scripted", server.url, options=ONCE)
        (found,) = model.generate([ASKED])
        model.close()
    assert found.error is None or is_one_line(str(found.error))


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip"])
def test_a_packed_reply_is_read(encoding: str) -> None:
    body = gzip.compress(completion("hello"), mtime=0)
    answer = Response(body, headers={"content-encoding": encoding})
    with ChatServer(lambda _: answer) as server:
        model = OpenAIChatModel("scripted", server.url, options=ONCE)
        assert model.generate([ASKED])[0].text == "hello"
        model.close()


def test_a_small_packed_reply_cannot_unpack_to_any_size() -> None:
    body = gzip.compress(completion("a" * (100 << 20)))
    answer = Response(body, headers={"content-encoding": "gzip"})
    with ChatServer(lambda _: answer) as server:
        model = OpenAIChatModel("scripted", server.url, options=ONCE)
        (found,) = model.generate([ASKED])
        model.close()
    assert len(body) < 200_000
    assert "a reply of more than" in str(found.error)


class ListServer(ChatServer):
    """A server whose list of models is what it is told."""

    body = b""

    def _respond(self, line: str, body: bytes) -> Response:
        if "/models" in line:
            return Response(self.body)
        return super()._respond(line, body)


def test_no_list_of_models_stops_a_model() -> None:
    places = ("VALUE", '{"data": VALUE}', '{"data": [VALUE]}',
              '{"data": [{"id": "scripted", "max_model_len": VALUE}]}')  # fmt: skip
    with ListServer() as server:
        for place in places:
            for kind, value in JSON.items():
                server.body = place.replace("VALUE", value).encode()
                model = OpenAIChatModel("scripted", server.url)
                assert model.context_tokens == 8_192, (place, kind)
                model.close()
        server.body = json.dumps({"data": [{"id": "scripted", "max_model_len": 4_096}]}).encode()
        model = OpenAIChatModel("scripted", server.url)
        assert model.context_tokens == 4_096
        model.close()


class OddServer(ChatServer):
    """A server that answers whatever is asked with one response."""

    answer = Response()

    def _respond(self, line: str, body: bytes) -> Response:
        del line, body
        return self.answer


@pytest.mark.parametrize("status", [200, 400, 500])
def test_no_reply_to_a_batch_client_is_a_traceback(
    status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    types = ("application/json", "text/html", "application/json; charset=hex", "text/x; charset=no")
    file = tmp_path / "requests.jsonl"
    file.write_text("{}\n")
    with OddServer() as server:
        api = BatchApi(server.url)
        for kind in ("deep lists", "number beyond floats", "text", "list", "null", "object"):
            for type_ in types:
                headers = {"Content-Type": type_}
                OddServer.answer = Response(JSON[kind].encode(), status, headers)
                assert is_done_or_refused(lambda: api.state("b")), (kind, type_)
                assert is_done_or_refused(lambda: api.find("mark")), (kind, type_)
                assert is_done_or_refused(lambda: api.submit(file, "mark")), (kind, type_)
        api.close()

"""Language models: one contract, and every way a server can fail."""

from __future__ import annotations

import json
import random
import time

import pytest

from rag_rec import (
    ConfigError,
    ModelError,
    ModelTimeout,
    QuotaExhausted,
    RateLimited,
    Refused,
    TransportError,
    Truncated,
)
from rag_rec.grounding import answer_schema
from rag_rec.llm import (
    ChatModel,
    Completion,
    Message,
    ModelOptions,
    OpenAIChatModel,
    Request,
    RetryPolicy,
    open_model,
)
from rag_rec.llm.base import portable_schema
from rag_rec.llm.chat_api.http import Connections
from rag_rec.testing import ChatServer, Response, check_chat_model, completion, first_labels

SCHEMA = answer_schema(n_labels=4, k=2, reason_chars=40)
FAST = ModelOptions(retry=RetryPolicy(base_s=0.01, max_wait_s=1.5), timeout_s=5)


def request(text: str = "Choose 2.", **options: object) -> Request:
    return Request((Message("system", "JSON only."), Message("user", text)), SCHEMA, **options)  # type: ignore[arg-type]


def test_openai_keeps_the_contract(server: ChatServer) -> None:
    check_chat_model(OpenAIChatModel("scripted", server.url))


def test_langchain_keeps_the_contract(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "test")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    model = open_model("langchain:openai:scripted")
    assert isinstance(model, ChatModel)
    check_chat_model(model)


def ask(answer: object, options: ModelOptions = FAST) -> tuple[Completion, int]:
    """The completion of one request against a server with a scripted answer, and requests sent."""
    respond = answer if callable(answer) else lambda _: answer
    with ChatServer(respond) as running:  # type: ignore[arg-type]
        model = OpenAIChatModel("scripted", running.url, options=options)
        reply = model.generate([request()])[0]
        model.close()
        return reply, len(running.requests)


def error_body(code: str) -> bytes:
    return json.dumps({"error": {"message": code, "code": code, "type": code}}).encode()


@pytest.mark.parametrize(
    ("answer", "kind", "n_requests"),
    [
        (Response(error_body("rate"), 429), RateLimited, 3),
        (Response(error_body("rate"), 429, {"retry-after": "0.05"}), RateLimited, 3),
        (Response(error_body("rate"), 429, {"retry-after": "300"}), RateLimited, 1),
        (Response(error_body("insufficient_quota"), 429), QuotaExhausted, 1),
        (Response(error_body("boom"), 500), TransportError, 3),
        (Response(error_body("busy"), 503), TransportError, 3),
        (Response(error_body("bad"), 400), TransportError, 1),
        (Response(error_body("key"), 401), TransportError, 1),
        (Response(b"<html>hello</html>"), TransportError, 3),
        (Response(b'{"choices": [{'), TransportError, 3),
        (Response(b'{"choices": []}'), TransportError, 3),
        (Response(b'{"error": {"message": "x"}}'), TransportError, 3),
        (Response(b"[1]"), TransportError, 3),
        (Response(completion("x" * 900), cut=300), TransportError, 3),
        (Response(completion(None)), TransportError, 3),
        (Response(completion(None, refusal="no")), Refused, 1),
        (Response(completion("", finish="content_filter")), Refused, 1),
        (Response(completion('{"items": [{"la', finish="length")), Truncated, 1),
    ],
)
def test_every_failure_is_a_completion(
    answer: Response, kind: type[ModelError], n_requests: int
) -> None:
    reply, sent = ask(answer)
    assert type(reply.error) is kind
    assert sent == n_requests == reply.usage.calls
    assert "\n" not in str(reply.error)


def test_a_hanging_server_is_given_up_in_time() -> None:
    started = time.monotonic()
    options = ModelOptions(timeout_s=0.3, retry=RetryPolicy(attempts=2, base_s=0.01))
    reply, sent = ask(Response(hang=True), options)
    assert isinstance(reply.error, ModelTimeout)
    assert sent == 2
    assert time.monotonic() - started < 5


def test_no_server_is_a_completion_too() -> None:
    model = OpenAIChatModel("x", "http://127.0.0.1:9/v1", options=FAST)
    error = model.generate([request()])[0].error
    assert isinstance(error, TransportError)
    assert "check that the server runs" in str(error)
    model.close()


def test_a_passing_fault_is_retried_and_its_cost_is_kept() -> None:
    answers = iter([Response(error_body("x"), 500), Response(b"<html>")])
    reply, sent = ask(lambda body: next(answers, None) or Response(completion(first_labels(body))))
    assert reply.error is None
    assert sent == reply.usage.calls == 3


def test_order_is_kept_and_failures_do_not_spread() -> None:
    rng = random.Random(4)

    def answer(body: dict) -> Response:
        text = body["messages"][-1]["content"]
        if int(text) % 7 == 0:
            return Response(error_body("no"), 400)
        return Response(completion(text), delay_s=rng.random() / 50)

    with ChatServer(answer) as running:
        options = ModelOptions(concurrency=32, retry=RetryPolicy(base_s=0.01))
        model = OpenAIChatModel("scripted", running.url, options=options)
        replies = model.generate([request(str(n)) for n in range(200)])
        model.close()
    for n, reply in enumerate(replies):
        assert (reply.text, reply.error is None) == (("", False) if n % 7 == 0 else (str(n), True))


def test_what_is_sent(server: ChatServer) -> None:
    options = ModelOptions(parameters={"seed": None, "top_p": 0.5})
    model = OpenAIChatModel("scripted", server.url, options=options)
    assert model.context_tokens == 16_384, "as the server says"
    model.generate([request(max_tokens=77)])
    model.close()
    body = server.requests[0]
    assert body["max_tokens"] == 77
    assert body["top_p"] == 0.5
    assert "seed" not in body
    sent = body["response_format"]["json_schema"]
    assert sent["strict"] is True
    assert sent["schema"] == portable_schema(SCHEMA)
    assert "maxLength" not in json.dumps(sent)


def test_a_connection_is_lent_to_one_request_and_used_again(server: ChatServer) -> None:
    connections = Connections()
    with connections.lent() as first, connections.lent() as second:
        assert first is not second
        assert first.get(f"{server.url}/models").is_success
    with connections.lent() as again:
        assert again is first  # given back last
        connections.close()
        assert second.is_closed
        assert again.get(f"{server.url}/models").is_success
    assert again.is_closed


def test_a_context_length_that_is_a_guess_says_so(
    server: ChatServer, caplog: pytest.LogCaptureFixture
) -> None:
    model = OpenAIChatModel("unlisted", server.url)
    assert model.context_tokens == 8_192
    assert "the server does not say; set context_tokens" in caplog.text
    model.close()
    model = OpenAIChatModel("x", "http://127.0.0.1:9/v1")
    assert model.context_tokens == 8_192
    assert "could not be asked" in caplog.text
    model.close()


def test_the_key_never_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    reply, _ = ask(Response(error_body("sk-very"), 401))
    assert "secret" not in str(reply.error)
    assert "secret" not in repr(vars(reply.error))


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("gpt-5", "unknown model 'gpt-5'; choose one of"),
        ("openai:", "unknown model"),
        ("none:x", "unknown model"),
        ("openai:gpt-5", "OPENAI_API_KEY is not set"),
        ("openai+x", "unknown model"),
        ("langchain:nope:x", "langchain:nope:x"),
    ],
)
def test_specs_that_cannot_be_meant(spec: str, match: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=match):
        open_model(spec)


def test_none_is_no_model() -> None:
    assert open_model("none") is None

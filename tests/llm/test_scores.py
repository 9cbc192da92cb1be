"""Scores of labels from chat models: what is asked for, what is read, and what is no score."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, get_type_hints

import pytest
from hostile import JSON, is_one_line
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import completion_create_params

from rag_rec import ConfigError, ModelError, Refused, Settings, TransportError
from rag_rec.core import ModelTimeout, RateLimited
from rag_rec.llm import (
    AdmittedModel,
    CachedModel,
    Completion,
    ModelOptions,
    OfflineModel,
    OpenAdmission,
    OpenAIChatModel,
    Ranking,
    Request,
    RetryPolicy,
    answers_of,
    read_scores_body,
    scores_text,
)
from rag_rec.llm.chat_api.reply_scores import label_scores
from rag_rec.testing import (
    FAULTS,
    SCORE_FAULTS,
    ChatServer,
    FaultyServer,
    Response,
    by_content,
    by_number,
    check_scores,
    completion,
    ranking_request,
    scored_completion,
)

ASKED = ranking_request(("tea", "garden twine", "a bowl"))
LABELS = ("A", "B", "C")
LIST = 'use a prompt with answer = "list"'
LOOPBACK = "RAG_REC_KEY_127_0_0_1"
KEY = "OWN-TESTKEY/with+signs="


@contextmanager
def served(
    answer: Callable[[Any], Response], model: str = "scripted", **options: Any
) -> Iterator[tuple[ChatServer, OpenAIChatModel]]:
    chosen = {"retry": RetryPolicy(base_s=0.01, max_wait_s=1.5), "timeout_s": 5, **options}
    with ChatServer(answer) as server:
        client = OpenAIChatModel(model, server.url, options=ModelOptions(**chosen))
        yield server, client
        client.close()


def ask(answer: Response, **options: Any) -> tuple[Completion, int]:
    with served(lambda _: answer, **options) as (server, model):
        return model.generate([ASKED])[0], server.n_requests


def read(values: dict[str, float], labels: tuple[str, ...] = LABELS) -> Completion:
    return read_scores_body(scored_completion(values), "test", labels)


# --- contract ---------------------------------------------------------------------------------


def test_a_chat_model_keeps_the_contract(server: ChatServer) -> None:
    check_scores(OpenAIChatModel("scripted", server.url))


def test_models_before_it_keep_the_contract(server: ChatServer, tmp_path: Any) -> None:
    check_scores(AdmittedModel(OpenAIChatModel("scripted", server.url), OpenAdmission()))
    cached = CachedModel(OpenAIChatModel("scripted", server.url), tmp_path / "replies.sqlite")
    first, again = (cached.generate([ASKED])[0] for _ in range(2))
    assert first.text == again.text
    assert again.counted.cached == 1
    cached.close()


# --- what is sent -----------------------------------------------------------------------------


def test_one_token_is_asked_for_and_the_values_of_twenty(server: ChatServer) -> None:
    model = OpenAIChatModel("scripted", server.url)
    model.generate([ASKED])
    model.close()
    body = server.requests[0]
    assert body.pop("messages")
    assert body == {
        "model": "scripted", "max_tokens": 1, "temperature": 0.0, "seed": 0,
        "logprobs": True, "top_logprobs": 20,
    }  # fmt: skip


@pytest.mark.parametrize("asked", [1, 512])
@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({}, "max_tokens"),
        ({"max_tokens": 300, "response_format": {"type": "json_object"}}, "max_tokens"),
        ({"max_completion_tokens": 300}, "max_completion_tokens"),
        ({"max_tokens": "omit"}, None),
    ],
)
def test_the_limit_is_one_token_whatever_else_is_set(
    asked: int, parameters: dict[str, Any], name: str | None, server: ChatServer
) -> None:
    options = ModelOptions(parameters=parameters)
    model = OpenAIChatModel("scripted", server.url, options=options)
    ranking = ASKED.ranking
    request = Request(ASKED.messages, ASKED.schema, max_tokens=asked, ranking=ranking)
    assert model.generate([request])[0].error is None
    assert model.as_sent(request).max_tokens == 1
    model.close()
    limits = {n: server.requests[0].get(n) for n in ("max_tokens", "max_completion_tokens")}
    assert limits == {n: 1 if n == name else None for n in limits}
    assert "response_format" not in server.requests[0]


def test_an_export_writes_the_same_body_as_a_run(server: ChatServer) -> None:
    settings = Settings(llm=f"openai:scripted@{server.url}", context_tokens=8_000)
    offline = OfflineModel(settings)
    client = OpenAIChatModel("scripted", server.url, options=ModelOptions(context_tokens=8_000))
    client.generate([ASKED])
    client.close()
    assert server.requests == [offline.body(ASKED)]
    assert answers_of(offline) == answers_of(client) == {"text", "scores"}


def test_the_hosted_api_knows_every_parameter() -> None:
    known = get_type_hints(completion_create_params.CompletionCreateParamsNonStreaming)
    body = OfflineModel(Settings(llm="openai:gpt-4.1-mini")).body(ASKED)
    assert set(body) <= set(known)
    assert body["max_completion_tokens"] == 1
    assert "max_tokens" not in body


@pytest.mark.parametrize("model", ["gpt-5-mini", "o4-mini", "qwq-32b", "deepseek-r1:8b"])
def test_a_model_that_reasons_is_not_asked(model: str, server: ChatServer) -> None:
    opened = OpenAIChatModel(model, server.url)
    admission = Counting()
    opened = OpenAIChatModel(model, server.url, options=ModelOptions(admission=admission))
    reply = opened.generate([ASKED])[0]
    opened.close()
    assert "it reasons first" in str(reply.error)
    assert str(reply.error).endswith(LIST)
    assert (server.n_requests, admission.n, reply.counted.calls) == (0, 0, 0)
    assert answers_of(opened) == {"text"}
    offline = OfflineModel(Settings(llm=f"openai:{model}@{server.url}"))
    assert answers_of(offline) == {"text"}
    with pytest.raises(ConfigError, match="it reasons first"):
        offline.body(ASKED)


class Counting(OpenAdmission):
    def __init__(self) -> None:
        self.n = 0

    def enter(self, request: Request) -> None:
        del request
        self.n += 1


def test_more_labels_than_tokens_are_not_asked_for(server: ChatServer) -> None:
    labels = tuple(f"{n}" for n in range(21))
    many = Request(ASKED.messages, max_tokens=1, ranking=Ranking(labels, "q", labels))
    model = OpenAIChatModel("scripted", server.url)
    replies = model.generate([many, ASKED])
    model.close()
    assert "21 labels, and the log-probabilities of 20 tokens at most" in str(replies[0].error)
    assert replies[1].error is None
    assert server.n_requests == 1


def test_a_limit_that_is_renamed_is_learned_for_scores_too() -> None:
    def answer(body: Any) -> Response:
        if "max_tokens" in body:
            message = "'max_tokens' is not supported. Use 'max_completion_tokens' instead."
            return Response(json.dumps({"error": {"message": message}}).encode(), 400)
        return Response(scored_completion({"B": -0.1, "A": -3.0}))

    with served(answer) as (server, model):
        assert model.generate([ASKED])[0].text == "[-3.0,-0.1,-3.0]"
    assert server.requests[-1]["max_completion_tokens"] == 1
    assert server.n_requests == 2


def test_a_server_that_only_streams_gives_scores() -> None:
    def answer(body: Any) -> Response:
        if not body.get("stream"):
            message = "This model only support stream mode, please enable the stream parameter."
            return Response(json.dumps({"error": {"message": message}}).encode(), 400)
        whole = json.loads(scored_completion({"B": -0.1, "A": -3.0}))
        choice = whole["choices"][0]
        first = {"choices": [{"delta": choice["message"], "logprobs": choice["logprobs"]}]}
        last = {"choices": [{"delta": {}, "finish_reason": "length"}], "usage": whole["usage"]}
        events = [f"data: {json.dumps(chunk)}\n\n" for chunk in (first, last)]
        return Response(("".join(events) + "data: [DONE]\n\n").encode())

    with served(answer) as (_, model):
        assert model.generate([ASKED])[0].text == "[-3.0,-0.1,-3.0]"


# --- what is read -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "scores"),
    [
        ({"A": -0.5, "B": -1.5, "C": -2.5}, [-0.5, -1.5, -2.5]),
        ({"C": -0.7, " B": -1.5, "\n": -2.0, "A\n": -2.5}, [-2.5, -1.5, -0.7]),
        ({"A": -2.0, " A": -2.0, "B": -1.0}, [-2 + math.log(2), -1.0, -2.0]),
        ({"\u0120A": -1.0, "\u2581B": -2.0, " \u2581C ": -3.0}, [-1.0, -2.0, -3.0]),
        ({"A": -0.1, "a": -4.0, "AB": -5.0, "**A": -6.0}, [-0.1, -6.0, -6.0]),
        ({"A": 0, "B": -30}, [0.0, -30.0, -30.0]),
        ({"A": 5e-5, "B": -30}, [0.0, -30.0, -30.0]),
        ({"A": -0.5, "B": -9999.0, "The": -8.0}, [-0.5, -8.0, -8.0]),
    ],
)
def test_a_label_has_the_probability_of_all_tokens_that_spell_it(
    values: dict[str, float], scores: list[float]
) -> None:
    found = read(values)
    assert found.error is None
    assert found.text == scores_text(scores)
    assert found.counted.completion_tokens == 1


def test_a_token_that_is_listed_twice_counts_once() -> None:
    assert label_scores([("A", -0.7), ("B", -0.8), ("A", -0.7)], LABELS) == [-0.7, -0.8, -0.8]


def test_labels_that_are_not_listed_are_never_above_one_that_is() -> None:
    scores = json.loads(read({"B": -0.1, "Sure": -4.0, "A": -6.0}).text)
    assert scores == [-6.0, -0.1, -6.0]


def test_a_refusal_is_one() -> None:
    for body in (completion(None, refusal="no"), completion("", finish="content_filter")):
        assert isinstance(read_scores_body(body, "test", LABELS).error, Refused)


@given(st.dictionaries(st.sampled_from(["A", " A", "B", "C", "x", ""]), st.floats(-50, 0)))
def test_any_values_are_scores_or_an_error(values: dict[str, float]) -> None:
    try:
        scores = label_scores(list(values.items()), LABELS)
    except ValueError:
        return
    assert len(scores) == 3
    assert all(-50 <= score <= 0 for score in scores)


# --- what is none -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCORE_FAULTS)
def test_what_is_no_score_is_one_error_at_once(name: str) -> None:
    reply, sent = ask(SCORE_FAULTS[name])
    assert isinstance(reply.error, TransportError)
    assert not reply.error.retryable
    assert reply.text == ""
    assert (sent, reply.counted.calls) == (1, 1)
    assert is_one_line(str(reply.error))
    assert str(reply.error).endswith(LIST)


@pytest.mark.parametrize(
    "message",
    [
        "This model does not support the 'logprobs' parameter.",
        "Unrecognized request argument supplied: top_logprobs",
        "litellm.UnsupportedParamsError: m does not support parameters: ['logprobs'], for model=m.",
        "`top_logprobs` must be between 0 and 5",
        "logprobs are not supported with reasoning models",
        "Extra inputs are not permitted, field: 'logprobs', value: True",
    ],
)
@pytest.mark.parametrize("status", [400, 422, 500, 200])
def test_refused_log_probabilities_are_an_error_at_once(message: str, status: int) -> None:
    body = json.dumps({"error": {"message": message}}).encode()
    with served(lambda _: Response(body, status)) as (server, model):
        replies = model.generate([ASKED])
    assert message[:60] in str(replies[0].error)
    assert str(replies[0].error).endswith(LIST)
    assert (server.n_requests, replies[0].changes) == (1, ())


def test_words_can_still_be_asked_for() -> None:
    def answer(body: Any) -> Response:
        return SCORE_FAULTS["logprobs_refused"] if "logprobs" in body else Response(completion("x"))

    with served(answer) as (_, model):
        replies = model.generate([ASKED, Request(ASKED.messages)])
    assert [reply.text for reply in replies] == ["", "x"]


CHAT = {
    "rate_limit_short": (RateLimited, 3), "rate_limit_long": (RateLimited, 1),
    "server_error": (TransportError, 3), "unavailable": (TransportError, 3),
    "reset": (TransportError, 3), "html": (TransportError, 3), "malformed": (TransportError, 3),
    "truncated": (TransportError, 3), "no_choices": (TransportError, 3),
    "error_body": (TransportError, 3), "content_filter": (Refused, 1), "refusal": (Refused, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", CHAT)
def test_the_faults_of_a_chat_are_those_of_scores(name: str) -> None:
    kind, n_requests = CHAT[name]
    reply, sent = ask(FAULTS[name])
    assert type(reply.error) is kind
    assert sent == n_requests == reply.counted.calls
    assert is_one_line(str(reply.error))


def test_a_hanging_server_is_given_up_in_time() -> None:
    reply, sent = ask(Response(hang=True), timeout_s=0.3, retry=RetryPolicy(2, 0.01))
    assert isinstance(reply.error, ModelTimeout)
    assert sent == 2


def test_a_fault_that_passes_is_retried() -> None:
    with FaultyServer(by_number({0: "server_error", 1: "html"})) as server:
        options = ModelOptions(retry=RetryPolicy(base_s=0.01))
        model = OpenAIChatModel("m", server.url, options=options)
        reply = model.generate([ASKED])[0]
        model.close()
    assert reply.error is None
    assert reply.counted.calls == 3


def test_a_request_that_fails_keeps_its_neighbours() -> None:
    with FaultyServer(by_content({"a bowl": "logprobs_ignored"})) as server:
        model = OpenAIChatModel("m", server.url)
        replies = model.generate([ranking_request(("tea",)), ASKED, ranking_request(("jam",))])
        model.close()
    assert [reply.error is None for reply in replies] == [True, False, True]


TOP = '{"choices": [{"message": {}, "logprobs": {"content": [{"top_logprobs": VALUES}]}}]}'
PLACES = (
    '{"choices": [{"message": {"content": "A"}, "logprobs": VALUE}]}',
    '{"choices": [{"message": {"content": "A"}, "logprobs": {"content": VALUE}}]}',
    '{"choices": [{"message": {"content": "A"}, "logprobs": {"content": [VALUE]}}]}',
    TOP.replace("VALUES", "VALUE"),
    TOP.replace("VALUES", "[VALUE]"),
    TOP.replace("VALUES", '[{"token": "A", "logprob": VALUE}, {"token": "B", "logprob": -3}]'),
    TOP.replace("VALUES", '[{"token": VALUE, "logprob": -1}, {"token": "B", "logprob": -3}]'),
    'data: {"choices": [{"delta": {}, "logprobs": VALUE}]}\n\ndata: [DONE]\n',
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", JSON)
def test_every_body_is_scores_or_an_error(place: str, kind: str) -> None:
    body = place.replace("VALUE", JSON[kind]).encode()
    found = read_scores_body(body, "test", LABELS)
    assert (found.error is None) == bool(found.text)
    if found.error is None:
        assert all(math.isfinite(score) and score <= 0 for score in json.loads(found.text))
    else:
        assert isinstance(found.error, ModelError)
        assert is_one_line(str(found.error))


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"message": "logprobs: Incorrect API key KEY", "param": "logprobs"}}',
        b'{"choices": [{"message": {"content": "KEY"}, "logprobs": {"content": ["KEY"]}}]}',
        TOP.replace("VALUES", '[{"token": "KEY", "logprob": "KEY"}]').encode(),
        b"<html>KEY</html>",
    ],
)
@pytest.mark.parametrize("status", [400, 200])
def test_a_key_that_a_server_repeats_is_not_shown(
    body: bytes, status: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(LOOPBACK, KEY)
    answer = Response(body.replace(b"KEY", KEY.encode()), status)
    reply, _ = ask(answer, retry=RetryPolicy(attempts=1))
    assert reply.error is not None
    assert "TESTKEY" not in f"{reply} {vars(reply.error)} {caplog.text}"

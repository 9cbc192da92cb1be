"""Rerankers behind a server: every form they speak, and no score for the wrong item."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hostile import JSON, is_one_line

from rag_rec import ConfigError, ModelError, ModelTimeout, RateLimited, TransportError
from rag_rec.llm import (
    Completion,
    Deadline,
    Message,
    ModelOptions,
    OpenAdmission,
    Ranking,
    Request,
    RerankModel,
    RetryPolicy,
    answers_of,
    open_model,
    scores_text,
)
from rag_rec.llm.chat_api.reply_ranks import read_ranks_body
from rag_rec.testing import (
    FAULTS,
    RANK_FAULTS,
    RerankServer,
    Response,
    answer_ranking,
    answer_texts,
    check_scores,
    hashed_score,
    ranking_request,
)

TITLES = ("tea", "a bowl")
ASKED = ranking_request(TITLES)
QUERY = "Bought: a teapot"
EXPECTED = scores_text([hashed_score(QUERY, title) for title in TITLES])
LOOPBACK = "RAG_REC_KEY_127_0_0_1"
KEY = "OWN-TESTKEY/with+signs="


@contextmanager
def served(
    answer: Callable[[Any], Response] = answer_ranking, *, path: str = "/v1", **options: Any
) -> Iterator[tuple[RerankServer, RerankModel]]:
    chosen = {"retry": RetryPolicy(base_s=0.01, max_wait_s=1.5), "timeout_s": 5, **options}
    with RerankServer(answer) as server:
        url = server.url.removesuffix("/v1") + path
        model = RerankModel("ranker", url, options=ModelOptions(**chosen))
        yield server, model
        model.close()


def ask(answer: Response, **options: Any) -> tuple[Completion, int]:
    with served(lambda _: answer, **options) as (server, model):
        return model.generate([ASKED])[0], server.n_requests


# --- forms ------------------------------------------------------------------------------------


def test_a_reranker_keeps_the_contract() -> None:
    with RerankServer() as server:
        model = open_model(f"rerank:ranker@{server.url}")
        assert isinstance(model, RerankModel)
        assert answers_of(model) == {"scores"}
        check_scores(model)


def test_what_is_sent() -> None:
    with served() as (server, model):
        assert model.generate([ASKED])[0].text == EXPECTED
    assert server.requests == [
        {"model": "ranker", "query": QUERY, "documents": [*TITLES], "top_n": 2,
         "return_documents": False}
    ]  # fmt: skip


def test_text_embeddings_inference_is_known_by_its_refusal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with served(answer_texts, path="") as (server, model):
        first, second = (model.generate([ASKED])[0] for _ in range(2))
    assert (first.text, second.text) == (EXPECTED, EXPECTED)
    assert server.n_requests == 3, "it is learned once"
    assert server.requests[-1] == {
        "query": QUERY, "texts": [*TITLES], "raw_scores": True, "truncate": True,
    }  # fmt: skip
    assert first.changes == second.changes == ("documents are sent as texts, as this server asks",)
    assert len(caplog.records) == 1
    assert first.usage is None, "it does not count tokens"


@pytest.mark.parametrize("name", ["top_n", "return_documents"])
def test_a_parameter_that_is_refused_is_left_out(name: str) -> None:
    def answer(body: Any) -> Response:
        if name in body:
            fault = {"type": "extra_forbidden", "loc": ["body", name], "msg": "not permitted"}
            return Response(json.dumps({"detail": [fault]}).encode(), 422)
        return answer_ranking(body)

    with served(answer) as (server, model):
        replies = [model.generate([ASKED])[0] for _ in range(2)]
    assert [reply.text for reply in replies] == [EXPECTED] * 2
    assert server.n_requests == 3


def test_a_parameter_of_the_users_own_is_sent_and_kept() -> None:
    def answer(body: Any) -> Response:
        refused = {"message": "Unknown parameter: 'truncation'"}
        return Response(json.dumps(refused).encode(), 400)

    parameters = {"truncation": True, "return_documents": "omit"}
    with served(answer, parameters=parameters) as (server, model):
        error = model.generate([ASKED])[0].error
    assert "Unknown parameter: 'truncation'" in str(error)
    assert server.n_requests == 1
    assert "return_documents" not in server.requests[0]
    assert server.requests[0]["truncation"] is True


def test_a_refusal_without_end_is_no_loop() -> None:
    refusal = b"Failed to deserialize the JSON body: missing field `texts` at line 1"
    reply, sent = ask(Response(refusal, 422))
    assert "status 422" in str(reply.error)
    assert sent == 2


@pytest.mark.parametrize(
    ("base", "asked"),
    [
        ("", ["/rerank", "/v1/rerank"]),
        ("/", ["/rerank", "/v1/rerank"]),
        ("/v1", ["/v1/rerank"]),
        ("/v1/rerank", ["/v1/rerank"]),
    ],
)
def test_the_call_is_found(base: str, asked: list[str]) -> None:
    class PathServer(RerankServer):
        def __init__(self) -> None:
            super().__init__()
            self.lines: list[str] = []

        def _respond(self, line: str, body: bytes) -> Response:
            self.lines.append(line.split(" ")[1])
            if self.lines[-1] != "/v1/rerank":
                return Response(b'{"detail": "Not Found"}', 404)
            return super()._respond(line, body)

    with PathServer() as server:
        model = open_model(f"rerank:m@{server.url.removesuffix('/v1')}{base}")
        assert model is not None
        assert model.generate([ASKED])[0].text == EXPECTED
        model.close()
    assert server.lines == asked


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("rerank:jina-reranker-v2", "names no server; write rerank:MODEL@BASE_URL"),
        ("rerank:@http://h/v1", "'rerank:' names no model"),
        ("rerank:m@h:80/v1", "'rerank:m@h:80/v1': write the address as http://h:80/v1"),
        ("rerank:m@http://bob:hunter2@h/v1", "user or password"),
        ("rerank:m@http://gpu-1/v1", "RAG_REC_PLAIN_HTTP"),
        ("rerank", "unknown model"),
    ],
)
def test_a_spec_that_cannot_be_meant_is_one_line(spec: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match) as caught:
        open_model(spec)
    assert is_one_line(str(caught.value))
    assert "hunter2" not in str(caught.value)


def test_words_are_not_asked_for() -> None:
    admission = Counting()
    with served(admission=admission) as (server, model):
        replies = model.generate([Request((Message("user", "hello"),)), ASKED])
    assert str(replies[0].error).endswith('it only ranks; use a prompt with answer = "scores"')
    assert replies[1].error is None
    assert server.n_requests == admission.n == 1


class Counting(OpenAdmission):
    def __init__(self) -> None:
        self.n = 0

    def enter(self, request: Request) -> None:
        del request
        self.n += 1


def test_text_that_cannot_be_encoded_is_sent() -> None:
    odd = Ranking(("A", "B"), "a lone \ud800", ("\ud800 \x00", ""))
    with served() as (server, model):
        reply = model.generate([Request((), max_tokens=1, ranking=odd)])[0]
    assert reply.error is None
    assert server.requests[0]["documents"] == ["? \x00", ""]


def test_many_are_asked_at_once_and_kept_in_order() -> None:
    asked = [ranking_request([f"item {n}", f"thing {n}"]) for n in range(60)]
    with served(concurrency=16) as (_, model):
        replies = model.generate(asked)
    for n, reply in enumerate(replies):
        pair = [hashed_score(QUERY, f"item {n}"), hashed_score(QUERY, f"thing {n}")]
        assert reply.text == scores_text(pair)


# --- usage ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"usage": {"prompt_tokens": 30, "total_tokens": 30}}, 30),
        ({"usage": {"total_tokens": 30}}, 30),
        ({"meta": {"tokens": {"input_tokens": 30}}}, 30),
        ({"meta": {"billed_units": {"search_units": 1, "total_tokens": 30}}}, 30),
        ({"meta": {"billed_units": {"search_units": 1}}}, None),
        ({"meta": {"billed_units": {"input_tokens": 30.0}}}, None),
        ({"usage": {"total_tokens": 0}}, None),
        ({"usage": {"total_tokens": -3}}, None),
        ({"usage": {"total_tokens": 10**9}}, None),
        ({"usage": {"total_tokens": True}}, None),
        ({"usage": [30], "meta": 7}, None),
        ({}, None),
    ],
)
def test_only_plausible_counts_are_believed(counts: dict[str, Any], expected: int | None) -> None:
    results = [{"index": 0, "relevance_score": 1}]
    body = json.dumps({"results": results, **counts}).encode()
    found = read_ranks_body(body, "test", 1, n_read=200)
    assert found.text == "[1.0]"
    assert (found.usage and found.usage.prompt_tokens) == expected


# --- faults -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RANK_FAULTS)
def test_a_ranking_that_cannot_be_used_is_tried_again_and_never_read(name: str) -> None:
    reply, sent = ask(RANK_FAULTS[name])
    assert isinstance(reply.error, TransportError)
    assert reply.error.retryable
    assert reply.text == ""
    assert sent == 3
    assert is_one_line(str(reply.error))


HTTP = {
    "rate_limit_short": (RateLimited, 3), "rate_limit_long": (RateLimited, 1),
    "server_error": (TransportError, 3), "unavailable": (TransportError, 3),
    "reset": (TransportError, 3), "html": (TransportError, 3), "malformed": (TransportError, 3),
    "truncated": (TransportError, 3), "error_body": (TransportError, 3),
}  # fmt: skip


@pytest.mark.parametrize("name", HTTP)
def test_the_faults_of_a_server_are_those_of_a_chat(name: str) -> None:
    kind, n_requests = HTTP[name]
    reply, sent = ask(FAULTS[name])
    assert type(reply.error) is kind
    assert sent == n_requests == reply.counted.calls
    assert is_one_line(str(reply.error))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_a_lasting_status_is_an_error_at_once(status: int) -> None:
    reply, sent = ask(Response(b'{"message": "no"}', status))
    assert f"status {status}: no" in str(reply.error)
    assert sent == 1


def test_a_fault_that_passes_is_retried() -> None:
    answers = iter([FAULTS["server_error"], FAULTS["html"]])

    def answer(body: Any) -> Response:
        return next(answers, None) or answer_ranking(body)

    with served(answer) as (server, model):
        reply = model.generate([ASKED])[0]
    assert reply.text == EXPECTED
    assert server.n_requests == 3 == reply.counted.calls


def test_a_hanging_server_is_given_up_in_time() -> None:
    started = time.monotonic()
    reply, sent = ask(Response(hang=True), timeout_s=0.3, retry=RetryPolicy(2, 0.01))
    assert isinstance(reply.error, ModelTimeout)
    assert sent == 2
    assert time.monotonic() - started < 5


def test_the_deadline_of_a_user_holds() -> None:
    late = Request((), max_tokens=1, ranking=ASKED.ranking, deadline=Deadline(0.2))
    started = time.monotonic()
    with served(lambda _: Response(hang=True), timeout_s=30) as (_, model):
        reply = model.generate([late])[0]
    assert isinstance(reply.error, ModelTimeout)
    assert time.monotonic() - started < 5


def test_a_redirect_to_another_host_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOOPBACK, KEY)
    with RerankServer() as other:
        there = other.url.replace("127.0.0.1", "localhost") + "/rerank"
        reply, sent = ask(Response(b"", 307, {"location": there}))
    assert "redirects to another host" in str(reply.error)
    assert (sent, other.n_requests) == (1, 0)


@pytest.mark.parametrize(
    "body",
    [
        '{"error": {"message": "Incorrect API key provided: KEY"}}',
        '{"detail": "Bearer KEY is unknown"}',
        '{"results": [{"index": "KEY", "relevance_score": 1}]}',
        '{"results": [{"index": 0, "relevance_score": "KEY"}]}',
        '{"id": "KEY"}',
        '["KEY"]',
        "<html>KEY</html>",
    ],
)
@pytest.mark.parametrize("status", [401, 422, 500, 200])
def test_a_key_that_a_server_repeats_is_not_shown(
    body: str, status: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(LOOPBACK, KEY)
    answer = Response(body.replace("KEY", KEY).encode(), status)
    reply, _ = ask(answer, retry=RetryPolicy(attempts=1))
    assert reply.error is not None
    assert "TESTKEY" not in f"{reply} {vars(reply.error)} {caplog.text}"
    assert (f"check the API key in {LOOPBACK}" in str(reply.error)) == (status == 401)


PLACES = (
    "VALUE",
    '{"results": VALUE}',
    '{"results": [VALUE]}',
    '{"results": [{"index": VALUE, "relevance_score": 0.5}]}',
    '{"results": [{"index": 0, "relevance_score": VALUE}]}',
    '{"results": [{"index": 0, "relevance_score": 0.5}], "usage": VALUE, "meta": VALUE}',
    '{"results": [{"index": 0, "score": 0.5}], "meta": {"tokens": {"input_tokens": VALUE}}}',
    '[{"index": VALUE, "score": VALUE}]',
    '{"error": VALUE}',
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", JSON)
def test_every_body_is_scores_or_an_error(place: str, kind: str) -> None:
    found = read_ranks_body(place.replace("VALUE", JSON[kind]).encode(), "test", 1, n_read=200)
    assert (found.error is None) == bool(found.text)
    if found.error is not None:
        assert isinstance(found.error, ModelError)
        assert is_one_line(str(found.error))

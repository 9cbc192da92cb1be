"""Bodies of replies: where the answer stands, what is no answer, and which counts are believed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_rec import Refused, TransportError, Truncated
from rag_rec.core import RateLimited
from rag_rec.llm import (
    Completion,
    Message,
    ModelOptions,
    OpenAdmission,
    OpenAIChatModel,
    Request,
    RetryPolicy,
    read_body,
    read_usage,
)
from rag_rec.testing import MODEL_SERVERS, ChatServer, Response, completion

ANSWER = '{"items": [{"label": 1}]}'
DRAFT = '{"items": [{"label": 9}]}'
ASKED = Request((Message("system", "JSON."), Message("user", "Choose 1 items.")))


def reply(message: Any, finish: Any = "stop", **more: Any) -> Completion:
    body = {"choices": [{"message": message, "finish_reason": finish}], **more}
    return read_body(json.dumps(body).encode(), "test")


@pytest.mark.parametrize(
    "message",
    [
        {"content": ANSWER},
        {"content": [{"type": "text", "text": ANSWER}]},
        {"content": [{"type": "thinking", "thinking": DRAFT}, {"type": "text", "text": ANSWER}]},
        {"content": [{"type": "reasoning", "text": DRAFT}, {"type": "text", "text": ANSWER}]},
        {"content": [{"type": "output_text", "text": ANSWER[:9]}, {"text": ANSWER[9:]}]},
        {"content": [ANSWER[:9], ANSWER[9:]]},
        {"content": json.loads(ANSWER)},
        {"content": ANSWER, "reasoning_content": DRAFT},
        {"content": f"<think>{DRAFT}</think>{ANSWER}"},
        {"content": None, "reasoning_content": ANSWER},
        {"content": "", "reasoning": ANSWER},
        {"content": f"<think>{DRAFT}</think>", "thinking": ANSWER},
        {"content": None, "tool_calls": [{"function": {"name": "answer", "arguments": ANSWER}}]},
        {"content": "", "function_call": {"name": "answer", "arguments": json.loads(ANSWER)}},
        {"content": None, "parsed": json.loads(ANSWER)},
    ],
)
@pytest.mark.parametrize("finish", ["stop", None, "tool_calls", "eos"])
def test_the_answer_is_found(message: dict[str, Any], finish: str | None) -> None:
    found = reply(message, finish)
    assert (json.loads(found.text), found.error) == (json.loads(ANSWER), None)


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({"content": None}, "no text"),
        ({"content": 7}, "no text"),
        ({"content": None, "reasoning_content": f"Perhaps {DRAFT}?"}, "thoughts and no answer"),
        ({"content": None, "reasoning": "Hm."}, "thoughts and no answer"),
        ({"content": None, "tool_calls": []}, "no text"),
        ({"content": None, "tool_calls": [{"function": None}]}, "no text"),
    ],
)
def test_no_answer_is_an_error(message: dict[str, Any], says: str) -> None:
    found = reply(message)
    assert isinstance(found.error, TransportError)
    assert says in str(found.error)
    assert found.text == ""


@pytest.mark.parametrize("finish", ["length", "max_tokens", "model_length", "MAX_TOKENS"])
def test_a_cut_reply_keeps_what_it_has(finish: str) -> None:
    assert isinstance(reply({"content": '{"items": [{"la'}, finish).error, Truncated)
    assert reply({"content": '{"items": [{"la'}, finish).text == '{"items": [{"la'
    for thought in (
        {"content": ""},
        {"content": None, "reasoning_content": DRAFT},
        {"content": f"<think>{DRAFT}"},
        {"content": f"<think>{DRAFT}</think>"},
    ):
        found = reply(thought, finish)
        assert (found.text, type(found.error)) == ("", Truncated)
        assert "request.reasoning_tokens" in str(found.error)


@pytest.mark.parametrize(
    "message",
    [
        {"content": f"<think>{DRAFT}</think>" + '{"items": [{"la'},
        {"content": '{"items": [{"la', "reasoning_content": "Hm."},
        {"content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": '{"it'}]},
    ],
)
def test_an_answer_that_thoughts_left_no_room_for_says_so(message: dict[str, Any]) -> None:
    found = reply(message, "length")
    assert found.text.startswith('{"it')
    assert "stopped at max_tokens; raise request.reasoning_tokens" in str(found.error)


@pytest.mark.parametrize("finish", ["content_filter", "SAFETY"])
def test_a_filter_is_a_refusal(finish: str) -> None:
    assert isinstance(reply({"content": ANSWER}, finish).error, Refused)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error": {"message": "slow down", "code": 429}}', RateLimited),
        (b'{"error": {"message": "overloaded", "code": 529}}', TransportError),
        (b'{"choices": [{"finish_reason": "error", "message": {"content": "x"}}]}', TransportError),
        (
            b'{"choices": [{"finish_reason": "insufficient_system_resource", "message": {}}]}',
            TransportError,
        ),
        (b'{"choices": [null]}', TransportError),
        (b'{"choices": [{"message": "x"}]}', TransportError),
        (b'{"choices": {"message": {}}}', TransportError),
        (b"", TransportError),
        (b"null", TransportError),
        (b"data: {", TransportError),
        (b"data: [DONE]\n\n", TransportError),
        (b'data: {"error": {"message": "x", "code": 503}}\n\n', TransportError),
        (b'data: {"choices": [{"delta": {"content": "{}"}}]}\n\n', TransportError),  # cut short
    ],
)
def test_a_success_without_a_completion_is_tried_again(body: bytes, kind: type) -> None:
    found = read_body(body, "test")
    assert type(found.error) is kind
    assert found.error.retryable
    assert found.usage is not None
    assert found.usage.calls == 1


def test_a_completion_of_the_older_api_is_read() -> None:
    body = json.dumps({"choices": [{"text": ANSWER, "finish_reason": "stop"}]}).encode()
    assert read_body(body, "test").text == ANSWER


@given(st.recursive(st.none() | st.integers() | st.text() | st.booleans(), lambda inner: (
    st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["choices", "message", "content", "usage", "text", "type", "delta",
                         "finish_reason", "tool_calls", "function", "error", "code"]), inner)
)))  # fmt: skip
def test_any_json_is_a_completion_or_an_error(value: Any) -> None:
    for body in (json.dumps(value), f"data: {json.dumps(value)}\n\ndata: [DONE]\n\n"):
        found = read_body(body.encode(), "test")
        assert isinstance(found.text, str)
        assert found.text or found.error or found.text == ""


# --- usage ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"prompt_tokens": 12, "completion_tokens": 3}, (12, 3)),
        ({"input_tokens": 12, "output_tokens": 3}, (12, 3)),
        ({"prompt_tokens": 12, "completion_tokens": 0}, (12, 0)),
        (None, None),
        ({}, None),
        ([12, 3], None),
        ({"prompt_tokens": 12}, None),
        ({"prompt_tokens": 0, "completion_tokens": 3}, None),
        ({"prompt_tokens": -(10**6), "completion_tokens": 5}, None),
        ({"prompt_tokens": 12, "completion_tokens": -3}, None),
        ({"prompt_tokens": 10**400, "completion_tokens": 5}, None),
        ({"prompt_tokens": 12, "completion_tokens": 10**9}, None),
        ({"prompt_tokens": 12.5, "completion_tokens": 3}, None),
        ({"prompt_tokens": True, "completion_tokens": 3}, None),
        ({"prompt_tokens": "12", "completion_tokens": "3"}, None),
    ],
)
def test_only_whole_plausible_counts_are_believed(counts: Any, expected: Any) -> None:
    found = read_usage(counts)
    assert (found and (found.prompt_tokens, found.completion_tokens)) == expected


def test_more_tokens_than_bytes_were_sent_are_not_believed() -> None:
    counts = {"prompt_tokens": 900_000, "completion_tokens": 3}
    assert read_usage(counts) is not None
    assert read_usage(counts, n_sent=2_000) is None


def test_a_few_tokens_for_much_text_are_not_believed() -> None:
    counts = {"prompt_tokens": 1, "completion_tokens": 1}
    assert read_usage(counts, n_sent=300) is not None
    assert read_usage(counts, n_sent=4_000) is None
    assert reply({"content": "a word " * 90}, usage=counts).usage is None


def test_text_that_cost_nothing_is_not_believed() -> None:
    usage = {"prompt_tokens": 12, "completion_tokens": 0}
    assert reply({"content": ANSWER}, usage=usage).usage is None
    assert reply({"content": ""}, usage=usage).usage is not None


class Noting(OpenAdmission):
    """Keeps what it is asked for and told."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.told: list[Completion] = []

    def enter(self, request: Request) -> None:
        self.asked.append(request.max_tokens)

    def leave(self, request: Request, completion: Completion) -> None:
        del request
        self.told.append(completion)


def test_admission_sees_every_request_as_it_is_sent() -> None:
    """Requests that a refusal costs, and the room for reasoning, are in its books."""
    noting = Noting()
    with ChatServer(MODEL_SERVERS["deployment"]) as server:
        options = ModelOptions(
            retry=RetryPolicy(attempts=1), context_tokens=32_000, admission=noting
        )
        model = OpenAIChatModel("my-deployment", server.url, options=options)
        found = model.generate([ASKED])[0]
        model.close()
        assert server.n_requests == len(noting.asked) == len(noting.told) == 4
    assert noting.asked == [512, 512, 512, 512 + 8_192]
    assert [bool(done.error) for done in noting.told] == [True, True, True, False]
    assert found.usage is not None
    assert found.usage.calls == 4


def test_usage_that_is_not_known_stays_so_through_retries() -> None:
    answers = iter(
        [Response(b"{}", 503), MODEL_SERVERS["no-usage"]({"messages": [{"content": ""}]})]
    )
    with ChatServer(lambda _: next(answers)) as server:
        options = ModelOptions(retry=RetryPolicy(base_s=0.01), context_tokens=8_000)
        model = OpenAIChatModel("m", server.url, options=options)
        found = model.generate([ASKED])[0]
        model.close()
    assert (found.error, found.usage) == (None, None)
    assert found.counted.calls == 1


# --- statuses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status", [408, 409, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529]
)
def test_a_passing_status_is_tried_again(status: int) -> None:
    answers = iter([Response(b'{"error": {"message": "busy"}}', status)])
    with ChatServer(lambda _: next(answers, Response(completion(ANSWER)))) as server:
        options = ModelOptions(retry=RetryPolicy(base_s=0.01), context_tokens=8_000)
        model = OpenAIChatModel("m", server.url, options=options)
        assert model.generate([ASKED])[0].error is None
        model.close()
        assert server.n_requests == 2


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422, 501, 505])
def test_a_lasting_status_is_not(status: int) -> None:
    with ChatServer(lambda _: Response(b'{"error": {"message": "no"}}', status)) as server:
        model = OpenAIChatModel("m", server.url, options=ModelOptions(context_tokens=8_000))
        assert f"status {status}: no" in str(model.generate([ASKED])[0].error)
        model.close()
        assert server.n_requests == 1


@pytest.mark.parametrize(
    "after", ["0.05", "Wed, 21 Oct 2015 07:28:00 GMT", "soon", "", "-3", "nan, 5"]
)
def test_any_retry_after_is_read_or_left(after: str) -> None:
    answers = iter([Response(b"{}", 529, {"retry-after": after})])
    with ChatServer(lambda _: next(answers, Response(completion(ANSWER)))) as server:
        options = ModelOptions(retry=RetryPolicy(base_s=0.01), context_tokens=8_000)
        model = OpenAIChatModel("m", server.url, options=options)
        assert model.generate([ASKED])[0].error is None
        model.close()
        assert server.n_requests == 2

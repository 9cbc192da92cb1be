"""Models of LangChain are sent what they take, and their replies are read, as those of the API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from rag_rec import Truncated
from rag_rec.grounding import answer_schema
from rag_rec.llm import (
    Completion,
    LangChainChatModel,
    Message,
    ModelOptions,
    Request,
    RetryPolicy,
    open_model,
)
from rag_rec.testing import ChatServer, Response, completion

SCHEMA = answer_schema(n_labels=4, k=2, reason_chars=0)
ANSWER = '{"items": [{"label": 2}, {"label": 1}]}'
ASKED = Request((Message("system", "JSON only."), Message("user", "Choose.")), SCHEMA, 100)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The bodies that a server gets, which LangChain's own client is led to."""
    with ChatServer(lambda _: Response(completion(ANSWER))) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "test")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield server.requests


def ask(model: str, **options: Any) -> Completion:
    opened = open_model(
        f"langchain:{model}", ModelOptions(retry=RetryPolicy(attempts=1), **options)
    )
    assert opened is not None
    return opened.generate([ASKED])[0]


@pytest.mark.parametrize(
    ("model", "options", "temperature", "limit"),
    [
        ("gpt-4.1-mini", {}, 0.0, 100),
        ("gpt-5-mini", {}, None, 100 + 8_192),
        ("o4-mini", {"reasoning_tokens": 500}, None, 600),
        ("gpt-4.1-mini", {"parameters": {"temperature": "omit"}}, None, 100),
        ("gpt-4.1-mini", {"parameters": {"temperature": 0.7}}, 0.7, 100),
        ("gpt-4.1-mini", {"parameters": {"max_tokens": 77}}, 0.0, 77),
        ("gpt-4.1-mini", {"parameters": {"max_tokens": "omit"}}, 0.0, None),
    ],
)
def test_what_is_sent(
    asked: list[Any], model: str, options: dict[str, Any], temperature: Any, limit: int | None
) -> None:
    reply = ask(f"openai:{model}", **options)
    assert (json.loads(reply.text), reply.error) == (json.loads(ANSWER), None)
    assert asked[0].get("temperature") == temperature
    assert asked[0].get("max_completion_tokens", asked[0].get("max_tokens")) == limit


def says(message: AIMessage) -> Completion:
    model = GenericFakeChatModel(messages=iter([message]))
    return LangChainChatModel(model).generate([Request((Message("user", "hello"),))])[0]


@pytest.mark.parametrize(
    "content",
    [
        ANSWER,
        f"<think>Or 3?</think>{ANSWER}",
        [{"type": "thinking", "thinking": "Or 3?"}, {"type": "text", "text": ANSWER}],
    ],
)
def test_the_answer_is_found(content: Any) -> None:
    assert says(AIMessage(content)).text == ANSWER


def test_a_reply_that_was_thought_away_says_so() -> None:
    message = AIMessage("<think>Or 3?", response_metadata={"finish_reason": "length"})
    error = says(message).error
    assert isinstance(error, Truncated)
    assert "request.reasoning_tokens" in str(error)


@pytest.mark.parametrize(
    ("counts", "known"),
    [
        ({"input_tokens": 9, "output_tokens": 4, "total_tokens": 13}, True),
        ({"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}, False),
        (None, False),
    ],
)
def test_counts_are_believed_as_those_of_the_api(counts: Any, known: bool) -> None:
    usage = says(AIMessage(ANSWER, usage_metadata=counts)).usage
    assert (usage is not None) == known
    assert usage is None or (usage.prompt_tokens, usage.completion_tokens) == (9, 4)

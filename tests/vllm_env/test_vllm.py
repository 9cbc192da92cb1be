"""Both ways to vLLM, with a real model; `make test-vllm` builds what they need."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import jsonschema
import pytest

from rag_rec.core import parse_json
from rag_rec.core.errors import ConfigError, TransportError
from rag_rec.grounding import answer_schema
from rag_rec.llm import Message, Ranking, Request, open_model, scores_schema

needs_vllm = pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None,
    reason="vllm is not installed here; `make test-vllm` runs these in an environment of its own",
)
pytestmark = [
    pytest.mark.vllm,
    pytest.mark.timeout(900),  # the first test of a model starts it
    pytest.mark.filterwarnings("default"),  # third-party imports warn
]

SCHEMA = answer_schema(n_labels=20, k=5, reason_chars=0)
RULES = "Order the candidates for the user. Answer with the labels of the best five. " * 20


def ask(user: int, schema: dict[str, Any] | None = SCHEMA) -> Request:
    lines = "\n".join(f"{label}. item {label * (user + 3) % 97}" for label in range(1, 21))
    text = f"User {user} bought item {user}. Candidates:\n{lines}"
    return Request((Message("system", RULES), Message("user", text)), schema, max_tokens=160)


@needs_vllm
def test_32_requests_give_32_valid_lists(served):
    finished: list[int] = []

    completions = served.model.generate([ask(user) for user in range(32)], finished.append)

    assert len(completions) == sum(finished) == 32
    for completion in completions:
        assert completion.error is None
        jsonschema.validate(parse_json(completion.text), SCHEMA)
        assert completion.text == json.dumps(json.loads(completion.text), separators=(",", ":"))
        assert completion.usage.calls == 1
        assert completion.usage.prompt_tokens > 256
        assert 0 < completion.usage.completion_tokens <= 160
        assert completion.usage.wall_s > 0


@needs_vllm
def test_prompts_that_begin_alike_share_the_prefix_cache(served):
    queries, hits = served.prefix_cache()

    served.model.generate([ask(user) for user in range(100, 108)])

    more_queries, more_hits = served.prefix_cache()
    rate = (more_hits - hits) / (more_queries - queries)
    assert rate > 0.25, f"prefix cache hit rate {rate:.2f}"


@needs_vllm
def test_a_bad_request_keeps_its_neighbours(served):
    endless = Request((Message("user", "tea " * 20_000),), SCHEMA)
    barely = Request((Message("user", "tea " * (served.model.context_tokens - 5)),), SCHEMA)
    refused = ask(2, {"type": "array", "items": {"type": "integer"}, "uniqueItems": True})

    replies = served.model.generate([ask(0), endless, ask(1), refused, barely, ask(3)])

    assert [type(reply.error) for reply in replies] == [
        type(None),
        TransportError,
        type(None),
        TransportError,
        TransportError,
        type(None),
    ]
    assert all(len(parse_json(replies[ix].text)["items"]) == 5 for ix in (0, 2, 5))


@needs_vllm
@pytest.mark.parametrize("served", ["engine"], indirect=True)  # a server's counter is an estimate
@pytest.mark.parametrize("roles", [("user",), ("system", "user"), ("user", "assistant", "user")])
def test_counted_tokens_bound_the_prompt(served, roles):
    tokens = served.model.tokens
    texts = [
        "",
        "  two words \n",
        "\n\nÜber 12,345 x²",
        "日本語のテキスト 🎉",
        "a\ud800b",
        "x" * 99,
    ]
    requests = [Request(tuple(Message(role, text) for role in roles), None, 1) for text in texts]

    completions = served.model.generate(requests)

    for text, completion in zip(texts, completions, strict=True):
        counted = sum(tokens.count([text] * len(roles))) + tokens.per_message * len(roles)
        assert 0 < completion.usage.prompt_tokens <= counted, (text, completion)


LETTERS = "ABCDEFGHIJKLMNOPQRST"


def ask_scores(user: int, n_labels: int = 20) -> Request:
    labels = tuple(LETTERS[:n_labels])
    titles = tuple(f"item {n * (user + 3) % 97}" for n in range(n_labels))
    lines = "\n".join(f"{label}. {title}" for label, title in zip(labels, titles, strict=True))
    text = f"User {user} bought item {user}.\n{lines}\nAnswer with the letter of the best:"
    ranking = Ranking(labels, f"item {user}", titles)
    return Request((Message("user", text),), scores_schema(n_labels), 1, ranking=ranking)


@needs_vllm
def test_requests_for_scores_and_for_words_go_together(served):
    requests = [ask_scores(0), ask(1), ask_scores(2, 3)]

    completions = served.model.generate(requests)

    assert [completion.error for completion in completions] == [None] * 3
    for n, completion in ((20, completions[0]), (3, completions[2])):
        scores = parse_json(completion.text)
        assert len(scores) == n
        assert all(score <= 0 for score in scores)
        assert len(set(scores)) > 1, "some labels are among the likely tokens"
        assert completion.usage.completion_tokens == 1
    assert len(parse_json(completions[1].text)["items"]) == 5


@needs_vllm
def test_more_labels_than_values_are_one_error(served):
    labels = tuple(f"{n}" for n in range(21))
    many = Request((Message("user", "?"),), None, 1, ranking=Ranking(labels, "q", labels))

    replies = served.model.generate([many, ask_scores(1)])

    assert "21 labels" in str(replies[0].error)
    assert replies[1].error is None


@needs_vllm
def test_chat_model_contract(served):
    """Last in this file: it closes the model."""
    from rag_rec.testing import check_chat_model

    check_chat_model(served.model)


@needs_vllm
def test_a_model_that_is_not_there_is_one_clear_error(tmp_path):
    with pytest.raises(ConfigError, match="vllm cannot use"):
        open_model(f"vllm:{tmp_path}")


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vllm is installed here")
def test_without_vllm_the_error_says_what_to_install():
    with pytest.raises(ConfigError, match=r"pip install 'rag-rec\[vllm\]'"):
        open_model("vllm:any/model")

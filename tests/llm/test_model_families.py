"""Every family of models is sent what it takes, and its replies are read (docs/models.md)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from openai.types.chat import completion_create_params

from rag_rec import ConfigError, ItemIndex, RecommendationRequest, Recommender, Settings, Truncated
from rag_rec.grounding import answer_schema
from rag_rec.llm import Message, ModelOptions, OfflineModel, OpenAIChatModel, Request, RetryPolicy
from rag_rec.testing import MODEL_SERVERS, ChatServer, HashEmbedder, Response, completion

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| [^|]+ \| `([a-z0-9-]+)` \| ([^|]+) \| [^|]+ \| (\d+) \| ([^|]+) \|$", re.M)
SCHEMA = answer_schema(n_labels=4, k=2, reason_chars=40)
SENT = {"model", "messages", "max_tokens", "temperature", "seed", "response_format"}
ONCE = ModelOptions(retry=RetryPolicy(attempts=1), timeout_s=5)


def request(text: str = "Choose 2 items.", **options: Any) -> Request:
    return Request((Message("system", "JSON only."), Message("user", text)), SCHEMA, **options)


@contextmanager
def served(
    answer: Callable[[Any], Response], model: str = "scripted", **options: Any
) -> Iterator[tuple[ChatServer, OpenAIChatModel]]:
    """A server and a model behind it, asked once at a time."""
    with ChatServer(answer) as server:
        opened = ModelOptions(
            retry=RetryPolicy(attempts=1), timeout_s=5, context_tokens=32_000, **options
        )
        client = OpenAIChatModel(model, server.url, options=opened)
        yield server, client
        client.close()


def rows() -> dict[str, tuple[str, int, str]]:
    """What the page says of each server: what is sent at last, refusals before, tokens."""
    return {name: (sent, int(refused), tokens) for name, sent, refused, tokens in ROW.findall(PAGE)}


@pytest.mark.parametrize("name", MODEL_SERVERS)
def test_a_family_gives_a_list_as_the_page_says(name: str, hash_index: ItemIndex) -> None:
    behaviour, (sent, refused, tokens) = MODEL_SERVERS[name], rows()[name]
    with ChatServer(behaviour) as server:
        settings = Settings.model_validate(
            {
                "llm": f"openai:{behaviour.model}@{server.url}",
                "context_tokens": 32_000,
                "request": {"concurrency": 1, "attempts": 1},
            }
        )
        folder = hash_index.folder.parent.parent
        recommender = Recommender.open(folder, settings=settings, embedder=HashEmbedder())
        for n, user in enumerate(["user-001", "user-002"]):
            state = recommender.run([RecommendationRequest(user)])[0]
            assert state.result is not None
            assert state.prompt is not None
            assert state.result.outcome == "ok"
            chosen = [slot.item_id for slot in state.result.items]
            assert chosen == list(state.prompt.labels)[: len(chosen)], "the answer, not the draft"
            assert server.n_requests == refused + 1 + n, "what is learned is learned once"
            answer = state.exchanges[0].completion
            assert (answer.usage is None) == (tokens == "an estimate is booked")
            assert len(answer.changes) >= (refused > 0)
        recommender.close()
    body = server.requests[-1]
    absent = set(re.findall(r"no `(\w+)`", sent))
    named = set(re.findall(r"`(\w+)`", sent)) - absent - {"json_object"}
    assert set(body) == SENT - absent | named | ({"stream_options"} if "stream" in named else set())
    if "response_format" in body:
        kind = "json_object" if "json_object" in sent else "json_schema"
        assert body["response_format"]["type"] == kind


def test_the_page_and_the_servers_name_each_other() -> None:
    assert set(rows()) == set(MODEL_SERVERS)


# --- what the installed client says of the API ------------------------------------------------


def test_every_parameter_is_one_of_the_api() -> None:
    """The hosted API's own client knows every parameter and value that is written for it."""
    known = get_type_hints(completion_create_params.CompletionCreateParamsNonStreaming)
    for spec in ("openai:gpt-4.1-mini", "openai:gpt-5-mini", "openai:o4-mini"):
        body = OfflineModel(Settings(llm=spec)).body(request())
        assert set(body) <= set(known), spec
        assert "max_tokens" not in body, "deprecated there"
        assert isinstance(body["max_completion_tokens"], int)
    schema = get_type_hints(completion_create_params.ResponseFormatJSONSchema)
    assert set(body["response_format"]) <= set(schema)


@pytest.mark.parametrize(
    ("spec", "left_out", "limit"),
    [
        ("openai:gpt-4.1-mini", set(), "max_completion_tokens"),
        ("openai:gpt-4o-2024-08-06", set(), "max_completion_tokens"),
        ("openai:gpt-5-mini", {"temperature"}, "max_completion_tokens"),
        ("openai:gpt-5.1-2025-11-13", {"temperature"}, "max_completion_tokens"),
        ("openai:gpt-5-chat-latest", set(), "max_completion_tokens"),
        ("openai:o3", {"temperature"}, "max_completion_tokens"),
        ("openai:o4-mini-2025-04-16", {"temperature"}, "max_completion_tokens"),
        ("openai:openai/gpt-5-mini@https://openrouter.ai/api/v1", {"temperature"},
         "max_completion_tokens"),
        ("openai:gpt-5x@http://host/v1", set(), "max_tokens"),
        ("openai:llama3.2@http://localhost:11434/v1", set(), "max_tokens"),
        ("openai:deepseek-chat@https://api.deepseek.com", {"seed"}, "max_tokens"),
        ("openai:mistral-small-latest@https://api.mistral.ai/v1", {"seed"}, "max_tokens"),
    ],
)  # fmt: skip
def test_an_export_writes_what_the_family_takes(spec: str, left_out: set[str], limit: str) -> None:
    model = OfflineModel(Settings(llm=spec))
    body = model.body(request())
    assert {"temperature", "seed"} - set(body) == left_out
    assert limit in body
    assert {"max_tokens", "max_completion_tokens"} & set(body) == {limit}


@pytest.mark.parametrize("name", ["gpt-5", "common", "mistral"])
def test_an_export_writes_the_same_body_as_a_run(name: str) -> None:
    behaviour = MODEL_SERVERS[name]
    with ChatServer() as server:
        settings = Settings.model_validate(
            {"llm": f"openai:{behaviour.model}@{server.url}", "context_tokens": 32_000}
        )
        offline = OfflineModel(settings)
        options = ModelOptions(context_tokens=32_000)
        client = OpenAIChatModel(behaviour.model, server.url, options=options)
        client.generate([request()])
        assert server.requests == [offline.body(request())]
        assert client.context_tokens == offline.context_tokens
        client.close()


# --- room for reasoning -----------------------------------------------------------------------


def test_a_model_that_reasons_has_room_and_a_bound() -> None:
    with served(MODEL_SERVERS["gpt-5"], "gpt-5-mini", reasoning_tokens=5_000) as (server, model):
        assert model.generate([request(max_tokens=200)])[0].error is None
        assert model.context_tokens == 27_000
    assert server.requests[0]["max_completion_tokens"] == 5_200


def test_room_for_reasoning_keeps_to_the_context() -> None:
    with ChatServer(MODEL_SERVERS["r1"]) as server:
        options = ModelOptions(context_tokens=4_000)
        model = OpenAIChatModel("deepseek-r1:8b", server.url, options=options)
        assert model.context_tokens == 2_000
        model.generate([request("word " * 1_000, max_tokens=200)])
        model.close()
    assert 200 < server.requests[0]["max_tokens"] < 2_600


def test_a_reply_that_was_thought_away_says_what_to_set() -> None:
    def answer(_: Any) -> Response:
        return Response(completion("", finish="length"))

    with served(answer, reasoning_tokens=900) as (server, model):
        error = model.generate([request(max_tokens=100)])[0].error
    assert isinstance(error, Truncated)
    assert "used all its tokens to think" in str(error)
    assert "raise request.reasoning_tokens" in str(error)
    assert [body["max_tokens"] for body in server.requests] == [100, 1_000]


def test_an_answer_cut_after_thoughts_is_asked_for_again_with_room() -> None:
    def answer(body: Any) -> Response:
        if body["max_tokens"] == 100:
            return Response(completion('<think>Hm.</think>{"it', finish="length", tokens=100))
        return Response(completion("<think>Hm.</think>{}"))

    with served(answer) as (server, model):
        reply = model.generate([request(max_tokens=100)])[0]
    assert (reply.text, reply.error) == ("{}", None)
    assert server.n_requests == 2


def test_no_room_is_given_where_none_is_wanted() -> None:
    with served(MODEL_SERVERS["deployment"], reasoning_tokens=0) as (server, model):
        error = model.generate([request(max_tokens=100)])[0].error
    assert isinstance(error, Truncated)
    assert server.requests[-1]["max_completion_tokens"] == 100


# --- parameters -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "absent", "present"),
    [
        ({"temperature": "omit"}, {"temperature"}, {"seed": 0}),
        ({"seed": None, "top_p": 0.5}, {"seed"}, {"top_p": 0.5}),
        ({"max_tokens": "omit"}, {"max_tokens", "max_completion_tokens"}, {}),
        ({"max_completion_tokens": 4_000}, {"max_tokens"}, {"max_completion_tokens": 4_000}),
        ({"response_format": "omit"}, {"response_format"}, {}),
        (
            {"response_format": {"type": "json_object"}},
            set(),
            {"response_format": {"type": "json_object"}},
        ),
    ],
)
def test_a_parameter_can_be_set_or_left_out(
    parameters: dict[str, Any], absent: set[str], present: dict[str, Any]
) -> None:
    with served(MODEL_SERVERS["common"], parameters=parameters) as (server, model):
        assert model.generate([request()])[0].error is None
    assert not absent & set(server.requests[0])
    assert present.items() <= server.requests[0].items()


def test_a_parameter_of_the_users_own_is_not_dropped() -> None:
    def answer(body: Any) -> Response:
        error = {"error": {"message": "Unknown parameter: 'top_k'", "param": "top_k"}}
        return Response(json.dumps(error).encode(), 400 if "top_k" in body else 200)

    with served(answer, parameters={"top_k": 4}) as (server, model):
        reply = model.generate([request()])[0]
    assert "Unknown parameter: 'top_k'" in str(reply.error)
    assert (server.n_requests, reply.changes) == (1, ())


def test_a_key_among_the_parameters_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"parameters\.api_key would be written to files"):
        OpenAIChatModel("m", "http://h/v1", options=ModelOptions(parameters={"api_key": "sk-1"}))


REFUSALS = [
    (400, {"message": "Unrecognized request argument supplied: seed"}, "seed"),
    (400, {"message": 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'},
     "seed"),
    (400, {"message": "extraneous key [seed] is not permitted"}, "seed"),
    (400, {"message": "Argument not supported on this model: seed"}, "seed"),
    (400, {"message": "invalid temperature: only 1 is allowed for this model"}, "temperature"),
    (400, {"message": "`temperature` must be strictly positive"}, "temperature"),
    (400, {"message": "'temperature' is deprecated for this model."}, "temperature"),
    (400, {"message": "Temperature and top_p together are unsupported"}, "temperature"),
    (400, {"message": "Unrecognized request argument supplied: max_tokens"}, "max_tokens"),
    (422, {"message": "Extra inputs are not permitted, field: 'seed', value: 0"}, "seed"),
    (500, {"message": "litellm.BadRequestError: unsupported parameter: seed"}, "seed"),
    (501, {"message": "response_format is not implemented"}, "response_format"),
    (400, {"message": "Failed to parse grammar"}, "response_format"),
    (400, {"message": "Invalid schema for response_format 'answer': 'minItems' is not permitted.",
           "param": "response_format"}, "response_format"),
    (400, {"message": "bad request", "param": "seed"}, "seed"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "error", "name"), REFUSALS)
@pytest.mark.parametrize("wrapped", [lambda e: {"error": e}, lambda e: [{"error": e}], lambda e: e])
def test_a_refusal_is_learned_from_any_wording(
    status: int, error: dict[str, Any], name: str, wrapped: Callable[[Any], Any], caplog: Any
) -> None:
    def answer(body: Any) -> Response:
        strict = name == "response_format" and body.get(name, {}).get("type") == "json_object"
        if name in body and not strict:
            return Response(json.dumps(wrapped(error)).encode(), status)
        return Response(completion('{"items": []}'))

    with served(answer) as (server, model):
        first, second = model.generate([request("1")]), model.generate([request("2")])
    assert first[0].error is None
    assert second[0].error is None
    assert server.n_requests == 3
    assert len(first[0].changes) == 1
    assert first[0].changes == second[0].changes
    assert len(caplog.records) == 1
    assert first[0].usage is not None
    assert first[0].usage.calls == 2, "the refused request is counted"


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 8192 tokens. However, your messages have 9000",
        "'max_tokens' is too large: 9000. This model's maximum context length is 4096 tokens",
        "max_tokens must be less than or equal to 100",
        "The model `scripted` does not exist",
        "no",
    ],
)
def test_what_is_no_refusal_is_an_error_at_once(message: str) -> None:
    body = json.dumps({"error": {"message": message}}).encode()
    with served(lambda _: Response(body, 400)) as (server, model):
        reply = model.generate([request()])[0]
    assert f"status 400: {message[:40]}" in str(reply.error)
    assert (server.n_requests, reply.changes) == (1, ())


def test_a_refusal_inside_a_success_is_learned_too() -> None:
    error = json.dumps(
        {"error": {"message": "Unsupported parameter: 'seed'", "code": 400}}
    ).encode()

    def answer(body: Any) -> Response:
        return Response(error if "seed" in body else completion("{}"))

    with served(answer) as (server, model):
        assert model.generate([request()])[0].error is None
    assert server.n_requests == 2


def test_many_threads_learn_once(caplog: pytest.LogCaptureFixture) -> None:
    with ChatServer(MODEL_SERVERS["deployment"], delay_s=0.02) as server:
        options = ModelOptions(concurrency=16, retry=RetryPolicy(attempts=1), context_tokens=32_000)
        model = OpenAIChatModel("my-deployment", server.url, options=options)
        replies = model.generate([request(f"{n}: choose 2 items") for n in range(64)])
        model.close()
    assert [reply.error for reply in replies] == [None] * 64
    assert server.n_requests <= 64 + 3 * 16
    assert len(caplog.records) == len(replies[-1].changes) == 3


def test_a_server_that_refuses_everything_is_given_up() -> None:
    body = b'{"error": {"message": "temperature, seed, max_tokens, response_format: unsupported"}}'
    with served(lambda _: Response(body, 400)) as (server, model):
        reply = model.generate([request()])[0]
    assert reply.error is not None
    assert server.n_requests == len(reply.changes) + 1 <= 7

"""A key goes to the host it belongs to and nowhere else, and stands in no file and no message."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rag_rec import ConfigError, ModelError, Settings
from rag_rec.core import is_credential, redacted
from rag_rec.core.settings import first_problem
from rag_rec.llm import BatchApi, Completion, Message, ModelOptions, Request, RetryPolicy
from rag_rec.llm import open_model as open_any
from rag_rec.llm.chat_api.endpoint import Endpoint, key_variable
from rag_rec.llm.chat_api.keys import api_key, headers
from rag_rec.testing import ChatServer, Response, completion

OPTIONS = ModelOptions(
    retry=RetryPolicy(attempts=3, base_s=0.01), timeout_s=5, context_tokens=8_000
)
OPENAI, OWN = "sk-TESTKEY-0123456789", "OWN-TESTKEY/with+signs="
LOOPBACK = "RAG_REC_KEY_127_0_0_1"
ASKED = Request((Message("user", "hello"),))
NAMES = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", LOOPBACK,
         "RAG_REC_PLAIN_HTTP", "ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY")  # fmt: skip


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def ask(spec: str) -> Completion:
    model = open_any(spec, OPTIONS)
    assert model is not None
    try:
        return model.generate([ASKED])[0]
    finally:
        model.close()


class HeadServer(ChatServer):
    """Keeps the heads of requests, those of files and batches too."""

    def __init__(self, answer: Callable[[Any], Response] = lambda _: Response(completion("hi"))):
        super().__init__(answer)
        self.heads: list[str] = []

    async def _exchange(self, reader: Any, writer: Any) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head.decode())

        class Again:
            async def readuntil(self, _: bytes) -> bytes:
                return head

            async def readexactly(self, n: int) -> bytes:
                return await reader.readexactly(n)

        return await super()._exchange(Again(), writer)  # type: ignore[arg-type]


@pytest.fixture
def server() -> Iterator[HeadServer]:
    with HeadServer() as running:
        yield running


# --- a key belongs to a host ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "variable"),
    [
        ("https://api.openai.com/v1", "OPENAI_API_KEY"),
        ("https://eu.api.openai.com/v1", "OPENAI_API_KEY"),
        ("http://api.openai.com/v1", "RAG_REC_KEY_API_OPENAI_COM"),
        ("https://api.openai.com.evil.example/v1", "RAG_REC_KEY_API_OPENAI_COM_EVIL_EXAMPLE"),
        ("https://evilapi.openai.com.example/v1", "RAG_REC_KEY_EVILAPI_OPENAI_COM_EXAMPLE"),
        ("https://xapi.openai.com/v1", "RAG_REC_KEY_XAPI_OPENAI_COM"),
        ("https://api.deepseek.com", "RAG_REC_KEY_API_DEEPSEEK_COM"),
        ("https://a-b.example", "RAG_REC_KEY_A__B_EXAMPLE"),
        ("http://[::1]:8000", "RAG_REC_KEY___1"),
        ("http://gpu-1:8000/v1", "RAG_REC_KEY_GPU__1"),
        ("https://bücher.example/v1", "RAG_REC_KEY_XN____BCHER__KVA_EXAMPLE"),
    ],
)
def test_every_host_has_a_variable_of_its_own(url: str, variable: str) -> None:
    assert key_variable(httpx2.URL(url)) == variable


def test_the_hosted_key_and_account_go_to_no_other_server(
    server: HeadServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", OPENAI)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-TESTKEY")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-TESTKEY")
    assert ask(f"openai:m@{server.url}").text == "hi"
    api = BatchApi(server.url)
    with pytest.raises(ModelError):
        api.state("b1")
    api.close()
    assert len(server.heads) == 2
    assert not any("TESTKEY" in head for head in server.heads)


@pytest.mark.parametrize("key", [OWN, f"{OWN}\n", f"  {OWN}\r\n"])
def test_a_servers_own_key_is_sent_without_white_space(
    key: str, server: HeadServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LOOPBACK, key)
    assert ask(f"openai:m@{server.url}").text == "hi"
    assert f"Authorization: Bearer {OWN}\r\n" in server.heads[0]


def test_the_variable_that_names_a_server_sends_it_the_hosted_key(
    server: HeadServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", OPENAI)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    for spec in ("openai:m", f"openai:m@{server.url}"):
        assert ask(spec).text == "hi"
    for head in server.heads:
        assert f"Authorization: Bearer {OPENAI}\r\n" in head
        assert "OpenAI-Organization: org-1\r\n" in head


def test_openai_behind_langchain_gets_the_key_of_the_server_that_is_named(
    server: HeadServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", OPENAI)
    monkeypatch.setenv(LOOPBACK, OWN)
    model = open_any("langchain:openai:m", ModelOptions(parameters={"base_url": server.url}))
    assert model is not None
    assert model.generate([ASKED])[0].text == "hi"
    assert OPENAI not in "".join(server.heads)
    assert OWN in server.heads[-1]


def test_a_redirect_to_another_host_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOOPBACK, OWN)
    with HeadServer() as other:
        there = other.url.replace("127.0.0.1", "localhost") + "/chat/completions"
        with HeadServer(lambda _: Response(b"", 307, {"location": there})) as server:
            reply = ask(f"openai:m@{server.url}")
    assert "redirects to another host" in str(reply.error)
    assert (len(server.heads), other.heads) == (1, [])


def test_a_refused_key_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", OPENAI)
    with ChatServer(lambda _: Response(b'{"error": "no"}', 401)) as server:
        error = str(ask(f"openai:m@{server.url}").error)
    assert error.endswith(
        f"check the API key in {LOOPBACK} (OPENAI_API_KEY is for OpenAI's host only)"
    )


@pytest.mark.parametrize("key", ["sk-“abc”", "sk-abc\ndef", "sk-abc def", "sk-\u200babc", "ключ"])
def test_a_key_that_cannot_be_sent_is_one_line(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY cannot be sent: character") as caught:
        open_any("openai:gpt-5-mini", OPTIONS)
    assert "\n" not in str(caught.value)
    assert "abc" not in str(caught.value)


# --- in the clear -----------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["http://localhost:1/v1", "http://127.9.9.9/v1", "http://[::1]/v1", "http://0.0.0.0:1/v1",
                                 "http://a.localhost/v1", "https://host.example/v1"])  # fmt: skip
def test_this_machine_needs_no_encryption(url: str) -> None:
    assert headers(Endpoint.of(url))["Authorization"] == "Bearer none"


@pytest.mark.parametrize("host", ["gpu-1", "10.0.0.5", "host.example", "localhost.example"])
def test_another_machine_is_asked_in_the_clear_only_where_that_is_allowed(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://{host}:8000/v1"
    for refused in (lambda: open_any(f"openai:m@{url}", OPTIONS), lambda: BatchApi(url)):
        with pytest.raises(ConfigError, match=f"allow it for this host with .*={host}$"):
            refused()
    monkeypatch.setenv("RAG_REC_PLAIN_HTTP", f"other, {host}")
    assert api_key(Endpoint.of(url)) == "none"
    monkeypatch.setenv("RAG_REC_PLAIN_HTTP", f"x{host}")
    with pytest.raises(ConfigError, match="in the clear"):
        api_key(Endpoint.of(url))


# --- in addresses and parameters --------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["api_key", "key", "token", "access_token", "X-Api-Key", "sig", "subscription-key"]
)
def test_a_credential_in_an_address_is_refused_and_not_shown(name: str) -> None:
    with pytest.raises(
        ConfigError, match=f"'{name}' in the address of h .*put the key into RAG_REC_KEY_H$"
    ) as caught:
        Endpoint.of(f"https://h/v1?api-version=2024-10-21&{name}=hunter2")
    assert "hunter2" not in str(caught.value)


PARAMETERS: list[dict[str, Any]] = [
    {"api_key": "hunter2"},
    {"x-api-key": "hunter2"},
    {"headers": {"a": "hunter2"}},
    {"metadata": {"deep": [{"password": "hunter2"}]}},
    {"note": "Bearer hunter2"},
    {"stop": ["sk-hunter2"]},
    {"proxy": "http://bob:hunter2@h"},
]


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_a_credential_among_parameters_is_refused_and_not_shown(parameters: dict[str, Any]) -> None:
    with pytest.raises(
        ConfigError, match=r"^parameters\.[\w.-]+ would be written to files"
    ) as of_model:
        ModelOptions(parameters=parameters)
    with pytest.raises(ValidationError) as of_settings:
        Settings(parameters=parameters)
    for shown in (str(of_model.value), str(of_settings.value), first_problem(of_settings.value)):
        assert "hunter2" not in shown


def test_usual_parameters_are_no_credentials() -> None:
    usual = {
        "max_tokens": 1, "stop_token_ids": [2], "skip_special_tokens": True,
        "prompt_cache_key": "a",
        "reasoning_effort": "low", "logit_bias": {"50256": -100}, "metadata": {"author": "Ann"},
        "tool_choice": "none", "min_tokens": 3, "chat_template_kwargs": {"enable_thinking": False},
        "base_url": "http://127.0.0.1:8000/v1", "signal": 1, "keyword": "x",
    }  # fmt: skip
    assert Settings(parameters=usual).parameters == usual


# --- in messages ------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [OPENAI, OWN])
@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Incorrect API key provided: KEY"}},
        {"error": {"message": "bad header 'Bearer KEY'"}},
        {"detail": "Bearer KEY is unknown"},
        "<html>KEY</html>",
        ["KEY"],
        {"choices": [{"message": {"content": "you sent KEY"}, "finish_reason": "stop"}]},
    ],
)
@pytest.mark.parametrize("status", [400, 401, 429, 500, 200])
def test_a_key_that_a_server_repeats_is_not_shown(
    body: object,
    status: int,
    key: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv(LOOPBACK, key)
    content = body if isinstance(body, str) else json.dumps(body)
    with ChatServer(lambda _: Response(content.replace("KEY", key).encode(), status)) as server:
        reply = ask(f"openai:m@{server.url}")
    assert isinstance(reply.error, ModelError) or reply.text
    shown = f"{reply} {vars(reply.error) if reply.error else ''} {caplog.text}"
    assert "TESTKEY" not in shown


def test_what_looks_like_a_key_is_not_shown_either() -> None:
    text = "Illegal header value b'Bearer abcdef' and sk-proj-1234567 and *sk-abc***xyz"
    assert redacted(text) == "Illegal header value b'Bearer ***' and sk-*** and *sk-abc***xyz"


def test_keys_of_any_provider_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "abc/def+TESTKEY")
    monkeypatch.setenv("HF_TOKEN", "hf_TESTKEY")
    shown = redacted("x=abc/def+TESTKEY; abc%2Fdef%2BTESTKEY, hf_TESTKEY at http://u:TESTKEY@h/p")
    assert "TESTKEY" not in shown


@given(st.text())
def test_redacting_never_fails_and_is_done_once(text: str) -> None:
    once = redacted(text)
    assert redacted(once) == once
    assert is_credential("max_tokens", text) == is_credential("", text)

"""Backends: the shipped ones, and one of a third party in a file of its own."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_rec import ConfigError, ModelError, Settings
from rag_rec.llm import (
    BACKENDS,
    AdmittedModel,
    Backend,
    ChatModel,
    Completion,
    ModelOptions,
    OpenAdmission,
    Request,
    open_from,
    open_model,
    register_backend,
    spec_help,
)
from rag_rec.testing import ChatServer, check_chat_model

THIRD_PARTY = """
import json
import time

from rag_rec.core import Usage
from rag_rec.llm import Backend, ByteEstimate, Completion, ModelOptions, register_backend


class EchoModel:  # names the first labels of the schema; without one, repeats its spec
    def __init__(self, text, context_tokens):
        self.name, self.context_tokens, self.tokens = f"echo:{text}", context_tokens, ByteEstimate()
        self._text = text

    def generate(self, requests, on_done=None):
        completions = [self._complete(request) for request in requests]
        if on_done:
            on_done(len(completions))
        return completions

    def close(self):
        pass

    def _complete(self, request):
        started = time.perf_counter()
        text = self._text
        if request.schema:
            items = request.schema["properties"]["items"]
            labels = items["items"]["properties"]["label"]["enum"][: items["maxItems"]]
            text = json.dumps({"items": [{"label": label} for label in labels]})
        read = sum(self.tokens.count([message.content for message in request.messages]))
        written = min(request.max_tokens - 1, sum(self.tokens.count([text])))
        wall_s = time.perf_counter() - started
        usage = Usage(calls=1, prompt_tokens=read, completion_tokens=written, wall_s=wall_s)
        return Completion(text, usage)


def _open(rest: str, options: ModelOptions) -> EchoModel:
    return EchoModel(rest, options.context_tokens or 512)


register_backend(Backend("echo", {"echo:TEXT": "always says TEXT"}, opener=_open))
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package that registers a backend, installed as pip would."""
    (tmp_path / "echo_backend.py").write_text(THIRD_PARTY)
    info = tmp_path / "echo_backend-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: echo-backend\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rag_rec.llm]\necho = echo_backend\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield
    BACKENDS.pop("echo", None)
    sys.modules.pop("echo_backend", None)


class Counting(OpenAdmission):
    """Admits a number of requests and counts the replies."""

    def __init__(self, limit: int) -> None:
        self.limit, self.entered, self.left = limit, 0, 0

    def enter(self, request: Request) -> ModelError | None:
        del request
        self.entered += 1
        full = ModelError("no more requests", provider="test")
        return full if self.entered > self.limit else None

    def leave(self, request: Request, completion: Completion) -> None:
        del request, completion
        self.left += 1


def test_the_shipped_backends_explain_themselves() -> None:
    assert {"local", "openai", "vllm", "langchain"} <= set(BACKENDS)
    lines = spec_help().splitlines()
    for prefix, backend in BACKENDS.items():
        for form, text in backend.forms.items():
            assert form.partition(":")[0] == prefix
            assert f"{form:<30}{text}" in lines
    assert lines[-1].split() == ["none", "retrieval", "only"]


def test_optional_packages_wait_until_a_model_is_opened() -> None:
    heavy = "{'llama_cpp', 'vllm', 'langchain', 'langchain_core', 'tokenizers'}"
    code = f"import sys, rag_rec.llm; sys.exit(str({heavy} & set(sys.modules) or ''))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


@pytest.mark.usefixtures("installed")
def test_an_installed_backend_is_found_by_its_entry_point() -> None:
    assert "echo" not in BACKENDS
    model = open_model("echo:I have no labels.")
    assert isinstance(model, ChatModel)
    assert (model.name, model.context_tokens) == ("echo:I have no labels.", 512)
    check_chat_model(model)
    assert "echo:TEXT                     always says TEXT" in spec_help()
    settings = Settings(llm="echo:hello", context_tokens=900)
    assert open_from(settings).context_tokens == 900  # type: ignore[union-attr]


@pytest.mark.usefixtures("installed")
def test_an_unknown_spec_lists_what_there_is() -> None:
    open_model("echo:x")
    for wrong in ("echo", "echo:", "ecco:x", "", "none:x", ":x"):
        with pytest.raises(ConfigError, match=r"unknown model '.*'; choose one of") as caught:
            open_model(wrong)
        for line in spec_help().splitlines():
            assert line.split()[0] in str(caught.value)


@pytest.mark.parametrize("prefix", ["", "none", "two words", "a:b", "local"])
def test_a_prefix_that_cannot_be_used_is_refused(prefix: str) -> None:
    def never(rest: str, options: ModelOptions) -> ChatModel:
        raise AssertionError((rest, options))

    before = dict(BACKENDS)
    with pytest.raises(ConfigError, match=f"backend '{prefix}'"):
        register_backend(Backend(prefix, {}, opener=never))
    assert before == BACKENDS


@pytest.mark.usefixtures("installed")
def test_admission_stands_before_models_that_do_not_ask_for_it() -> None:
    admission = Counting(limit=2)
    model = open_from(Settings(llm="echo:hello"), admission)
    assert isinstance(model, AdmittedModel)
    replies = model.generate([Request(())] * 3)
    assert [reply.text for reply in replies] == ["hello", "hello", ""]
    assert str(replies[2].error) == "test: no more requests"
    assert (admission.entered, admission.left) == (3, 2)


def test_admission_is_asked_once_by_models_that_do(server: ChatServer) -> None:
    admission = Counting(limit=9)
    model = open_from(Settings(llm=f"openai:scripted@{server.url}"), admission)
    assert model is not None
    assert not isinstance(model, AdmittedModel)
    model.generate([Request(())] * 3)
    model.close()
    assert (admission.entered, admission.left) == (3, 3)


def test_a_tokenizer_file_counts_exactly(server: ChatServer, tmp_path: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "tea": 1}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()  # type: ignore[assignment]
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    options = ModelOptions(tokenizer=str(tmp_path / "tokenizer.json"))
    model = open_model(f"openai:scripted@{server.url}", options)
    assert model is not None
    assert model.tokens.exact
    assert model.tokens.count(["tea and tea", ""]) == [3, 0]
    model.close()
    with pytest.raises(ConfigError, match="there is no tokenizer file"):
        open_model(f"openai:scripted@{server.url}", ModelOptions(tokenizer="/no/such.json"))

"""Scores and adapters of vLLM in process, with a stand-in for the package (the real: vllm_env)."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from rag_rec import ConfigError
from rag_rec.llm import (
    Message,
    ModelOptions,
    Ranking,
    Request,
    VllmChatModel,
    answers_of,
    open_model,
)
from rag_rec.testing import check_scores, ranking_request


class Tokenizer:
    """One token a word."""

    def __call__(self, texts: Sequence[str], **_: Any) -> dict[str, list[list[int]]]:
        return {"input_ids": [[1] * len(text.split()) for text in texts]}

    def apply_chat_template(self, chat: Sequence[Any], **_: Any) -> str:
        return " ".join(f"<{turn['role']}> {turn['content']}" for turn in chat)


class Engine:
    """Answers with the tokens it is told, and keeps what it was asked with."""

    opened: list[Engine] = []  # noqa: RUF012 - one test at a time reads it
    tokens: dict[str | None, float] = {}  # noqa: RUF012

    def __init__(self, model: str, **options: Any) -> None:
        self.model, self.options, self.calls = model, options, []
        self.chat_template = None
        config = SimpleNamespace(max_model_len=512)
        core = SimpleNamespace(shutdown=lambda **_: None)
        self.llm_engine = SimpleNamespace(model_config=config, engine_core=core)
        self.opened.append(self)

    def get_tokenizer(self) -> Tokenizer:
        return Tokenizer()

    def chat(self, chats: Sequence[Any], parameters: Sequence[Any], **options: Any) -> list[Any]:
        self.calls.append((parameters, options))
        bar = options["use_tqdm"] and options["use_tqdm"](total=len(chats))
        return [self._output(one, bar) for one in parameters]

    def _output(self, asked: Any, bar: Any) -> Any:
        if bar:
            bar.update(1)
        first = {
            n: SimpleNamespace(decoded_token=token, logprob=value, rank=n)
            for n, (token, value) in enumerate(self.tokens.items())
        }
        scored = hasattr(asked, "logprobs")
        answer = SimpleNamespace(
            text="A", token_ids=[0], finish_reason="length" if scored else "stop",
            logprobs=[first] if scored else None,
        )  # fmt: skip
        return SimpleNamespace(outputs=[answer], prompt_token_ids=[1, 2, 3])


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("vllm", "vllm.exceptions", "vllm.lora", "vllm.lora.request", "vllm.sampling_params")
    modules: dict[str, Any] = {name: ModuleType(name) for name in names}
    modules["vllm"].LLM = Engine
    modules["vllm"].sampling_params = modules["vllm.sampling_params"]
    modules["vllm.sampling_params"].SamplingParams = SimpleNamespace
    modules["vllm.sampling_params"].StructuredOutputsParams = SimpleNamespace
    modules["vllm.exceptions"].VLLMError = type("VLLMError", (Exception,), {})
    modules["vllm.lora.request"].LoRARequest = lambda *parts: parts
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(Engine, "opened", [])
    monkeypatch.setattr(Engine, "tokens", {letter: -0.7 * n for n, letter in enumerate("ABCD", 1)})


def test_scores_keep_the_contract() -> None:
    model = open_model("vllm:base")
    assert isinstance(model, VllmChatModel)
    assert answers_of(model) == {"text", "scores"}
    check_scores(model)


def test_one_token_is_asked_for_and_the_values_of_twenty() -> None:
    model = VllmChatModel("base")
    words = Request((Message("user", "hello"),), {"type": "array"}, 50)
    replies = model.generate([ranking_request(("tea", "twine")), words])
    assert [reply.text for reply in replies] == ["[-0.7,-1.4]", "A"]
    (scored, written), options = Engine.opened[0].calls[0]
    assert vars(scored) == {"temperature": 0.0, "seed": 0, "max_tokens": 1, "logprobs": 20}
    assert (written.max_tokens, written.structured_outputs.json) == (50, {"type": "array"})
    assert options["lora_request"] is None
    assert "enable_lora" not in Engine.opened[0].options


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        ({}, "no log-probabilities"),
        ({"The": -0.1, "I": -3.0}, "none of the labels"),
        ({"A": float("nan"), "B": -1.0}, "a log-probability of nan"),
        ({"A": 0.5, "B": -1.0}, "a log-probability of 0.5"),
        ({None: -0.1, "B": -3.0}, "no number"),
    ],
)
def test_what_is_no_score_is_an_error(tokens: dict[str | None, float], says: str) -> None:
    Engine.tokens = tokens
    (reply,) = VllmChatModel("base").generate([ranking_request(("tea", "twine"))])
    assert says in str(reply.error)
    assert str(reply.error).endswith('use a prompt with answer = "list"')
    assert (reply.text, reply.counted.calls) == ("", 1)


def test_a_value_that_is_cut_away_is_unknown() -> None:
    Engine.tokens = {"A": -0.1, "B": -3.0, "C": float("-inf")}
    (reply,) = VllmChatModel("base").generate([ranking_request(("tea", "twine", "jam"))])
    assert reply.text == "[-0.1,-3.0,-3.0]"


def test_more_labels_than_values_are_not_asked_for() -> None:
    labels = tuple(map(str, range(21)))
    many = Request((), max_tokens=1, ranking=Ranking(labels, "q", labels))
    model = VllmChatModel("base")
    replies = model.generate([many, ranking_request(("tea",) * 2)])
    assert "21 labels" in str(replies[0].error)
    assert replies[1].error is None
    assert len(Engine.opened[0].calls[0][0]) == 1


@pytest.mark.parametrize(("rank", "bound"), [(1, 8), (8, 8), (9, 16), (64, 64), (300, 320)])
def test_an_adapter_goes_with_every_call(rank: int, bound: int, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank}))
    model = open_model(f"vllm:org/base+lora={folder}", ModelOptions(context_tokens=256))
    assert model is not None
    assert model.name == f"vllm:org/base+lora={folder}"
    model.generate([ranking_request(("tea", "twine"))])
    (engine,) = Engine.opened
    expected = {"enable_lora": True, "max_lora_rank": bound, "max_model_len": 256}
    assert expected.items() <= engine.options.items()
    assert engine.model == "org/base"
    assert engine.calls[0][1]["lora_request"] == ("mine", 1, str(folder))


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (None, "No such file"),
        ("{", "Expecting"),
        ("[]", "list indices"),
        ("{}", "'r'"),
        ('{"r": "8"}', "not supported"),
        ('{"r": 0}', "a rank that is not between 1 and 512"),
        ('{"r": 4096}', "a rank that is not between 1 and 512"),
    ],
)
def test_what_is_no_adapter_is_one_line(config: str | None, says: str, tmp_path: Path) -> None:
    if config is not None:
        (tmp_path / "adapter_config.json").write_text(config)
    with pytest.raises(ConfigError, match="is no LoRA adapter that vllm can use") as caught:
        open_model(f"vllm:base+lora={tmp_path}")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Engine.opened


@pytest.mark.parametrize("spec", ["vllm:+lora=x", "vllm:base+lora="])
def test_a_spec_that_lacks_a_part_is_one_line(spec: str) -> None:
    with pytest.raises(ConfigError, match=r"write vllm:BASE\+lora=FOLDER"):
        open_model(spec)

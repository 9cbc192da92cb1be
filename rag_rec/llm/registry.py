"""Opens a model from one string."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rag_rec.core import ConfigError, Settings, TokenCounter
from rag_rec.llm.adapters.openai import OpenAIChatModel, OpenAIOptions
from rag_rec.llm.base import ChatModel
from rag_rec.llm.middleware.admission import Gate, GatedModel
from rag_rec.llm.middleware.retry import RetryPolicy

SPECS = """\
local                         SmolLM2 on this machine (small; proves the path, not the quality)
local:FILE.gguf               any GGUF model on this machine
openai:MODEL                  the hosted API; the key comes from OPENAI_API_KEY
openai:MODEL@BASE_URL         any OpenAI-compatible server: vLLM, Ollama, llama.cpp
vllm:MODEL_OR_PATH            vLLM inside this process
langchain:PROVIDER:MODEL      any chat model of LangChain
none                          retrieval only"""


def open_model(
    spec: str, options: OpenAIOptions | None = None, *, tokenizer: str | Path | None = None
) -> ChatModel | None:
    """Opens the model a spec names; None for ``none``.

    Args:
        spec: See `SPECS`.
        options: For models behind a network; their gate stands before every kind of model.
        tokenizer: A ``tokenizer.json`` for exact counts of models behind a network.

    Raises:
        ConfigError: If the spec is not one of those, or what it needs is missing.
    """
    kind, _, rest = spec.partition(":")
    match kind, rest:
        case "none", "":
            return None
        case "local", _:
            from rag_rec.llm.adapters.local import LocalChatModel  # optional

            context = options.context_tokens if options else 0
            local = LocalChatModel(rest or None, **({"context_tokens": context} if context else {}))
            return _gated(local, options)
        case "openai", name if name:
            model, _, base_url = name.partition("@")
            counter = token_counter(tokenizer)
            return OpenAIChatModel(model, base_url or None, options=options, tokens=counter)
        case "vllm", name if name:
            from rag_rec.llm.adapters.vllm import VllmChatModel  # optional

            context = options.context_tokens if options else 0
            limit = {"max_model_len": context} if context else None
            return _gated(VllmChatModel(name, engine_options=limit), options)
        case "langchain", name if ":" in name:
            from rag_rec.llm.adapters.langchain import LangChainChatModel  # optional

            return LangChainChatModel(name, options=options)
        case _:
            raise ConfigError(f"unknown model '{spec}'; choose one of:\n{SPECS}")


def open_from(settings: Settings, gate: Gate | None = None) -> ChatModel | None:
    """The model that settings name, behind a gate if there is one."""
    request = settings.request
    options = OpenAIOptions(
        concurrency=request.concurrency,
        timeout_s=request.timeout_s,
        retry=RetryPolicy(request.attempts, request.backoff_s, request.max_wait_s),
        context_tokens=settings.context_tokens,
        parameters=settings.parameters,
        gate=gate,
    )
    return open_model(settings.llm, options, tokenizer=settings.tokenizer or None)


class FileTokens:
    """Exact token counts from a ``tokenizer.json``."""

    exact = True
    per_message = 12

    def __init__(self, path: str | Path) -> None:
        from tokenizers import Tokenizer

        if not Path(path).is_file():
            raise ConfigError(f"there is no tokenizer file {path}")
        self._tokenizer = Tokenizer.from_file(str(path))

    def count(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text."""
        encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(encoding.ids) for encoding in encoded]


def _gated(model: ChatModel, options: OpenAIOptions | None) -> ChatModel:
    return GatedModel(model, options.gate) if options and options.gate else model


def token_counter(tokenizer: str | Path | None) -> TokenCounter | None:
    """Exact counts by a ``tokenizer.json``; None where there is no such file to go by."""
    return FileTokens(tokenizer) if tokenizer else None

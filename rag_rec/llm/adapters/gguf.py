"""An embedded model: any GGUF file on this machine's processor, by llama.cpp."""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rag_rec.core import ConfigError, OnDone, TransportError, Truncated, Usage, one_line
from rag_rec.llm.adapters.gbnf import grammar
from rag_rec.llm.base import Completion, Request, timed
from rag_rec.llm.chat_api.reply_body import read_usage
from rag_rec.llm.registry import Backend, ModelOptions, register_backend
from rag_rec.llm.special_tokens import neutraliser

_CONTEXT = 4_096
_INSTALL = "install it with: pip install 'rag-rec[gguf]'"


class LlamaTokens:
    """Exact token counts of a loaded model."""

    exact = True
    per_message = 8

    def __init__(self, llama: Any) -> None:
        self._llama = llama

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        return [
            len(self._llama.tokenize(text.encode("utf-8"), add_bos=False, special=True))
            if text
            else 0
            for text in texts
        ]


class GgufChatModel:
    """A GGUF model on this machine's processor; one request at a time.

    Replies are held to the request's schema by a grammar, and prompts that begin alike reuse the
    cache of the one before.

    Args:
        path: A GGUF file.
        context_tokens: Context length.

    Raises:
        ConfigError: If the package or the file is missing, or the file is no model.
    """

    def __init__(self, path: str | Path, *, context_tokens: int = _CONTEXT) -> None:
        # threads that spin while they wait make a busy machine a hundred times slower
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        try:
            llama_cpp: Any = importlib.import_module("llama_cpp")  # optional and slow
        except ImportError as error:
            raise ConfigError(f"llm 'gguf' needs llama-cpp-python; {_INSTALL}") from error
        self.name = f"gguf:{path}"
        self._module = llama_cpp
        file = Path(path)
        if not file.is_file():
            raise ConfigError(f"there is no model file {file}")
        self._lock = threading.Lock()
        try:
            self._llama = llama_cpp.Llama(
                model_path=str(file),
                n_ctx=context_tokens,
                n_threads=_usable_cores(),
                n_threads_batch=_usable_cores(),
                verbose=False,
            )
        except ValueError as error:
            raise ConfigError(f"{file} cannot be loaded as a GGUF model ({error})") from error
        self.context_tokens = context_tokens
        self.tokens = LlamaTokens(self._llama)
        self._grammars: dict[str, Any] = {}
        self._neutral = neutraliser(_special_tokens(llama_cpp, self._llama))

    def generate(
        self, requests: Iterable[Request], on_done: OnDone | None = None
    ) -> list[Completion]:
        """See `ChatModel.generate`."""
        completions: list[Completion] = []
        for request in requests:
            with self._lock:
                completions.append(self._once(request))
            if on_done:
                on_done(1)
        return completions

    def close(self) -> None:
        """Free the model's memory."""
        self._llama.close()

    def _once(self, request: Request) -> Completion:
        started = time.perf_counter()
        request = self._neutral(request)
        text, usage, error = "", Usage(calls=1), None
        try:
            reply: Any = self._llama.create_chat_completion(
                messages=[{"role": m.role, "content": m.content} for m in request.messages],  # pyright: ignore[reportArgumentType]
                grammar=self._grammar(request),
                max_tokens=request.max_tokens,
                temperature=request.temperature,
                seed=request.seed,
            )
            text = reply["choices"][0]["message"]["content"] or ""
            usage = read_usage(reply["usage"])
            if reply["choices"][0]["finish_reason"] == "length":
                error = Truncated("stopped at max_tokens", provider=self.name)
        except (ValueError, RuntimeError) as failure:
            hint = "the prompt may be too long"
            error = TransportError(one_line(str(failure))[:200], provider=self.name, hint=hint)
        return Completion(text, timed(usage, started), error)

    def _grammar(self, request: Request) -> Any:
        if request.schema is None:
            return None
        source = grammar(request.schema)
        if source not in self._grammars:
            self._grammars[source] = self._module.LlamaGrammar.from_string(source, verbose=False)
        return self._grammars[source]


def _special_tokens(module: Any, llama: Any) -> list[str]:
    """Return the texts that the model's tokenizer reads as control tokens."""
    vocab = module.llama_model_get_vocab(llama.model)
    return [
        module.llama_vocab_get_text(vocab, token).decode("utf-8", "replace")
        for token in range(llama.n_vocab())
        if module.llama_vocab_is_control(vocab, token)
    ]


def _usable_cores() -> int:
    """Return the number of cores this process may use; ``taskset`` and containers narrow them."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _open(rest: str, options: ModelOptions) -> GgufChatModel:
    return GgufChatModel(rest, context_tokens=options.context_tokens or _CONTEXT)


register_backend(
    Backend("gguf", {"gguf:FILE": "any GGUF model on this machine, by llama.cpp"}, opener=_open)
)

"""vLLM inside this process: a whole batch in one engine call.

Without a GPU its cache takes ``VLLM_CPU_KVCACHE_SPACE`` GiB (4). The engine starts processes of its
own by spawning, so a script that opens this model needs an ``if __name__ == "__main__"`` guard.
"""

from __future__ import annotations

import importlib
import io
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rag_rec.core import (
    ConfigError,
    ModelError,
    OnDone,
    TransportError,
    Truncated,
    Usage,
    one_line,
    read_json,
)
from rag_rec.llm.base import Answer, Completion, Request, encodable, scores_text
from rag_rec.llm.chat_api.reply_scores import (
    MOST_LABELS,
    UNLIKELY,
    label_scores,
    no_scores,
    unscorable,
)
from rag_rec.llm.chat_tokens import ChatTokens
from rag_rec.llm.registry import Backend, ModelOptions, register_backend

_ENGINE = {
    "enable_prefix_caching": True,
    "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
}
_ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "4",  # GiB; without a GPU the default is nearly all memory
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # stdout is for results
    "VLLM_NO_USAGE_STATS": "1",
}
_LORA = "+lora="
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # bounds on the rank that vLLM can be told


class VllmChatModel:
    """A vLLM engine in this process; a batch runs as one call and shares the prefix cache.

    Args:
        model: A Hugging Face folder or the name of a model there.
        lora: A folder with a LoRA adapter that every request is answered with, or None.
        engine_options: Arguments of ``vllm.LLM``, over the defaults of this class.

    Raises:
        ConfigError: If vLLM is missing or cannot load the model, or the adapter is none.
    """

    answers: frozenset[Answer] = frozenset({"text", "scores"})

    def __init__(
        self,
        model: str,
        *,
        lora: str | None = None,
        engine_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = f"vllm:{model}" + (f"{_LORA}{lora}" if lora else "")
        adapted = {} if lora is None else _lora_options(Path(lora))
        self._vllm, self._failures = _import(self.name)
        options = {**_ENGINE, **adapted, **(engine_options or {})}
        try:
            self._llm = self._vllm.LLM(model, **options)
            self.tokens = ChatTokens(self._llm.get_tokenizer(), self._llm.chat_template)
        except (OSError, RuntimeError, *self._failures) as error:
            why = one_line(str(error))[:200]
            raise ConfigError(f"vllm cannot use '{model}' ({why}); see its log above") from error
        self.context_tokens = int(self._llm.llm_engine.model_config.max_model_len)
        self._lora = None if lora is None else _lora_request(Path(lora))
        self._lock = threading.Lock()

    def generate(
        self, requests: Iterable[Request], on_done: OnDone | None = None
    ) -> list[Completion]:
        """See `ChatModel.generate`."""
        requests = list(requests)
        errors = [self._refusal(request) for request in requests]
        fitting = [request for request, error in zip(requests, errors, strict=True) if not error]
        if on_done and len(fitting) < len(requests):
            on_done(len(requests) - len(fitting))
        with self._lock:
            answers = iter(self._chat(fitting, on_done) if fitting else [])
        return [Completion(error=error) if error else next(answers) for error in errors]

    def close(self) -> None:
        """End the engine's processes."""
        self._llm.llm_engine.engine_core.shutdown(timeout=30)

    def _refusal(self, request: Request) -> ModelError | None:
        """Return the error of a request that the engine is not to be given, or None."""
        if request.ranking is not None:
            refused = unscorable(len(request.ranking.labels), self.name)
            if refused is not None:
                return refused
        read = sum(self.tokens.count([message.content for message in request.messages]))
        if read < self.context_tokens:
            return None
        problem = f"a prompt of {read} tokens, and the model takes {self.context_tokens}"
        return TransportError(problem, provider=self.name, hint="shorten the prompt")

    def _chat(self, requests: Sequence[Request], on_done: OnDone | None) -> list[Completion]:
        """Make one engine call; if refused, one for each half, down to the request at fault."""
        started = time.perf_counter()
        try:
            outputs = self._llm.chat(
                [_turns(request) for request in requests],
                [self._parameters(request) for request in requests],
                use_tqdm=_bar(on_done) if on_done else False,
                lora_request=self._lora,
            )
        except self._failures as failure:
            if half := len(requests) // 2:
                return self._chat(requests[:half], on_done) + self._chat(requests[half:], on_done)
            if on_done:
                on_done(1)
            message = one_line(str(failure))[:200]
            return [Completion(error=TransportError(message, provider=self.name))]
        wall_s = (time.perf_counter() - started) / len(requests)
        return [
            self._completion(request, output, wall_s)
            for request, output in zip(requests, outputs, strict=True)
        ]

    def _parameters(self, request: Request) -> Any:
        module, schema = self._vllm.sampling_params, request.schema
        if request.ranking is not None:
            return module.SamplingParams(
                temperature=request.temperature,
                seed=request.seed,
                max_tokens=1,
                logprobs=MOST_LABELS,
            )
        shape = None if schema is None else module.StructuredOutputsParams(json=schema)
        return module.SamplingParams(
            temperature=request.temperature,
            seed=request.seed,
            max_tokens=request.max_tokens,
            structured_outputs=shape,
        )

    def _completion(self, request: Request, output: Any, wall_s: float) -> Completion:
        answer, text, error = output.outputs[0], output.outputs[0].text, None
        if request.ranking is not None:
            text, error = self._scores(answer, request.ranking.labels)
        elif answer.finish_reason == "length":
            error = Truncated("stopped at max_tokens", provider=self.name)
        elif answer.finish_reason != "stop":
            why = f"the engine ended with '{answer.finish_reason}'"
            error = TransportError(why, provider=self.name, retryable=True)
        usage = Usage(
            calls=1,
            prompt_tokens=len(output.prompt_token_ids),
            completion_tokens=len(answer.token_ids),
            wall_s=wall_s,
        )
        return Completion(text, usage, error)

    def _scores(self, answer: Any, labels: Sequence[str]) -> tuple[str, ModelError | None]:
        """Return the scores of labels, from the tokens that the answer could begin with."""
        first: dict[int, Any] = answer.logprobs[0] if answer.logprobs else {}
        tokens = ((it.decoded_token, max(float(it.logprob), UNLIKELY)) for it in first.values())
        try:
            return scores_text(label_scores(tokens, labels)), None
        except ValueError as error:
            return "", no_scores(str(error), self.name)


def _turns(request: Request) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": encodable(turn.content)} for turn in request.messages]


def _lora_options(folder: Path) -> dict[str, Any]:
    """Return the engine's options for a LoRA adapter in a folder.

    Raises:
        ConfigError: If there is none.
    """
    try:
        rank = read_json((folder / "adapter_config.json").read_bytes())["r"]
        bound = next(bound for bound in _RANKS if 0 < rank <= bound)
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        why = one_line(str(error)) or f"a rank that is not between 1 and {_RANKS[-1]}"
        raise ConfigError(f"{folder} is no LoRA adapter that vllm can use ({why[:120]})") from error
    return {"enable_lora": True, "max_lora_rank": bound}


def _lora_request(folder: Path) -> Any:
    request = importlib.import_module("vllm.lora.request")
    return request.LoRARequest(folder.resolve().name or "lora", 1, str(folder.resolve()))


def _import(name: str) -> tuple[Any, tuple[type[Exception], ...]]:
    """Return the package and the exceptions that it raises on purpose."""
    for variable, value in _ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    try:
        failures = importlib.import_module("vllm.exceptions").VLLMError, ValueError
        return importlib.import_module("vllm"), failures
    except (ImportError, RuntimeError) as error:  # RuntimeError: parts that do not match
        why = f"llm '{name}' needs vllm 0.32 or newer ({error})"
        raise ConfigError(f"{why}; install it with: pip install 'rag-rec[vllm]'") from error


def _bar(on_done: OnDone) -> Callable[..., Any]:
    """Return a maker of progress bars for vLLM that draw nothing and report to ``on_done``."""
    tqdm = importlib.import_module("tqdm").tqdm

    def make(iterable: Any = None, **options: Any) -> Any:
        if iterable is not None:  # rendering the prompts, which takes no time
            return iterable
        bar = tqdm(**options, file=io.StringIO())
        bar.update = lambda n=1: on_done(int(n))
        return bar

    return make


def _open(rest: str, options: ModelOptions) -> VllmChatModel:
    model, _, lora = rest.partition(_LORA)
    if not model or (_LORA in rest and not lora):
        raise ConfigError(f"llm 'vllm:{rest}': write vllm:BASE+lora=FOLDER")
    limit = {"max_model_len": options.context_tokens} if options.context_tokens else None
    return VllmChatModel(model, lora=lora or None, engine_options=limit)


register_backend(
    Backend(
        "vllm",
        {
            "vllm:MODEL_OR_PATH": "vLLM inside this process",
            "vllm:BASE+lora=FOLDER": "the same, with a LoRA adapter on the model",
        },
        opener=_open,
    )
)

"""Hosted OpenAI models and every server that speaks the same API (vLLM, Ollama, llama.cpp).

The client's own retries are off and its response models are bypassed: a body is read strictly
here, because a 200 may carry HTML, an error object, or a completion without choices.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import httpx2
import openai

from rag_rec.core import (
    ConfigError,
    ModelError,
    ModelTimeout,
    OnDone,
    QuotaExhausted,
    RateLimited,
    Refused,
    TransportError,
    Truncated,
    one_line,
)
from rag_rec.llm.adapters.http import Connections, HttpClient
from rag_rec.llm.base import Completion, Request, call_usage, encodable, portable_schema
from rag_rec.llm.middleware.retry import Sender
from rag_rec.llm.registry import Backend, ModelOptions, register_backend
from rag_rec.llm.tokens import token_counter

_log = logging.getLogger(__name__)

HOSTED_CONTEXT = 128_000
SERVER_CONTEXT = 8_192
_TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


class OpenAIChatModel:
    """A chat model behind the OpenAI API.

    Args:
        model: The model's name at the endpoint.
        base_url: The endpoint; the hosted API when None.
        options: Concurrency, timeout, retries, context length, parameters, tokenizer, admission.

    Raises:
        ConfigError: If the hosted API is meant and ``OPENAI_API_KEY`` is not set, or the tokenizer
            file is missing.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        options: ModelOptions | None = None,
    ) -> None:
        self.name = f"openai:{model}" + (f"@{base_url}" if base_url else "")
        self._model = model
        self._options = options = options or ModelOptions()
        self.tokens = token_counter(options.tokenizer)
        self._hosted = base_url is None
        key = os.environ.get("OPENAI_API_KEY")
        if not key and self._hosted:
            raise ConfigError(
                "OPENAI_API_KEY is not set; export it, or name a server: openai:MODEL@http://HOST/v1"
            )
        self._connections = Connections()
        self._client = openai.OpenAI(
            api_key=key or "none",
            base_url=base_url,
            max_retries=0,
            timeout=options.timeout_s,
            http_client=HttpClient(),
        )
        self._sender = Sender(
            self._once,
            options.retry,
            admission=options.admission,
            concurrency=options.concurrency,
        )
        self._url = httpx2.URL(f"{self._client.base_url}chat/completions")
        headers = {**self._client.default_headers, **self._client.auth_headers}
        self._headers = {name: text for name, text in headers.items() if isinstance(text, str)}

    @property
    def context_tokens(self) -> int:
        """Context length: as configured, as the server reports it, or a cautious default."""
        return self._context_tokens

    @cached_property
    def _context_tokens(self) -> int:
        if self._options.context_tokens:
            return self._options.context_tokens
        if self._hosted:
            return HOSTED_CONTEXT
        try:
            reply = self._client.models.with_raw_response.list()
            models = json.loads(reply.content)["data"]
            sizes = [m.get("max_model_len") for m in models if m.get("id") == self._model]
            if sizes and sizes[0]:
                return int(sizes[0])
            why = "the server does not say"
        except (openai.OpenAIError, ValueError, KeyError, TypeError, AttributeError) as error:
            why = f"the server could not be asked ({type(error).__name__})"
        _log.warning(
            "%s: context length taken as %d tokens, because %s; set context_tokens",
            self.name,
            SERVER_CONTEXT,
            why,
        )
        return SERVER_CONTEXT

    def generate(
        self, requests: Iterable[Request], on_done: OnDone | None = None
    ) -> list[Completion]:
        """See `ChatModel.generate`."""
        return self._sender.send(requests, on_done)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._connections.close()

    def _once(self, request: Request) -> Completion:
        started = time.perf_counter()
        try:
            text, tokens, error = read_body(self._post(request), self.name)
        except openai.OpenAIError as failure:
            text, tokens, error = "", (0, 0), model_error(failure, self.name)
        return Completion(text, call_usage(started, *tokens), error)

    def _post(self, request: Request) -> bytes:
        """Return the body of a reply with status 200, or raise the client's own errors.

        The client's headers and kind of connection are used, and not its way of building
        requests, which takes longer than sending them.
        """
        body = request_body(self._model, request, self._options.parameters, hosted=self._hosted)
        try:
            with self._connections.lent() as http:
                reply = http.post(
                    self._url,
                    content=json.dumps(body).encode(),
                    headers=self._headers,
                    timeout=self._timeout_s(request),
                )
        except httpx2.TimeoutException as failure:
            raise openai.APITimeoutError(failure.request) from failure
        except httpx2.RequestError as failure:
            raise openai.APIConnectionError(request=failure.request) from failure
        if reply.is_success:
            return reply.content
        raise _status_error(reply)

    def _timeout_s(self, request: Request) -> float:
        left = request.deadline.left_s() if request.deadline else self._options.timeout_s
        return max(0.001, min(self._options.timeout_s, left))


def request_body(
    model: str, request: Request, parameters: Mapping[str, Any], *, hosted: bool
) -> dict[str, Any]:
    """Return a request as the API takes it.

    Args:
        model: The model's name at the endpoint.
        request: The request.
        parameters: Further parameters; ``None`` leaves a standard one out.
        hosted: The hosted API is meant, which calls some parameters differently.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": m.role, "content": encodable(m.content)} for m in request.messages],
        "max_completion_tokens" if hosted else "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
    }
    if request.schema is not None:
        schema = {"name": "answer", "strict": True, "schema": portable_schema(request.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    body |= parameters
    return {name: value for name, value in body.items() if value is not None}


def _status_error(reply: httpx2.Response) -> openai.APIStatusError:
    """Return the client's error for a status that is not success, with the body's message."""
    try:
        said: Any = json.loads(reply.content)
    except (ValueError, RecursionError):
        said = reply.text[:500]
    detail = said.get("error", said) if isinstance(said, dict) else said
    return openai.APIStatusError(f"status {reply.status_code}: {said}", response=reply, body=detail)


def read_body(body: bytes, provider: str) -> tuple[str, tuple[int, int], ModelError | None]:
    """Return text, tokens (read, written) and error of a response body with status 200."""
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError):
        shown = body[:60].decode("utf-8", "replace")
        message = f"status 200 with a body that is not JSON: {shown!r}"
        return "", (0, 0), TransportError(message, provider=provider, retryable=True)
    tokens = _tokens(reply)
    try:
        choice = reply["choices"][0]
        message, finish = choice["message"], choice["finish_reason"]
        text, refusal = message.get("content"), message.get("refusal")
    except (KeyError, IndexError, TypeError, AttributeError):
        detail = reply.get("error") if isinstance(reply, dict) else None
        shown = f"status 200 without a completion: {json.dumps(detail or reply)[:120]}"
        return "", tokens, TransportError(shown, provider=provider, retryable=True)
    if refusal or finish == "content_filter":
        why = str(refusal)[:120] if refusal else "content filter"
        return "", tokens, Refused(f"refused: {why}", provider=provider)
    if not isinstance(text, str):
        problem = "a completion without text"
        return "", tokens, TransportError(problem, provider=provider, retryable=True)
    cut = Truncated("stopped at max_tokens", provider=provider) if finish == "length" else None
    return text, tokens, cut


def _tokens(reply: Any) -> tuple[int, int]:
    usage = reply.get("usage") if isinstance(reply, dict) else None
    if not isinstance(usage, dict):
        return 0, 0
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    read, written = (count if isinstance(count, int) else 0 for count in counts)
    return read, written


def model_error(failure: Exception, provider: str) -> ModelError:
    """Return a client's exception as a `ModelError`; other clients' carry ``status_code`` too."""
    if isinstance(failure, openai.APITimeoutError):
        return ModelTimeout("no reply in time", provider=provider, retryable=True)
    if isinstance(failure, openai.APIConnectionError):
        cause = failure.__cause__ or failure
        hint = "check that the server runs and the address is right"
        message = f"no connection ({type(cause).__name__}: {str(cause)[:100]})"
        return TransportError(message, provider=provider, retryable=True, hint=hint)
    status = getattr(failure, "status_code", None)
    wait = _retry_after(failure) if status in _TRANSIENT else None
    if status == 429:
        if getattr(failure, "code", None) == "insufficient_quota":
            hint = "check the account"
            return QuotaExhausted("the quota is used up", provider=provider, hint=hint)
        message = "too many requests"
        return RateLimited(message, provider=provider, retryable=True, retry_after_s=wait)
    return TransportError(
        one_line(str(failure))[:200],
        provider=provider,
        retryable=status in _TRANSIENT,
        hint="check the API key" if status in {401, 403} else "",
        retry_after_s=wait,
    )


def _retry_after(failure: Exception) -> float | None:
    headers: Any = getattr(getattr(failure, "response", None), "headers", None) or {}
    try:
        return max(0.0, float(headers.get("retry-after")))
    except (TypeError, ValueError):
        return None


def _open(rest: str, options: ModelOptions) -> OpenAIChatModel:
    model, _, base_url = rest.partition("@")
    return OpenAIChatModel(model, base_url or None, options=options)


register_backend(
    Backend(
        prefix="openai",
        forms={
            "openai:MODEL": "the hosted API; the key comes from OPENAI_API_KEY",
            "openai:MODEL@BASE_URL": "any OpenAI-compatible server: vLLM, Ollama, llama.cpp",
        },
        opener=_open,
        admits=True,
    )
)

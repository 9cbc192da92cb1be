"""Hosted OpenAI models and every server that speaks the same API.

A request is sent in the form that its model takes (`RequestForm`), and replies are read in all the
forms that servers give them (`read_body`). See docs/models.md for the families that are known.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import Any

import httpx2

from rag_rec.core import OnDone, Truncated, Usage, read_json, without_keys
from rag_rec.llm.base import Completion, Request, timed
from rag_rec.llm.chat_api.endpoint import Endpoint, split_spec
from rag_rec.llm.chat_api.failures import model_error, status_error
from rag_rec.llm.chat_api.http import Connections, Reply
from rag_rec.llm.chat_api.keys import headers, key_hint
from rag_rec.llm.chat_api.refusals import STATUSES, Refusal
from rag_rec.llm.chat_api.reply_body import read_body
from rag_rec.llm.chat_api.request_form import RequestForm
from rag_rec.llm.middleware.retry import Adapted, Sender
from rag_rec.llm.registry import Backend, ModelOptions, register_backend
from rag_rec.llm.tokens import token_counter

_log = logging.getLogger(__name__)

HOSTED_CONTEXT = 128_000
SERVER_CONTEXT = 8_192
_MOST_CONTEXT = 1 << 30
_UNREACHED = (httpx2.HTTPError, httpx2.InvalidURL)


class OpenAIChatModel:
    """A chat model behind the OpenAI API.

    Args:
        model: The model's name at the endpoint.
        base_url: The endpoint; the hosted API when None.
        options: Concurrency, timeout, retries, context length, parameters, tokenizer, admission.

    Raises:
        ConfigError: If the address, the key, a proxy or certificates cannot be used, or the
            tokenizer file is missing.
    """

    def __init__(
        self, model: str, base_url: str | None = None, *, options: ModelOptions | None = None
    ) -> None:
        self.name = f"openai:{model}" + (f"@{base_url}" if base_url else "")
        self._model = model
        self._options = options = options or ModelOptions()
        self._endpoint = Endpoint.of(base_url)
        self._headers = headers(self._endpoint)
        self.tokens = token_counter(options.tokenizer)
        self._form = RequestForm(
            self.name,
            model,
            self._endpoint,
            parameters=options.parameters,
            reasoning_tokens=options.reasoning_tokens,
        )
        self._connections = Connections()
        self._sender = Sender(
            self._once,
            options.retry,
            admission=options.admission,
            concurrency=options.concurrency,
            prepare=self.as_sent,
        )

    @property
    def context_tokens(self) -> int:
        """Context length, without the room that reasoning needs.

        It is as configured, as the server reports it, or a cautious default.
        """
        return self._form.prompt_room(self._size)

    @cached_property
    def _size(self) -> int:
        if self._options.context_tokens:
            return self._options.context_tokens
        if self._endpoint.hosted:
            return HOSTED_CONTEXT
        try:
            reply = self._connections.fetch(
                self._endpoint.below("/models"), self._headers, timeout_s=self._options.timeout_s
            )
            models = read_json(reply.body)["data"]
            sizes = [m.get("max_model_len") for m in models if m.get("id") == self._model]
            if sizes and type(sizes[0]) is int and 0 < sizes[0] <= _MOST_CONTEXT:
                return sizes[0]
            why = "the server does not say"
        except (*_UNREACHED, ValueError, KeyError, TypeError, AttributeError) as error:
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
        self._connections.close()

    def as_sent(self, request: Request) -> Request:
        """Return a request with room for reasoning, if the model is known to reason."""
        return self._form.with_room(request, self._size) if self._form.reasons else request

    def _once(self, request: Request) -> Completion:
        started = time.perf_counter()
        try:
            completion = self._exchange(request)
        except _UNREACHED as failure:
            completion = Completion(usage=Usage(calls=1), error=model_error(failure, self.name))
        usage = timed(completion.usage, started)
        # a server may repeat the key in its answer, too
        key = self._headers["Authorization"].removeprefix("Bearer ")
        text = without_keys(completion.text, [key])
        return replace(completion, text=text, usage=usage, changes=self._form.changes)

    def _exchange(self, request: Request) -> Completion:
        """Send a request once; adapt to a refusal."""
        body, endpoint = self._form.body(request), self._endpoint
        content = json.dumps(body).encode()
        reply = self._connections.fetch(
            endpoint.below("/chat/completions"),
            self._headers,
            content=content,
            timeout_s=self._timeout_s(request),
        )
        if 200 <= reply.status < 300:
            completion = read_body(reply.body, self.name, n_sent=len(content))
            if isinstance(completion.error, Truncated) and completion.error.hint:
                self._form.learn_reasoning()
        else:
            hint = key_hint(endpoint)
            error = status_error(
                reply.status, _parsed(reply), self.name, reply.headers, key_hint=hint
            )
            completion = Completion(usage=Usage(calls=1), error=error)
        if completion.error is None or not self._adapts(body, endpoint, reply):
            return completion
        return replace(completion, error=Adapted(str(completion.error), provider=self.name))

    def _adapts(self, body: dict[str, Any], endpoint: Endpoint, reply: Reply) -> bool:
        """Return True if a failed request will be sent in another form, or elsewhere."""
        if reply.status in {404, 405} and self._finds_v1(endpoint):
            return True
        refused = reply.status in STATUSES or (reply.status < 300 and b'"error"' in reply.body)
        return refused and self._form.learn(body, Refusal(_parsed(reply)))

    def _finds_v1(self, tried: Endpoint) -> bool:
        """Go on under ``/v1``, where the address that was tried has no path."""
        if tried.has_path:
            return False
        if not self._endpoint.has_path:
            self._endpoint = tried.with_v1()
            _log.warning("%s: nothing is there; %s is asked", self.name, self._endpoint.base)
        return True

    def _timeout_s(self, request: Request) -> float:
        left = request.deadline.left_s() if request.deadline else self._options.timeout_s
        return max(0.001, min(self._options.timeout_s, left))


def _parsed(reply: Reply) -> object:
    """Return the body of an error, as JSON where it is that."""
    try:
        return read_json(reply.body)
    except ValueError:
        return reply.body[:2_000].decode("utf-8", "replace")


def _open(rest: str, options: ModelOptions) -> OpenAIChatModel:
    return OpenAIChatModel(*split_spec(rest), options=options)


register_backend(
    Backend(
        prefix="openai",
        forms={
            "openai:MODEL": "the hosted API; the key comes from OPENAI_API_KEY",
            "openai:MODEL@BASE_URL": "any OpenAI-compatible server: vLLM, Ollama, llama.cpp; a key "
            "comes from RAG_REC_KEY_ and its host, such as RAG_REC_KEY_API_DEEPSEEK_COM",
        },
        opener=_open,
        admits=True,
    )
)

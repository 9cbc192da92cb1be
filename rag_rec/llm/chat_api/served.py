"""`ServedModel`: a model behind a server that is posted JSON, for any API on the wire."""

from __future__ import annotations

import json
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import httpx2

from rag_rec.core import ModelError, OnDone, Usage, read_json, without_keys
from rag_rec.llm.base import Completion, Request, timed
from rag_rec.llm.chat_api.endpoint import Endpoint
from rag_rec.llm.chat_api.failures import model_error, status_error
from rag_rec.llm.chat_api.http import Connections, Reply
from rag_rec.llm.chat_api.keys import headers, key_hint
from rag_rec.llm.chat_api.refusals import STATUSES
from rag_rec.llm.middleware.retry import Adapted, Sender
from rag_rec.llm.registry import ModelOptions
from rag_rec.llm.tokens import token_counter

_log = logging.getLogger(__name__)

UNREACHED = (httpx2.HTTPError, httpx2.InvalidURL)


class ServedModel(ABC):
    """Base of models behind a server: connections, keys, retries, time limits, admission.

    A subclass writes the body of a request and reads that of a reply.

    Args:
        name: The model's spec.
        endpoint: The server.
        call: The path that requests are posted to, below the endpoint.
        options: Concurrency, timeout, retries, tokenizer, admission.

    Raises:
        ConfigError: If the key, a proxy or certificates cannot be used, or the tokenizer file is
            missing.
    """

    def __init__(self, name: str, endpoint: Endpoint, call: str, *, options: ModelOptions) -> None:
        self.name = name
        self.tokens = token_counter(options.tokenizer)
        self._options, self._endpoint, self._call = options, endpoint, call
        self._headers = headers(endpoint)
        self._connections = Connections()
        self._sender = Sender(
            self._once,
            options.retry,
            admission=options.admission,
            concurrency=options.concurrency,
            prepare=self.as_sent,
            refuse=self._refusal,
        )

    def generate(
        self, requests: Iterable[Request], on_done: OnDone | None = None
    ) -> list[Completion]:
        """See `ChatModel.generate`."""
        return self._sender.send(requests, on_done)

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def as_sent(self, request: Request) -> Request:
        """Return a request with the ``max_tokens`` that are sent."""
        return request

    # --- of the subclass -----------------------------------------------------------------------

    @property
    @abstractmethod
    def _changes(self) -> tuple[str, ...]:
        """Return in which other forms than usual requests are sent, one line each."""

    @abstractmethod
    def _refusal(self, request: Request) -> ModelError | None:
        """Return the error of a request that is not to be sent, or None."""

    @abstractmethod
    def _body(self, request: Request) -> dict[str, Any]:
        """Return the body of a request, as the server takes it by now."""

    @abstractmethod
    def _read(self, body: bytes, request: Request, n_sent: int) -> Completion:
        """Return the completion that the body of a reply with success holds."""

    @abstractmethod
    def _learn(self, request: Request, sent: Mapping[str, Any], reply: Reply) -> ModelError | None:
        """Return the error that a refusal comes to: `Adapted`, if the form was changed.

        Args:
            request: The request.
            sent: The body that it was sent with.
            reply: The reply that may be a refusal of a parameter.
        """

    # --- one exchange --------------------------------------------------------------------------

    def _once(self, request: Request) -> Completion:
        started = time.perf_counter()
        try:
            completion = self._exchange(request)
        except UNREACHED as failure:
            completion = Completion(usage=Usage(calls=1), error=model_error(failure, self.name))
        usage = timed(completion.usage, started)
        # a server may repeat the key in its answer, too
        key = self._headers["Authorization"].removeprefix("Bearer ")
        text = without_keys(completion.text, [key])
        return replace(completion, text=text, usage=usage, changes=self._changes)

    def _exchange(self, request: Request) -> Completion:
        """Send a request once; adapt to a refusal."""
        body, endpoint = self._body(request), self._endpoint
        content = json.dumps(body).encode()
        reply = self._connections.fetch(
            endpoint.below(self._call),
            self._headers,
            content=content,
            timeout_s=self._timeout_s(request),
        )
        if 200 <= reply.status < 300:
            completion = self._read(reply.body, request, len(content))
        else:
            hint, detail = key_hint(endpoint), parsed(reply)
            error = status_error(reply.status, detail, self.name, reply.headers, key_hint=hint)
            completion = Completion(usage=Usage(calls=1), error=error)
        if completion.error is None:
            return completion
        error = self._taught(request, body, endpoint, reply)
        return completion if error is None else replace(completion, error=error)

    def _taught(
        self, request: Request, sent: Mapping[str, Any], endpoint: Endpoint, reply: Reply
    ) -> ModelError | None:
        """Return the error in place of a failed reply's, if the server taught something by it."""
        if reply.status in {404, 405} and self._finds_v1(endpoint):
            return Adapted("nothing is there", provider=self.name)
        if reply.status in STATUSES or (reply.status < 300 and b'"error"' in reply.body):
            return self._learn(request, sent, reply)
        return None

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


def parsed(reply: Reply) -> object:
    """Return the body of an error, as JSON where it is that."""
    try:
        return read_json(reply.body)
    except ValueError:
        return reply.body[:2_000].decode("utf-8", "replace")

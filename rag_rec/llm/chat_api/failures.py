"""Failures of requests, of any client, as errors of this library."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from rag_rec.core import (
    ModelError,
    ModelTimeout,
    QuotaExhausted,
    RateLimited,
    TransportError,
    one_line,
    redacted,
)

_PASSING = frozenset({408, 409, 425, 429})
_LASTING = frozenset({501, 505})
_OURS = (httpx2.LocalProtocolError, httpx2.UnsupportedProtocol, httpx2.TooManyRedirects)
_MESSAGES = ("error", "message", "detail")
_KEY_REFUSED = frozenset({401, 403})
_HINTS = {
    402: "check the account",
    404: "check the address and the model's name",
}
_UNREACHED = "check that the server runs and the address is right"
_CERTIFICATE = (
    "its certificate is not trusted; name a file with its authority's certificate in SSL_CERT_FILE"
)


def model_error(failure: Exception, provider: str) -> ModelError:
    """Return a client's exception as a `ModelError`.

    Args:
        failure: An exception of httpx, or of another client; those of a status carry it as
            ``status_code``, and the response as ``response``.
        provider: The model's spec.
    """
    status = getattr(failure, "status_code", None)
    if isinstance(status, int):
        body = getattr(failure, "body", None) or str(failure)
        reply_headers = getattr(getattr(failure, "response", None), "headers", None) or {}
        return status_error(status, body, provider, reply_headers)
    links = list(_chain(failure))
    if any(_is_timeout(link) for link in links):
        return ModelTimeout("no reply in time", provider=provider, retryable=True)
    cause = links[-1]
    shown = redacted(one_line(str(cause)))[:100]
    if any(isinstance(link, ssl.SSLError) or "SSL" in str(link) for link in links):
        trust = "CERTIFICATE" in shown.upper()
        hint = _CERTIFICATE if trust else "check whether the server speaks https or http"
        return TransportError(f"no secure connection ({shown})", provider=provider, hint=hint)
    if any(isinstance(link, httpx2.RequestError | OSError) for link in links):
        lasting = any(isinstance(link, _OURS) for link in links)
        hint = "check the address" if lasting else _UNREACHED
        message = f"no connection ({type(cause).__name__}: {shown})"
        return TransportError(message, provider=provider, retryable=not lasting, hint=hint)
    return TransportError(redacted(one_line(str(failure)))[:200], provider=provider)


def status_error(
    status: int,
    body: Any,
    provider: str,
    reply_headers: Any = None,
    *,
    key_hint: str = "check the API key",
) -> ModelError:
    """Return the error of a status other than success.

    Args:
        status: The HTTP status.
        body: The parsed body, or its text.
        provider: The model's spec.
        reply_headers: Headers of the reply; ``retry-after`` is read.
        key_hint: The way out where the key is refused.
    """
    passing = status in _PASSING or (status >= 500 and status not in _LASTING)
    wait = _retry_after_s(reply_headers or {}) if passing else None
    if status == 429:
        if "insufficient_quota" in str(body):
            hint = "check the account"
            return QuotaExhausted("the quota is used up", provider=provider, hint=hint)
        message = "too many requests"
        return RateLimited(message, provider=provider, retryable=True, retry_after_s=wait)
    return TransportError(
        f"status {status}: {message_of(body)}",
        provider=provider,
        retryable=passing,
        hint=key_hint if status in _KEY_REFUSED else _HINTS.get(status, ""),
        retry_after_s=wait,
    )


def message_of(body: Any) -> str:
    """Return the message of an error's body, on one short line and without keys."""
    while isinstance(body, list) and body:
        body = body[0]
    while isinstance(body, dict):
        inner = next((body[name] for name in _MESSAGES if body.get(name)), None)
        if inner is None:
            body = json.dumps(body)
            break
        body = inner
    return redacted(one_line(body if isinstance(body, str) else json.dumps(body)))[:200]


def _chain(failure: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those it came from, but for what the client only handled."""
    link: BaseException | None = failure
    while link is not None:
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _is_timeout(failure: BaseException) -> bool:
    known = isinstance(failure, httpx2.TimeoutException | TimeoutError)
    return known or type(failure).__name__.endswith(("Timeout", "TimeoutError"))


def _retry_after_s(reply_headers: Any) -> float | None:
    """Return the seconds that a reply asks to wait, given as a number or as a date."""
    asked = str(reply_headers.get("retry-after") or "")
    try:
        return max(0.0, float(asked))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
    except ValueError:
        return None

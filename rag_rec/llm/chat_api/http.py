"""The connections to a server: lent to one request each, and replies bounded in time and size.

A pool of many connections looks at all of them, under one lock, with every request that begins or
ends. With 64 in flight that took more time than sending and receiving.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple

import httpx2

from rag_rec.core import ConfigError

_MAX_BODY = 16 << 20
_PART = 1 << 20
_PACKED = {"gzip": 47, "x-gzip": 47, "deflate": 47}
"""Window bits of zlib, which then tells gzip from deflate itself."""


class Reply(NamedTuple):
    """A whole reply."""

    status: int
    headers: httpx2.Headers
    body: bytes


class Connections:
    """HTTP clients of one connection each; as many as there were requests at a time.

    Raises:
        ConfigError: If certificates or a proxy that the environment names cannot be used.
    """

    def __init__(self) -> None:
        self._closed = False
        self._idle: list[httpx2.Client] = []
        try:
            # reading the certificates takes longer than a request
            self._ssl = httpx2.create_ssl_context()
            self._idle.append(self.client())
        except OSError as error:
            raise ConfigError(
                f"the certificates cannot be read ({error}); check SSL_CERT_FILE and SSL_CERT_DIR"
            ) from error
        except ImportError as error:
            raise ConfigError(
                "the environment names a SOCKS proxy (ALL_PROXY, HTTPS_PROXY or HTTP_PROXY), which "
                "needs a package: pip install socksio; or unset it"
            ) from error
        except ValueError as error:
            raise ConfigError(
                "the proxy of the environment (ALL_PROXY, HTTPS_PROXY or HTTP_PROXY) cannot be "
                "used; write it as http://HOST:PORT"
            ) from error

    @contextmanager
    def lent(self) -> Generator[httpx2.Client]:
        """Lend a client to one user at a time; the one used last, for it is still warm."""
        try:
            client = self._idle.pop()
        except IndexError:
            client = self.client()
        try:
            yield client
        finally:
            self._idle.append(client)
            if self._closed:
                self.close()

    def fetch(
        self,
        url: httpx2.URL,
        headers: Mapping[str, str],
        *,
        content: bytes | None = None,
        timeout_s: float,
    ) -> Reply:
        """Post the content, or get without one, and return the whole reply.

        Raises:
            httpx2.RequestError: If there is no reply, or one too long in time or bytes. A client's
                own timeout starts again with every byte, so a server that drips never meets it.
        """
        ends = time.monotonic() + timeout_s
        method = "GET" if content is None else "POST"
        with (
            self.lent() as client,
            client.stream(
                method, url, headers=dict(headers), content=content, timeout=timeout_s
            ) as response,
        ):
            body = bytearray()
            for part in _unpacked(response):
                body += part
                if time.monotonic() > ends:
                    raise httpx2.ReadTimeout("the reply took longer than the timeout")
                if len(body) > _MAX_BODY:
                    raise httpx2.ReadError(f"a reply of more than {_MAX_BODY} bytes")
            return Reply(response.status_code, response.headers, bytes(body))

    def close(self) -> None:
        """Close them; one that is lent is closed when it is given back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def __del__(self) -> None:  # of a model that was not closed
        with suppress(Exception):
            self.close()

    def client(self) -> httpx2.Client:
        """Return a new client, which the caller closes."""
        return httpx2.Client(
            verify=self._ssl, follow_redirects=True, event_hooks={"response": [_stay]}
        )


def _stay(response: httpx2.Response) -> None:
    """Refuse to be sent elsewhere: prompts and keys are for the server that was named."""
    if response.has_redirect_location:
        asked = response.request.url
        if asked.join(response.headers["location"]).origin != asked.origin:
            raise httpx2.UnsupportedProtocol("the server redirects to another host or scheme")


def _unpacked(response: httpx2.Response) -> Iterator[bytes]:
    """Yield a body in parts of bounded size, also if it is packed, which was not asked for.

    Raises:
        httpx2.DecodingError: If it is packed otherwise than with gzip or deflate, or damaged.
    """
    packed = response.headers.get("content-encoding", "identity").strip().lower()
    if packed in {"", "identity"}:
        yield from response.iter_raw()
        return
    if packed not in _PACKED:
        raise httpx2.DecodingError(f"a reply packed as {packed[:20]}, which was not asked for")
    inflater = zlib.decompressobj(_PACKED[packed])
    try:
        for part in response.iter_raw():
            waiting = part
            while waiting and not inflater.eof:
                yield inflater.decompress(waiting, _PART)
                waiting = inflater.unconsumed_tail
    except zlib.error as error:
        raise httpx2.DecodingError(f"a packed reply that is damaged ({error})") from error

"""The connections under the `openai` client: lent to one request each, and replies bounded.

A pool of many connections looks at all of them, under one lock, with every request that begins or
ends. With 64 in flight that took more time than sending and receiving.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cached_property
from ssl import SSLContext
from typing import cast

import httpx2

_MAX_BODY = 16 << 20


class Connections:
    """HTTP clients of one connection each; as many as there were requests at a time."""

    def __init__(self) -> None:
        self._idle: list[HttpClient] = []
        self._closed = False

    @contextmanager
    def lent(self) -> Generator[HttpClient]:
        """Lend a client to one user at a time; the one used last, for it is still warm."""
        try:
            client = self._idle.pop()
        except IndexError:
            client = HttpClient(self._ssl)
        try:
            yield client
        finally:
            self._idle.append(client)
            if self._closed:
                self.close()

    def close(self) -> None:
        """Close them; one that is lent is closed when it is given back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    @cached_property
    def _ssl(self) -> SSLContext:
        return httpx2.create_ssl_context()  # reading the certificates takes longer than a request


class HttpClient(httpx2.Client):
    """The HTTP client under the `openai` package, with replies bounded in time and size.

    Args:
        ssl: The certificates to trust; read anew when None.
    """

    def __init__(self, ssl: SSLContext | None = None) -> None:
        hooks = {"request": [_stamp], "response": [_bound]}
        super().__init__(event_hooks=hooks, verify=ssl or True, follow_redirects=True)

    def __del__(self) -> None:  # as the openai package's own does
        if not self.is_closed:
            with contextlib.suppress(Exception):
                self.close()


def _stamp(request: httpx2.Request) -> None:
    request.extensions["begun"] = time.monotonic()


def _bound(response: httpx2.Response) -> None:
    """Bound the whole body by the time and size a reply may take.

    A client's read timeout starts again with every byte, so a server that drips never meets it.
    """
    extensions = response.request.extensions
    ends = extensions["begun"] + (extensions.get("timeout", {}).get("read") or math.inf)
    response.stream = _BoundedStream(cast("httpx2.SyncByteStream", response.stream), ends)


class _BoundedStream(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream, ends: float) -> None:
        self._stream = stream
        self._ends = ends

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for part in self._stream:
            size += len(part)
            if time.monotonic() > self._ends:
                raise httpx2.ReadTimeout("the reply took longer than the timeout")
            if size > _MAX_BODY:
                raise httpx2.ReadError(f"a reply of more than {_MAX_BODY} bytes")
            yield part

    def close(self) -> None:
        self._stream.close()

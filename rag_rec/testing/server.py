"""`ChatServer`: a real HTTP server on the loopback interface that speaks the OpenAI chat API.

It answers with the first labels the request's schema allows, after a delay, or with whatever a
script says. ``python -m rag_rec.testing.server --delay 0.1`` runs it in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

Json = dict[str, Any]

LETTERS = "ABCDEFGHIJKLMNOPQRST"
"""The labels that scores are given for where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response.

    Attributes:
        body: The bytes sent.
        status: HTTP status.
        headers: Further headers.
        delay_s: Seconds before it is sent.
        cut: Bytes of the body to send before the connection is dropped; None for all.
        hang: Never answer.
        reset: Break the connection without an answer.
        endless: After the body, go on with white space and never end.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    cut: int | None = None
    hang: bool = False
    reset: bool = False
    endless: bool = False


def completion(
    text: str | None, *, finish: str = "stop", tokens: int = 20, **message: Any
) -> bytes:
    """Return the body of a chat completion with this text, finish reason and number of tokens."""
    choice = {
        "index": 0,
        "finish_reason": finish,
        "message": {"role": "assistant", "content": text, **message},
    }
    usage = {"prompt_tokens": 100, "completion_tokens": tokens, "total_tokens": 100 + tokens}
    return json.dumps(
        {"id": "x", "object": "chat.completion", "model": "scripted", "created": 0,
         "choices": [choice], "usage": usage}
    ).encode()  # fmt: skip


def scored_completion(logprobs: Mapping[str, float]) -> bytes:
    """Return the body of a completion of one token: the first of these, with all their values."""
    top = [
        {"token": token, "logprob": value, "bytes": [*token.encode()]}
        for token, value in logprobs.items()
    ]
    body = json.loads(completion(next(iter(logprobs)), finish="length", tokens=1))
    body["choices"][0]["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
    return json.dumps(body).encode()


def first_labels(request: Json) -> str:
    """Return a valid reply: the first labels of the schema, with reasons if it has them."""
    schema = request["response_format"]["json_schema"]["schema"]["properties"]["items"]
    entry = schema["items"]["properties"]
    labels = entry["label"]["enum"][: schema["maxItems"]]
    if "reason" not in entry:
        return json.dumps({"items": [{"label": label} for label in labels]})
    reason = "Number {} goes well with what you already have."
    return json.dumps({"items": [{"label": n, "reason": reason.format(n)} for n in labels]})


def answer_first_labels(request: Json) -> Response:
    """Return `first_labels` as a response; without a schema, prose up to the token limit.

    Where log-probabilities are asked for, each letter is half as likely as the one before.
    """
    if request.get("logprobs"):
        values = {letter: -0.7 * n for n, letter in enumerate(LETTERS, 1)}
        return Response(scored_completion(values))
    if "response_format" in request:
        return Response(completion(first_labels(request)))
    n = request.get("max_tokens") or request.get("max_completion_tokens", 16)
    return Response(completion("word " * n, finish="length", tokens=n))


class ChatServer:
    """Serves in a thread of its own; use it as a context manager.

    Args:
        answer: From the parsed request body to the response.
        delay_s: Added to every response.
        keep: Keep the requests; otherwise they are only counted.

    Attributes:
        url: The base URL to give to a client, once it has started.
        requests: Parsed bodies of all chat requests so far.
        times: When each arrived, in ``time.monotonic`` seconds.
        n_requests: Number of chat requests so far.
    """

    call = "/chat/completions"

    def __init__(
        self,
        answer: Callable[[Json], Response] = answer_first_labels,
        *,
        delay_s: float = 0.0,
        keep: bool = True,
    ) -> None:
        self._answer = answer
        self._delay_s = delay_s
        self._keep = keep
        self.url = ""
        self.requests: list[Json] = []
        self.times: list[float] = []
        self.n_requests = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512)
        )
        port = server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v1"
        self._ready.set()
        self._loop.run_forever()
        server.close()
        pending = asyncio.all_tasks(self._loop)
        for task in pending:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return False when the connection is to be closed."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *headers = head.split("\r\n")
        fields = dict(h.lower().split(": ", 1) for h in headers if ": " in h)
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        answer = self._respond(line, body)
        if answer.hang:
            await asyncio.sleep(3600)
        if answer.delay_s or self._delay_s:
            await asyncio.sleep(answer.delay_s + self._delay_s)
        if answer.reset:
            writer.transport.abort()
            return False
        writer.write(_head(answer) + answer.body[: answer.cut])
        await writer.drain()
        while answer.endless:
            writer.write(b"2\r\n \n\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)
        return answer.cut is None

    def _respond(self, line: str, body: bytes) -> Response:
        if self.call not in line:
            models = {"data": [{"id": "scripted", "max_model_len": 16_384}], "object": "list"}
            return Response(json.dumps(models).encode())
        request = json.loads(body)
        self.n_requests += 1
        if self._keep:
            self.requests.append(request)
            self.times.append(time.monotonic())
        return self._answer(request)


def _head(answer: Response) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} X",
        "content-type: application/json",
        "transfer-encoding: chunked" if answer.endless else f"content-length: {len(answer.body)}",
        *(f"{name}: {value}" for name, value in answer.headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def main() -> None:
    """Serve until standard input closes; prints the base URL, and for each line read a count."""
    parser = argparse.ArgumentParser(description="A loopback chat server for tests.")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    with ChatServer(delay_s=parser.parse_args().delay, keep=False) as server:
        print(server.url, flush=True)  # noqa: T201 - the caller reads it
        for line in sys.stdin:  # any line asks how many requests there have been
            del line
            print(server.n_requests, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()

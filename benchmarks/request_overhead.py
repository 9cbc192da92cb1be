"""``recommend_many`` against a bare loop of `openai` calls with the same prompts, in one run.

The server runs in a process of its own and answers after 100 ms; 64 requests are in flight.
Expected: retrieval, rendering and grounding are paid for by not building the client's response
models.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai

from rag_rec import Recommender, Settings, build_index, load_sample
from rag_rec.llm import Request
from rag_rec.llm.base import portable_schema
from rag_rec.testing import HashEmbedder, ScriptedModel

N_USERS, IN_FLIGHT, ROUNDS = 2_000, 64, 5


@contextmanager
def running_server(delay_s: float = 0.1) -> Iterator[str]:
    """The base URL of a chat server in a process of its own."""
    code = "from rag_rec.testing.server import main; main()"
    server = subprocess.Popen(
        [sys.executable, "-c", code, "--delay", str(delay_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin
    assert server.stdout
    yield server.stdout.readline().strip()
    server.stdin.close()
    server.wait(10)
    server.stdout.close()


def requests_of(ours: Recommender, users: list[str]) -> list[Request]:
    """The requests that our pipeline sends for these users."""
    assert ours.model
    spy = ScriptedModel("{}", context_tokens=ours.model.context_tokens)
    settings = ours.settings.model_copy(update={"reask": False})
    Recommender(ours.index, spy, settings).recommend_many(users)
    return spy.requests


def body_of(request: Request) -> dict[str, Any]:
    """The same request as a user would write it."""
    schema = {"name": "answer", "strict": True, "schema": portable_schema(request.schema or {})}
    return {
        "model": "scripted",
        "messages": [{"role": m.role, "content": m.content} for m in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
        "response_format": {"type": "json_schema", "json_schema": schema},
    }


def bare_loop(url: str, bodies: list[dict[str, Any]]) -> float:
    """Seconds for the plain loop a user would write: threads, the client's defaults."""
    client = openai.OpenAI(base_url=url, api_key="none")

    def ask(body: dict[str, Any]) -> str | None:
        return client.chat.completions.create(**body).choices[0].message.content

    started = time.perf_counter()
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        texts = list(pool.map(ask, bodies))
    seconds = time.perf_counter() - started
    assert all(texts)
    client.close()
    return seconds


def our_loop(ours: Recommender, users: list[str]) -> float:
    """Seconds for the same users through the whole pipeline."""
    started = time.perf_counter()
    results = ours.recommend_many(users)
    seconds = time.perf_counter() - started
    assert all(result.outcome == "ok" for result in results)
    return seconds


def main() -> None:
    with running_server() as url, tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        build_index(load_sample(), index, embedder=HashEmbedder())
        settings = Settings.model_validate(
            {"llm": f"openai:scripted@{url}", "request": {"concurrency": IN_FLIGHT}}
        )
        with Recommender.open(index, settings=settings, embedder=HashEmbedder()) as ours:
            known = sorted(ours.index.user_ids)
            users = (known * (N_USERS // len(known) + 1))[:N_USERS]
            bodies = [body_of(request) for request in requests_of(ours, users)]
            bare_loop(url, bodies[:200])
            our_loop(ours, users[:200])
            ratios: list[float] = []
            for number in range(1, ROUNDS + 1):
                bare, whole = bare_loop(url, bodies), our_loop(ours, users)
                ratios.append(bare / whole)
                print(
                    f"round {number}: bare loop {N_USERS / bare:.0f} users/s, "
                    f"recommend_many {N_USERS / whole:.0f} users/s, ratio {bare / whole:.2f}"
                )
    print(
        f"recommend_many reaches {statistics.median(ratios):.2f} of a bare openai loop "
        f"(median of {ROUNDS}, {N_USERS} users, {IN_FLIGHT} in flight, {os.cpu_count()} cores)"
    )


if __name__ == "__main__":
    main()

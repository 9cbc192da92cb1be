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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai

from rag_rec import Recommender, Settings, build_index, load_sample
from rag_rec.llm.openai import portable
from rag_rec.testing import HashEmbedder, ScriptedModel

N_USERS, IN_FLIGHT, ROUNDS = 2_000, 64, 5


def bare_loop(url: str, bodies: list[dict]) -> float:
    """Seconds for the plain loop a user would write: threads, the client's defaults."""
    client = openai.OpenAI(base_url=url, api_key="none")
    started = time.perf_counter()
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        texts = list(
            pool.map(
                lambda body: client.chat.completions.create(**body).choices[0].message.content,
                bodies,
            )
        )
    seconds = time.perf_counter() - started
    assert all(texts)
    client.close()
    return seconds


def main() -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "rag_rec.testing.server", "--delay", "0.1"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    url = server.stdout.readline().strip()
    with tempfile.TemporaryDirectory() as folder:
        build_index(load_sample(), Path(folder) / "index", embedder=HashEmbedder())
        settings = Settings.model_validate(
            {"llm": f"openai:scripted@{url}", "request": {"concurrency": IN_FLIGHT}}
        )
        ours = Recommender.open(Path(folder) / "index", settings=settings, embedder=HashEmbedder())
        known = sorted(ours.index.user_ids)
        users = (known * (N_USERS // len(known) + 1))[:N_USERS]
        spy = ScriptedModel("{}", context_tokens=ours.model.context_tokens)
        Recommender(ours.index, spy, settings.model_copy(update={"reask": False})).recommend_many(
            users
        )
        bodies = [
            {
                "model": "scripted",
                "messages": [{"role": m.role, "content": m.content} for m in request.messages],
                "max_tokens": request.max_tokens,
                "temperature": request.temperature,
                "seed": request.seed,
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {
                        "name": "answer",
                        "strict": True,
                        "schema": portable(request.schema),
                    },
                },
            }
            for request in spy.requests
        ]
        bare_loop(url, bodies[:200])
        ours.recommend_many(users[:200])
        ratios = []
        for number in range(1, ROUNDS + 1):
            bare = bare_loop(url, bodies)
            started = time.perf_counter()
            results = ours.recommend_many(users)
            whole = time.perf_counter() - started
            assert all(result.outcome == "ok" for result in results)
            ratios.append(bare / whole)
            print(
                f"round {number}: bare loop {N_USERS / bare:.0f} users/s, "
                f"recommend_many {N_USERS / whole:.0f} users/s, ratio {bare / whole:.2f}"
            )
        ours.close()
    server.stdin.close()
    server.wait(10)
    print(
        f"recommend_many reaches {statistics.median(ratios):.2f} of a bare openai loop "
        f"(median of {ROUNDS}, {N_USERS} users, {IN_FLIGHT} in flight, {os.cpu_count()} cores)"
    )


if __name__ == "__main__":
    main()

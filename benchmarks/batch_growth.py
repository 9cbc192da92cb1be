"""Users a second and peak memory of a batch run, for more and more users.

Each size runs in a process of its own against a model that answers at once; then again, with
nothing left to do, which is what a resume reads. With ``--prompt taste`` every user, each of whom
has a history of their own, is described by the model first.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from rag_rec import build_index, load_sample
from rag_rec.batch import BatchOptions, run
from rag_rec.core import Settings, Usage
from rag_rec.llm import ByteEstimate, Completion, OnDone, Request
from rag_rec.testing import HashEmbedder


class AtOnce:
    """Answers with the first labels, and keeps nothing."""

    name = "at-once"
    context_tokens = 16_384
    tokens = ByteEstimate()

    def generate(
        self, requests: Iterable[Request], on_done: OnDone | None = None
    ) -> list[Completion]:
        del on_done
        return [Completion(self._reply(request), Usage(calls=1)) for request in requests]

    def _reply(self, request: Request) -> str:
        assert request.schema
        if "items" not in request.schema["properties"]:
            return json.dumps({"cites": [1], "text": "Somebody for quiet evenings."})
        items = request.schema["properties"]["items"]
        labels = items["items"]["properties"]["label"]["enum"][: items["maxItems"]]
        entries = [{"label": n, "reason": f"number {n} suits your quiet evenings"} for n in labels]
        return json.dumps({"items": entries})

    def close(self) -> None:
        pass


def one(index: Path, users: Path, out: Path, prompt: str) -> None:
    """A run in this process; its seconds and peak memory as JSON."""
    started = time.perf_counter()
    options = BatchOptions(embedder=HashEmbedder())
    summary = run(
        index, users, out, llm=AtOnce(), settings=Settings(prompt=prompt), options=options
    )
    assert summary.exit_code == 0
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "peak_mib": peak / 1024}))


def apart(*arguments: object) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--one", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--one", nargs=4)
    parser.add_argument("--prompt", default=Settings().prompt)
    parser.add_argument("--sizes", default="1000,10000,100000")
    options = parser.parse_args()
    if options.one:
        *paths, prompt = options.one
        one(*map(Path, paths), prompt)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = load_sample()
        build_index(data, folder / "index", embedder=HashEmbedder())
        items = sorted(data.items["item_id"])
        for size in map(int, options.sizes.split(",")):
            users = folder / f"users-{size}.jsonl"
            rng = random.Random(size)
            with users.open("w") as handle:
                for n in range(size):
                    row = {"user_id": f"u{n}", "history": rng.sample(items, 8)}
                    handle.write(json.dumps(row) + "\n")
            paths = folder / "index", users, folder / f"recs-{size}.jsonl", options.prompt
            fresh, again = apart(*paths), apart(*paths)
            print(
                f"{size:,} users: {size / fresh['seconds']:.0f} users/s, "
                f"peak {fresh['peak_mib']:.0f} MiB; again, nothing to do: "
                f"{again['seconds']:.1f} s, peak {again['peak_mib']:.0f} MiB",
                flush=True,
            )
    print(f"({os.cpu_count()} cores)")


if __name__ == "__main__":
    main()

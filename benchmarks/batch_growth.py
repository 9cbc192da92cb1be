"""Users a second and peak memory of a batch run, for more and more users.

Each size runs in a process of its own against a model that answers at once; then again, with
nothing left to do, which is what a resume reads.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from rag_rec import build_index, load_sample
from rag_rec.batch import BatchOptions, run
from rag_rec.core import Usage
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
        items = request.schema["properties"]["items"]
        labels = items["items"]["properties"]["label"]["enum"][: items["maxItems"]]
        entries = [{"label": n, "reason": f"number {n} suits your quiet evenings"} for n in labels]
        return json.dumps({"items": entries})

    def close(self) -> None:
        pass


def one(index: Path, users: Path, out: Path) -> None:
    """A run in this process; its seconds and peak memory as JSON."""
    started = time.perf_counter()
    summary = run(index, users, out, llm=AtOnce(), options=BatchOptions(embedder=HashEmbedder()))
    assert summary.exit_code == 0
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "peak_mib": peak / 1024}))


def apart(*paths: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--one", *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--one", nargs=3, type=Path)
    parser.add_argument("--sizes", default="1000,10000,100000")
    options = parser.parse_args()
    if options.one:
        one(*options.one)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = load_sample()
        build_index(data, folder / "index", embedder=HashEmbedder())
        known = sorted(data.interactions["user_id"].unique())
        for size in map(int, options.sizes.split(",")):
            users = folder / f"users-{size}.csv"
            with users.open("w") as handle:
                handle.write("user_id,custom_id\n")
                handle.writelines(f"{known[n % len(known)]},c{n}\n" for n in range(size))
            paths = folder / "index", users, folder / f"recs-{size}.jsonl"
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

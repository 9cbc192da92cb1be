"""Texts a second of the default embedder: one process beside two local nodes of Ray, in one run.

``python benchmarks/embedding_ray.py [--copies N] [--rounds N] [--threads N]`` (rag-rec[ray,local])

The texts are the bundled sample's, its reviews in N copies that differ by a word. Each round takes,
in turn, one process with one thread, one with more if `--threads` says so (slow where other work
takes the cores: threads wait for each other), and two nodes of Ray with one CPU each. The seconds
are those of embedding, with the opening of the model in each actor; those of the whole stand beside
them. Where other work takes cores, texts per CPU second say more; Ray's leave its actors out,
which are other processes. Vectors must be the same bytes every time.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import torch
from ray.cluster_utils import Cluster

from rag_rec import Dataset, SentenceTransformerEmbedder, load_sample
from rag_rec.data import ReviewStore
from rag_rec.index import Embedder, RayEmbedder, write_index

NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}


def copied(data: Dataset, copies: int) -> Dataset:
    """The sample with reviews repeated, each time behind another word."""
    reviews = pl.concat(data.reviews.frames())
    parts = [
        reviews.with_columns(
            text=pl.format("{} {}", pl.lit(f"note-{copy}"), "text"),
            review_id=pl.format("{}-{}", "review_id", pl.lit(copy)),
        )
        for copy in range(copies)
    ]
    return replace(data, reviews=ReviewStore(parts))


def embedded(data: Dataset, embedder: Embedder) -> tuple[float, float, float, str]:
    """Seconds of everything, of embedding and of this process's CPUs; a digest of the vectors."""
    times: list[float] = []
    started, cpu = time.perf_counter(), time.process_time()

    def step(what: str, *_: int) -> None:
        if what.startswith("embedding"):
            times.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        write_index(data, Path(folder), embedder, finish=lambda *_: {}, on_step=step)
        whole, cpu = time.perf_counter() - started, time.process_time() - cpu
        state = hashlib.sha256()
        for path in sorted(Path(folder).glob("versions/*/*_vectors.npy")):
            state.update(path.read_bytes())
    # one process reports a slice when it is done, so its time begins with the build
    begun = times[0] if isinstance(embedder, RayEmbedder) else started
    return whole, times[-1] - begun, cpu, state.hexdigest()


def main() -> None:
    """Run the rounds and print a line each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--copies", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    data = copied(load_sample(), options.copies)
    n = data.items.height + data.reviews.count
    cores = os.cpu_count() or 1
    embedder = SentenceTransformerEmbedder()
    embedder.embed(["it is loaded and warm now"])
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    cluster.add_node(**NODE)
    cluster.wait_for_nodes()
    os.environ["RAY_ADDRESS"] = cluster.address
    ways = {
        "one process, 1 threads": (1, embedder),
        f"one process, {options.threads} threads": (options.threads, embedder),
        "two nodes of Ray, 1 CPU each": (1, RayEmbedder(embedder, shard_texts=512)),
    }
    rates: dict[str, list[float]] = {way: [] for way in ways}
    digests: set[str] = set()
    print(f"{n} texts, {cores} cores, {embedder.recipe}")
    for number in range(1, options.rounds + 1):
        for way, (threads, one) in ways.items():
            torch.set_num_threads(threads)
            whole, seconds, cpu, digest = embedded(data, one)
            digests.add(digest)
            rates[way].append(n / seconds)
            load = os.getloadavg()[0]
            print(
                f"round {number}: {way}: {n / seconds:.0f} texts/s in {seconds:.0f} s; all of it "
                f"{whole:.0f} s, {n / cpu:.0f} texts per CPU second here; load {load:.1f}",
                flush=True,
            )
    for way, found in rates.items():
        print(f"median: {way}: {statistics.median(found):.0f} texts/s")
    print(f"vectors: {'the same bytes every time' if len(digests) == 1 else digests}")
    cluster.shutdown()
    assert len(digests) == 1


if __name__ == "__main__":
    main()

"""Two nodes of Ray on this machine, and an embedder that tells what it did and dies when told."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import uuid4

from rag_rec.index import Embedder, Vectors
from rag_rec.testing import HashEmbedder


class Telling:
    """An embedder that leaves the texts of each call in a file; the text ``deadly`` kills it once.

    Args:
        inner: Makes the vectors.
        log: Folder of the files, and of one that says that it died.
        deadly: Kills the process in which it is embedded first; ``always`` kills every process.
    """

    def __init__(self, inner: Embedder, log: Path, deadly: str = "") -> None:
        self.inner, self.log, self.deadly = inner, log, deadly
        self.name, self.digest, self.dimension = inner.name, inner.digest, inner.dimension
        log.mkdir(parents=True, exist_ok=True)

    def embed(self, texts: Sequence[str], on_done: Callable[[int], None] | None = None) -> Vectors:
        died = self.log / "died"
        if self.deadly == "always" or (self.deadly in texts and not died.exists()):
            died.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        vectors = self.inner.embed(texts, on_done)
        (self.log / f"{os.getpid()}-{uuid4().hex}.json").write_text(json.dumps(list(texts)))
        return vectors


class Other(HashEmbedder):
    """An embedder that has other weights where it is sent to."""

    def __reduce__(self) -> tuple[type[HashEmbedder], tuple[int]]:
        return HashEmbedder, (32,)


def main() -> None:
    """Start a cluster of two nodes with one CPU each, print its address, and wait for a line."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    cluster.add_node(**node)
    cluster.wait_for_nodes()
    print(cluster.address, flush=True)
    sys.stdin.readline()
    cluster.shutdown()


if __name__ == "__main__":
    main()

"""Two nodes of Ray: the vectors of one process; a killed worker and a killed build cost a shard."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is missing"),
]
HELP = Path(__file__).parents[1]
BUILD = """
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import ray_nodes
from rag_rec import SentenceTransformerEmbedder, load_sample
from rag_rec.data import ReviewStore
from rag_rec.index import RayEmbedder, write_index
from rag_rec.testing import HashEmbedder

where, model, out, log, deadly = sys.argv[1:]
data = load_sample()
reviews = pl.concat(data.reviews.frames())
if model == "minilm":  # a minute of it is enough
    reviews = reviews.head(700)
data = replace(data, reviews=ReviewStore([reviews.head(555), reviews.tail(-555)]))
embedder = SentenceTransformerEmbedder()
if model == "hash":
    embedder = ray_nodes.Telling(HashEmbedder(), Path(log), deadly)
if model == "other":
    embedder = ray_nodes.Other()
if where == "ray":
    embedder = RayEmbedder(embedder, shard_texts=600)
_, n = write_index(data, Path(out), embedder, finish=lambda *_: {})
print(n)
"""


@pytest.fixture(scope="module")
def nodes() -> Iterator[dict[str, str]]:
    """The environment of a driver that joins a cluster of two nodes."""
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HELP), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, HELP / "ray_nodes.py"]
    cluster = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
    )
    assert cluster.stdout
    address = cluster.stdout.readline().strip()
    assert address
    yield {**env, "RAY_ADDRESS": address}
    cluster.communicate("\n", timeout=60)


def driver(
    env: dict[str, str], where: str, model: str, out: Path, log: Path, deadly: str = "-"
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BUILD, where, model, out, log, deadly],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )


def built(process: subprocess.Popen[str]) -> int:
    """The number of texts that were embedded; nothing else is said on stdout."""
    out, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    return int(out)


def arrays(index: Path) -> dict[str, bytes]:
    (version,) = (index / "versions").iterdir()
    return {path.name: path.read_bytes() for path in version.glob("*.npy")}


def calls(log: Path) -> list[tuple[str, ...]]:
    return sorted(tuple(json.loads(path.read_text())) for path in log.glob("*.json"))


def test_minilm_on_two_nodes_leaves_the_bytes_of_one_process(
    nodes: dict[str, str], tmp_path: Path
) -> None:
    """The one process has all cores, the actors one each: threads do not change a bit of it."""
    free = {name: value for name, value in nodes.items() if name != "OMP_NUM_THREADS"}
    assert built(driver(free, "local", "minilm", tmp_path / "one", tmp_path)) == 1_000
    assert built(driver(nodes, "ray", "minilm", tmp_path / "ray", tmp_path)) == 1_000
    assert arrays(tmp_path / "ray") == arrays(tmp_path / "one")
    assert not (tmp_path / "ray" / ".staged").exists()


def test_a_killed_worker_costs_its_shard(nodes: dict[str, str], tmp_path: Path) -> None:
    n = built(driver(nodes, "local", "hash", tmp_path / "one", tmp_path / "log one"))
    once = calls(tmp_path / "log one")
    assert sum(map(len, once)) == n == 2_050
    log = tmp_path / "log"
    deadly = next(texts for texts in once if len(texts) == 43)[0]  # in the second batch of a shard
    assert built(driver(nodes, "ray", "hash", tmp_path / "ray", log, deadly)) == n
    assert (log / "died").exists()
    assert arrays(tmp_path / "ray") == arrays(tmp_path / "one")
    found = calls(log)
    again = sorted(set(found), key=found.index)
    assert again == once
    twice = [texts for texts in once if found.count(texts) == 2]
    assert len(found) == len(once) + len(twice)
    assert [len(texts) for texts in twice] == [512], "the batch of the shard that was done"
    processes = {path.name.partition("-")[0] for path in log.glob("*.json")}
    assert len(processes) == 3, "two workers, and the one that took the place of the dead"


def test_a_killed_build_is_taken_up(nodes: dict[str, str], tmp_path: Path) -> None:
    n = built(driver(nodes, "local", "hash", tmp_path / "one", tmp_path / "log one"))
    out, log = tmp_path / "ray", tmp_path / "log"
    process = driver(nodes, "ray", "hash", out, log)
    while not list((out / ".staged").glob("*.npy")):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    time.sleep(5)  # Ray ends the actors of a driver that is gone
    finished = list((out / ".staged").glob("*.npy"))
    first = calls(log)
    for path in log.glob("*.json"):
        path.unlink()
    embedded = built(driver(nodes, "ray", "hash", out, log))
    second = calls(log)
    assert sum(map(len, second)) == embedded < n
    assert len(finished) >= 1
    assert sorted({*first, *second}) == calls(tmp_path / "log one")
    assert arrays(out) == arrays(tmp_path / "one")
    assert sorted(path.name for path in out.iterdir()) == [".lock", "CURRENT", "versions"]


@pytest.mark.parametrize(
    ("model", "deadly", "said"),
    [("other", "-", "has other weights on a node"), ("hash", "always", "8 actors died")],
)
def test_what_goes_wrong_in_an_actor_is_the_last_line(
    nodes: dict[str, str], tmp_path: Path, model: str, deadly: str, said: str
) -> None:
    process = driver(nodes, "ray", model, tmp_path / "ray", tmp_path / "log", deadly)
    _, errors = process.communicate(timeout=400)
    assert process.returncode == 1
    assert said in errors.strip().rpartition("\n")[2]
    assert not list((tmp_path / "ray" / "versions").iterdir())

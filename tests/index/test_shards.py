"""Shards: the index of one process, byte for byte; what a killed build finished stays."""

from __future__ import annotations

import importlib.util
import json
import pickle
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rag_rec import ConfigError, Dataset, SentenceTransformerEmbedder, StorageError
from rag_rec.cli.index import app
from rag_rec.index import RayEmbedder, Shard, ShardEmbedder, embed_shard, write_index
from rag_rec.index.embedders.shards import EmbeddedAhead, Staging
from rag_rec.testing import HashEmbedder

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is missing")


class Backwards(ShardEmbedder):
    """Shards in this process, the last one first; stops after some of them."""

    def __init__(self, *, stop_after: int = 1_000_000, shard_texts: int = 600) -> None:
        super().__init__(HashEmbedder(), shard_texts=shard_texts)
        self._stop_after = stop_after

    def embed_shards(self, shards: Sequence[Shard], on_done: Callable[[Shard], None]) -> None:
        for number, shard in enumerate(reversed(shards)):
            if number == self._stop_after:
                raise KeyboardInterrupt
            embed_shard(shard.path, self.inner)
            on_done(shard)

    @property
    def n_embedded(self) -> int:
        assert isinstance(self.inner, HashEmbedder)
        return self.inner.n_embedded


def catalog(tmp_path: Path, n: int = 1_100, first: str = "thing") -> Dataset:
    items = tmp_path / "items.jsonl"
    rows = [
        {"item_id": f"i{i}", "title": f"{first if i < 600 else 'thing'} {i % 500}"}
        for i in range(n)
    ]
    rows.append({"item_id": "mute"})
    items.write_text("\n".join(map(json.dumps, rows)))
    reviews = tmp_path / "reviews.jsonl"
    words = [{"item_id": f"i{i % n}", "user_id": "u", "text": f"remark {i}"} for i in range(700)]
    reviews.write_text("\n".join(map(json.dumps, words)))
    log = tmp_path / "log.csv"
    log.write_text("user_id,item_id\nu,i0\nu,i1\n")
    return Dataset.load(items=items, reviews=reviews, interactions=log)


def arrays(index: Path) -> dict[str, bytes]:
    newest = max((index / "versions").iterdir())
    return {path.name: path.read_bytes() for path in newest.glob("*.npy")}


def build(data: Dataset, out: Path, embedder: HashEmbedder | ShardEmbedder) -> int:
    return write_index(data, out, embedder, finish=lambda *_: {})[1]


def test_shards_leave_the_index_of_one_process(tmp_path: Path) -> None:
    data = catalog(tmp_path)
    steps: list[tuple[str, int, int]] = []
    embedder = Backwards()
    _, n = write_index(
        data,
        tmp_path / "shards",
        embedder,
        finish=lambda *_: {},
        on_step=lambda *step: steps.append(step),
    )
    assert n == embedder.n_embedded == build(data, tmp_path / "one", HashEmbedder()) == 1_800
    assert len(arrays(tmp_path / "one")) == 6
    assert arrays(tmp_path / "shards") == arrays(tmp_path / "one")
    assert sorted(path.name for path in (tmp_path / "shards").iterdir()) == [
        ".lock",
        "CURRENT",
        "versions",
    ]
    for name, rows in (
        ("embedding items", 1_101),
        ("storing items", 1_101),
        ("embedding reviews", 700),
    ):
        done = [at for step, at, total in steps if step == name and total == rows]
        assert done == sorted(done)
        assert done[-1] == rows


def test_what_a_killed_build_finished_is_taken_over(tmp_path: Path) -> None:
    data, out = catalog(tmp_path), tmp_path / "index"
    with pytest.raises(KeyboardInterrupt):
        build(data, out, Backwards(stop_after=2))
    assert len(list((out / ".staged").glob("*.npy"))) == 2
    again = Backwards()
    n = build(data, out, again)
    assert n == again.n_embedded
    assert 0 < n <= 1_800 - 700, "the shards of the reviews were finished, at least"
    assert not (out / ".staged").exists()
    build(data, tmp_path / "one", HashEmbedder())
    assert arrays(out) == arrays(tmp_path / "one")


def test_a_torn_file_and_shards_of_other_texts_are_not_taken_over(tmp_path: Path) -> None:
    out = tmp_path / "index"
    with pytest.raises(KeyboardInterrupt):
        build(catalog(tmp_path, first="other"), out, Backwards(stop_after=1))
    with pytest.raises(KeyboardInterrupt):
        build(catalog(tmp_path), out, Backwards(stop_after=1))
    assert (
        len(list((out / ".staged").iterdir())) == len(list((out / ".staged").glob("*.parquet"))) + 2
    )
    for path in (out / ".staged").glob("*.npy"):
        path.write_bytes(path.read_bytes()[:-1])
    again = Backwards()
    assert build(catalog(tmp_path), out, again) == again.n_embedded == 1_800
    build(catalog(tmp_path), tmp_path / "one", HashEmbedder())
    assert arrays(out) == arrays(tmp_path / "one")


def test_only_texts_that_changed_are_staged(tmp_path: Path) -> None:
    for out, embedder in ((tmp_path / "one", HashEmbedder()), (tmp_path / "shards", Backwards())):
        build(catalog(tmp_path), out, embedder)
        assert build(catalog(tmp_path, first="novelty"), out, embedder) == 600
        assert build(catalog(tmp_path), out, embedder) == 0
    assert arrays(tmp_path / "shards") == arrays(tmp_path / "one")


def test_a_build_without_shards_removes_what_was_left(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(catalog(tmp_path), tmp_path / "index", Backwards(stop_after=1))
    build(catalog(tmp_path), tmp_path / "index", HashEmbedder())
    assert not (tmp_path / "index" / ".staged").exists()


def test_other_batches_than_those_staged_are_refused(tmp_path: Path) -> None:
    staging = Staging(tmp_path, "hash", 3)
    for batch in (["a", "b"], ["c"], ["d"]):
        staging.add("items", batch)
    shards = staging.finish()
    assert [shard.n for shard in shards] == [3, 1]
    for shard in shards:
        embed_shard(shard.path, HashEmbedder())
    ahead = EmbeddedAhead(HashEmbedder(), shards, 0)
    assert np.array_equal(ahead.embed(["a", "b"]), HashEmbedder().embed(["a", "b"]))
    with pytest.raises(StorageError, match="does not hold these texts"):
        ahead.embed(["d"])
    with pytest.raises(StorageError, match="storage that all of them share"):
        embed_shard(tmp_path / "gone.parquet", HashEmbedder())


def test_an_embedder_travels_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = SentenceTransformerEmbedder(half=False)
    embedder.__dict__["model"] = lambda: "loaded, and heavy"
    sent = pickle.dumps(embedder)
    assert len(sent) < 1_000
    assert pickle.loads(sent).name == embedder.name  # noqa: S301
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    opened = pickle.loads(pickle.dumps(SentenceTransformerEmbedder("mine")))  # noqa: S301
    assert opened.name == str(tmp_path / "mine")


def test_without_ray_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'rag-rec\[ray\]'"):
        RayEmbedder(HashEmbedder())
    missing = CliRunner().invoke(app, ["--sample", "--engine", "ray", "--out", str(tmp_path / "i")])
    assert isinstance(missing.exception, ConfigError)
    assert not (tmp_path / "i").exists()
    alone = CliRunner().invoke(app, ["--sample", "--actors", "2", "--out", str(tmp_path / "i")])
    assert alone.exit_code == 2
    assert "--engine ray" in alone.stderr


@needs_ray
@pytest.mark.filterwarnings("ignore")
def test_an_embedder_that_cannot_be_sent_is_one_line() -> None:
    embedder = HashEmbedder()
    embedder.lock = sys.stdout  # type: ignore[attr-defined]
    embedder.of = (n for n in range(3))  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="HashEmbedder cannot be sent to actors") as caught:
        RayEmbedder(embedder)
    assert "\n" not in str(caught.value)
    assert RayEmbedder(HashEmbedder()).name == "hash-64"

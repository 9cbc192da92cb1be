"""The sum of two sources that are written out: its record, ranks, parts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from rag_rec import ItemIndex, StorageError, UserHistory
from rag_rec.retrieval import Diagnostics, as_table
from rag_rec.retrieval.fusion.provenance import Provenance
from rag_rec.retrieval.fusion.retriever import FusedRetriever
from rag_rec.testing import HashEmbedder
from tests.retrieval.fusion.written_sources import (
    N,
    build,
    scores_of,
    written,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("fusion"))


@pytest.fixture(scope="module")
def retriever(folder: Path) -> Iterator[FusedRetriever]:
    with closing(ItemIndex.open(folder, HashEmbedder())) as index:
        yield FusedRetriever(index)


def test_the_manifest_records_each_source(retriever: FusedRetriever) -> None:
    record = retriever.index.manifest.retrieval
    sources = record["sources"]
    assert list(sources) == ["one", "two", "none"]
    assert [source["entries"] for source in sources.values()] == [3, 3, 0]
    factors = [1 / written("one").std(), 0.5 / written("two").std(), 0]
    assert [source["factor"] for source in sources.values()] == pytest.approx(factors)
    assert (record["decay"], record["replay"]) == (2.0, 0.3)
    assert retriever.ranker is None is retriever.ranker_of_given


@pytest.mark.parametrize("lost", ["one.npz", "popularity.npy"])
def test_an_index_that_lost_a_file_is_refused(folder: Path, tmp_path: Path, lost: str) -> None:
    shutil.copytree(folder, tmp_path / "index", symlinks=True)
    (found,) = (tmp_path / "index").rglob(lost)
    found.unlink()
    with pytest.raises(StorageError, match=f"{lost} is missing; put back a copy"):
        ItemIndex.open(tmp_path / "index", HashEmbedder())


def test_ranks_within_a_source_pass_over_blocked_items_and_share_a_tie() -> None:
    columns = np.array([0, 1, 2, 3, N + 1], np.int32)
    values = np.array([5, 3, 3, 1, 2], np.float32)
    extra = {"words": (np.array([3, 2], np.int32), np.array([0, 4], np.float32))}
    blocked, chosen = np.arange(N) == 0, np.array([3, 1, 2, 5], np.int32)
    provenance = Provenance(("x", "y"), N)
    expected = [{"x": 3}, {"x": 1, "y": 1}, {"x": 1, "words": 1}, {}]
    found = provenance.of((columns, values), extra, blocked=blocked, chosen=chosen)
    assert found == expected
    found = provenance.of((columns, values), extra, blocked=blocked, chosen=chosen[1:2])
    assert found == expected[1:2], "nothing is left of the user before"


def test_diagnostics_rank_by_each_part(retriever: FusedRetriever) -> None:
    found = Diagnostics(retriever.index)
    users = [UserHistory.of("a", "b"), UserHistory()]
    ids, rows = retriever.index.item_ids, retriever.index.row_of
    masked, whole = (
        {
            name: ["".join("-" if ix < 0 else ids[ix] for ix in row) for row in ranking.tolist()]
            for name, ranking in found.parts(users, 3, mask=mask).items()
        }
        for mask in (True, False)
    )
    assert {name: ranking[0] for name, ranking in masked.items()} == {
        "one": "c--", "two": "fd-", "popularity": "ecd",
    }  # fmt: skip
    assert whole["one"] == ["cb-", "---"]
    assert whole["popularity"] == ["aeb"] * 2
    assert found.fusion(users, 2).tolist() == [[rows[i] for i in best] for best in ("cd", "ae")]
    given = found.scores(users[:1], np.array([[rows[i] for i in "cde"]], np.int32))
    expected = scores_of({"a": np.exp(-0.5), "b": 1})
    assert given["fusion"][0] == pytest.approx([expected[item] for item in "cde"])
    assert given["one"][0] + given["two"][0] == pytest.approx(given["fusion"][0])
    assert given["popularity"][0].argsort().tolist() == [1, 0, 2]
    assert as_table([np.array([7], np.int32)], 2, 2).tolist() == [[7, -1], [-1, -1]]

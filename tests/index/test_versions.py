"""Versions: kept while a reader holds them, gone with one line, on the disk before they count."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rag_rec import Dataset, ItemIndex, StorageError, build_index
from rag_rec.retrieval import open_retriever
from rag_rec.testing import HashEmbedder

EMBEDDER = HashEmbedder()


def catalog(folder: Path, title: str) -> Dataset:
    folder.mkdir(exist_ok=True)
    for name, rows in {
        "items": [{"item_id": "a", "title": title}, {"item_id": "b", "title": "cup"}],
        "reviews": [{"item_id": "a", "user_id": "u", "text": f"a fine {title}"}],
        "log": [{"user_id": "u", "item_id": "a"}, {"user_id": "v", "item_id": "b"}],
    }.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    paths = (folder / f"{name}.jsonl" for name in ("items", "reviews", "log"))
    return Dataset.load(**dict(zip(("items", "reviews", "interactions"), paths, strict=True)))


def update(folder: Path, *titles: str) -> None:
    for title in titles:
        data = catalog(folder.with_name("data"), title)
        build_index(data, folder, embedder=EMBEDDER, replace=True)


def versions(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "versions").iterdir())


def everything(index: ItemIndex) -> list[object]:
    user = index.history("u")
    (found,) = open_retriever(index).retrieve([user], 2)
    return [
        index.items["title"].to_list(),
        index.review_texts([0]),
        index.reviews_by("u", 1),
        index.nearest(index.item_vectors[:1], 1)[0][0].tolist(),
        index.review_items.tolist(),
        index.review_users.tolist(),
        len(index.review_vectors),
        found[0].item_id,
        index.store.count("items"),
    ]


def test_a_reader_outlives_any_number_of_updates(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    update(folder, "kettle")
    reader = ItemIndex.open(folder, EMBEDDER)  # reads everything else later
    update(folder, "one", "two", "three", "four")
    assert versions(folder) == ["000001", "000003", "000004", "000005"]
    titles, texts, *_, n = everything(reader)
    assert (titles, texts, n) == (["kettle", "cup"], ["a fine kettle"], 2)
    reader.close()
    update(folder, "five")
    assert versions(folder) == ["000004", "000005", "000006"]


def test_a_reader_of_another_process_is_held_until_it_dies(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    update(folder, "kettle")
    script = (
        "import sys; from rag_rec import ItemIndex\n"
        "index = ItemIndex.open(sys.argv[1]); print(index.n_items, flush=True)\n"
        "sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script, folder], **pipes) as reader:
        assert reader.stdout
        assert reader.stdout.readline() == b"2\n"
        update(folder, "one", "two", "three")
        assert versions(folder)[0] == "000001"
        reader.kill()
    update(folder, "four")
    assert versions(folder) == ["000003", "000004", "000005"]


def test_an_index_that_is_let_go_of_is_not_held(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    update(folder, "kettle")
    ItemIndex.open(folder, EMBEDDER)
    update(folder, "one", "two", "three")
    assert versions(folder) == ["000002", "000003", "000004"]


USES: dict[str, Callable[[ItemIndex], object]] = {
    "log": lambda index: index.interactions,
    "item vectors": lambda index: index.item_vectors,
    "review vectors": lambda index: index.review_vectors,
    "owners": lambda index: index.reviews_of(0),
    "authors": lambda index: index.review_users,
    "texts": lambda index: index.review_texts([0]),
    "written by": lambda index: index.reviews_by("u", 1),
    "chroma": lambda index: index.store,
    "retriever": open_retriever,
}


@pytest.mark.parametrize("what", USES)
def test_a_version_that_was_removed_all_the_same_is_one_line(tmp_path: Path, what: str) -> None:
    """As on a file system without locks."""
    folder = tmp_path / "index"
    update(folder, "kettle")
    reader = ItemIndex.open(folder, EMBEDDER)
    shutil.rmtree(folder / "versions" / "000001")
    with pytest.raises(StorageError) as raised:
        USES[what](reader)
    assert "\n" not in str(raised.value)
    assert "open it again" in str(raised.value) or "is missing" in str(raised.value)
    assert versions(folder) == []


def test_a_version_is_on_the_disk_before_it_is_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "index"
    update(folder, "kettle")
    before = (folder / "CURRENT").read_text()
    synced: list[tuple[Path, str]] = []
    fsync = os.fsync

    def noted(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        synced.append((path, (folder / "CURRENT").read_text()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    update(folder, "cup")
    monkeypatch.undo()
    version = folder / "versions" / "000002"
    earlier = {path for path, current in synced if current == before}
    assert earlier >= {version, version.parent, folder / "CURRENT.new", *version.rglob("*")}
    path, current = synced[-1]
    assert path == folder, "the entry CURRENT itself"
    assert current.startswith("000002 ")


def test_unfinished_versions_are_removed_and_whole_ones_kept_where_current_is_lost(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "index"
    update(folder, "kettle", "pot")
    (folder / "versions" / "000003").mkdir()
    (folder / "CURRENT").write_text("garbage")
    update(folder, "cup")
    assert versions(folder) == ["000001", "000002", "000004"]
    assert ItemIndex.open(folder).items["title"].to_list() == ["cup", "cup"]

"""A reader writes nothing into an index, so it may be on a read-only volume."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from index_use import use

from rag_rec import ItemIndex, StorageError
from rag_rec.testing import HashEmbedder

_CAPBSET_DROP, _CAP_DAC_OVERRIDE = 24, 1


def content(folder: Path) -> dict[str, tuple[int, str]]:
    """Time of change and hash of every file and folder."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def copy(hash_index_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(hash_index_folder, tmp_path / "copy")


def test_no_use_of_an_index_changes_a_byte_of_it(copy: Path, tmp_path: Path) -> None:
    before = content(copy)
    use(copy, tmp_path)
    assert content(copy) == before


def obey_permissions() -> None:
    """Take from the superuser the right to write where permissions forbid it."""
    if os.getuid() == 0 and ctypes.CDLL(None).prctl(_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0):
        os._exit(77)


def test_an_index_in_a_folder_that_cannot_be_written_serves_every_use(
    copy: Path, tmp_path: Path
) -> None:
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        script = Path(__file__).parents[1] / "index_use.py"
        done = subprocess.run(
            [sys.executable, script, copy, tmp_path],
            preexec_fn=obey_permissions,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        for path in (copy, *copy.rglob("*")):
            path.chmod(0o755)
    if done.returncode == 77:
        pytest.skip("the superuser's rights cannot be given up here")
    assert (done.returncode, done.stdout) == (0, "used\n"), done.stderr[-2_000:]


def test_chroma_is_opened_in_a_copy_that_is_announced_and_removed(
    copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = content(copy)
    index = ItemIndex.open(copy, HashEmbedder())
    vectors = index.item_vectors[:3]
    ours = index.nearest(vectors, 5)
    for (found, cosines), (row, exact) in zip(
        index.store.query("items", vectors, 5), ours, strict=True
    ):
        assert cosines == pytest.approx(exact, abs=1e-5)
        assert found[0] == row[0]
    assert index.store.documents("reviews", [4, 2]) == index.review_texts([4, 2])
    (message,) = caplog.messages
    place = Path(message.split(" to ")[1].split(" for ")[0])
    assert place.is_dir()
    index.close()
    assert not place.exists()
    assert content(copy) == before


def test_a_copy_that_does_not_fit_is_refused_with_its_size(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage(copy)._replace(free=1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(StorageError, match=r"no room for a copy of \d+ MB; set TMPDIR"):
        _ = ItemIndex.open(copy, HashEmbedder()).store


def test_nearest_items_are_those_of_the_largest_cosines(hash_index: ItemIndex) -> None:
    vectors = HashEmbedder().embed(["black tea", "a drum"])
    for vector, (rows, cosines) in zip(vectors, hash_index.nearest(vectors, 7), strict=True):
        every = hash_index.item_vectors @ vector
        assert np.allclose(cosines, np.sort(every)[::-1][:7])
        assert np.array_equal(every[rows], cosines)


def test_an_index_that_cannot_be_written_is_not_updated_and_says_so(
    copy: Path, tmp_path: Path
) -> None:
    copy.chmod(0o555)
    script = (
        "import sys; from rag_rec import *; from rag_rec.testing import HashEmbedder\n"
        "try: build_index(load_sample(), sys.argv[1], embedder=HashEmbedder())\n"
        "except StorageError as error: print(error)"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", script, copy / "new"],
            preexec_fn=obey_permissions,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        copy.chmod(0o755)
    if done.returncode == 77:
        pytest.skip("the superuser's rights cannot be given up here")
    assert "cannot be written (Permission denied); give another folder" in done.stdout, done.stderr

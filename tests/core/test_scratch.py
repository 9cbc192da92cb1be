"""Temporary folders never outlive a run."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rag_rec.core import ScratchFolder

HOLD = """
import sys, time
from rag_rec.core import ScratchFolder
scratch = ScratchFolder("held")
(scratch.path / "file").write_text("x")
print(scratch.path, flush=True)
sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def hold(place: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start a process that holds a scratch folder until it reads a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(place)},
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_folder_is_gone_when_it_is_closed_or_forgotten(place: Path) -> None:
    with ScratchFolder("one") as path:
        (path / "file").write_text("x")
        assert path.parent == place
        assert path.stat().st_mode & 0o077 == 0
    other = ScratchFolder("two")
    assert other.path.is_dir()
    del other
    gc.collect()
    assert list(place.iterdir()) == []


def test_a_folder_is_gone_when_its_process_ends(place: Path) -> None:
    process, path = hold(place)
    assert (path / "file").is_file()
    process.communicate("end\n", timeout=60)
    assert list(place.iterdir()) == []


def test_the_folder_of_a_killed_run_is_removed_by_the_next(place: Path) -> None:
    killed, left = hold(place)
    living, used = hold(place)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    assert (left / "file").is_file()
    with ScratchFolder("next"):
        assert not left.exists()
        assert (used / "file").is_file(), "another run still uses it"
    living.communicate("end\n", timeout=60)
    assert list(place.iterdir()) == []


def test_folders_of_others_are_left_alone(place: Path) -> None:
    for name in ("rag-rec-shop", "rag-rec-shop.lock", "other"):
        (place / name).mkdir()
    ScratchFolder("one").close()
    assert {path.name for path in place.iterdir()} == {"rag-rec-shop", "rag-rec-shop.lock", "other"}

"""Folders that are made once: whole, private, checked, by one process."""

from __future__ import annotations

import multiprocessing
import stat
import time
from pathlib import Path

import pytest

from rag_rec import ConfigError
from rag_rec.llm.local.cached_folder import cache_home, cached_folder, fault_of


def convert(folder: Path) -> None:
    with (folder.parent / "made").open("a") as handle:
        handle.write("x")
    time.sleep(0.3)
    (folder / "part").mkdir()
    (folder / "part" / "weights").write_bytes(b"weights")
    (folder / "config").write_bytes(b"{}")


def run(target: str) -> None:
    cached_folder(Path(target), convert, "making it")


def n_made(target: Path) -> int:
    return len((target.parent / "made").read_text())


def test_it_is_made_once_and_for_its_owner(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    target = tmp_path / "models" / "x"
    for _ in range(2):
        assert cached_folder(target, convert, "making it") == target
    assert n_made(target) == 1
    assert caplog.text.count("making it") == 1
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in target.iterdir()}
    assert modes["config"] == modes["manifest.json"] == 0o600
    assert stat.S_IMODE(target.stat().st_mode) == 0o700
    assert stat.S_IMODE(target.with_name("x.lock").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"other", None])
@pytest.mark.parametrize("name", ["part/weights", "manifest.json"])
def test_a_damaged_folder_is_named_and_made_again(
    tmp_path: Path, name: str, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    target = cached_folder(tmp_path / "x", convert, "making it")
    (target / name).unlink()
    if content is not None:
        (target / name).write_bytes(content)
    cached_folder(target, convert, "making it")
    assert n_made(target) == 2
    assert fault_of(target) is None
    said = [line for line in caplog.messages if "is damaged" in line]
    assert len(said) == 1
    assert Path(name).name in said[0]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "x.0badcafe.partial").mkdir()
    cached_folder(tmp_path / "x", convert, "")
    assert {path.name for path in tmp_path.iterdir()} == {"x", "x.lock", "made"}


def test_a_conversion_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_bytes(b"")
        raise ConfigError("no package")

    with pytest.raises(ConfigError, match="no package"):
        cached_folder(tmp_path / "x", fail, "")
    assert {path.name for path in tmp_path.iterdir()} == {"x.lock"}


def test_of_two_processes_one_makes_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=run, args=(str(tmp_path / "x"),)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(30)
    assert [process.exitcode for process in both] == [0, 0]
    assert n_made(tmp_path / "x") == 1


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="XDG_CACHE_HOME"):
        cached_folder(tmp_path / "file" / "x", convert, "")


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_home() == tmp_path / "rag_rec" / "models"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_home() == Path.home() / ".cache" / "rag_rec" / "models"

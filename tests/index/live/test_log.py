"""The log of changes: on the disk, in order, once each, for any number of processes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rag_rec.core import Interaction, Item, StorageError
from rag_rec.index.live.changes import Change, EventRecorded, ItemPut, ItemRemoved
from rag_rec.index.live.log import LIVE_FILE, LiveLog

TEA = Item(item_id="tea", title="Tea «Зелёный» 🍵", price=3.5, categories=("Kitchen", "Tea"))


def event(user: str = "u", key: str | None = None) -> EventRecorded:
    return EventRecorded(
        user_id=user, event=Interaction(item_id="tea", timestamp=7, rating=4.0), key=key
    )


def test_changes_come_back_as_they_were_in_order(tmp_path: Path) -> None:
    log = LiveLog(tmp_path)
    changes: list[Change] = [
        event(key="k"),
        ItemPut(item=TEA, vector=b"\x00\x01\x02\x03"),
        ItemRemoved(item_id="cup"),
        ItemPut(item=TEA),
    ]
    assert log.append(changes) == 4
    log.close()
    read = LiveLog(tmp_path).since(0)
    assert [change for _, change in read] == changes
    assert [seq for seq, _ in read] == sorted({seq for seq, _ in read})
    assert [change for _, change in log.since(read[1][0])] == changes[2:]


def test_an_index_without_changes_has_no_file(tmp_path: Path) -> None:
    log = LiveLog(tmp_path)
    assert log.since(0) == []
    assert log.last() == 0
    log.forget(9)
    assert list(tmp_path.iterdir()) == []


def test_a_key_counts_once(tmp_path: Path) -> None:
    log = LiveLog(tmp_path)
    assert log.append([event(key="a"), event(key="b")]) == 2
    assert log.append([event("other", key="a"), event(key="c")]) == 1
    assert log.append([event(), event()]) == 2  # without a key, every event is one of its own
    assert len(log.since(0)) == 5


def test_numbers_are_never_given_twice(tmp_path: Path) -> None:
    log = LiveLog(tmp_path)
    log.append([event(), event()])
    last = log.last()
    log.forget(last)
    assert log.since(0) == []
    log.close()
    log = LiveLog(tmp_path)
    log.append([event()])
    assert log.last() > last


def test_changes_are_written_all_or_none(tmp_path: Path) -> None:
    log = LiveLog(tmp_path)
    log.append([event()])
    with sqlite3.connect(tmp_path / LIVE_FILE) as beside:
        beside.execute(
            "CREATE TRIGGER no_cups BEFORE INSERT ON changes WHEN new.body LIKE '%cup%' "
            "BEGIN SELECT RAISE(ABORT, 'no cups'); END"
        )
    with pytest.raises(StorageError, match=r"no cups.*move the file aside"):
        log.append([event("second"), ItemRemoved(item_id="cup")])
    assert len(log.since(0)) == 1
    assert log.append([event("third")]) == 1


def test_processes_write_and_read_the_same_log(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from rag_rec.core import Interaction\n"
        "from rag_rec.index.live.changes import EventRecorded\n"
        "from rag_rec.index.live.log import LiveLog\n"
        "log = LiveLog(Path(sys.argv[1]))\n"
        "for n in range(50):\n"
        "    log.append([EventRecorded(user_id=sys.argv[2], event=Interaction(item_id=str(n)))])\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in ("a", "b")
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    found = [change for _, change in LiveLog(tmp_path).since(0)]
    for name in ("a", "b"):
        own = [c.event.item_id for c in found if isinstance(c, EventRecorded) and c.user_id == name]
        assert own == [str(n) for n in range(50)]


def test_it_is_synchronous_and_in_wal_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def noted(path: str, **options: Any) -> sqlite3.Connection:
        opened.append(connect(path, **options))
        return opened[-1]

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", noted)
        LiveLog(tmp_path).append([event()])
    assert opened[0].execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert opened[0].execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_file_of_another_layout_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / LIVE_FILE) as other:
        other.execute("PRAGMA user_version = 9")
    with pytest.raises(StorageError, match="layout 9, this version reads 1"):
        LiveLog(tmp_path).append([event()])


def test_a_file_that_is_no_log_is_one_line(tmp_path: Path) -> None:
    (tmp_path / LIVE_FILE).write_bytes(b"not a database, but long enough to look like one" * 99)
    with pytest.raises(StorageError, match="file is not a database") as caught:
        LiveLog(tmp_path).since(0)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    LiveLog(tmp_path).append([event()])
    tmp_path.chmod(0o555)
    try:
        assert len(LiveLog(tmp_path).since(0)) == 1
    finally:
        tmp_path.chmod(0o755)

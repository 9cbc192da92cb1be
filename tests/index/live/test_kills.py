"""Writers and updates that are killed at any moment: nothing acknowledged is lost or doubled."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from rag_rec import Interaction, Item, ItemIndex, LiveIndex
from rag_rec.index import LiveLog
from rag_rec.index.live.changes import EventRecorded, ItemPut
from rag_rec.testing import HashEmbedder

N_KILLS = int(os.environ.get("RAG_REC_KILLS", "100"))


def write_until_killed(folder: Path, trial: int, acknowledge: int) -> None:
    """Write events and items, one line a change that is on the disk; a retry follows each tenth."""
    log = LiveLog(folder)
    for n in range(1_000_000):
        event = EventRecorded(
            user_id=f"u{trial}", event=Interaction(item_id=str(n)), key=f"{trial}-{n}"
        )
        log.append([event])
        if n % 10 == 9:
            log.append([event])
            log.append([ItemPut(item=Item(item_id=f"{trial}-{n}"), vector=bytes(1536))])
        os.write(acknowledge, f"{n}\n".encode())


def killed(folder: Path, trial: int, after_s: float) -> int:
    """Return how many events a writer acknowledged before it was killed."""
    acknowledged, acknowledge = os.pipe()
    writer = os.fork()
    if writer == 0:
        try:
            write_until_killed(folder, trial, acknowledge)
        finally:
            os._exit(1)
    os.close(acknowledge)
    time.sleep(after_s)
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    with os.fdopen(acknowledged) as lines:
        return sum(line.endswith("\n") for line in lines)


def check_kills(folder: Path, n_kills: int) -> None:
    rng = random.Random(0)
    reader, seen = LiveLog(folder), 0
    for trial in range(n_kills):
        n_acknowledged = killed(folder, trial, rng.uniform(0.002, 0.06))
        changes = reader.since(seen)
        seen = changes[-1][0] if changes else seen
        events = [change for _, change in changes if isinstance(change, EventRecorded)]
        written = Counter(change.key for change in events)
        assert max(written.values(), default=1) == 1, "an event counts twice"
        wanted = {f"{trial}-{n}" for n in range(n_acknowledged)}
        assert wanted <= set(written), "an acknowledged event is lost"
        assert len(written) <= n_acknowledged + 1
    fresh = [seq for seq, _ in LiveLog(folder).since(0)]
    assert fresh == sorted(set(fresh))
    assert [seq for seq, _ in reader.since(0)] == fresh


def test_a_few_kills(tmp_path: Path) -> None:
    check_kills(tmp_path, 10)


@pytest.mark.long
def test_many_kills(tmp_path: Path) -> None:
    check_kills(tmp_path, N_KILLS)


UPDATE = """
import sys
from rag_rec import update_index
from rag_rec.testing import HashEmbedder
update_index(sys.argv[1], embedder=HashEmbedder())
"""


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_updates_killed_at_any_moment(hash_index_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(hash_index_folder, tmp_path / "index"))
    rng = random.Random(1)
    recorded: list[str] = []
    for trial in range(20):
        index = LiveIndex.open(folder, HashEmbedder())
        for n in range(5):
            index.record(f"u{trial}", index.item_ids[n], timestamp=n, key=f"{trial}-{n}")
            recorded.append(f"u{trial}")
        index.close()
        update = subprocess.Popen([sys.executable, "-c", UPDATE, str(folder)])
        try:
            update.wait(rng.uniform(0.5, 15))
        except subprocess.TimeoutExpired:
            update.kill()
            update.wait()
        now = LiveIndex.open(folder, HashEmbedder())
        assert Counter(recorded) == {user: len(now.history(user).events) for user in set(recorded)}
        now.close()
    subprocess.run([sys.executable, "-c", UPDATE, str(folder)], check=True)
    built = ItemIndex.open(folder, HashEmbedder())
    assert Counter(recorded) == {user: len(built.history(user).events) for user in set(recorded)}
    assert LiveLog(folder).since(built.manifest.live_seq) == []

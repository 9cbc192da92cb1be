"""Kill -9 at any moment, inside a write too, and the job ends complete, each id once."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from batch_tools import failures_of, ids_of, lines_of, settings_for, write_users

from rag_rec.batch import BatchOptions, Status, run
from rag_rec.batch.store.journal import Journal
from rag_rec.core.settings import Settings
from rag_rec.testing import ChatServer, HashEmbedder

CONCURRENCY = 16
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["rag_rec.batch", "rag_rec.testing", "chromadb", "scipy.sparse"])


class Telling:
    """Progress that tells another process how many records are acknowledged.

    One that is to be killed waits for it at the end.
    """

    def __init__(self, pipe: Connection, *, doomed: bool) -> None:
        self._pipe = pipe
        self._doomed = doomed

    def update(self, status: Status, *, last: bool = False) -> None:
        self._pipe.send(status.done + status.failed)
        while last and self._doomed:
            signal.pause()

    def note(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass


def die_inside_write(number: int, share: float) -> None:
    """The process kills itself in the middle of its ``number``-th write."""
    plain = Journal._write
    count = 0

    def write(self: Journal, part: memoryview) -> int:
        nonlocal count
        count += 1
        if count == number:
            plain(self, part[: int(share * len(part))])
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(self, part)

    Journal._write = write  # type: ignore[method-assign]


def work(
    paths: tuple[Path, Path, Path],
    settings: Settings,
    pipe: Connection,
    inside: tuple[int, float] | None,
    doomed: bool,
) -> None:
    """A run, in a process of its own."""
    if inside is not None:
        die_inside_write(*inside)
    index, users, out = paths
    options = BatchOptions(progress=Telling(pipe, doomed=doomed), embedder=HashEmbedder())
    run(index, users, out, settings=settings, options=options)


@dataclass
class Outcome:
    """What was seen of a job that was killed and resumed."""

    kills: int = 0
    torn: int = 0
    acknowledged: list[int] = field(default_factory=list)
    requests: int = 0


@dataclass
class Job:
    """A job that is run in processes which can be killed."""

    paths: tuple[Path, Path, Path]
    settings: Settings
    outcome: Outcome = field(default_factory=Outcome)

    def killed(self, at: int, inside: float | None = None) -> None:
        """A run that dies: inside its ``at``-th write, or once ``at`` records more are there."""
        mine, theirs = PROCESSES.Pipe(duplex=False)
        hook = None if inside is None else (at, inside)
        doomed = (self.paths, self.settings, theirs, hook, True)
        process = PROCESSES.Process(target=work, args=doomed)
        process.start()
        theirs.close()
        acknowledged = self._until(process, mine, None if inside is not None else at)
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        out = self.paths[2]
        failures = out.with_name(f"{out.stem}.failures.jsonl")
        written = [path.read_bytes() for path in (out, failures) if path.exists()]
        self.outcome.kills += 1
        self.outcome.acknowledged.append(acknowledged)
        self.outcome.torn += any(part and not part.endswith(b"\n") for part in written)
        assert sum(part.count(b"\n") for part in written) >= acknowledged

    def finished(self) -> None:
        """A run that is left alone."""
        mine, theirs = PROCESSES.Pipe(duplex=False)
        left_alone = (self.paths, self.settings, theirs, None, False)
        process = PROCESSES.Process(target=work, args=left_alone)
        process.start()
        theirs.close()
        self._until(process, mine, None)
        process.join(120)
        assert process.exitcode == 0

    @staticmethod
    def _until(
        process: multiprocessing.process.BaseProcess, pipe: Connection, at: int | None
    ) -> int:
        """The last number that was acknowledged; kills the process a moment after ``at``."""
        first, last = None, 0
        while True:
            try:
                last = pipe.recv()
            except EOFError:
                return last
            first = last if first is None else first
            if at is not None and last - first >= at and process.pid is not None:
                threading.Timer(random.random() * 0.03, os.kill, (process.pid, 9)).start()
                at = None


def job_of(server: ChatServer, index: Path, folder: Path, n: int) -> Job:
    folder.mkdir()
    rows = [{"user_id": f"u{i}", "history": [f"tea-{1 + i % 30:03d}"]} for i in range(n)]
    rows += [{"user_id": "nobody"}, {"user_id": "u0", "history": []}]
    users = write_users(folder / "users.jsonl", rows)
    settings = settings_for(server, concurrency=CONCURRENCY, timeout_s=30)
    return Job((index, users, folder / "recs.jsonl"), settings)


def check(job: Job, n: int, requests: int, in_flight: int) -> None:
    out = job.paths[2]
    ids = ids_of(out)
    assert len(ids) == len(set(ids)) == n + 1
    assert set(ids) == {f"u{i}" for i in range(n)} | {"nobody"}
    assert sorted(f["kind"] for f in failures_of(out)) == ["duplicate_id", "unknown_user"]
    assert len(lines_of(out)) == n
    assert n <= requests <= n + job.outcome.kills * in_flight


def trials(n_trials: int, n_users: int, index: Path, folder: Path, seed: int) -> None:
    """Jobs killed once each, two fifths of them inside a write, then resumed."""
    drawn = random.Random(seed)
    torn = extra = worst = 0
    begin = time.monotonic()
    with ChatServer(keep=False) as server:
        for trial in range(n_trials):
            before = server.n_requests
            job = job_of(server, index, folder / f"trial-{seed}-{trial}", n_users)
            at = drawn.randrange(1, n_users - 1)
            job.killed(at, inside=drawn.random() if trial % 5 < 2 else None)
            job.finished()
            requests = server.n_requests - before
            check(job, n_users, requests, in_flight=CONCURRENCY)
            torn += job.outcome.torn
            extra += requests - n_users
            worst = max(worst, requests - n_users)
    inside = sum(trial % 5 < 2 for trial in range(n_trials))
    print(
        f"{n_trials} trials of {n_users} users, {inside} killed inside a write ({torn} torn): "
        f"each id once; {extra / n_trials:.1f} requests more on average, {worst} at most, with "
        f"{CONCURRENCY} in flight; {time.monotonic() - begin:.0f} s"
    )
    assert torn >= 0.9 * inside


def test_killed_and_resumed(hash_index_folder: Path, tmp_path: Path) -> None:
    trials(3, 250, hash_index_folder, tmp_path, seed=1)


def test_killed_in_the_first_and_in_the_last_write(hash_index_folder: Path, tmp_path: Path) -> None:
    with ChatServer(keep=False) as server:
        job = job_of(server, hash_index_folder, tmp_path / "job", 40)
        job.killed(1, inside=0.0)
        job.killed(1, inside=0.99)
        job.killed(39, inside=0.5)
        job.finished()
        check(job, 40, server.n_requests, in_flight=CONCURRENCY + 40)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("part", range(5))
def test_a_hundred_trials(part: int, hash_index_folder: Path, tmp_path: Path) -> None:
    trials(20, 2_000, hash_index_folder, tmp_path, seed=100 + part)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_killed_ten_times(hash_index_folder: Path, tmp_path: Path) -> None:
    with ChatServer(keep=False) as server:
        job = job_of(server, hash_index_folder, tmp_path / "job", 2_000)
        drawn = random.Random(9)
        for kill in range(10):
            job.killed(drawn.randrange(20, 180), inside=drawn.random() if kill % 2 else None)
        job.finished()
        check(job, 2_000, server.n_requests, in_flight=CONCURRENCY)
        assert job.outcome.acknowledged == sorted(job.outcome.acknowledged)
        print(f"killed 10 times: {server.n_requests - 2_000} requests more, {job.outcome}")

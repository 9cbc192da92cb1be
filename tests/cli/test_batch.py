"""``rag-rec batch`` as a person, and as a program, meets it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from batch_tools import failures_of, ids_of, lines_of, write_users

from rag_rec.batch import BatchRecord, FailureRecord
from rag_rec.testing import ChatServer

DOCS = Path(__file__).parents[2] / "docs"
RAG_REC = [sys.executable, "-m", "rag_rec.cli"]


def command(index: Path, users: Path, out: Path, *more: object) -> list[str]:
    arguments = ["batch", "run", "--index", index, "--users", users, "--out", out, *more]
    return [*RAG_REC, *map(str, arguments)]


def histories(n: int) -> list[dict[str, object]]:
    return [{"user_id": f"u{i}", "history": [f"tea-{1 + i % 30:03d}"]} for i in range(n)]


@pytest.fixture
def users(tmp_path: Path) -> Path:
    return write_users(tmp_path / "users.jsonl", histories(60))


def test_records_keep_the_published_schemas(
    hash_index_folder: Path, users: Path, tmp_path: Path, server: ChatServer
) -> None:
    write_users(users, [*histories(5), {"user_id": "nobody"}, {"user_id": 1.5}])
    out = tmp_path / "recs.jsonl"
    llm = f"openai:scripted@{server.url}"
    done = subprocess.run(
        command(hash_index_folder, users, out, "--llm", llm, "--k", 3),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert done.stdout == ""
    assert "complete: 5 users in" in done.stderr
    assert "2 failed in" in done.stderr
    assert "--retry-failed tries those users again" in done.stderr
    for kind, name, records in (
        (BatchRecord, "batch-record", lines_of(out)),
        (FailureRecord, "batch-failure", failures_of(out)),
    ):
        schema = json.loads((DOCS / f"{name}.schema.json").read_text())
        assert schema == kind.model_json_schema(mode="serialization")
        assert records
        for record in records:
            jsonschema.validate(record, schema)
            assert record["schema_version"] == 1


def test_json_events_are_one_object_a_line(
    hash_index_folder: Path, users: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        command(hash_index_folder, users, tmp_path / "r.jsonl", "--json"),
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["event"] in {"note", "progress"}
    assert (events[-1]["event"], events[-1]["end"], events[-1]["exit_code"]) == (
        "end",
        "complete",
        0,
    )
    progress = [event for event in events if event["event"] == "progress"]
    assert progress[-1]["done"] == 60
    assert {"users_per_s", "tokens_per_s", "cached", "failed", "left_s"} <= set(progress[-1])
    assert [event["done"] for event in progress] == sorted(event["done"] for event in progress)


def begun(arguments: list[str], out: Path, n: int) -> subprocess.Popen[str]:
    """A run of which ``n`` records are written."""
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: n_written(out) >= n or process.poll() is not None)
    if process.poll() is not None:
        raise AssertionError(f"the run wrote nothing: {process.communicate()}")
    return process


def n_written(out: Path) -> int:
    return out.read_bytes().count(b"\n") if out.exists() else 0


def until(seen: Callable[[], bool]) -> None:
    """Wait for something to be seen."""
    end = time.monotonic() + 120
    while not seen():
        assert time.monotonic() < end, "never seen"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_finishes_what_is_in_flight(
    number: signal.Signals, hash_index_folder: Path, users: Path, tmp_path: Path
) -> None:
    out = tmp_path / "recs.jsonl"
    with ChatServer(delay_s=1) as server:  # a quarter of a minute for all of them
        arguments = command(
            hash_index_folder, users, out,
            "--llm", f"openai:scripted@{server.url}", "--concurrency", 4,
        )  # fmt: skip
        process = begun(arguments, out, 4)
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 130, errors
        assert "finishing what is in flight" in errors
        assert "interrupted; the same command goes on" in errors
        assert server.n_requests == len(ids_of(out)) < 60  # nothing that was asked is lost
        manifest = json.loads((tmp_path / "recs.manifest.json").read_text())
        assert manifest["state"] == "interrupted"
        server._delay_s = 0
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=True)
        assert "going on: " in done.stderr
        assert server.n_requests == 60
    assert sorted(ids_of(out)) == sorted(f"u{i}" for i in range(60))


def test_a_second_interrupt_stops_at_once(
    hash_index_folder: Path, users: Path, tmp_path: Path
) -> None:
    out = tmp_path / "recs.jsonl"
    with ChatServer(delay_s=0.2) as server:
        arguments = command(
            hash_index_folder, users, out,
            "--llm", f"openai:scripted@{server.url}", "--concurrency", 2,
        )  # fmt: skip
        process = begun(arguments, out, 2)
        server._delay_s = 3_600  # what is in flight now never comes
        until(lambda: server.n_requests >= n_written(out) + 2)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while "finishing what is in flight" not in (line := process.stderr.readline()):
            assert line, "the first signal is answered"
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 130
        server._delay_s = 0
        subprocess.run(arguments, capture_output=True, timeout=60, check=True)
    assert sorted(ids_of(out)) == sorted(f"u{i}" for i in range(60))


def test_a_terminal_gets_one_live_line(
    hash_index_folder: Path, users: Path, tmp_path: Path, server: ChatServer
) -> None:
    write_users(users, histories(60))
    master, slave = pty.openpty()
    arguments = command(
        hash_index_folder, users, tmp_path / "recs.jsonl",
        "--llm", f"openai:scripted@{server.url}",
    )  # fmt: skip
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "150"}
    process = subprocess.Popen(arguments, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    shown = b""
    while True:
        try:
            part = os.read(master, 65_536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        shown += part
    os.close(master)
    assert process.wait(timeout=30) == 0
    text = shown.decode()
    assert "/60 users" in text
    assert "users/s" in text
    assert "complete: 60 users in" in text
    assert text.count("\r\n") < 12  # drawn in place, not scrolled


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--max-cost", "1"], "needs prices"),
        (["--column", "nonsense"], "write it as OURS=THEIRS"),
        (["--column", "name=x"], "no such column to map: name"),
        (["--llm", "nothing"], "unknown model 'nothing'"),
    ],
)
def test_what_cannot_be_begun_is_one_line(
    more: list[str], words: str, hash_index_folder: Path, users: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        command(hash_index_folder, users, tmp_path / "recs.jsonl", *more),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert any(line.startswith("error: ") for line in done.stderr.splitlines())
    assert "Traceback" not in done.stderr
    assert words in done.stderr


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_user_file_that_is_not_there_is_one_line(
    more: tuple[str, ...], hash_index_folder: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        command(hash_index_folder, tmp_path / "users.csv", tmp_path / "o.jsonl", *more),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"error: {tmp_path}/users.csv: there is no such file"
    assert "Traceback" not in done.stderr


def test_help_teaches() -> None:
    done = subprocess.run(
        [*RAG_REC, "batch", "run", "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    text = " ".join(done.stdout.split())
    for word in ("Ctrl-C", "user_id", "--retry-failed", "--max-cost", "goes on"):
        assert word in text

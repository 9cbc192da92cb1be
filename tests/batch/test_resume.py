"""What is written stays, what is missing is done, nothing is paid twice."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from batch_tools import failures_of, ids_of, lines_of, marked, run_batch, settings_for, write_users
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_rec import ConfigError, Settings, StorageError
from rag_rec.batch.engines.base import BatchPipeline, open_recommender
from rag_rec.batch.estimate import Estimate, estimate
from rag_rec.batch.limits import RateLimiter, RunLimiter
from rag_rec.batch.store.finished import IdSet
from rag_rec.batch.store.journal import Journal, read_journal
from rag_rec.core import Usage
from rag_rec.core.settings import BatchSettings, Prices
from rag_rec.llm import Completion, Message, Request
from rag_rec.pipeline.blend import Blend
from rag_rec.testing import ChatServer, FaultyServer, HashEmbedder, by_content


@pytest.fixture
def users(tmp_path: Path) -> Path:
    return write_users(tmp_path / "users.jsonl", marked(40))


def test_a_second_run_has_nothing_to_do(
    hash_index_folder: Path, users: Path, tmp_path: Path, server: ChatServer
) -> None:
    out = tmp_path / "recs.jsonl"
    first = run_batch(hash_index_folder, users, out, settings_for(server))
    before = out.read_bytes()
    second = run_batch(hash_index_folder, users, out, settings_for(server))
    assert out.read_bytes() == before
    assert first == second
    assert server.n_requests == 40


def test_new_users_are_added(
    hash_index_folder: Path, users: Path, tmp_path: Path, server: ChatServer
) -> None:
    out = tmp_path / "recs.jsonl"
    run_batch(hash_index_folder, users, out, settings_for(server))
    write_users(users, marked(55))
    summary = run_batch(hash_index_folder, users, out, settings_for(server))
    assert sorted(ids_of(out)) == sorted(f"u{n}" for n in range(55))
    assert summary.totals.usage.calls == server.n_requests == 55


@settings(max_examples=40, deadline=None)
@given(cut=st.floats(0, 1), junk=st.binary(max_size=40))
def test_a_file_cut_at_any_byte_is_completed(
    hash_index_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    cut: float,
    junk: bytes,
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    users = write_users(folder / "users.jsonl", marked(12))
    out = folder / "recs.jsonl"
    run_batch(hash_index_folder, users, out, settings_for(None))
    whole = out.read_bytes()
    kept = whole[: int(cut * len(whole))]
    out.write_bytes(kept + junk.replace(b"\n", b""))
    run_batch(hash_index_folder, users, out, settings_for(None))
    records = lines_of(out)
    assert sorted(record["custom_id"] for record in records) == sorted(f"u{n}" for n in range(12))
    complete = kept[: kept.rfind(b"\n") + 1]
    assert out.read_bytes().startswith(complete)
    before = {
        r["custom_id"]: [slot["item_id"] for slot in r["items"]]
        for r in map(json.loads, whole.splitlines())
    }
    assert {r["custom_id"]: [slot["item_id"] for slot in r["items"]] for r in records} == before


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=20), st.binary())
def test_a_journal_keeps_whole_lines(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], torn: bytes
) -> None:
    path = tmp_path_factory.mktemp("j") / "j.jsonl"
    journal = Journal(path)
    for text in texts:
        journal.append(json.dumps({"run_id": "r", "custom_id": text, "usage": {}}).encode())
    journal.close()
    torn = torn.replace(b"\n", b"")
    with path.open("ab") as handle:
        handle.write(torn)
    again = Journal(path)
    assert again.recovered == len(torn)
    assert [record.key for record in read_journal(path)] == [f"id {text}" for text in texts]
    again.close()


def test_an_edited_blend_is_another_run_and_a_moved_one_is_not(
    hash_index_folder: Path, users: Path, tmp_path: Path, server: ChatServer
) -> None:
    here, there, out = (tmp_path / name for name in ("here.toml", "there.toml", "recs.jsonl"))
    Blend(weight=0.5).save(here)
    Blend(weight=0.5).save(there)
    run_batch(hash_index_folder, users, out, settings_for(server, blend=str(here)))
    run_batch(hash_index_folder, users, out, settings_for(server, blend=str(there)))
    Blend(weight=0.6).save(here)
    with pytest.raises(ConfigError, match=r"blend was '.*' and is '"):
        run_batch(hash_index_folder, users, out, settings_for(server, blend=str(here)))


def test_another_run_is_refused_and_named(
    hash_index_folder: Path, users: Path, tmp_path: Path, server: ChatServer
) -> None:
    out = tmp_path / "recs.jsonl"
    first = settings_for(server)
    run_batch(hash_index_folder, users, out, first)
    before = out.read_bytes()
    other = first.model_copy(update={"k": 4, "temperature": 0.5, "prompt": "plain"})
    with pytest.raises(ConfigError) as caught:
        run_batch(hash_index_folder, users, out, other)
    for part in ("k was 3 and is 4", "settings.temperature was 0.0 and is 0.5", "--mix-runs"):
        assert part in str(caught.value)
    assert out.read_bytes() == before
    write_users(users, marked(41))
    run_batch(hash_index_folder, users, out, other, mix_runs=True)
    assert len({record["run_id"] for record in lines_of(out)}) == 2
    limits = first.model_copy(update={"batch": BatchSettings(max_requests=1000)})
    run_batch(hash_index_folder, users, out, limits, mix_runs=True)


@pytest.mark.parametrize("name", ["users.jsonl", "users.manifest.json", "link.jsonl"])
def test_the_input_is_never_the_output(
    name: str, hash_index_folder: Path, users: Path, tmp_path: Path
) -> None:
    (tmp_path / "link.jsonl").hardlink_to(users)
    before = users.read_bytes()
    out = tmp_path / name
    if name == "users.manifest.json":
        users = users.rename(tmp_path / "recs.manifest.json")
        out = tmp_path / "recs.jsonl"
    with pytest.raises(ConfigError, match="is the user file"):
        run_batch(hash_index_folder, users, out, settings_for(None))
    assert users.read_bytes() == before


def test_a_file_of_something_else_is_left_alone(
    hash_index_folder: Path, users: Path, tmp_path: Path
) -> None:
    out = tmp_path / "recs.jsonl"
    out.write_text("my notes\n")
    with pytest.raises(ConfigError, match="not the output of a batch run"):
        run_batch(hash_index_folder, users, out, settings_for(None))
    assert out.read_text() == "my notes\n"


def test_an_edited_output_is_not_continued(
    hash_index_folder: Path, users: Path, tmp_path: Path
) -> None:
    out = tmp_path / "recs.jsonl"
    run_batch(hash_index_folder, users, out, settings_for(None))
    lines = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(b"".join([*lines[:3], b"oops\n", *lines[4:]]))
    with pytest.raises(StorageError, match="line 4 is not a record"):
        run_batch(hash_index_folder, users, out, settings_for(None))


def test_one_writer_at_a_time(hash_index_folder: Path, users: Path, tmp_path: Path) -> None:
    out = tmp_path / "recs.jsonl"
    with (
        FileLock(f"{out}.lock"),
        pytest.raises(StorageError, match="another run is writing it"),
    ):
        run_batch(hash_index_folder, users, out, settings_for(None))


def test_failed_users_are_tried_again_when_asked(
    hash_index_folder: Path, users: Path, tmp_path: Path
) -> None:
    out = tmp_path / "recs.jsonl"
    faults = {f"mark {n}.": ["server_error"] * 3 for n in range(5)}
    with FaultyServer(by_content(faults)) as server:
        settings = settings_for(server)
        first = run_batch(hash_index_folder, users, out, settings)
        assert (first.totals.done, first.totals.failed) == (35, 5)
        same = run_batch(hash_index_folder, users, out, settings)
        assert same.totals == first.totals
        last = run_batch(hash_index_folder, users, out, settings, retry_failed=True)
        assert (last.totals.done, last.totals.failed, last.exit_code) == (40, 0, 0)
        assert last.totals.usage.calls == server.n_requests == 35 + 15 + 5
    assert failures_of(out) == []


def test_usage_is_counted_once_when_killed_between_counting_and_forgetting(
    hash_index_folder: Path, users: Path, tmp_path: Path
) -> None:
    out = tmp_path / "recs.jsonl"
    failures = tmp_path / "recs.failures.jsonl"
    with FaultyServer(by_content({"mark 1.": ["server_error"] * 3})) as server:
        settings = settings_for(server)
        run_batch(hash_index_folder, users, out, settings)
        kept = failures.read_bytes()
        run_batch(hash_index_folder, users, out, settings, retry_failed=True)
        # as a kill would leave it: usage taken over, failures still there, the user undone
        manifest = tmp_path / "recs.manifest.json"
        document = json.loads(manifest.read_text())
        document["cleared"] = hashlib.sha256(kept).hexdigest()
        manifest.write_text(json.dumps(document))
        failures.write_bytes(kept)
        lines = out.read_bytes().splitlines(keepends=True)
        out.write_bytes(b"".join(lines[:-1]))
        summary = run_batch(hash_index_folder, users, out, settings)
        assert failures_of(out) == []
        assert summary.totals.usage.calls == 39 + 3 + 1
        assert sorted(ids_of(out)) == sorted(f"u{n}" for n in range(40))


def test_an_unchanged_user_costs_nothing_the_next_night(
    hash_index_folder: Path, users: Path, tmp_path: Path, server: ChatServer
) -> None:
    settings = settings_for(server, cache=str(tmp_path / "cache.sqlite"))
    run_batch(hash_index_folder, users, tmp_path / "monday.jsonl", settings)
    write_users(users, marked(45))
    summary = run_batch(hash_index_folder, users, tmp_path / "tuesday.jsonl", settings)
    assert server.n_requests == 45
    assert (summary.totals.usage.calls, summary.totals.usage.cached) == (5, 40)
    monday = {r["custom_id"]: r["items"] for r in lines_of(tmp_path / "monday.jsonl")}
    tuesday = {r["custom_id"]: r["items"] for r in lines_of(tmp_path / "tuesday.jsonl")}
    assert {name: tuesday[name] for name in monday} == monday


# --- limits -------------------------------------------------------------------------------


def test_max_requests_is_never_passed_and_can_be_raised(
    hash_index_folder: Path, users: Path, tmp_path: Path, server: ChatServer
) -> None:
    out = tmp_path / "recs.jsonl"
    summary = run_batch(hash_index_folder, users, out, settings_for(server, max_requests=15))
    assert server.n_requests == 15 == len(ids_of(out))
    assert (summary.end, summary.exit_code) == ("stopped", 4)
    assert "--max-requests 15 is reached" in (summary.reason or "")
    again = run_batch(hash_index_folder, users, out, settings_for(server, max_requests=15))
    assert (again.end, server.n_requests) == ("stopped", 15)
    last = run_batch(hash_index_folder, users, out, settings_for(server, max_requests=40))
    assert (last.end, server.n_requests, len(ids_of(out))) == ("complete", 40, 40)


def test_max_cost_is_never_passed(
    hash_index_folder: Path, users: Path, tmp_path: Path, server: ChatServer
) -> None:
    prices = Prices(input=1.0, output=10.0, currency="EUR")
    each = prices.cost(100, 20)  # what the server says
    out = tmp_path / "recs.jsonl"
    summary = run_batch(
        hash_index_folder, users, out, settings_for(server, max_cost=30 * each, prices=prices)
    )
    assert summary.end == "stopped"
    assert summary.cost == pytest.approx(server.n_requests * each)
    assert 15 <= server.n_requests <= 30
    assert "--max-cost" in (summary.reason or "")
    manifest = json.loads((tmp_path / "recs.manifest.json").read_text())
    assert (manifest["cost"], manifest["currency"]) == (summary.cost, "EUR")
    last = run_batch(
        hash_index_folder, users, out, settings_for(server, max_cost=1e3 * each, prices=prices)
    )
    assert last.end == "complete"
    assert last.cost == pytest.approx(40 * each)


def test_a_limit_of_cost_needs_prices() -> None:
    with pytest.raises(ConfigError, match=r"needs prices: put \[prices\]"):
        RunLimiter(Settings(batch=BatchSettings(max_cost=1)))


def test_requests_a_minute_are_kept_over_all_threads(
    hash_index_folder: Path, users: Path, tmp_path: Path, server: ChatServer
) -> None:
    settings = settings_for(server, requests_per_minute=1_200)  # one every 50 ms
    begun: list[float] = []  # not the first arrival: the first connection is slow on a busy machine
    run_batch(
        hash_index_folder,
        users,
        tmp_path / "recs.jsonl",
        settings,
        on_limiter=lambda _: begun.append(time.monotonic()),
    )
    assert server.n_requests == 40
    assert server.times[-1] - begun[0] >= 39 * 0.05 * 0.95


def test_tokens_a_minute_are_kept_and_corrected(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("rag_rec.batch.limits.monotonic", lambda: now)
    rate = RateLimiter(tokens_per_minute=60_000)  # a thousand a second
    assert rate.book(2_000) == 0
    assert rate.book(500) == pytest.approx(2.0)
    rate.correct(2_000, 1_000)
    assert rate.book(1) == pytest.approx(1.5)
    now += 10.0  # what was not used meanwhile is not saved up
    assert rate.book(3_000) == 0
    assert rate.book(1) == pytest.approx(3.0)


def test_a_cost_limit_waits_for_requests_that_others_have_booked() -> None:
    limiter = RunLimiter(
        Settings(batch=BatchSettings(max_cost=1.0), prices=Prices(input=0, output=1e6))
    )
    request = Request((Message("user", "x"),), max_tokens=1)
    assert limiter.enter(request) is None
    refusals: list[object] = []
    other = threading.Thread(target=lambda: refusals.append(limiter.enter(request)))
    other.start()
    other.join(0.2)
    assert other.is_alive()
    limiter.leave(request, Completion(usage=Usage(calls=1)))  # it was free after all
    other.join(5)
    assert refusals == [None]
    assert limiter.stop is None


def test_ids_do_not_collide_and_do_not_stay() -> None:
    ids = IdSet()
    names = [f"id {n}" for n in range(20_000)]
    assert all(ids.add(name) for name in names)
    assert not any(ids.add(name) for name in names[::7])
    assert "id 5" in ids
    assert "id x" not in ids
    ids.close()


# --- the disk -----------------------------------------------------------------------------

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.argv = ["rag-rec", *sys.argv[2:]]
from rag_rec.cli.app import main
main()
"""


def test_a_full_disk_ends_the_run_and_costs_nothing_written(
    hash_index_folder: Path, tmp_path: Path
) -> None:
    """The system refuses to let files grow past 100 kB: in the middle of a record."""
    rows = [{"user_id": f"u{n}", "history": [f"tea-{1 + n % 30:03d}"]} for n in range(120)]
    users = write_users(tmp_path / "users.jsonl", rows)
    out = tmp_path / "recs.jsonl"
    run = ["batch", "run", "--index", hash_index_folder, "--users", users, "--out", out]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "100000", *map(str, run)],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert (
        "recs.jsonl: cannot be written (File too large); records before are intact" in done.stderr
    )
    kept = out.read_bytes()
    assert kept.endswith(b"\n")
    assert 10 < len(lines_of(out)) < 120
    subprocess.run(
        [sys.executable, "-m", "rag_rec.cli", *map(str, run)],
        capture_output=True, timeout=100, check=True,
    )  # fmt: skip
    assert out.read_bytes().startswith(kept)
    assert sorted(ids_of(out)) == sorted(f"u{n}" for n in range(120))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_device_is_not_an_output(hash_index_folder: Path, users: Path, tmp_path: Path) -> None:
    out = tmp_path / "recs.jsonl"
    out.symlink_to("/dev/full")
    with pytest.raises(StorageError, match=r"recs\.jsonl: is not a regular file"):
        run_batch(hash_index_folder, users, out, settings_for(None))


@pytest.mark.parametrize("name", ["file/recs.jsonl", "/proc/recs.jsonl"])
def test_an_output_that_cannot_be_made_is_named(
    name: str, hash_index_folder: Path, users: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        run_batch(hash_index_folder, users, tmp_path / name, settings_for(None))


# --- before it costs anything -------------------------------------------------------------


def test_a_dry_run_says_what_a_run_would_take(
    hash_index_folder: Path, tmp_path: Path, server: ChatServer
) -> None:
    users = write_users(tmp_path / "users.jsonl", [*marked(400), {"user_id": 1.5}, *marked(2)])
    settings = settings_for(
        server,
        prices=Prices(input=1.0, output=10.0),
        cache=str(tmp_path / "cache.sqlite"),
    )

    def dry(out: Path) -> Estimate:
        limiter = RunLimiter(settings)
        with open_recommender(
            hash_index_folder, settings, limiter, embedder=HashEmbedder()
        ) as recommender:
            return estimate(BatchPipeline(recommender), limiter, users, columns={}, out=out)

    out = tmp_path / "recs.jsonl"
    before = dry(out)
    assert (before.users, before.bad_rows, before.finished, before.sampled) == (400, 3, 0, 300)
    assert (before.requests, before.cached) == (400, 0)
    assert server.n_requests == 0
    assert not out.exists()
    run_batch(hash_index_folder, users, out, settings)
    sent = [json.dumps(request["messages"]) for request in server.requests]
    read = sum(map(len, sent)) / 3
    assert before.prompt_tokens == pytest.approx(read, rel=0.2)
    assert before.cost_at_most == pytest.approx(
        (before.prompt_tokens + 10 * before.completion_tokens_at_most) / 1e6
    )
    after = dry(out)
    assert (after.users, after.finished, after.requests) == (0, 403, 0)
    other = dry(tmp_path / "tomorrow.jsonl")
    assert (other.users, other.requests, other.cached) == (400, 0, 400)

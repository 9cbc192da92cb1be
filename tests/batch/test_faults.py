"""What a run makes of every way a provider can fail, and how many requests that costs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from batch_tools import failures_of, ids_of, lines_of, marked, run_batch, settings_for, write_users

from rag_rec import Settings
from rag_rec.batch import RunLimiter
from rag_rec.testing import FAULTS, ChatServer, FaultyServer, at_random, by_content, by_number

# fault of every request of one user -> requests for that user, and what its failure is called
ALWAYS = {
    "server_error": (3, "transport"),
    "unavailable": (3, "transport"),
    "hang": (3, "timeout"),
    "reset": (3, "transport"),
    "html": (3, "transport"),
    "malformed": (3, "transport"),
    "truncated": (3, "transport"),
    "no_choices": (3, "transport"),
    "error_body": (3, "transport"),
    "endless": (3, "timeout"),
    "rate_limit_short": (3, "rate_limited"),
    "length": (2, "truncated"),  # asked once, and once more with the error
    "white_space": (2, "truncated"),
    "wrong_schema": (2, "unusable_reply"),
    "content_filter": (1, "refused"),
    "refusal": (1, "refused"),
}

NEVER_ANSWERED = {"hang", "endless"}


def settings_against(server: ChatServer, fault: str) -> Settings:
    """A short timeout only where there is no answer to wait for, and then one request at a time."""
    if fault in NEVER_ANSWERED:
        return settings_for(server, timeout_s=1.0, concurrency=1)
    return settings_for(server)


@pytest.mark.parametrize("fault", sorted(ALWAYS))
def test_a_fault_costs_its_user_and_so_many_requests(
    fault: str, hash_index_folder: Path, tmp_path: Path
) -> None:
    users = write_users(tmp_path / "users.jsonl", marked(6))
    n_requests, kind = ALWAYS[fault]
    with FaultyServer(by_content({"mark 2.": fault})) as server:
        out = tmp_path / "recs.jsonl"
        summary = run_batch(hash_index_folder, users, out, settings_against(server, fault))
        assert server.n_requests == 5 + n_requests
        assert server.met == {fault: n_requests}
    assert sorted(record["custom_id"] for record in lines_of(out)) == ["u0", "u1", "u3", "u4", "u5"]
    (failure,) = failures_of(out)
    assert (failure["custom_id"], failure["kind"], failure["row"]) == ("u2", kind, 3)
    assert failure["usage"]["calls"] == n_requests
    assert failure["reason"]
    assert "\n" not in failure["reason"]
    assert len(failure["fallback"]["items"]) == 3
    assert summary.totals.usage.calls == 5 + n_requests
    assert (summary.end, summary.exit_code) == ("complete", 3)


@pytest.mark.parametrize("fault", sorted(set(ALWAYS) - {"content_filter", "refusal"}))
def test_a_fault_that_passes_costs_one_request(
    fault: str, hash_index_folder: Path, tmp_path: Path
) -> None:
    users = write_users(tmp_path / "users.jsonl", marked(4))
    with FaultyServer(by_content({"mark 2.": [fault]})) as server:
        out = tmp_path / "recs.jsonl"
        summary = run_batch(hash_index_folder, users, out, settings_against(server, fault))
        assert server.n_requests == 4 + 1 == summary.totals.usage.calls
    assert summary.exit_code == 0
    assert sorted(ids_of(out)) == ["u0", "u1", "u2", "u3"]
    assert failures_of(out) == []


def test_every_fault_is_tested() -> None:
    elsewhere = {"rate_limit", "rate_limit_long", "quota"}
    assert set(ALWAYS) | elsewhere == set(FAULTS)


def test_retry_after_holds_back_the_whole_run(hash_index_folder: Path, tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.jsonl", marked(30))
    paused: list[float] = []

    def watch(limiter: RunLimiter) -> None:
        pause = limiter.rate.pause

        def noted(seconds: float) -> None:
            paused.append(time.monotonic())
            pause(seconds)

        limiter.rate.pause = noted  # type: ignore[method-assign]

    with FaultyServer(by_number({9: "rate_limit"})) as server:
        out = tmp_path / "recs.jsonl"
        settings = settings_for(server, concurrency=2)
        summary = run_batch(hash_index_folder, users, out, settings, on_limiter=watch)
        assert server.n_requests == 30 + 1
        # the other thread's request may have been on its way
        assert sum(paused[0] < arrived < paused[0] + 1 for arrived in server.times) <= 1
    assert len(paused) == 1
    assert summary.exit_code == 0


@pytest.mark.parametrize("fault", ["rate_limit_long", "quota"])
def test_a_provider_that_has_had_enough_ends_the_run_resumably(
    fault: str, hash_index_folder: Path, tmp_path: Path
) -> None:
    users = write_users(tmp_path / "users.jsonl", marked(20))
    out = tmp_path / "recs.jsonl"
    with FaultyServer(by_number({7: fault})) as server:
        settings = settings_for(server, concurrency=1)
        summary = run_batch(hash_index_folder, users, out, settings)
        assert server.n_requests == 8
        assert (summary.end, summary.exit_code) == ("stopped", 4)
        assert len(ids_of(out)) == 7
        assert failures_of(out) == []
        assert ("quota" if fault == "quota" else "wait 300 s") in (summary.reason or "")
        again = run_batch(hash_index_folder, users, out, settings)
        assert server.n_requests == 8 + 13 == again.totals.usage.calls
    assert again.exit_code == 0
    assert sorted(ids_of(out)) == sorted(f"u{i}" for i in range(20))


def test_a_server_that_is_away_for_a_while_is_waited_for(
    hash_index_folder: Path, tmp_path: Path
) -> None:
    users = write_users(tmp_path / "users.jsonl", marked(40))
    n_refused = 24  # while eight users wait, three times each
    with FaultyServer(lambda n, _: "unavailable" if n < n_refused else None) as server:
        out = tmp_path / "recs.jsonl"
        settings = settings_for(server, attempts=n_refused + 1, backoff_s=0)
        summary = run_batch(hash_index_folder, users, out, settings)
        assert server.n_requests == summary.totals.usage.calls == 40 + n_refused
    assert summary.exit_code == 0
    assert max(record["usage"]["calls"] for record in lines_of(out)) > 1
    assert len(set(ids_of(out))) == 40


def test_a_run_in_which_nobody_succeeds_ends(hash_index_folder: Path, tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.jsonl", marked(400))
    with FaultyServer(lambda *_: "server_error") as server:
        out = tmp_path / "recs.jsonl"
        settings = settings_for(server, attempts=1, give_up_after=10)
        summary = run_batch(hash_index_folder, users, out, settings)
        assert summary.end == "stopped"
        assert "users failed" in (summary.reason or "")
        assert 10 <= server.n_requests == len(failures_of(out)) <= 10 + 2 * 8
    with ChatServer() as server:
        good = settings.model_copy(update={"llm": f"openai:scripted@{server.url}"})
        summary = run_batch(hash_index_folder, users, out, good, mix_runs=True, retry_failed=True)
    assert summary.exit_code == 0
    assert sorted(ids_of(out)) == sorted(f"u{i}" for i in range(400))


def test_a_users_deadline_ends_its_attempts(hash_index_folder: Path, tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.jsonl", marked(5))
    with FaultyServer(by_content({"mark 1.": "hang"})) as server:
        out = tmp_path / "recs.jsonl"
        # one at a time, so that the others are answered at once however busy the machine
        settings = settings_for(server, timeout_s=200, user_deadline_s=1.0, concurrency=1)
        run_batch(hash_index_folder, users, out, settings)
        assert server.n_requests == 5
    (failure,) = failures_of(out)
    assert (failure["custom_id"], failure["kind"]) == ("u1", "timeout")


STOPPING = ("quota", "rate_limit_long")


def mixed(n: int, share: float, index: Path, folder: Path) -> None:
    """Runs ``n`` users against every fault at random until the job is complete."""
    shares = {name: share for name in FAULTS if name != "rate_limit"}
    users = write_users(folder / "users.jsonl", marked(n))
    out = folder / "recs.jsonl"
    runs = 0
    with FaultyServer(at_random(shares, seed=4)) as server:
        settings = settings_for(server, concurrency=32, give_up_after=0, timeout_s=2.0)
        while True:
            runs += 1
            summary = run_batch(index, users, out, settings)
            if summary.end == "complete":
                break
        assert summary.totals.usage.calls == server.n_requests
        assert runs <= 1 + sum(server.met.get(name, 0) for name in STOPPING)
        assert set(server.met) == set(shares)
        print(
            f"{n} users, {server.n_requests} requests, {sum(server.met.values())} of them faults, "
            f"{runs} runs; {summary.totals.done} served, {summary.totals.failed} failed"
        )
    assert sorted(ids_of(out)) == sorted(f"u{i}" for i in range(n))
    assert len(lines_of(out)) + len(failures_of(out)) == n


def test_every_fault_at_random(hash_index_folder: Path, tmp_path: Path) -> None:
    mixed(150, 0.03, hash_index_folder, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(590)
def test_one_percent_of_every_fault_over_ten_thousand_users(
    hash_index_folder: Path, tmp_path: Path
) -> None:
    mixed(10_000, 0.01, hash_index_folder, tmp_path)

"""Steps that call a model before the list does: kept out of previews, within limits, paid for."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_tools import (
    answer_by_schema,
    failures_of,
    lines_of,
    purpose_of,
    run_batch,
    settings_for,
    write_users,
)

from rag_rec.batch import BatchPipeline, RunLimiter, estimate, open_recommender
from rag_rec.batch.engines.threads import ThreadsEngine
from rag_rec.batch.users import BatchUser
from rag_rec.core import ModelError
from rag_rec.llm import Completion, Request
from rag_rec.profiles import taste
from rag_rec.testing import ChatServer, FaultyServer, HashEmbedder, by_content

PROFILE_CALL = "You describe a customer's taste"
WISHES = [
    {"user_id": "user-042"},
    {"user_id": "user-007", "request": "a teapot below 40"},
    {"user_id": "new", "request": "something for a drummer"},
]


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(answer_by_schema) as running:
        yield running


@pytest.fixture
def users(tmp_path: Path) -> Path:
    return write_users(
        tmp_path / "users.jsonl", [{"user_id": f"user-{n:03d}"} for n in range(1, 31)]
    )


def purposes(server: ChatServer) -> Counter[str]:
    return Counter(map(purpose_of, server.requests))


# --- previews -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["run", "export", "show"])
def test_a_preview_sends_nothing_and_says_what_it_left_out(
    name: str, real_index_folder: Path, tmp_path: Path, server: ChatServer
) -> None:
    users = write_users(tmp_path / "users.jsonl", WISHES)
    out = tmp_path / "out.jsonl"
    options = {
        "run": ["batch", "run", "--users", users, "--out", out, "--dry-run"],
        "export": ["batch", "export", "--users", users, "--out", tmp_path / "requests"],
        "show": ["show", "--prompt-for", "user-042"],
    }[name]
    model = ["--llm", f"openai:scripted@{server.url}", "--prompt", "taste"]
    done = subprocess.run(
        [sys.executable, "-m", "rag_rec.cli", *map(str, options), *model,
         "--index", str(real_index_folder), "--k", "3"],
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    assert server.n_requests == 0
    assert "left out: the model's taste profile: counted facts stand in the prompt" in done.stderr
    wishes = "left out: the model's reading of the request: rules read it" in done.stderr
    assert wishes == (name != "show")
    assert not out.exists()


def test_a_dry_run_counts_the_requests_that_come_before_a_list(
    hash_index_folder: Path, tmp_path: Path, server: ChatServer
) -> None:
    rows = [{**row, "request": "something for a drummer"} for row in WISHES[1:]]
    users = write_users(tmp_path / "users.jsonl", [WISHES[0], *rows])
    settings = settings_for(server, prompt="taste", reask=False)
    limiter = RunLimiter(settings)
    embedder = HashEmbedder()
    with open_recommender(hash_index_folder, settings, limiter, embedder=embedder) as recommender:
        before = estimate(BatchPipeline(recommender), limiter, users, columns={})
    assert server.n_requests == 0
    run_batch(hash_index_folder, users, tmp_path / "recs.jsonl", settings)
    # a wish stands in place of a taste
    assert purposes(server) == {"list": 3, "profile": 1, "request": 2}
    assert before.requests == server.n_requests


def test_a_wish_of_the_file_is_read_and_kept(
    hash_index_folder: Path, tmp_path: Path, server: ChatServer
) -> None:
    rows = [*WISHES, {"user_id": "torn", "request": "above 50 and below 20"}]
    users = write_users(tmp_path / "users.jsonl", rows)
    out = tmp_path / "recs.jsonl"
    run_batch(hash_index_folder, users, out, settings_for(None))
    records = {record["custom_id"]: record for record in lines_of(out)}
    assert records["user-042"]["understood"] is None
    assert records["user-007"]["understood"]["constraints"]["max_price"] == pytest.approx(40)
    assert records["new"]["understood"]["request"] == "something for a drummer"
    (failure,) = failures_of(out)
    assert (failure["custom_id"], failure["kind"]) == ("torn", "bad_row")
    assert "no price is at least 50 and at most 20" in failure["reason"]


# --- calls for profiles -------------------------------------------------------------------


def test_a_profile_costs_its_user_and_stands_in_the_record(
    hash_index_folder: Path, users: Path, tmp_path: Path, server: ChatServer
) -> None:
    out = tmp_path / "recs.jsonl"
    summary = run_batch(
        hash_index_folder, users, out, settings_for(server, prompt="taste", reask=False)
    )
    assert purposes(server) == {"list": 30, "profile": 30}
    assert [record["usage"]["calls"] for record in lines_of(out)] == [2] * 30
    assert {record["usage"]["prompt_tokens"] for record in lines_of(out)} == {200}
    assert summary.totals.usage.calls == server.n_requests


@pytest.mark.parametrize("engine", ["threads", "vllm"])
def test_profile_calls_keep_the_bound_of_requests_in_flight(
    engine: str, hash_index_folder: Path, users: Path, tmp_path: Path
) -> None:
    flying, peaks, lock = 0, [0], threading.Lock()

    def watch(limiter: RunLimiter) -> None:
        enter, leave = limiter.enter, limiter.leave

        def entered(request: Request) -> ModelError | None:
            nonlocal flying
            refusal = enter(request)
            with lock:
                flying += refusal is None
                peaks.append(flying)
            return refusal

        def left(request: Request, completion: Completion) -> None:
            nonlocal flying
            with lock:
                flying -= 1
            leave(request, completion)

        limiter.enter, limiter.leave = entered, left  # type: ignore[method-assign]

    with ChatServer(answer_by_schema, delay_s=0.05) as server:
        settings = settings_for(server, prompt="taste", concurrency=4)
        out = tmp_path / "recs.jsonl"
        run_batch(hash_index_folder, users, out, settings, engine=engine, on_limiter=watch)
        assert purposes(server)["profile"] == 30
    assert len(lines_of(out)) == 30
    assert 1 < max(peaks) <= 4


def test_a_profile_call_that_hangs_ends_at_the_users_deadline(
    hash_index_folder: Path, users: Path, tmp_path: Path
) -> None:
    """The list is not asked for either: nobody would wait for it."""
    hanging = ({"user_id": "slow", "history": ["tea-009"]}, *WISHES[:1])
    write_users(users, hanging)
    out = tmp_path / "recs.jsonl"
    calls: Counter[str] = Counter()

    def schedule(number: int, request: dict[str, object]) -> str | None:
        del number
        calls[purpose_of(request)] += 1
        text = json.dumps(request["messages"])
        return "hang" if PROFILE_CALL in text and calls["profile"] == 1 else None

    with FaultyServer(schedule, answer_by_schema) as server:
        settings = settings_for(
            server, prompt="taste", timeout_s=30, user_deadline_s=2.0, concurrency=1, reask=False
        )
        run_batch(hash_index_folder, users, out, settings)
        assert server.met == {"hang": 1}
        assert calls == {"profile": 2, "list": 1}
    (failure,) = failures_of(out)
    assert (failure["custom_id"], failure["kind"]) == ("slow", "timeout")
    assert [record["custom_id"] for record in lines_of(out)] == ["user-042"]


def test_a_failed_profile_call_is_not_remembered(hash_index_folder: Path) -> None:
    faults = by_content({PROFILE_CALL: ["server_error"] * 3})
    with FaultyServer(faults, answer_by_schema) as server:
        settings = settings_for(server, prompt="taste", attempts=3, reask=False)
        limiter = RunLimiter(settings)
        with open_recommender(
            hash_index_folder, settings, limiter, embedder=HashEmbedder()
        ) as recommender:
            pipeline = BatchPipeline(recommender)
            profiled: list[int] = []
            for n in range(3):
                user = BatchUser(n, f"c{n}", "user-042")
                ((ready,), _) = pipeline.begin([user])
                (record,) = pipeline.complete([ready])
                profiled.append(record.usage.calls)
    # three failed attempts, facts stood in; then the model wrote it; then it was remembered
    assert profiled == [4, 2, 1]


def test_remembered_profiles_do_not_grow_with_the_users(
    hash_index_folder: Path, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taste, "_REMEMBERED", 8)
    settings = settings_for(server, prompt="taste", reask=False)
    limiter = RunLimiter(settings)
    many = [BatchUser(n, f"c{n}", f"user-{n:03d}") for n in range(1, 41)]
    with open_recommender(
        hash_index_folder, settings, limiter, embedder=HashEmbedder()
    ) as recommender:
        engine = ThreadsEngine(BatchPipeline(recommender))
        made = [record for part in engine.run(many) for record in part]
        profiler = recommender._pipeline._profiler
        assert len(made) == 40
        assert len(profiler._remembered) == 8

"""What a run costs is booked whatever the server counts, failures are said, keys are not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from batch_tools import (
    answer_by_schema,
    failures_of,
    lines_of,
    marked,
    run_batch,
    settings_for,
    write_users,
)

from rag_rec import Settings
from rag_rec.batch import BatchPipeline, export_requests, import_answers, offline_recommender
from rag_rec.batch.openai_batch.answers import completion_of
from rag_rec.core.settings import Prices
from rag_rec.testing import (
    ChatServer,
    FaultyServer,
    HashEmbedder,
    Response,
    by_content,
)

PRICES = Prices(input=1000.0, output=1000.0)
UNUSABLE: dict[str, Any] = {
    "none": None,
    "null counts": {"prompt_tokens": None, "completion_tokens": None},
    "no counts": {"total_tokens": 120},
    "negative": {"prompt_tokens": -100_000, "completion_tokens": -5},
    "one negative": {"prompt_tokens": 100, "completion_tokens": -100_000},
    "text": {"prompt_tokens": "100", "completion_tokens": "20"},
    "fractions": {"prompt_tokens": 0.1, "completion_tokens": 0.2},
    "booleans": {"prompt_tokens": True, "completion_tokens": True},
    "nothing read": {"prompt_tokens": 0, "completion_tokens": 0},
    "nothing written": {"prompt_tokens": 100, "completion_tokens": 0},
    "absurd": {"prompt_tokens": 10**18, "completion_tokens": 20},
    "a list": [100, 20],
}


def counting(usage: Any) -> Callable[[dict[str, Any]], Response]:
    """Answers well, with these counts; without any for None."""

    def answer(request: dict[str, Any]) -> Response:
        body = json.loads(answer_by_schema(request).body)
        del body["usage"]
        return Response(json.dumps(body if usage is None else {**body, "usage": usage}).encode())

    return answer


@pytest.fixture
def users(tmp_path: Path) -> Path:
    return write_users(tmp_path / "users.jsonl", marked(20))


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_estimate_is_booked_where_counts_cannot_be_used(
    name: str, hash_index_folder: Path, users: Path, tmp_path: Path
) -> None:
    """One list costs about a unit of money here; without the booking all twenty would be made."""
    out = tmp_path / "recs.jsonl"
    with ChatServer(counting(UNUSABLE[name])) as server:
        settings = settings_for(server, prices=PRICES, max_cost=5.0, concurrency=1)
        summary = run_batch(hash_index_folder, users, out, settings)
        n_sent = server.n_requests
        assert (summary.end, summary.exit_code) == ("stopped", 4)
        assert 1 <= n_sent < 20
        assert 5.0 / 20 < (summary.cost or 0) <= 5.0
        usage = summary.totals.usage
        assert (usage.calls, usage.estimated) == (n_sent, n_sent)
        assert all(record["usage"]["estimated"] == 1 for record in lines_of(out))
        prompts = [json.dumps(r["messages"]) for r in server.requests]
        read = sum(map(len, prompts)) / 3
        assert usage.prompt_tokens == pytest.approx(read, rel=0.2)
        again = run_batch(hash_index_folder, users, out, settings)  # it was not forgotten
        assert (server.n_requests, again.cost) == (n_sent, summary.cost)


def test_counts_that_can_be_used_are_taken(
    hash_index_folder: Path, users: Path, tmp_path: Path
) -> None:
    with ChatServer(counting({"prompt_tokens": 77, "completion_tokens": 5})) as server:
        settings = settings_for(server, prices=PRICES)
        summary = run_batch(hash_index_folder, users, tmp_path / "recs.jsonl", settings)
    usage = summary.totals.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.estimated) == (20 * 77, 20 * 5, 0)


def test_failed_calls_without_a_reply_are_not_estimated(
    hash_index_folder: Path, users: Path, tmp_path: Path
) -> None:
    faults = by_content({"mark 3.": ["server_error", "rate_limit_short"]})
    with FaultyServer(faults, counting(None)) as server:
        settings = settings_for(server)
        summary = run_batch(hash_index_folder, users, tmp_path / "recs.jsonl", settings)
    assert (summary.totals.usage.calls, summary.totals.usage.estimated) == (22, 20)


def test_a_hosted_batch_without_counts_is_estimated(
    hash_index_folder: Path, users: Path, tmp_path: Path
) -> None:
    settings = Settings(llm="openai:gpt-5-mini", k=3)
    folder, out = tmp_path / "requests", tmp_path / "recs.jsonl"
    answer = counting(None)
    with offline_recommender(hash_index_folder, settings, embedder=HashEmbedder()) as opened:
        pipeline = BatchPipeline(opened)
        export_requests(pipeline, users, folder)
        replies = [
            {"custom_id": line["custom_id"], "error": None,
             "response": {"status_code": 200, "body": json.loads(answer(line["body"]).body)}}
            for line in lines_of(folder / "requests-0001.jsonl")
        ]  # fmt: skip
        assert completion_of(replies[0]).usage is None
        write_users(folder / "answers-0001.jsonl", replies)
        import_answers(pipeline, folder, [], out)
    assert all(record["usage"]["estimated"] == 1 for record in lines_of(out))
    assert all(record["usage"]["prompt_tokens"] > 100 for record in lines_of(out))


def test_the_report_says_what_was_estimated_and_why_users_failed(
    real_index_folder: Path, users: Path, tmp_path: Path
) -> None:
    write_users(users, [*marked(6), {"user_id": "nobody"}, {"user_id": 1.5}])
    faults = by_content({"mark 2.": "refusal", "mark 4.": "content_filter"})
    out = tmp_path / "recs.jsonl"
    with FaultyServer(faults, counting(None)) as server:
        done = subprocess.run(
            [sys.executable, "-m", "rag_rec.cli", "batch", "run", "--index", real_index_folder,
             "--users", users, "--out", out, "--llm", f"openai:scripted@{server.url}", "--k", "3"],
            capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
    assert done.returncode == 3
    assert "complete: 4 users in" in done.stderr
    for part in ("4 failed in", "unknown_user: 1", "bad_row: 1", "refused: 2"):
        assert part in done.stderr
    assert "4 replies came without a usable count of tokens; an estimate" in done.stderr
    manifest = json.loads((tmp_path / "recs.manifest.json").read_text())
    assert manifest["totals"]["reasons"] == {"unknown_user": 1, "bad_row": 1, "refused": 2}


@pytest.mark.parametrize("fault", ["server_error", "refusal", "wrong_schema"])
def test_a_run_in_which_everyone_fails_does_not_end_well(
    fault: str, hash_index_folder: Path, users: Path, tmp_path: Path
) -> None:
    out = tmp_path / "recs.jsonl"
    with FaultyServer(lambda *_: fault) as server:
        settings = settings_for(server, attempts=1)
        summary = run_batch(hash_index_folder, users, out, settings)
    assert (summary.end, summary.exit_code) == ("complete", 3)
    assert (summary.totals.done, summary.totals.failed) == (0, 20)
    assert sum(summary.totals.reasons.values()) == 20
    assert len({failure["kind"] for failure in failures_of(out)}) == 1


def test_unknown_users_cost_themselves(
    hash_index_folder: Path, users: Path, tmp_path: Path, server: ChatServer
) -> None:
    rows = [{"user_id": "user-001"}, *({"user_id": f"stranger-{n}"} for n in range(150))]
    write_users(users, [*rows, {"user_id": "user-002"}])
    out = tmp_path / "recs.jsonl"
    summary = run_batch(hash_index_folder, users, out, settings_for(server))
    assert (summary.end, summary.exit_code) == ("complete", 3)
    assert summary.totals.reasons == {"unknown_user": 150}
    assert server.n_requests == 2


# --- keys ---------------------------------------------------------------------------------

KEYS = {
    "plain": "sk-TESTKEY1234567890",
    "with a line end": "sk-TESTKEY1234567890\n",
    "in quotes": "sk-“TESTKEY1234567890”",
    "with a line in it": "sk-TESTKEY\n1234567890",
}


class Refusing(ChatServer):
    """Refuses every request, and sends back the key, as some servers do."""

    def __init__(self, key: str) -> None:
        super().__init__()
        message = f"Incorrect API key provided: {key}"
        self._refusal = Response(json.dumps({"error": {"message": message}}).encode(), 401)

    def _respond(self, line: str, body: bytes) -> Response:
        del line, body
        return self._refusal


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("command", ["run", "submit"])
def test_a_key_stands_in_no_file_and_no_message(
    command: str, name: str, hash_index_folder: Path, users: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "job"
    with Refusing(KEYS[name]) as server:
        arguments = {
            "run": ["run", "--index", hash_index_folder, "--users", users,
                    "--out", folder / "recs.jsonl", "--llm", f"openai:scripted@{server.url}"],
            "submit": ["submit", folder, "--base-url", server.url],
        }[command]  # fmt: skip
        if command == "submit":
            settings = Settings(llm="openai:gpt-5-mini")
            with offline_recommender(hash_index_folder, settings, embedder=HashEmbedder()) as r:
                export_requests(BatchPipeline(r), users, folder)
        done = subprocess.run(
            [sys.executable, "-m", "rag_rec.cli", "batch", *map(str, arguments)],
            capture_output=True, text=True, timeout=100, check=False,
            env={"PATH": "/usr/bin", "OPENAI_API_KEY": KEYS[name], "HF_HUB_OFFLINE": "1",
                 "RAG_REC_KEY_127_0_0_1": KEYS[name]},
        )  # fmt: skip
    assert done.returncode in {1, 3, 4}
    assert "Traceback" not in done.stderr
    written = [path.read_text() for path in folder.rglob("*") if path.is_file()]
    for text in (done.stdout, done.stderr, *written):
        assert "TESTKEY" not in text
        assert "1234567890" not in text

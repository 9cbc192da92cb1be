"""However a hosted batch ends, the next submission sends what has no answer, and that once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from batch_tools import ids_of, write_users

from rag_rec import ConfigError, Settings
from rag_rec.batch import BatchPipeline, export_requests, import_answers, offline_recommender
from rag_rec.batch.openai_batch.submission import poll, submit
from rag_rec.core import ModelError
from rag_rec.llm import BatchApi
from rag_rec.testing import FAULTS, BatchApiServer, ChatServer, HashEmbedder, Response

N, FEW = 40, 5
SETTINGS = Settings(llm="openai:gpt-5-mini", k=3)
QUOTA = "Enqueued token limit reached for gpt-5-mini"

Batch = dict[str, Any]
End = Callable[[BatchApiServer, Batch], object]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "test")


@pytest.fixture
def server() -> Iterator[BatchApiServer]:
    with BatchApiServer() as running:
        yield running


@pytest.fixture
def api(server: BatchApiServer) -> Iterator[BatchApi]:
    client = BatchApi(server.url)
    yield client
    client.close()


@pytest.fixture
def export(hash_index_folder: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Writes the same requests to a folder of a name."""
    rows = [{"user_id": f"u{i}", "history": [f"tea-{1 + i % 30:03d}"]} for i in range(N)]
    users = write_users(tmp_path / "users.jsonl", rows)

    def write(name: str) -> Path:
        folder = tmp_path / name
        with offline_recommender(hash_index_folder, SETTINGS, embedder=HashEmbedder()) as opened:
            export_requests(BatchPipeline(opened), users, folder)
        return folder

    return write


def imported(index: Path, folder: Path, out: Path) -> tuple[int, int, int]:
    with offline_recommender(index, SETTINGS, embedder=HashEmbedder()) as opened:
        summary = import_answers(BatchPipeline(opened), folder, [], out)
    return summary.done, summary.failed, summary.missing


def asked(server: BatchApiServer) -> Counter[str]:
    """How often each user was asked about, in all batches."""
    lines = (
        line
        for b in server.batches.values()
        for line in server.files[b["input_file_id"]].splitlines()
    )
    return Counter(json.loads(line)["custom_id"] for line in lines)


def failed(server: BatchApiServer, batch: Batch) -> None:
    del server
    error = {"code": "token_limit_exceeded", "line": None, "message": QUOTA, "param": None}
    batch |= {"status": "failed", "errors": {"object": "list", "data": [error]}}


def expired_with_error_lines(server: BatchApiServer, batch: Batch) -> None:
    server.finish(leave_out=FEW, status="expired")
    lines = server.files[batch["input_file_id"]].splitlines()[-FEW:]
    error = {"code": "batch_expired", "message": "not executed before the window expired"}
    answers = [
        json.dumps({"custom_id": json.loads(x)["custom_id"], "response": None, "error": error})
        for x in lines
    ]
    batch["error_file_id"] = server._store("\n".join(answers).encode() + b"\n")


def with_server_errors(server: BatchApiServer, batch: Batch) -> None:
    n, well = 0, server._answer

    def answer(request: Batch) -> Response:
        nonlocal n
        n += 1
        return FAULTS["server_error"] if n <= FEW else well(request)

    server._answer = answer
    server.finish()
    server._answer = well
    assert batch["error_file_id"]


def output_lost(server: BatchApiServer, batch: Batch) -> None:
    server.finish()
    del server.files[batch["output_file_id"]]


def no_file_named(server: BatchApiServer, batch: Batch) -> None:
    server.finish()
    batch |= {"output_file_id": None, "error_file_id": ""}


ENDS: dict[str, tuple[End, int, str]] = {
    "failed": (failed, N, QUOTA),
    "expired": (lambda s, _: s.finish(leave_out=FEW, status="expired"), FEW, "35 of 40 answered"),
    "expired, with error lines": (expired_with_error_lines, FEW, "expired"),
    "cancelled": (lambda s, _: s.finish(leave_out=FEW, status="cancelled"), FEW, "cancelled"),
    "cancelled before it began": (lambda _, b: b.update(status="cancelled"), N, "0 of 40 answered"),
    "completed, with server errors": (with_server_errors, FEW, "completed"),
    "completed, its output lost": (output_lost, N, "no longer has answers-0001.jsonl"),
    "completed, no file named": (no_file_named, N, "names no file of answers"),
}


@pytest.mark.parametrize("name", ENDS)
def test_what_has_no_answer_is_sent_again_and_once(
    name: str,
    hash_index_folder: Path,
    export: Callable[[str], Path],
    server: BatchApiServer,
    api: BatchApi,
    tmp_path: Path,
) -> None:
    end, n_missing, said = ENDS[name]
    folder, out = export("requests"), tmp_path / "recs.jsonl"
    submit(folder, api)
    end(server, server.batches["batch-0"])
    ended = poll(folder, api)
    assert (ended.under_way, ended.missing) == (0, n_missing)
    assert said in ended.batches[0].line()
    if n_missing < N:
        assert imported(hash_index_folder, folder, out) == (N - n_missing, 0, n_missing)
    again = submit(folder, api)
    assert (again.again, again.under_way) == (n_missing, 1)
    assert asked(server).total() == N + n_missing
    for _ in range(2):  # it is under way
        later = submit(folder, api)
        assert (later.again, later.missing) == (0, 0)
    assert len(server.batches) == 2
    server.finish()
    assert (poll(folder, api).missing, submit(folder, api).again) == (0, 0)
    assert imported(hash_index_folder, folder, out) == (N, 0, 0)
    assert sorted(ids_of(out)) == sorted(f"u{i}" for i in range(N))
    assert max(asked(server).values()) == 2


def test_a_submission_of_the_rest_that_was_cut_off_is_found_again(
    export: Callable[[str], Path], server: BatchApiServer, api: BatchApi
) -> None:
    folder = export("requests")
    submit(folder, api)
    failed(server, server.batches["batch-0"])
    poll(folder, api)
    before = (folder / "batches.json").read_bytes()
    submit(folder, api)
    (folder / "batches.json").write_bytes(before)  # killed before it was noted
    found = submit(folder, api)
    assert [batch.batch_id for batch in found.batches] == ["batch-0", "batch-1"]
    assert len(server.batches) == 2


def test_a_fresh_export_takes_over_what_is_under_way_and_not_what_failed(
    export: Callable[[str], Path], server: BatchApiServer, api: BatchApi
) -> None:
    submit(export("first"), api)
    failed(server, server.batches["batch-0"])
    (state,) = submit(export("second"), api).batches
    assert state.batch_id == "batch-1"
    (state,) = submit(export("third"), api).batches
    assert state.batch_id == "batch-1"
    assert len(server.batches) == 2


def test_errors_that_will_not_pass_are_answers(
    hash_index_folder: Path,
    export: Callable[[str], Path],
    server: BatchApiServer,
    api: BatchApi,
    tmp_path: Path,
) -> None:
    """A request that the API refuses would be refused again."""
    folder, out = export("requests"), tmp_path / "recs.jsonl"
    submit(folder, api)
    body = json.dumps({"error": {"message": "Unsupported value: 'temperature'"}}).encode()
    server._answer = lambda _: Response(body, 400)
    server.finish()
    assert server.batches["batch-0"]["output_file_id"] is None
    assert poll(folder, api).missing == 0
    assert submit(folder, api).again == 0
    assert imported(hash_index_folder, folder, out) == (0, N, 0)


def test_a_batch_of_another_account_is_named_and_nothing_is_sent(
    export: Callable[[str], Path], server: BatchApiServer, api: BatchApi
) -> None:
    folder = export("requests")
    submit(folder, api)
    server.batches.clear()
    with pytest.raises(ConfigError, match="does not know batch-0: give the key and --base-url"):
        submit(folder, api)
    assert server.batches == {}


def test_commands_at_the_same_time_submit_once(
    export: Callable[[str], Path], server: BatchApiServer
) -> None:
    folder = export("requests")

    def command(name: str) -> int:
        api = BatchApi(server.url)
        found = (submit if name == "submit" else poll)(folder, api)
        api.close()
        return len(found.batches)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(command, ["submit", "poll"] * 3))
    assert len(server.batches) == 1
    assert command("poll") == 1


def test_a_folder_without_an_export_is_named_and_not_made(tmp_path: Path, api: BatchApi) -> None:
    for command in (submit, poll):
        with pytest.raises(ConfigError, match="holds no exported requests"):
            command(tmp_path / "typo", api)
    assert not (tmp_path / "typo").exists()


class SamePage(BatchApiServer):
    """Gives the same page of batches whatever is asked for, and says there are more."""

    def _respond(self, line: str, body: bytes) -> Response:
        response = super()._respond(line, body)
        if not line.startswith("GET /v1/batches?"):
            return response
        return Response(json.dumps({**json.loads(response.body), "has_more": True}).encode())


def test_pages_without_an_end_are_left(export: Callable[[str], Path]) -> None:
    with SamePage() as server:
        api = BatchApi(server.url)
        server.batches["other"] = {
            "id": "other", "object": "batch", "created_at": 0, "status": "completed",
            "completion_window": "24h", "endpoint": "/v1/chat/completions", "input_file_id": "f",
        }  # fmt: skip
        assert submit(export("requests"), api).under_way == 1
        api.close()


def test_a_server_without_batches_is_named(export: Callable[[str], Path]) -> None:
    folder = export("requests")
    with ChatServer() as server:  # answers whatever it is asked with its list of models
        api = BatchApi(server.url)
        with pytest.raises(ModelError, match="not a batch; check the address"):
            submit(folder, api)
        api.close()
    assert not (folder / "batches.json").exists()

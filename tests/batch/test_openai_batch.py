"""Request files out, answers in; the hosted Batch API; records as other files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from batch_tools import failures_of, ids_of, lines_of, marked, run_batch, settings_for, write_users

from rag_rec import ConfigError, DataError, Settings
from rag_rec.batch.engines.base import BatchPipeline
from rag_rec.batch.openai_batch import export as request_files
from rag_rec.batch.openai_batch.export import export_requests, offline_recommender
from rag_rec.batch.openai_batch.importing import ImportSummary, import_answers
from rag_rec.batch.openai_batch.submission import poll, submit
from rag_rec.llm.adapters.openai_batch import BatchApi
from rag_rec.prompting import prompt_folder
from rag_rec.testing import (
    FAULTS,
    BatchApiServer,
    ChatServer,
    HashEmbedder,
    Response,
    completion,
    first_labels,
)
from rag_rec.testing.server import answer_first_labels

RAG_REC = [sys.executable, "-m", "rag_rec.cli"]
HISTORIES = [{"user_id": f"u{i}", "history": [f"tea-{1 + i % 30:03d}"]} for i in range(40)]


def exported(index: Path, users: Path, folder: Path, settings: Settings, **options: Any) -> Any:
    with offline_recommender(index, settings, embedder=HashEmbedder()) as recommender:
        return export_requests(BatchPipeline(recommender), users, folder, **options)


def imported(
    index: Path, folder: Path, out: Path, settings: Settings, *answers: Path
) -> ImportSummary:
    with offline_recommender(index, settings, embedder=HashEmbedder()) as recommender:
        return import_answers(BatchPipeline(recommender), folder, answers, out)


def answered(folder: Path, name: str = "answers-0001.jsonl", skip: int = 0) -> Path:
    """Answers as the API writes them, in another order than the requests."""
    lines = [line for path in sorted(folder.glob("requests-*")) for line in lines_of(path)]
    replies = [
        {
            "id": "batch_req_1",
            "custom_id": line["custom_id"],
            "response": {
                "status_code": 200,
                "request_id": "x",
                "body": json.loads(completion(first_labels(line["body"]))),
            },
            "error": None,
        }
        for line in lines[skip:]
    ]
    return write_users(folder / name, replies[::-1])


@pytest.mark.parametrize("n", [1, 3])
def test_scores_come_by_files_as_they_come_by_requests(
    n: int, hash_index_folder: Path, tmp_path: Path, server: ChatServer
) -> None:
    users = write_users(tmp_path / "users.jsonl", HISTORIES[:10])
    prompt = tmp_path / "scores.toml"
    prompt.write_text(
        (prompt_folder() / "scores.toml").read_text() + f"permutations = {n}\n", encoding="utf-8"
    )
    settings = settings_for(server, prompt=str(prompt))
    run_batch(hash_index_folder, users, tmp_path / "threads.jsonl", settings)
    folder = tmp_path / "requests"
    assert exported(hash_index_folder, users, folder, settings).requests == 10 * n
    lines = [line for path in sorted(folder.glob("requests-*")) for line in lines_of(path)]
    assert len({line["custom_id"] for line in lines}) == 10 * n
    answers = [
        {"custom_id": line["custom_id"],
         "response": {"status_code": 200,
                      "body": json.loads(answer_first_labels(line["body"]).body)}}
        for line in lines
    ]  # fmt: skip
    write_users(folder / "answers-0001.jsonl", answers[:-1])
    out = tmp_path / "files.jsonl"
    assert imported(hash_index_folder, folder, out, settings).missing == 1
    write_users(folder / "answers-0002.jsonl", answers[-1:])
    assert imported(hash_index_folder, folder, out, settings).missing == 0
    by_threads = {r["custom_id"]: bare(r) for r in lines_of(tmp_path / "threads.jsonl")}
    by_files = {r["custom_id"]: bare(r) for r in lines_of(out)}
    assert by_threads.keys() == by_files.keys()
    for custom_id, record in by_threads.items():
        assert record["outcome"] == "ok"
        assert record["items"] == by_files[custom_id]["items"]


def bare(record: dict[str, Any]) -> dict[str, Any]:
    """A record without the seconds it took."""
    return {**record, "usage": {**record["usage"], "wall_s": 0}}


def test_threads_and_files_give_the_same_records(
    hash_index_folder: Path, tmp_path: Path, server: ChatServer
) -> None:
    rows = [{**row, "k": 1 + i % 4} for i, row in enumerate(HISTORIES * 5)]
    rows = [{**row, "custom_id": f"c{i}"} for i, row in enumerate(rows)]
    users = write_users(tmp_path / "users.jsonl", rows)
    settings = settings_for(server)
    run_batch(hash_index_folder, users, tmp_path / "threads.jsonl", settings)
    folder = tmp_path / "requests"
    manifest = exported(hash_index_folder, users, folder, settings)
    assert (manifest.requests, len(manifest.files)) == (200, 1)
    answered(folder)
    summary = imported(hash_index_folder, folder, tmp_path / "files.jsonl", settings)
    assert (summary.done, summary.missing, summary.exit_code) == (200, 0, 0)
    one = {record["custom_id"]: bare(record) for record in lines_of(tmp_path / "threads.jsonl")}
    other = {record["custom_id"]: bare(record) for record in lines_of(tmp_path / "files.jsonl")}
    assert one == other
    assert len(one) == 200


def test_a_request_line_is_what_the_threads_send(
    hash_index_folder: Path, tmp_path: Path, server: ChatServer
) -> None:
    users = write_users(tmp_path / "users.jsonl", HISTORIES[:3])
    settings = settings_for(server)
    run_batch(hash_index_folder, users, tmp_path / "threads.jsonl", settings)
    exported(hash_index_folder, users, tmp_path / "requests", settings)
    lines = lines_of(tmp_path / "requests" / "requests-0001.jsonl")
    assert {"POST /v1/chat/completions"} == {f"{x['method']} {x['url']}" for x in lines}
    key = lambda body: json.dumps(body, sort_keys=True)  # noqa: E731
    assert sorted(map(key, server.requests)) == sorted(key(line["body"]) for line in lines)


def test_files_keep_the_limits(
    hash_index_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = write_users(tmp_path / "users.jsonl", HISTORIES)
    settings = Settings(llm="openai:gpt-5-mini", k=3)
    manifest = exported(hash_index_folder, users, tmp_path / "a", settings, max_requests=15)
    sizes = [len(lines_of(tmp_path / "a" / name)) for name in manifest.files]
    assert sizes == [15, 15, 10]
    monkeypatch.setattr(request_files, "MAX_BYTES", 50_000)
    manifest = exported(hash_index_folder, users, tmp_path / "b", settings)
    files = [tmp_path / "b" / name for name in manifest.files]
    assert all(path.stat().st_size <= 50_000 for path in files)
    assert sum(len(lines_of(path)) for path in files) == 40
    body = lines_of(files[0])[0]["body"]
    assert "max_completion_tokens" in body
    with pytest.raises(ConfigError, match="holds exported requests already"):
        exported(hash_index_folder, users, tmp_path / "b", settings)


def test_what_is_missing_is_said_and_can_come_later(
    hash_index_folder: Path, tmp_path: Path, server: ChatServer
) -> None:
    rows = [*HISTORIES, {"user_id": "nobody"}, {"user_id": ["x"]}]
    users = write_users(tmp_path / "users.jsonl", rows)
    settings = settings_for(server)
    folder, out = tmp_path / "requests", tmp_path / "recs.jsonl"
    assert exported(hash_index_folder, users, folder, settings).not_exported == 2
    answers = answered(folder, skip=25)
    with answers.open("ab") as handle:
        handle.write(b'{"custom_id": "stranger", "response": null, "error": null}\n')
    first = imported(hash_index_folder, folder, out, settings)
    assert (first.done, first.failed, first.missing, first.unknown) == (15, 2, 25, 1)
    assert first.exit_code == 4
    answered(folder, "answers-0002.jsonl", skip=20)
    second = imported(hash_index_folder, folder, out, settings)
    assert (second.done, second.missing) == (20, 20)
    summary = run_batch(hash_index_folder, users, out, settings)  # the rest, one by one
    assert server.n_requests == 20
    assert (summary.totals.done, summary.totals.failed) == (40, 2)
    assert len(ids_of(out)) == len(set(ids_of(out))) == 41


def test_answers_that_are_errors_are_failures(hash_index_folder: Path, tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.jsonl", HISTORIES[:6])
    settings = Settings(llm="openai:gpt-5-mini", k=3)
    folder, out = tmp_path / "requests", tmp_path / "recs.jsonl"
    exported(hash_index_folder, users, folder, settings)
    refused = {"status_code": 200, "body": json.loads(completion(None, refusal="no"))}
    limited = {"status_code": 429, "body": {"error": {"message": "slow down"}}}
    wrong = {"status_code": 400, "body": {"error": {"message": "unsupported: temperature"}}}
    good = lines_of(answered(folder))
    write_users(
        folder / "answers-0001.jsonl",
        [
            {"custom_id": "u0", "response": refused, "error": None},
            {"custom_id": "u1", "response": limited, "error": None},
            {"custom_id": "u2", "response": None, "error": {"code": "batch_expired"}},
            {"custom_id": "u4", "response": wrong, "error": None},
            {"custom_id": "u5", "response": None, "error": {"code": "batch_expired"}},
            *(line for line in good if line["custom_id"] in {"u2", "u3"}),
        ],
    )
    summary = imported(hash_index_folder, folder, out, settings)
    assert (summary.done, summary.failed, summary.missing, summary.exit_code) == (2, 2, 2, 4)
    assert summary.reasons == {"status 429": 1, "batch_expired": 1}
    failures = {f["custom_id"]: (f["kind"], f["reason"]) for f in failures_of(out)}
    assert failures["u0"][0] == "refused"
    assert failures["u4"][0] == "transport"
    assert "unsupported: temperature" in failures["u4"][1]


@pytest.mark.parametrize("line", [b"<html>", b"[1]", b'{"id": 3}'])
def test_a_file_that_holds_no_answers_is_named(
    line: bytes, hash_index_folder: Path, tmp_path: Path
) -> None:
    users = write_users(tmp_path / "users.jsonl", HISTORIES[:2])
    settings = Settings(llm="openai:gpt-5-mini", k=3)
    exported(hash_index_folder, users, tmp_path / "r", settings)
    path = tmp_path / "r" / "answers-0001.jsonl"
    path.write_bytes(b"\n" + line + b"\n")
    with pytest.raises(DataError, match=r"answers-0001\.jsonl:2: "):
        imported(hash_index_folder, tmp_path / "r", tmp_path / "recs.jsonl", settings)


def test_other_settings_are_refused(hash_index_folder: Path, tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.jsonl", HISTORIES[:2])
    settings = Settings(llm="openai:gpt-5-mini", k=3)
    exported(hash_index_folder, users, tmp_path / "r", settings)
    answered(tmp_path / "r")
    other = settings.model_copy(update={"temperature": 0.7})
    with pytest.raises(ConfigError, match=r"settings\.temperature was 0\.0 and is 0\.7"):
        imported(hash_index_folder, tmp_path / "r", tmp_path / "recs.jsonl", other)
    with pytest.raises(ConfigError, match="not for 'local'"):
        exported(hash_index_folder, users, tmp_path / "s", Settings(llm="local"))


# --- the hosted API -----------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "test")


def test_submit_poll_import(hash_index_folder: Path, tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.jsonl", HISTORIES)
    settings = Settings(llm="openai:gpt-5-mini", k=3)
    folder = tmp_path / "requests"
    exported(hash_index_folder, users, folder, settings, max_requests=15)
    refuse = {"3": 0}

    def answer(request: dict[str, Any]) -> Response:
        refuse["3"] += 1
        return (
            FAULTS["server_error"]
            if refuse["3"] == 7
            else Response(completion(first_labels(request)))
        )

    with BatchApiServer(answer) as server:
        api = BatchApi(server.url)
        states = submit(folder, api).batches
        assert [state.total for state in states] == [15, 15, 10]
        assert {b["metadata"]["rag_rec"] for b in server.batches.values()} != {""}
        submit(folder, api)  # nothing new
        assert len(server.batches) == 3
        assert [state.status for state in poll(folder, api).batches] == ["in_progress"] * 3
        server.finish()
        ended = poll(folder, api)
        assert [len(state.fetched) for state in ended.batches] == [2, 1, 1]
        assert (ended.under_way, ended.missing) == (0, 1)
        assert poll(folder, api) == ended
        api.close()
    summary = imported(hash_index_folder, folder, tmp_path / "recs.jsonl", settings)
    assert (summary.done, summary.failed, summary.missing) == (39, 0, 1)
    assert summary.reasons == {"status 500": 1}


def test_a_submission_that_was_cut_off_is_found_again(
    hash_index_folder: Path, tmp_path: Path
) -> None:
    users = write_users(tmp_path / "users.jsonl", HISTORIES)
    folder = tmp_path / "requests"
    exported(hash_index_folder, users, folder, Settings(llm="openai:gpt-5-mini"))
    with BatchApiServer() as server:
        api = BatchApi(server.url)
        submit(folder, api)
        (folder / "batches.json").unlink()  # killed before it was noted
        (state,) = submit(folder, api).batches
        assert state.batch_id == "batch-0"
        assert len(server.batches) == 1
        api.close()


def test_the_whole_way_on_the_command_line(hash_index_folder: Path, tmp_path: Path) -> None:
    users = write_users(tmp_path / "users.jsonl", HISTORIES)
    folder, out = tmp_path / "requests", tmp_path / "recs.jsonl"

    def call(code: int, *arguments: object) -> str:
        done = subprocess.run(
            [*RAG_REC, "batch", *map(str, arguments)],
            capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        return done.stderr

    with BatchApiServer() as server:
        at = ("--base-url", server.url)
        said = call(
            0, "export", "--index", hash_index_folder, "--users", users, "--out", folder,
            "--llm", "openai:gpt-5-mini", "--k", 3, "--new-items", 0.4,
        )  # fmt: skip
        assert "40 requests in 1 files" in said
        assert "rag-rec batch poll" in call(0, "submit", folder, *at)
        assert "in_progress" in call(4, "poll", folder, *at)
        server.finish(leave_out=1, status="expired")
        said = call(4, "poll", folder, *at)
        assert "fetched answers-0001.jsonl" in said
        assert f"1 requests have no answer: rag-rec batch submit {folder} sends them again" in said
        said = call(4, "import", folder, "--index", hash_index_folder, "--out", out)
        assert "39 users in" in said
        assert "1 users have no answer (no answer: 1); rag-rec batch submit" in said
        said = call(0, "submit", folder, *at)
        assert "1 requests had no answer and are sent again" in said
        assert "again-0001.jsonl: in_progress (batch-1)" in said
        server.finish()
        assert "next: rag-rec batch import" in call(0, "poll", folder, "--wait", *at)
        assert "nothing was left to send" in call(0, "submit", folder, *at)
    assert "40 users in" in call(0, "import", folder, "--index", hash_index_folder, "--out", out)
    made = json.loads(out.with_name("recs.manifest.json").read_bytes())["identity"]
    assert (made["k"], made["new_items"]) == (3, 0.4)


def test_a_profile_marks_the_prompt(hash_index_folder: Path, tmp_path: Path) -> None:
    """What the tests of faults rely on."""
    users = write_users(tmp_path / "users.jsonl", marked(2))
    exported(hash_index_folder, users, tmp_path / "r", Settings(llm="openai:m"))
    for n, line in enumerate(lines_of(tmp_path / "r" / "requests-0001.jsonl")):
        assert f"mark {n}." in json.dumps(line["body"])

"""User files, journals and answers with hostile values: one user, one line, one error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from batch_tools import lines_of, run_batch, settings_for, write_users
from hostile import JSON, TEXTS, is_done_or_refused

from rag_rec.batch.openai_batch.answers import Answers
from rag_rec.batch.store.convert import convert
from rag_rec.batch.store.journal import read_journal
from rag_rec.batch.users import read_users
from rag_rec.llm import Request
from rag_rec.testing import ChatServer, Response, completion, ranking_request

FIELDS = ("user_id", "custom_id", "history", "profile", "request", "constraints", "k")
RECORD = {"custom_id": "a", "run_id": "r", "usage": {"calls": 1}, "items": []}


@pytest.mark.parametrize("field", FIELDS)
def test_no_value_costs_another_row_of_a_user_file(field: str, tmp_path: Path) -> None:
    row = json.dumps({"user_id": "u", field: "VALUE"})
    values = [*JSON.values(), *(json.dumps(text) for text in TEXTS.values())]
    path = tmp_path / "users.jsonl"
    lines = [row.replace('"VALUE"', value) for value in values]
    path.write_text("\n".join([*lines, '{"user_id": "last"}']) + "\n")
    found = list(read_users(path))
    assert len(found) == len(values) + 1
    assert getattr(found[-1], "user_id", None) == "last"


def test_a_batch_goes_on_past_hostile_users_and_replies(
    hash_index_folder: Path, tmp_path: Path
) -> None:
    rows: list[dict[str, Any]] = []
    for n, text in enumerate(TEXTS.values()):
        rows.append({"custom_id": f"p{n}", "history": ["tea-009"], "profile": text})
        rows.append({"custom_id": f"r{n}", "request": f"tea {text}"})
    for n, time in enumerate((10**18, -(10**11), 10**30)):
        event = {"item_id": "tea-009", "timestamp": time}
        rows.append({"custom_id": f"t{n}", "history": [event]})
    texts = list(TEXTS.values())
    with ChatServer(
        lambda _: Response(completion(texts[server.n_requests % len(texts)]))
    ) as server:
        settings = settings_for(server, prompt="timeline")
        users = write_users(tmp_path / "users.jsonl", rows)
        done = run_batch(hash_index_folder, users, tmp_path / "o.jsonl", settings)
    assert done.totals.done + done.totals.failed == len(rows)


@pytest.mark.parametrize("field", ["custom_id", "run_id", "usage", "row", "kind", "reason"])
def test_every_line_of_a_journal_is_read_or_refused_in_one_line(field: str, tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    for value in (*JSON.values(), '{"prompt_tokens": ' + "9" * 400 + "}", '{"wall_s": NaN}'):
        path.write_text(json.dumps(RECORD | {field: "VALUE"}).replace('"VALUE"', value) + "\n")
        assert is_done_or_refused(lambda: list(read_journal(path))), value[:60]
        for ending in (".csv", ".parquet"):
            out = tmp_path / f"o{ending}"
            assert is_done_or_refused(lambda out=out: convert(path, out)), value[:60]


@pytest.mark.parametrize("field", ["custom_id", "response", "error"])
def test_every_answer_of_a_batch_is_read_or_refused_in_one_line(field: str, tmp_path: Path) -> None:
    path = tmp_path / "answers-0001.jsonl"

    def taken() -> None:
        answers = Answers([path])
        answers.take("a", Request(()))
        answers.take("a", ranking_request(["tea", "twine"]))
        answers.close()

    body = {"custom_id": "a", "response": {"status_code": 200, "body": "BODY"}}
    for value in JSON.values():
        lines = [json.dumps(body | {field: "VALUE"}).replace('"VALUE"', value)]
        lines += [json.dumps(body).replace('"BODY"', value), json.dumps(body).replace("200", value)]
        for line in lines:
            path.write_text(line + "\n")
            assert is_done_or_refused(taken), value[:60]
    assert lines_of(tmp_path / "none.jsonl") == []

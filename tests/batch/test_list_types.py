"""Batches of bundles, sequences and slates: typed records, resumed, and never mixed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from batch_tools import (
    answer_by_schema,
    ids_of,
    lines_of,
    run_batch,
    settings_for,
    write_users,
)

from rag_rec import ConfigError
from rag_rec.batch import Progress, RunLimiter, Status
from rag_rec.batch.store.record import record_type
from rag_rec.list_types import LIST_TYPES
from rag_rec.testing import ChatServer

N = 60


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(answer_by_schema) as running:
        yield running


@pytest.fixture
def users(tmp_path: Path) -> Path:
    rows = [{"user_id": f"user-{1 + i:03d}", "k": 2 + i % 3} for i in range(N)]
    return write_users(tmp_path / "users.jsonl", rows)


class StopsAfter(Progress):
    """Ends a run, as Ctrl-C does, once so many users are done."""

    def __init__(self, n: int) -> None:
        self.limiters: list[RunLimiter] = []
        self._n = n

    def update(self, status: Status, *, last: bool = False) -> None:  # noqa: ARG002
        if status.done >= self._n:
            self.limiters[0].end("interrupted", interrupted=True)


def check(name: str, record: dict[str, Any], k: int) -> None:
    """The record is a valid document of its type, with what is particular to that type."""
    document = record_type(LIST_TYPES[name].document)
    jsonschema.validate(record, document.model_json_schema(mode="serialization"))
    ids = [slot["item_id"] for slot in record["items"]]
    assert len(set(ids)) == len(ids)
    match name:
        case "topk" | "sequence":
            assert len(ids) == k
        case "bundle":
            assert len(ids) == k
            assert record["compatibility"] >= 0
        case "slate":
            assert [x for row in record["rows"] for x in row["item_ids"]] == ids
            sizes = [len(row["item_ids"]) for row in record["rows"]]
            assert max(sizes) <= k
            assert (sizes == [k] * 3) == (record["shortfall"] is None)
    assert ("order_score" in record) == (name == "sequence")


@pytest.mark.parametrize("name", sorted(LIST_TYPES))
def test_lists_of_a_type_are_valid_and_go_on_after_an_interruption(
    name: str, hash_index_folder: Path, users: Path, tmp_path: Path, server: ChatServer
) -> None:
    out = tmp_path / "recs.jsonl"
    settings = settings_for(server, reask=False, concurrency=4)
    stops = StopsAfter(10)
    first = run_batch(
        hash_index_folder, users, out, settings,
        list_type=name, progress=stops, on_limiter=stops.limiters.append,
    )  # fmt: skip
    assert (first.end, first.exit_code) == ("interrupted", 130)
    kept = out.read_bytes()
    assert 10 <= len(lines_of(out)) < N
    last = run_batch(hash_index_folder, users, out, settings, list_type=name)
    assert (last.end, last.exit_code) == ("complete", 0)
    assert out.read_bytes().startswith(kept)
    assert sorted(ids_of(out)) == sorted(f"user-{1 + i:03d}" for i in range(N))
    assert server.n_requests == N
    for record in lines_of(out):
        check(name, record, k=2 + (int(record["custom_id"][5:]) - 1) % 3)


@pytest.mark.parametrize("engine", ["threads", "vllm"])
def test_engines_agree_on_slates(
    engine: str, hash_index_folder: Path, users: Path, tmp_path: Path, server: ChatServer
) -> None:
    out = tmp_path / "recs.jsonl"
    settings = settings_for(server, reask=False)
    run_batch(hash_index_folder, users, out, settings, list_type="slate", engine=engine)
    for record in lines_of(out):
        check("slate", record, k=2 + (int(record["custom_id"][5:]) - 1) % 3)
    assert len(lines_of(out)) == N


def test_a_run_of_another_type_is_refused_in_one_line(
    hash_index_folder: Path, users: Path, tmp_path: Path
) -> None:
    out = tmp_path / "recs.jsonl"
    run_batch(hash_index_folder, users, out, settings_for(None), list_type="bundle")
    before = out.read_bytes()
    with pytest.raises(ConfigError, match="type was 'bundle' and is 'slate'") as caught:
        run_batch(hash_index_folder, users, out, settings_for(None), list_type="slate")
    assert "\n" not in str(caught.value)
    assert out.read_bytes() == before
    with pytest.raises(ConfigError, match="no list type 'page'; there are topk, bundle"):
        run_batch(
            hash_index_folder, users, tmp_path / "x.jsonl", settings_for(None), list_type="page"
        )
    manifest = json.loads((tmp_path / "recs.manifest.json").read_text())
    assert manifest["identity"]["type"] == "bundle"

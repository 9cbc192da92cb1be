"""A run says which parameters its model refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from batch_tools import answer_by_schema, marked, run_batch, settings_for, write_users

from rag_rec.testing import ChatServer, Response


def test_the_manifest_says_what_a_server_refused(hash_index_folder: Path, tmp_path: Path) -> None:
    refusal = b'{"error": {"message": "Unsupported parameter", "param": "temperature"}}'

    def answer(request: dict[str, Any]) -> Response:
        return Response(refusal, 400) if "temperature" in request else answer_by_schema(request)

    users, out = tmp_path / "users.jsonl", tmp_path / "recs.jsonl"
    write_users(users, marked(6))
    with ChatServer(answer) as server:
        settings = settings_for(server, attempts=1)
        assert run_batch(hash_index_folder, users, out, settings).totals.done == 6
        assert 7 <= server.n_requests <= 12, "learned once, by all that were under way"
    manifest = json.loads((tmp_path / "recs.manifest.json").read_text())
    assert manifest["changes"] == ["temperature is refused and left out"]

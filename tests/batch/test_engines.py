"""The engines agree: the same users, the same model, the same records."""

from __future__ import annotations

import gc
import importlib.util
import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from batch_tools import ids_of, lines_of, run_batch, settings_for, write_users

from rag_rec import ConfigError, Recommender, Settings
from rag_rec.batch import BatchOptions, run
from rag_rec.batch.engines.base import BatchPipeline
from rag_rec.batch.engines.chunks import ChunksEngine
from rag_rec.batch.engines.threads import settled
from rag_rec.batch.users import BatchUser
from rag_rec.index import ItemIndex
from rag_rec.testing import ChatServer, HashEmbedder, ScriptedModel

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is not installed: pip install rag-rec[ray]"
)
N = 200


def bare(record: dict[str, Any]) -> dict[str, Any]:
    """A record without the seconds it took."""
    return {**record, "usage": {**record["usage"], "wall_s": 0}}


def records_by_id(out: Path) -> dict[str, dict[str, Any]]:
    return {record["custom_id"]: bare(record) for record in lines_of(out)}


@pytest.fixture
def users(tmp_path: Path) -> Path:
    rows = [
        {"user_id": f"user-{1 + i % 300:03d}", "custom_id": f"c{i}", "k": 2 + i % 3}
        for i in range(N)
    ]
    return write_users(tmp_path / "users.jsonl", rows)


def test_threads_and_chunks_agree(
    hash_index_folder: Path, users: Path, tmp_path: Path, server: ChatServer
) -> None:
    settings = settings_for(server)
    run_batch(hash_index_folder, users, tmp_path / "threads.jsonl", settings)
    summary = run_batch(
        hash_index_folder, users, tmp_path / "chunks.jsonl", settings, engine="vllm"
    )
    assert summary.exit_code == 0
    assert summary.totals.usage.calls == N
    assert records_by_id(tmp_path / "threads.jsonl") == records_by_id(tmp_path / "chunks.jsonl")


def test_the_interpreter_is_put_back() -> None:
    before = sys.getswitchinterval(), gc.get_freeze_count()
    with settled():
        assert sys.getswitchinterval() > before[0]
        assert gc.get_freeze_count() > before[1]
    assert (sys.getswitchinterval(), gc.get_freeze_count()) == before


def test_prompts_that_begin_alike_follow_each_other(hash_index: ItemIndex) -> None:
    script = '{"items": [{"label": 1, "reason": "it suits your evenings"}]}'
    orders = {}
    for ordered in (True, False):
        model = ScriptedModel(script)
        recommender = Recommender(hash_index, model, Settings(k=1, reask=False))
        engine = ChunksEngine(BatchPipeline(recommender), chunk_users=30, ordered=ordered)
        many = [BatchUser(i, f"c{i}", f"user-{1 + i % 10:03d}") for i in range(60)]
        made = [record for part in engine.run(iter(many)) for record in part]
        assert sorted(r.key for r in made) == sorted(f"id {u.custom_id}" for u in many)
        prompts = [request.messages[-1].content for request in model.requests]
        orders[ordered] = sum(a == b for a, b in itertools.pairwise(prompts))
        assert len(prompts) == 60
    assert orders[True] >= 2 * 20
    assert orders[False] == 0


@needs_ray
@pytest.mark.long
@pytest.mark.timeout(240)
def test_threads_and_ray_agree(
    hash_index_folder: Path, users: Path, tmp_path: Path, server: ChatServer
) -> None:
    """In processes of their own: Ray wants sockets that tests may not have."""
    out = {name: tmp_path / f"{name}.jsonl" for name in ("threads", "ray")}
    for name, path in out.items():
        done = subprocess.run(
            [
                *(sys.executable, "-m", "rag_rec.cli", "batch", "run", "--engine", name),
                *("--index", hash_index_folder, "--users", users, "--out", path),
                *("--llm", f"openai:scripted@{server.url}", "--max-requests", "1000"),
            ],
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert f"complete: {N} users" in done.stderr
    assert server.n_requests == 2 * N
    assert records_by_id(out["threads"]) == records_by_id(out["ray"])
    assert len(ids_of(out["ray"])) == N
    assert not list(tmp_path.glob(".*.users"))


def test_ray_opens_models_by_name(hash_index_folder: Path, users: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="by name"):
        run(
            hash_index_folder,
            users,
            tmp_path / "r.jsonl",
            llm=ScriptedModel("{}"),
            options=BatchOptions(engine="ray", embedder=HashEmbedder()),
        )

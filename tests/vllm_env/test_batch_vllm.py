"""A batch through vLLM in this process, and what the order of the prompts is worth."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_rec import ItemIndex, Settings, build_index, load_sample
from rag_rec.batch import BatchOptions, run
from rag_rec.batch.engines.base import BatchPipeline
from rag_rec.batch.engines.chunks import ChunksEngine
from rag_rec.batch.users import BatchUser
from rag_rec.recommender import Recommender
from rag_rec.testing import HashEmbedder

FOLDER = Path(__file__).parents[2] / ".cache" / "smollm2"
pytestmark = [
    pytest.mark.vllm,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(
        importlib.util.find_spec("vllm") is None,
        reason="vllm is not installed here; `make test-vllm` runs these",
    ),
]
DISTINCT, TIMES = 8, 3
BLOCKS = 24


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index") / "sample"
    build_index(load_sample(), folder, embedder=HashEmbedder())
    return folder


@pytest.fixture(scope="module")
def model() -> Iterator[object]:
    """An engine whose cache holds two or three prompts, as a large batch's holds a part of it."""
    if not FOLDER.is_dir():
        pytest.skip(f"{FOLDER} is missing: run `make test-vllm`")
    from rag_rec.llm.adapters.vllm import VllmChatModel

    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
    opened = VllmChatModel(
        str(FOLDER),
        engine_options={
            "enforce_eager": True,
            "disable_log_stats": False,
            "max_model_len": 2_048,
            "max_num_seqs": 2,
            "num_gpu_blocks_override": BLOCKS,
        },
    )
    yield opened
    opened.close()


def prefix_cache(model: object) -> tuple[float, float]:
    metrics = model._llm.get_metrics()  # type: ignore[attr-defined]
    values = {metric.name: getattr(metric, "value", 0) for metric in metrics}
    return values["vllm:prefix_cache_queries"], values["vllm:prefix_cache_hits"]


def test_a_batch_through_the_engine(index: Path, model: object, tmp_path: Path) -> None:
    users = tmp_path / "users.jsonl"
    rows = [{"user_id": f"user-{n:03d}"} for n in range(1, 9)] + [{"user_id": "nobody"}]
    users.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "recs.jsonl"
    settings = Settings(prompt="plain", k=2)
    summary = run(
        index,
        users,
        out,
        llm=model,  # type: ignore[arg-type]
        settings=settings,
        options=BatchOptions(engine="vllm", embedder=HashEmbedder()),
    )
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(r["custom_id"] for r in records) == [f"user-{n:03d}" for n in range(1, 9)]
    assert {record["outcome"] for record in records} <= {"ok", "partial"}
    assert all(len(record["items"]) == 2 for record in records)
    assert summary.exit_code == 3
    assert summary.totals.usage.completion_tokens > 0


def test_ordered_prompts_hit_the_prefix_cache(index: Path, model: object) -> None:
    """Users that look alike are far apart in the file, as they are in a shop's."""
    opened = ItemIndex.open(index, HashEmbedder())
    recommender = Recommender(opened, model, Settings(prompt="plain", k=2, reask=False))  # type: ignore[arg-type]
    rates: dict[bool, float] = {}
    for ordered in (False, True):
        offset = 100 if ordered else 20  # other users, so that neither run warms the other's
        users = [
            BatchUser(n, f"c{n}", f"user-{offset + n % DISTINCT:03d}")
            for n in range(DISTINCT * TIMES)
        ]
        queries, hits = prefix_cache(model)
        engine = ChunksEngine(BatchPipeline(recommender), ordered=ordered)
        made = [record for part in engine.run(iter(users)) for record in part]
        assert len(made) == len(users)
        assert all(record.kind is None for record in made), made
        more_queries, more_hits = prefix_cache(model)
        rates[ordered] = (more_hits - hits) / (more_queries - queries)
    print(
        f"prefix cache hit rate: {rates[True]:.2f} with ordered prompts, {rates[False]:.2f} "
        f"without ({DISTINCT * TIMES} prompts, {DISTINCT} of them different, {BLOCKS} blocks)"
    )
    assert rates[True] > 0.5
    assert rates[True] > rates[False] + 0.2

"""An experiment on the bundled sample that runs in seconds, and models that answer by a rule."""

from __future__ import annotations

import atexit
import json
import random
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from rag_rec import build_index, load_sample
from rag_rec.evaluation import Experiment, Report, run
from rag_rec.evaluation.experiments.experiment import SplitSettings
from rag_rec.evaluation.experiments.sampling import sample_users
from rag_rec.llm import Request
from rag_rec.testing import HashEmbedder, ScriptedModel


def reply(order: Callable[[list[int], Request], list[int]]) -> Callable[[Request], str]:
    """A valid reply with the labels in an order."""

    def answer(request: Request) -> str:
        assert request.schema
        items = request.schema["properties"]["items"]
        labels = list(items["items"]["properties"]["label"]["enum"])
        chosen = order(labels, request)[: items["maxItems"]]
        return json.dumps({"items": [{"label": label} for label in chosen]})

    return answer


def mixed(labels: list[int], request: Request) -> list[int]:
    return random.Random(f"{request.seed}{request.messages[-1].content}").sample(
        labels, len(labels)
    )


as_given = reply(lambda labels, _: labels)
at_random = reply(mixed)
backwards = reply(lambda labels, _: labels[::-1])


def experiment(**changes: Any) -> Experiment:
    table: dict[str, Any] = {
        "name": "test",
        "ks": [1, 5],
        "metric": "ndcg@5",
        "data": {"sample": True},
        "split": {"users": 60, "validation_users": 40},
        "pipeline": {"k": 5, "candidates": 10, "reason_chars": 0},
        "matrix": {"prompts": ["plain"], "models": ["none", "good", "bad"]},
    }
    return Experiment.of(table | changes)


def run_with(chosen: Experiment, out: Path, **more: Any) -> Report:
    models = {"good": ScriptedModel(as_given), "bad": ScriptedModel(backwards)}
    if "dataset" not in more and not (out / "index").exists():
        shutil.copytree(fitted_index(), out / "index")
    return run(chosen, out, **{"models": models, "embedder": HashEmbedder()} | more)


@cache
def fitted_index() -> Path:
    """The sample's index without anybody's last two events: the same for every seed and number."""
    folder = Path(tempfile.mkdtemp(prefix="rag-rec-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    fit = sample_users(load_sample(), SplitSettings(), seed=7).fit
    build_index(fit, folder / "index", embedder=HashEmbedder())
    return folder / "index"

"""Seconds a user of the embedded model: words with reasons, scores, batches; beside llama.cpp.

Words are asked for by the variant ``reviews``, scores by ``scores``, of customers of the bundled
sample. llama.cpp is
measured where it is installed, in the same run and in turn with `local`, since times of a busy
machine tell nothing alone. CPU seconds stand beside the seconds for the same reason.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rag_rec import Recommender, SentenceTransformerEmbedder, Settings, build_index, load_sample
from rag_rec.llm import ChatModel, Request, open_model
from rag_rec.llm.local.weights import packaged_model
from rag_rec.testing import ScriptedModel


def requests_of(folder: Path, n_users: int, k: int, prompt: str) -> list[Request]:
    """The requests of the sample's first users."""
    spy = ScriptedModel("{}", context_tokens=4_096)
    users = [f"user-{n:03d}" for n in range(1, n_users + 1)]
    settings = Settings(k=k, prompt=prompt).model_copy(update={"reask": False})
    with Recommender.open(folder, spy, settings=settings) as recommender:
        recommender.recommend_many(users)
    return spy.requests[:n_users]


def timed(model: ChatModel, asked: Sequence[Request]) -> tuple[float, float, int]:
    """Seconds, CPU seconds and tokens written of a call."""
    started, cpu = time.perf_counter(), time.process_time()
    replies = model.generate(asked)
    seconds = time.perf_counter() - started, time.process_time() - cpu
    return *seconds, sum(reply.counted.completion_tokens for reply in replies)


def report(name: str, rows: Sequence[tuple[float, float, int]], n_users: int) -> None:
    """One line: the medians a user."""
    wall, cpu, tokens = (statistics.median(column) / n_users for column in zip(*rows, strict=True))
    print(
        f"{name:<26}{wall:8.2f} s{cpu:10.2f} CPU s{tokens:8.0f} tokens{1 / wall:8.2f} users/s",
        flush=True,
    )


def measure(
    models: dict[str, ChatModel], words: Sequence[Request], scores: Sequence[Request], batch: int
) -> None:
    """Every model in turn, one user after the other, then batches."""
    rows: dict[str, list[tuple[float, float, int]]] = {}
    for one, scored in zip(words, scores, strict=True):
        for name, model in models.items():
            rows.setdefault(f"{name}, words", []).append(timed(model, [one]))
        rows.setdefault("local, scores", []).append(timed(models["local"], [scored]))
    for name, times in rows.items():
        report(name, times, 1)
    for name, asked in (("words", words), ("scores", scores)) if batch else ():
        several = [asked[n % len(asked)] for n in range(batch)]
        report(f"local, {name} of {batch}", [timed(models["local"], several)], batch)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=6, help="users asked for one by one")
    parser.add_argument("--batch", type=int, default=16, help="users of a batch; 0 for none")
    parser.add_argument("--k", type=int, default=5, help="items a list")
    parser.add_argument("--index", type=Path, help="an index of the sample; built when missing")
    parser.add_argument("--no-gguf", action="store_true", help="leave llama.cpp out")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.index or Path(scratch) / "index"
        if not folder.exists():
            build_index(load_sample(), folder, embedder=SentenceTransformerEmbedder())
        words = requests_of(folder, given.users, given.k, "reviews")
        scores = requests_of(folder, given.users, given.k, "scores")
    specs = {"local": "local"}
    if importlib.util.find_spec("llama_cpp") and not given.no_gguf:
        specs["gguf"] = f"gguf:{packaged_model()}"
    models = {name: model for name, spec in specs.items() if (model := open_model(spec))}
    for model in models.values():
        model.generate([replace(words[0], max_tokens=2)])  # what is loaded on first use
    measure(models, words, scores, given.batch)


if __name__ == "__main__":
    main()

"""What the harness adds to bare ``recommend_many`` at 1,000 users, as a share of its wall time.

A server in a process of its own answers each request after one second, as a small hosted model
does; 16 requests are in flight. The harness side is everything after the index is there: drawing
users, asking in pieces, keeping answers, all rows, tests, and the reports.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import polars as pl
from request_overhead import running_server

from rag_rec import Dataset, ItemIndex, Recommender, Settings, load_sample
from rag_rec.evaluation import Experiment, run
from rag_rec.evaluation.experiments.prompts import with_settings
from rag_rec.evaluation.experiments.study import Study
from rag_rec.llm import open_from
from rag_rec.testing import HashEmbedder

N_USERS, IN_FLIGHT = 1_000, 16


def many_users() -> Dataset:
    """The sample with every customer four times, each time without one more of the latest events.

    Of those with the same history one is kept: the harness sends equal requests once, and both
    sides are to send the same.
    """
    sample = load_sample()
    later = pl.int_range(pl.len()).reverse().over("user_id")
    copies = [
        sample.interactions.filter(later >= n).with_columns(user_id=pl.col("user_id") + f"-{n}")
        for n in range(4)
    ]
    log = pl.concat(copies).sort("user_id", "timestamp", maintain_order=True)
    histories = log.group_by("user_id", maintain_order=True).agg(
        pl.col("item_id").slice(0, pl.len() - 1)
    )
    different = histories.unique("item_id", keep="first", maintain_order=True)
    return replace(sample, interactions=log.join(different, on="user_id", how="semi"))


def experiment_of(url: str) -> Experiment:
    return Experiment.of({
        "name": "Overhead", "ks": [1, 5, 10],
        "data": {"sample": True},
        "split": {"users": N_USERS, "validation_users": 0},
        "pipeline": {"candidates": 20, "reason_chars": 0, "concurrency": IN_FLIGHT},
        "variants": [{"name": "one", "llm": f"openai:scripted@{url}", "prompt": "plain"}],
    })  # fmt: skip


def bare(study: Study, folder: Path, url: str) -> float:
    """Seconds for the same users through the pipeline alone."""
    prompt = with_settings("plain", study.experiment.pipeline.prompt_settings(), folder)
    settings = Settings.model_validate({
        "llm": f"openai:scripted@{url}", "prompt": str(prompt), "k": 10,
        "request": {"concurrency": IN_FLIGHT},
    })  # fmt: skip
    started = time.perf_counter()
    index = ItemIndex.open(study.out / "index", HashEmbedder())
    with Recommender(index, open_from(settings), settings) as recommender:
        lists = recommender.recommend_many([task.history for task in study.sampled.test.tasks])
    assert all(made.outcome == "ok" for made in lists)
    return time.perf_counter() - started


def calls(folder: Path) -> int:
    """Requests that the harness's answers cost."""
    lines = (folder / "answers" / "one--test.jsonl").read_text().splitlines()
    return sum(json.loads(line).get("usage", {}).get("calls", 0) for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay", type=float, default=1.0, help="seconds before each answer")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    data = many_users()
    with running_server(arguments.delay) as url, tempfile.TemporaryDirectory() as scratch:
        chosen = experiment_of(url)
        shares: list[float] = []
        study = Study.open(chosen, Path(scratch), dataset=data, embedder=HashEmbedder())
        for number in range(1, arguments.rounds + 1):
            alone = bare(study, Path(scratch) / "bare", url)
            for path in [*Path(scratch).glob("answers/*"), *Path(scratch).glob("replies*")]:
                path.unlink()
            started = time.perf_counter()
            run(chosen, scratch, dataset=data, embedder=HashEmbedder())
            whole = time.perf_counter() - started
            assert calls(Path(scratch)) == N_USERS
            shares.append(whole / alone - 1)
            print(f"round {number}: bare {alone:.1f} s, harness {whole:.1f} s, {shares[-1]:+.1%}")
    print(json.dumps({
        "overhead": round(statistics.median(shares), 4), "rounds": arguments.rounds,
        "users": N_USERS, "in_flight": IN_FLIGHT, "delay_s": arguments.delay,
        "cores": os.cpu_count(),
    }))  # fmt: skip


if __name__ == "__main__":
    main()

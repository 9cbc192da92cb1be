"""The same variant against itself, 200 times, and a planted difference: through the whole pipeline.

A scripted model orders the candidates by chance, with another seed each time. False alarms at .05
must lie within the binomial interval. Then one side takes retrieval's order for some of the users:
the share of runs in which that is seen is compared with the power that the effect size predicts.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rag_rec import Recommender, Settings, load_sample
from rag_rec.evaluation import Experiment
from rag_rec.evaluation.experiments.answers import answer_tasks
from rag_rec.evaluation.experiments.prompts import with_settings
from rag_rec.evaluation.experiments.recorder import RecordingModel
from rag_rec.evaluation.experiments.study import Study
from rag_rec.evaluation.metrics.accuracy import measure
from rag_rec.evaluation.statistics import permutation_p
from rag_rec.llm import Request
from rag_rec.testing import HashEmbedder, ScriptedModel

K, N_USERS, METRIC = 10, 100, "ndcg@10"


def ordering(seed: int, share_kept: float) -> Callable[[Request], str]:
    """Replies in random order, or in the order given for a share of the users."""

    def reply(request: Request) -> str:
        assert request.schema
        rng = random.Random(f"{seed} {request.messages[-1].content}")
        labels = request.schema["properties"]["items"]["items"]["properties"]["label"]["enum"]
        chosen = labels[:K] if rng.random() < share_kept else rng.sample(labels, K)
        return json.dumps({"items": [{"label": label} for label in chosen]})

    return reply


def values(study: Study, prompt: Path, seed: int, share_kept: float) -> NDArray[np.float64]:
    """The metric of each user, asked once more."""
    recorder = RecordingModel(ScriptedModel(ordering(seed, share_kept), context_tokens=32_000))
    settings = Settings(llm="x", prompt=str(prompt), k=K)
    recommender = Recommender(study.index, recorder, settings, retriever=study.retrievers["fused"])
    tasks = study.sampled.test.tasks
    answers = answer_tasks(recommender, recorder, tasks)
    lists = {answer.user: answer.items for answer in answers}
    users = [task.key for task in tasks]
    return measure(study.sampled.test.scorer.relevance(lists, users, K), METRIC)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=200)
    n = parser.parse_args().repetitions
    chosen = Experiment.of({
        "name": "A/A", "ks": [K], "metric": METRIC, "data": {"sample": True},
        "split": {"users": N_USERS, "validation_users": 0},
        "pipeline": {"k": K, "candidates": 20, "reason_chars": 0},
    })  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        study = Study.open(chosen, Path(scratch), dataset=load_sample(), embedder=HashEmbedder())
        prompt = with_settings("plain", chosen.pipeline.prompt_settings(), Path(scratch))
        plain = [values(study, prompt, seed, 0.0) for seed in range(2 * n)]
        lifted = [values(study, prompt, seed, 0.7) for seed in range(2 * n, 3 * n)]
    alarms = sum(
        permutation_p(plain[2 * at + 1] - plain[2 * at], seed=at) < 0.05 for at in range(n)
    )
    differences = [lifted[at] - plain[2 * at] for at in range(n)]
    seen = float(np.mean([permutation_p(d, seed=at) < 0.05 for at, d in enumerate(differences)]))
    pooled = np.concatenate(differences)
    effect = float(pooled.mean() / pooled.std(ddof=1))
    stated = float(stats.norm.sf(stats.norm.ppf(0.975) - effect * np.sqrt(N_USERS)))
    low, high = stats.binom.interval(0.95, n, 0.05)
    print(json.dumps({
        "repetitions": n, "users": N_USERS, "metric": METRIC,
        "false alarms at .05": alarms, "binomial 95 % interval": [int(low), int(high)],
        "planted effect dz": round(effect, 3), "stated power": round(stated, 3),
        "seen": round(seen, 3),
    }))  # fmt: skip


if __name__ == "__main__":
    main()

"""A reward for reinforcement learning on exported prompts: NDCG of the labels a reply names.

With TRL, on the files of ``rag-rec adapt export --for grpo``::

    from datasets import load_dataset
    from rag_rec.adaptation.reward import ndcg_reward
    from trl import GRPOTrainer

    data = load_dataset("json", data_files={"train": "export/train.jsonl"}, split="train")
    GRPOTrainer(model="...", reward_funcs=ndcg_reward, train_dataset=data).train()
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log2
from typing import Any

from rag_rec.grounding import read_answer


def ndcg_reward(
    completions: Sequence[str | Sequence[Mapping[str, str]]],
    ndcg: Sequence[Mapping[str, float | None]],
    **_: Any,
) -> list[float]:
    """Return the NDCG of each completion, from 0 to 1.

    Replies are read as the pipeline reads them: labels out of range or named twice take no place,
    and a reply that cannot be read is worth 0.

    Args:
        completions: Texts, or conversations whose last turn is the reply.
        ndcg: The column ``ndcg`` of the file: the gain of each label (None counts as 0).

    >>> ndcg_reward(['{"items": [{"label": 2}, {"label": 1}]}'], [{"1": 1.0, "2": 0.0}])
    [0.6309297535714575]
    """
    return [
        ndcg_of(completion if isinstance(completion, str) else completion[-1]["content"], gains)
        for completion, gains in zip(completions, ndcg, strict=True)
    ]


def ndcg_of(reply: str, gains: Mapping[str, float | None]) -> float:
    """Return the NDCG of the labels in a reply, given the gain of each label."""
    n = len(gains)
    entries = read_answer(reply, n_labels=n, k=n).entries
    found = _dcg([gains.get(str(entry.label)) or 0.0 for entry in entries])
    best = _dcg(sorted((gain or 0.0 for gain in gains.values()), reverse=True))
    return found / best if best else 0.0


def _dcg(gains: Sequence[float]) -> float:
    return sum(gain / log2(place + 1) for place, gain in enumerate(gains, start=1))

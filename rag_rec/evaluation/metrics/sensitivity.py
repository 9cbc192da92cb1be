"""What a model's order owes to the order it was given, and to the length of the history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from rag_rec.evaluation.experiments.answers import Answer
from rag_rec.evaluation.metrics.scorer import Scorer


@dataclass(frozen=True, slots=True)
class PositionBias:
    """What happens when the same candidates are shown in random order.

    Attributes:
        n_users: Users asked both ways.
        correlation: Mean Kendall tau between the two lists, over the items both name; 1 means
            that the order shown does not matter. None if no two lists share two items.
        overlap: Mean share of items that both lists name, where the model made either.
        follows: Mean Kendall tau between the shuffled order shown and the list; 1 means that the
            model repeats what it was shown.
        by_position: For each place at which the target was shown: users, share of them with the
            target first, and mean reciprocal place in the list.
    """

    n_users: int
    correlation: float | None
    overlap: float | None
    follows: float | None
    by_position: list[tuple[int, int, float, float]]


def position_bias(
    plain: Mapping[str, Answer], mixed: Mapping[str, Answer], scorer: Scorer
) -> PositionBias:
    """Compares answers to the same candidates in retrieval's order and in random order."""
    users = [user for user in mixed if user in plain]
    pairs = [(by_model(plain[user]), by_model(mixed[user])) for user in users]
    agreement = [tau for first, second in pairs if (tau := _tau(first, second)) is not None]
    shown = [mixed[user].candidates[: mixed[user].n_shown] for user in users]
    shared = [share for first, second in pairs if (share := _overlap(first, second)) is not None]
    echo = [
        tau
        for (_, made), order in zip(pairs, shown, strict=True)
        if (tau := _tau(order, made)) is not None
    ]
    return PositionBias(
        n_users=len(users),
        correlation=float(np.mean(agreement)) if agreement else None,
        overlap=float(np.mean(shared)) if shared else None,
        follows=float(np.mean(echo)) if echo else None,
        by_position=_by_position([mixed[user] for user in users], scorer),
    )


def by_model(answer: Answer) -> list[str]:
    """Items of a list that the model chose, in its order."""
    return [
        item
        for item, origin in zip(answer.items, answer.origins, strict=True)
        if origin != "backfill"
    ]


def _by_position(answers: Sequence[Answer], scorer: Scorer) -> list[tuple[int, int, float, float]]:
    users = [answer.user for answer in answers]
    depth = max((answer.n_shown for answer in answers), default=0)
    shown = {answer.user: answer.candidates[: answer.n_shown] for answer in answers}
    made = {answer.user: by_model(answer) for answer in answers}
    places = scorer.relevance(shown, users, depth).first_rank()
    ranks = scorer.relevance(made, users, depth).first_rank()
    rows: list[tuple[int, int, float, float]] = []
    for place in range(1, depth + 1):
        there = ranks[places == place]
        if len(there):
            reciprocal = np.where(there > 0, 1 / np.maximum(there, 1), 0.0)
            rows.append((place, len(there), float((there == 1).mean()), float(reciprocal.mean())))
    return rows


def _tau(first: Sequence[str], second: Sequence[str]) -> float | None:
    """Kendall tau over the items both name; None below two."""
    place = {item: at for at, item in enumerate(second)}
    shared = [place[item] for item in first if item in place]
    if len(shared) < 2:
        return None
    result: Any = stats.kendalltau(np.arange(len(shared)), shared)
    return float(result.statistic)


def _overlap(first: Sequence[str], second: Sequence[str]) -> float | None:
    longest = max(len(first), len(second))
    return len(set(first) & set(second)) / longest if longest else None

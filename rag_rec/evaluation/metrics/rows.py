"""The rows of a report: every variant, and beside them the rows that are always there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rag_rec.evaluation.experiments.answers import Answer, Answers
from rag_rec.evaluation.experiments.study import Study
from rag_rec.evaluation.metrics.scorer import Relevance, Scorer, Task
from rag_rec.evaluation.report_model import RowKind

CEILING = "ceiling"
RETRIEVAL = "retrieval only"
ALWAYS = ("random", "popularity", "bm25", "item-knn", RETRIEVAL, CEILING)
DEPTH = 100


@dataclass(frozen=True, slots=True)
class LeaderboardRow:
    """One line of the leaderboard.

    Attributes:
        name: What it is called.
        kind: Where it comes from.
        relevance: Where the targets were, one for each repeat.
        lists: The lists, by user; none for the ceiling, which is no list.
        answers: What is known of how the lists came about, for variants.
        delivered: Where the targets were in what users would have got, failures filled in.
    """

    name: str
    kind: RowKind
    relevance: list[Relevance]
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    answers: Mapping[str, Answer] = field(default_factory=dict)
    delivered: Relevance | None = None

    def values(self, metric: Callable[[Relevance], np.ndarray]) -> np.ndarray:  # type: ignore[type-arg]
        """A metric a user, averaged over repeats."""
        return np.mean([metric(found) for found in self.relevance], axis=0)


def retrieved(study: Study, tasks: Sequence[Task]) -> dict[str, list[str]]:
    """The fused retriever's own order by user, 100 deep or as deep as a prompt goes."""
    depth = min(max(DEPTH, study.experiment.pipeline.depth), study.index.n_items)
    ids = study.index.item_ids
    found = study.retriever.rank([task.history for task in tasks], depth)
    return {
        task.key: [ids[ix] for ix in items.tolist()]
        for task, (items, _) in zip(tasks, found, strict=True)
    }


def standing_rows(
    study: Study, tasks: Sequence[Task], scorer: Scorer, deep: Mapping[str, Sequence[str]]
) -> list[LeaderboardRow]:
    """The rows that are always there."""
    pipeline = study.experiment.pipeline
    users, histories = [task.key for task in tasks], [task.history for task in tasks]
    lists: dict[str, dict[str, list[str]]] = {
        name: dict(zip(users, rank(histories, pipeline.k), strict=True))
        for name, rank in study.rankings.items()
    }
    lists[RETRIEVAL] = {user: list(deep[user][: pipeline.k]) for user in users}
    rows = [
        LeaderboardRow(name, "baseline", [scorer.relevance(found, users, pipeline.k)], found)
        for name, found in lists.items()
    ]
    n_shown = pipeline.depth
    shown = scorer.relevance({u: deep[u][:n_shown] for u in users}, users, n_shown)
    return [*rows, LeaderboardRow(CEILING, "ceiling", [perfect(shown, pipeline.k)])]


def perfect(shown: Relevance, k: int) -> Relevance:
    """What the best order of these candidates reaches in a list of ``k``."""
    return Relevance(np.sort(shown.hits, axis=1)[:, ::-1][:, :k], shown.n_relevant)


def variant_row(
    name: str, repeats: Sequence[Answers], users: Sequence[str], scorer: Scorer, *, k: int
) -> LeaderboardRow:
    """A variant's row; the lists and answers shown are those of the first time it was asked.

    Where the model gave nothing usable, the pipeline delivers retrieval's order. That is no merit
    of the variant: it counts as an empty list, and what was delivered is scored beside it.
    """
    lists = [{user: found[user].counted for user in users} for found in repeats]
    delivered = {user: repeats[0][user].items for user in users}
    return LeaderboardRow(
        name,
        "variant",
        [scorer.relevance(some, users, k) for some in lists],
        lists[0],
        {user: repeats[0][user] for user in users},
        scorer.relevance(delivered, users, k),
    )

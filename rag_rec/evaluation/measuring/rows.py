"""The rows of a report: every variant, and beside them the rows that are always there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rag_rec.evaluation.experiments.answers import Answers, UserAnswer
from rag_rec.evaluation.experiments.baselines import BASELINES
from rag_rec.evaluation.experiments.retrievers import SHIPPED
from rag_rec.evaluation.experiments.study import Study
from rag_rec.evaluation.metrics.accuracy import Values, measure
from rag_rec.evaluation.metrics.scorer import Relevance, Task
from rag_rec.evaluation.report_model import RowKind
from rag_rec.retrieval import Retriever

CEILING = "ceiling"
RETRIEVAL = "retrieval only"
_DEPTH = 100
_BATCH = 500


@dataclass(frozen=True, slots=True)
class LeaderboardRow:
    """One line of the leaderboard.

    Attributes:
        relevance: Where the targets were, one for each repeat.
        lists: The lists, by user; none for the ceiling, which is no list.
        answers: What is known of how the lists came about, for variants.
        delivered: Where the targets were in what users would have got, failures filled in.
    """

    name: str
    kind: RowKind
    relevance: list[Relevance]
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    answers: Mapping[str, UserAnswer] = field(default_factory=dict)
    delivered: Relevance | None = None

    def values(self, metric: str) -> Values:
        """Return a metric for each user, averaged over repeats."""
        return np.mean([measure(found, metric) for found in self.relevance], axis=0)


def retrieved(study: Study, tasks: Sequence[Task]) -> dict[str, list[str]]:
    """Return the shipped retriever's order by user, 100 deep or as deep as a prompt goes."""
    depth = max(_DEPTH, study.experiment.pipeline.n_shown)
    return ranked(study.retrievers[SHIPPED], tasks, depth)


def ranked(retriever: Retriever, tasks: Sequence[Task], k: int) -> dict[str, list[str]]:
    """Return a retriever's order by user; of some users at a time, for provenance takes memory."""
    found: dict[str, list[str]] = {}
    for start in range(0, len(tasks), _BATCH):
        some = tasks[start : start + _BATCH]
        lists = retriever.retrieve([task.history for task in some], k)
        found |= {t.key: [c.item_id for c in one] for t, one in zip(some, lists, strict=True)}
    return found


def standing_rows(
    study: Study, tasks: Sequence[Task], deep: Mapping[str, Sequence[str]]
) -> list[LeaderboardRow]:
    """Return the rows that are always there."""
    pipeline, users = study.experiment.pipeline, [task.key for task in tasks]
    scorer, k, n_shown = study.sampled.test.scorer, pipeline.kind.length, pipeline.n_shown
    lists = {name: ranked(study.retrievers[name], tasks, k) for name in BASELINES}
    lists[RETRIEVAL] = {user: list(deep[user][:k]) for user in users}
    rows = [
        LeaderboardRow(name, "baseline", [scorer.relevance(found, users, k)], found)
        for name, found in lists.items()
    ]
    shown = scorer.relevance({u: deep[u][:n_shown] for u in users}, users, n_shown)
    return [*rows, LeaderboardRow(CEILING, "ceiling", [perfect(shown, k)])]


def perfect(shown: Relevance, k: int) -> Relevance:
    """Return what the best order of these candidates reaches in a list of ``k``."""
    return Relevance(np.sort(shown.hits, axis=1)[:, ::-1][:, :k], shown.n_relevant)


def variant_row(
    name: str, repeats: Sequence[Answers], users: Sequence[str], study: Study
) -> LeaderboardRow:
    """Return a variant's row; the lists and answers shown are those of the first time it was asked.

    Where the model gave nothing usable, the pipeline delivers retrieval's order. That is no merit
    of the variant: it counts as an empty list, and what was delivered is scored beside it.
    """
    scorer, k = study.sampled.test.scorer, study.experiment.pipeline.kind.length
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

"""The retrievers that an experiment can name; `register_retriever` adds another one."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter

from rag_rec.core import Candidate, ConfigError, Evidence, UserHistory
from rag_rec.evaluation.experiments.baselines import BASELINES, Baseline, FittedIndex
from rag_rec.retrieval import Retriever

SHIPPED = "fused"
"""Name of the index's own retriever."""

MakeRetriever = Callable[[FittedIndex], Retriever]
"""From the index of the events that may be known to a retriever over it."""

RETRIEVERS: dict[str, MakeRetriever] = {
    SHIPPED: attrgetter("retriever"),
    **{name: partial(Baseline, name, fit) for name, fit in BASELINES.items()},
}
"""Retrievers by name."""


def register_retriever(name: str, make: MakeRetriever) -> None:
    """Add a retriever that variants of an experiment can take their candidates from.

    Its lists are measured, compared and looked through for leaks like those of the shipped one.
    Answers are kept by name: give a retriever that has changed another name.

    Args:
        name: Its name in experiment files.
        make: From a `FittedIndex` to a `Retriever`; called once a run.

    Raises:
        ConfigError: If the name is taken.
    """
    if RETRIEVERS.setdefault(name, make) is not make:
        raise ConfigError(f"there is a retriever '{name}' already; choose another name")


def check_name(name: str) -> None:
    """Check that there is a retriever of this name.

    Raises:
        ConfigError: If there is none.
    """
    if name not in RETRIEVERS:
        raise ConfigError(
            f"no retriever '{name}'; there are {', '.join(RETRIEVERS)}, and those added by "
            "rag_rec.evaluation.register_retriever"
        )


class Shuffled:
    """A retriever whose candidates come in random order, the same one for a user every time."""

    def __init__(self, retriever: Retriever, seed: int) -> None:
        self._retriever, self._seed = retriever, seed

    def retrieve(self, histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
        """See `Retriever.retrieve`."""
        found = self._retriever.retrieve(histories, k)
        for history, candidates in zip(histories, found, strict=True):
            random.Random(f"{self._seed} {history.user_id}").shuffle(candidates)  # noqa: S311
        return found

    def explain(self, history: UserHistory, item_ids: Sequence[str]) -> dict[str, Evidence]:
        """See `Retriever.explain`."""
        return self._retriever.explain(history, item_ids)

"""The yardsticks of one fitted index: heuristic rankings, and the shortcuts of its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rag_rec.core import UserHistory
from rag_rec.evaluation.metrics.accuracy import Ranks, ranks_of
from rag_rec.evaluation.yardsticks.graph_heuristic import heuristic_rankings
from rag_rec.evaluation.yardsticks.shortcuts import CUT, Shortcuts, shortcuts_of
from rag_rec.evaluation.yardsticks.transitions import TransitionGraph
from rag_rec.retrieval import Diagnostics, Histories, Rankings

_RECENT = {"all": None, "last": 1, "last three": 3}


class Audit:
    """A fit's log and texts, read without a model.

    Args:
        fitted: The fitted index.
        asked: The users that are asked for.
        mask: False where items of the history may be ranked.
    """

    def __init__(self, fitted: Diagnostics, asked: Sequence[UserHistory], *, mask: bool) -> None:
        self._fitted, self._asked, self._mask = fitted, asked, mask
        self._users = fitted.histories(asked)
        self._log = Histories.of_index(fitted.index)
        self._graph = TransitionGraph.of(self._log)
        self._vectors = fitted.index.item_vectors

    def rankings(self, depth: int) -> dict[str, Rankings]:
        """Return the rankings of the training-free heuristic."""
        return heuristic_rankings(self._graph, self._vectors, self._users, depth, mask=self._mask)

    def shortcuts(self, targets: NDArray[np.int32], ranks: Mapping[str, Ranks]) -> Shortcuts:
        """Return the shortcuts of the data.

        Args:
            targets: ``item_ix`` of each user's next item.
            ranks: Their ranks by the fusion and by the heuristic.
        """
        recent = {
            name: ranks_of(self._fitted.of_recent(self._asked, CUT, n, mask=self._mask), targets)
            for name, n in _RECENT.items()
        }
        graph, vectors = self._graph, self._vectors
        return shortcuts_of(graph, self._log, vectors, self._users, targets, {**ranks, **recent})

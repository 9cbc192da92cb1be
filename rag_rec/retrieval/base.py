"""The two protocols of retrieval: a `Retriever`, and the `Source` of evidence it is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from scipy import sparse

from rag_rec.core import Candidate, Evidence, UserHistory
from rag_rec.retrieval.fit_data import FitData

Matrices: TypeAlias = dict[str, sparse.csr_array]
"""Item-item matrices ``float32 [n, n]`` by name."""

HistoryWeights = Literal["decayed", "last", "all"]
"""Weights of a history's items: by recency, the latest item alone, or 1 for each."""


@runtime_checkable
class Retriever(Protocol):
    """Proposes candidates and explains them."""

    def retrieve(self, histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
        """Return the candidates of each user, best first, at most ``k``, one list a history.

        No candidate is in the history (unless its constraints allow that), excluded or
        unavailable; there are fewer than ``k`` only when fewer items are eligible. `pools` mends
        lists that fall short of this.
        """
        ...

    def explain(self, history: UserHistory, item_ids: Sequence[str]) -> dict[str, Evidence]:
        """Return the strongest link from the history to each item; unlinked items are absent.

        Args:
            history: The user.
            item_ids: The items to explain.

        Returns:
            Evidence of kind ``history`` by item id, in any order: ``text`` is the sentence,
            ``similarity`` the link's strength.
        """
        ...


class Source(ABC):
    """One kind of evidence that who had one item may want another.

    A source is fitted when an index is built and leaves an item-item matrix: row = an item of the
    history, column = a candidate, value = how strongly the first speaks for the second. A user's
    scores are then one sparse product, history weights times matrix. Matrices are scaled to unit
    standard deviation, weighted and summed.

    Attributes:
        name: An identifier; the key of the source's rank in `Candidate.sources`.
        weight: Where the search for the weights begins; the final weight without a search.
        sentence: Explains a candidate by an item of the history, whose title replaces ``{}``.
        features: History weights under which the ranker sees the source's scores.
        needs: Names of sources that must be fitted before this one.
        uses_log: False for a source of texts alone, which is fitted once even where the last
            events are put aside to learn from.
    """

    name: str
    weight: float = 1.0
    sentence: str = "Goes with “{}”."
    features: tuple[HistoryWeights, ...] = ()
    needs: tuple[str, ...] = ()
    uses_log: bool = True

    @abstractmethod
    def fit(self, data: FitData, fitted: Matrices) -> sparse.csr_array:
        """Return a matrix ``float32 [n, n]``, non-negative, with a zero diagonal.

        Args:
            data: The log and the catalog; its budget says how many entries a row may have.
            fitted: The sources that were fitted before, and the views of all sources.
        """

    def views(self, data: FitData) -> Matrices:  # noqa: ARG002 - for sources that have some
        """Return further matrices by feature name, which only the ranker and `fit` read.

        They are made once, before any source is fitted, and must not depend on the log.
        """
        return {}


def fit_all(
    sources: Sequence[Source], data: FitData, given: Mapping[str, sparse.csr_array]
) -> Matrices:
    """Return the matrix of every source, in their order; those that are given are not fitted.

    Args:
        sources: The sources; each comes after those it needs.
        data: The log and the catalog.
        given: Matrices by source name, and the views of the sources.
    """
    found: Matrices = {}
    for source in sources:
        name = source.name
        found[name] = given[name] if name in given else source.fit(data, {**given, **found})
    return found

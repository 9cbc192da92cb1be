"""Strata of the users that are measured, and the figures of a ranking in each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rag_rec.data import Split
from rag_rec.evaluation.metrics.accuracy import Ranks, ndcg, recall, standard_error
from rag_rec.evaluation.retrieval_report import Row

Strata = Mapping[str, NDArray[np.bool_]]
"""Members ``bool [u]`` of each stratum by its name; none is empty."""

ALL, TAKERS, OTHERS = "all users", "takers of hidden items", "other users"

_SHORT, _LONG = 5, 20
_HEAD_SHARE = 0.2


def strata_of(split: Split, hidden: Collection[str] | None = None) -> Strata:
    """Return the strata: length of the history, popularity of the target in the fit.

    Args:
        split: The task.
        hidden: Items hidden from the fit; their takers, the others and all are strata too.
    """
    lengths = np.array([len(items) for items in split.inputs])
    counts = split.fit.interactions["item_id"].value_counts(sort=True)
    head = set(counts["item_id"].head(int(_HEAD_SHARE * split.fit.items.height)))
    known = set(counts["item_id"])
    place = np.array([0 if t not in known else 2 if t in head else 1 for t in split.targets])
    groups = {
        f"history of up to {_SHORT - 1}": lengths < _SHORT,
        f"history of {_SHORT} to {_LONG - 1}": (lengths >= _SHORT) & (lengths < _LONG),
        f"history of {_LONG} or more": lengths >= _LONG,
        "target cold (not in the fit)": place == 0,
        "target in the tail": place == 1,
        "target in the most popular fifth": place == 2,
    }
    if hidden is not None:
        took = np.array([target in hidden for target in split.targets])
        groups = {ALL: np.full(len(took), fill_value=True), TAKERS: took, OTHERS: ~took} | groups
    return {name: members for name, members in groups.items() if members.any()}


def strata_rows(strata: Strata, ranks: Ranks, ks: Sequence[int]) -> list[Row]:
    """Return the figures of one ranking in each stratum."""
    return [figures(name, ranks[members], ks) for name, members in strata.items()]


def figures(name: str, ranks: Ranks, ks: Sequence[int]) -> Row:
    """Return name, users, and for each k recall, ndcg and their standard errors; None of nobody."""
    row: Row = {"name": name, "users": len(ranks)}
    for k in ks:
        for metric, values in (("recall", recall(ranks, k)), ("ndcg", ndcg(ranks, k))):
            row[f"{metric}@{k}"] = float(values.mean()) if len(values) else None
            row[f"{metric}@{k} se"] = standard_error(values)
    return row

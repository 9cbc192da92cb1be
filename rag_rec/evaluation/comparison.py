"""Comparison of two reports of the same users, computed from the places of the targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rag_rec.core import DataError
from rag_rec.evaluation.metrics.accuracy import Values, measure
from rag_rec.evaluation.metrics.scorer import Relevance
from rag_rec.evaluation.report_model import Report
from rag_rec.evaluation.statistics import Comparison, compare_pairs

_CLOSE = 1e-9


@dataclass(frozen=True, slots=True)
class Compared:
    """One row of both reports: its means of the first one's metric, and second minus first."""

    row: str
    metric: str
    first: float
    second: float
    comparison: Comparison


def compare_reports(first: Report, second: Report) -> list[Compared]:
    """Compare every row that occurs in both.

    Variants and blends are corrected for their number, and so are the rows that are always there:
    these hardly change between two reports, and may not make the correction stricter.

    Raises:
        DataError: If users, targets or metric differ, a report is void, or its figures are not
            those of its own places.
    """
    for report in (first, second):
        check(report)
    one, two = first.hits, second.hits
    if one.task != two.task or one.users != two.users:
        raise DataError(
            f"refused: '{first.name}' measured {len(one.users)} users of task {one.task}, "
            f"'{second.name}' {len(two.users)} of {two.task}; only the same users with "
            "the same targets can be compared"
        )
    metric = first.experiment.metric
    if metric not in second.rows[0].metrics:
        raise DataError(
            f"refused: '{first.name}' is decided by {metric}, which '{second.name}' did not "
            f"measure; it has {', '.join(second.rows[0].metrics)}"
        )
    shared = [name for name in one.places if name in two.places]
    tested = {row.name for row in second.rows if row.kind in {"variant", "blend"}}
    standing, made = ([name for name in shared if (name in tested) == t] for t in (False, True))
    return [*_compare(first, second, standing, metric), *_compare(first, second, made, metric)]


def _compare(
    first: Report, second: Report, names: Sequence[str], metric: str
) -> Iterator[Compared]:
    pairs = [(per_user(first, name, metric), per_user(second, name, metric)) for name in names]
    found = compare_pairs(pairs, alpha=first.experiment.alpha, seed=first.experiment.seed)
    for name, (a, b), one in zip(names, pairs, found, strict=True):
        yield Compared(name, metric, float(a.mean()), float(b.mean()), one)


def per_user(report: Report, row: str, metric: str) -> Values:
    """Return a metric for each user of a report, computed again from the places of the targets."""
    every = [_relevance(report, places) for places in report.hits.places[row]]
    return np.mean([measure(found, metric) for found in every], axis=0)


def check(report: Report) -> None:
    """Compute a report's figures again from its places.

    Raises:
        DataError: If the report is void or says something else than its places.
    """
    if report.findings:
        raise DataError(f"refused: '{report.name}' is void: {'; '.join(report.findings)}")
    for row in report.rows:
        if row.name not in report.hits.places:
            continue
        for metric, said in row.metrics.items():
            found = float(per_user(report, row.name, metric).mean())
            if not abs(found - said) <= _CLOSE:  # NaN is not close
                raise DataError(
                    f"refused: '{report.name}' says {metric} {said:.6f} for {row.name}, but "
                    f"exact ids at its places give {found:.6f}"
                )


def _relevance(report: Report, places: Sequence[Sequence[int]]) -> Relevance:
    """Return the places of one row and repeat as hits."""
    n = np.array(report.hits.n_relevant, np.int64)
    hits = np.zeros((len(n), report.lists.length), np.bool_)
    for row, some in enumerate(places):
        hits[row, np.array(some, np.int64) - 1] = True
    return Relevance(hits, n)

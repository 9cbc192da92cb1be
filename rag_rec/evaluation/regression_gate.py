"""For a pipeline: limits a report must keep, and another report it may not fall behind."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass

from rag_rec.core import ConfigError
from rag_rec.evaluation.comparison import Compared, compare_reports
from rag_rec.evaluation.report_model import Report

EXIT = 100
"""Exit code of a gate that does not hold; 1 stays for errors."""

_SIGNS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_GATE = re.compile(
    r"(?:(?P<row>.+?):)?(?P<metric>[a-z][a-z0-9_-]*@\d+)"
    r"\s*(?P<sign>>=|<=|>|<)\s*(?P<limit>\d+\.?\d*|\.\d+)"
)


@dataclass(frozen=True, slots=True)
class Gate:
    """A limit on a metric, of one row or of every variant.

    Attributes:
        row: A row's name; None for every variant.
        metric: Such as ``ndcg@10``.
        sign: ``>=``, ``<=``, ``>`` or ``<``.
        limit: The limit.
    """

    row: str | None
    metric: str
    sign: str
    limit: float

    @classmethod
    def of(cls, text: str) -> Gate:
        """Read ``ndcg@10>=0.05`` or ``local plain:ndcg@10>=0.05``.

        Raises:
            ConfigError: If it is written otherwise.

        >>> Gate.of("local plain:ndcg@10 >= 0.05")
        Gate(row='local plain', metric='ndcg@10', sign='>=', limit=0.05)
        """
        found = _GATE.fullmatch(text.strip())
        if found is None:
            raise ConfigError(
                f"--gate '{text}': write METRIC>=LIMIT or ROW:METRIC>=LIMIT, such as ndcg@10>=0.05"
            )
        return cls(found["row"], found["metric"], found["sign"], float(found["limit"]))

    def failures(self, report: Report) -> list[str]:
        """Return one line for each row that does not keep the limit.

        Raises:
            ConfigError: If the report has no such row or metric.
        """
        rows = [r for r in report.rows if (r.name == self.row if self.row else r.kind == "variant")]
        if not rows:
            names = ", ".join(row.name for row in report.rows)
            raise ConfigError(f"--gate: no row '{self.row}'; there are {names}")
        if self.metric not in rows[0].metrics:
            known = ", ".join(rows[0].metrics)
            raise ConfigError(f"--gate: {self.metric} was not measured; there are {known}")
        values = {row.name: row.metrics[self.metric] for row in rows}
        return [
            f"{name}: {self.metric} is {value:.4f}, not {self.sign} {self.limit:g}"
            for name, value in values.items()
            if not _SIGNS[self.sign](value, self.limit)
        ]


def losses(report: Report, before: Report) -> list[str]:
    """Return one line for each variant that is significantly worse than in another report.

    Raises:
        DataError: If the two do not measure the same users and targets.
        ConfigError: If no variant occurs in both.
    """
    variants = {row.name for row in report.rows if row.kind == "variant"}
    shared = [found for found in compare_reports(before, report) if found.row in variants]
    if not shared:
        raise ConfigError("--gate-against: the reports have no variant in common")
    return [_loss(entry) for entry in shared if entry.comparison.verdict == "worse"]


def _loss(entry: Compared) -> str:
    found = entry.comparison
    return (
        f"{entry.row}: {entry.metric} fell from {entry.first:.4f} to {entry.second:.4f} "
        f"({found.difference:+.4f} [{found.low:+.4f}, {found.high:+.4f}], corrected p "
        f"{found.p_holm:.3f})"
    )

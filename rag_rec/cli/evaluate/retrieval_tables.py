"""Tables of a measurement of retrieval, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from polars import selectors as cs
from rich.console import Console
from rich.table import Table

from rag_rec.cli.console import note

Report = dict[str, Any]


def mean_of(reports: Sequence[Report]) -> Report:
    """Return the first report with the means of all in its rows and strata."""
    merged = dict(reports[0])
    for part in ("rows", "strata"):
        names = [row["name"] for row in merged[part]]
        rows = pl.concat([pl.DataFrame(report[part]) for report in reports], how="diagonal")
        groups = rows.filter(pl.col("name").is_in(names)).group_by("name", maintain_order=True)
        merged[part] = groups.agg(cs.integer().first(), cs.float().mean()).to_dicts()
    return merged


def show(report: Report, ks: Sequence[int]) -> None:
    """Print tables on stdout, and costs and settings on stderr."""
    out = Console(width=max(100, 40 + 18 * len(ks)))
    for part in ("rows", "strata"):
        table = Table("", "users", *(f"{m}@{k}" for k in ks for m in ("recall", "ndcg")), box=None)
        for row in report[part]:
            cells = [_cell(row, f"{m}@{k}") for k in ks for m in ("recall", "ndcg")]
            table.add_row(row["name"], str(row["users"]), *cells)
        out.print(table)
        out.print()
    for name, cost in report["cost"].items():
        reused = " (a kept index was opened, nothing fitted)" if cost.get("index_reused") else ""
        note(f"{name}: {cost['seconds']} s, peak {cost['peak_gib']} GiB{reused}")
    note(f"fusion: {report['fusion']} ({report['fusion_why']})")
    note(f"solve: {report['solve']} ({report['solve_why']})")
    note(f"{report['cores']} cores; ± is a standard error by bootstrap over users")


def _cell(row: dict[str, Any], name: str) -> str:
    return f"{row[name]:.4f} ±{row[name + ' se']:.4f}"

"""Tables of a measurement of retrieval, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from polars import selectors as cs
from rich.table import Table

from rag_rec.cli.console import note, terminal
from rag_rec.evaluation import AgainstSource, RetrievalReport, Shortcuts

_KEYS = {
    "rows": ("name",),
    "strata": ("name",),
    "source_strata": ("source", "name"),
    "against_sources": ("name", "metric"),
}


def mean_of(reports: Sequence[RetrievalReport]) -> RetrievalReport:
    """Return the first report with the means of all in its figures.

    Where the best single source differs between the reports, each is named. Ends of intervals are
    means of the ends.
    """
    merged: dict[str, Any] = dict(reports[0])
    for part, keys in _KEYS.items():
        tables = [pl.DataFrame(report[part], infer_schema_length=None) for report in reports]
        rows = pl.concat(tables, how="diagonal").join(tables[0].select(keys), on=keys, how="semi")
        groups = rows.group_by(keys, maintain_order=True)
        texts = cs.string() - cs.by_name(keys)
        merged[part] = groups.agg(
            cs.integer().first(),
            cs.float().mean(),
            texts.unique(maintain_order=True).str.join(", "),
        ).to_dicts()
    shortcuts = pl.DataFrame([report["shortcuts"] for report in reports], infer_schema_length=None)
    merged["shortcuts"] = shortcuts.mean().row(0, named=True)
    return RetrievalReport(**merged)


def show(report: RetrievalReport, ks: Sequence[int]) -> None:
    """Print tables on stdout, and costs and settings on stderr."""
    out = terminal(width=max(140, 40 + 18 * len(ks)))
    figures = [f"{metric}@{k}" for k in ks for metric in ("recall", "ndcg")]
    k = 10 if 10 in ks else ks[-1]
    out.print(_table("", report["rows"], figures))
    if report["hidden_items"]:
        out.print("(these are the users who took a hidden item; the strata below are of all)\n")
    out.print(_table("fusion", report["strata"], figures))
    for metric in (f"recall@{k}", f"ndcg@{k}"):
        out.print(_by_stratum(report, metric))
    out.print(_against(report))
    out.print("(paired over users; the source is the best of them on these very users)\n")
    out.print("How much a figure on these data proves")
    for line in Shortcuts(**report["shortcuts"]).lines():
        out.print(f"  {line}", soft_wrap=True)
    _note_setting(report)


def _table(title: str, rows: Sequence[dict[str, Any]], figures: Sequence[str]) -> Table:
    table = Table(title, "users", *figures, box=None)
    for row in rows:
        cells = [f"{row[name]:.4f} ±{row[name + ' se']:.4f}" for name in figures]
        table.add_row(row["name"], str(row["users"]), *cells)
    table.add_row()
    return table


def _by_stratum(report: RetrievalReport, metric: str) -> Table:
    """Return a table of every ranking (row) in every stratum (column)."""
    table = Table(metric, *(row["name"] for row in report["strata"]), box=None)
    table.columns[0].min_width = 16
    table.add_row("fusion", *(f"{row[metric]:.4f}" for row in report["strata"]))
    for name in dict.fromkeys(row["source"] for row in report["source_strata"]):
        own = [row for row in report["source_strata"] if row["source"] == name]
        table.add_row(name, *(f"{row[metric]:.4f}" for row in own))
    table.add_row()
    return table


def _against(report: RetrievalReport) -> Table:
    columns = ("users", "metric", "fusion", "best source", "", "difference", "95 % interval")
    table = Table("fusion against its best single source", *columns, box=None)
    for document in report["against_sources"]:
        row = AgainstSource(**document)
        values = (f"{row.fusion:.4f}", row.source, f"{row.best:.4f}", f"{row.difference:+.4f}")
        interval = f"{row.low:+.4f} to {row.high:+.4f}"
        table.add_row(row.name, str(row.users), row.metric, *values, interval)
    return table


def _note_setting(report: RetrievalReport) -> None:
    note(
        f"{report['protocol']}, {report['target']}: {report['fitted_interactions']} of "
        f"{report['interactions']} interactions fitted on; {report['tied_targets']:.1%} of the "
        "targets share their time with another event of their user"
    )
    for name, cost in report["cost"].items():
        reused = " (a kept index was opened, nothing fitted)" if cost.get("index_reused") else ""
        note(f"{name}: {cost['seconds']} s, peak {cost['peak_gib']} GiB{reused}")
    note(f"fusion: {report['fusion']} ({report['fusion_why']})")
    weights = ", ".join(f"{name} {weight:.3g}" for name, weight in report["weights"].items())
    note(f"weights: {weights}; decay {report['decay']:g}, replay {report['replay']:.3g}")
    note(f"solve: {report['solve']} ({report['solve_why']})")
    note(f"{report.get('cores')} cores; ± is a standard error over users")

"""The command line of experiments: ``rag-rec evaluate run | report | compare``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from rag_rec.cli.console import note, steps_shown, terminal, write_json
from rag_rec.cli.evaluate.retrieval import app
from rag_rec.evaluation import (
    EXIT,
    METRICS,
    Gate,
    Report,
    compare_reports,
    conclusions,
    format_number,
    format_p,
    losses,
    read_report,
    run,
)

_out = terminal(width=max(110, terminal().width) if not sys.stdout.isatty() else None)

ExperimentFile = Annotated[
    Path, typer.Argument(metavar="EXPERIMENT.toml", help="The experiment; examples in eval/.")
]
OutDir = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="The run's folder; run again to go on.")
]
Gates = Annotated[
    list[str] | None,
    typer.Option(
        "--gate",
        metavar="METRIC>=LIMIT",
        help="Exit 100 unless every variant keeps this, or one row: 'ROW:ndcg@10>=0.05'. "
        f"Metrics: {', '.join(METRICS)}. Repeatable.",
    ),
]
Against = Annotated[
    Path | None,
    typer.Option(
        "--gate-against",
        metavar="REPORT.json",
        help="Exit 100 if a variant is significantly worse than in this report.",
    ),
]
People = Annotated[
    bool,
    typer.Option(
        help="Add a browser over users to the page. Without it no history, prompt or title "
        "of your data is in report.html, report.md and report.json, and they can be shared."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="The report on stdout and nothing else.")]
ReportA = Annotated[Path, typer.Argument(metavar="A.json", help="A report, or a run's folder.")]
ReportB = Annotated[Path, typer.Argument(metavar="B.json", help="The report to compare with it.")]


@app.command("run")
def run_experiment(
    experiment: ExperimentFile,
    out: OutDir,
    gate: Gates = None,
    gate_against: Against = None,
    as_json: AsJson = False,
) -> None:
    """Ask every variant for the same users, score them, write the reports.

    Run again with the same --out after a crash or a stop: finished users are kept with their cost.
    """
    gates = [Gate.of(text) for text in gate or ()]
    before = None if gate_against is None else read_report(gate_against)
    with steps_shown() as step:
        report = run(experiment, out, on_step=step, on_progress=step)
    _finish(report, out, as_json=as_json)
    _judge(report, gates, before)


@app.command("report")
def report_again(
    experiment: ExperimentFile,
    out: OutDir,
    people: People = True,
    as_json: AsJson = False,
) -> None:
    """Write the reports again from the answers a run's folder holds; no model is asked."""
    report = run(experiment, out, ask=False, people=people)
    _finish(report, out, as_json=as_json)


@app.command("compare")
def compare_two(first: ReportA, second: ReportB, as_json: AsJson = False) -> None:
    """Compare two reports of the same users, row by row."""
    found = compare_reports(read_report(first), read_report(second))
    if as_json:
        rows = [
            {"row": c.row, "metric": c.metric, "first": c.first, "second": c.second}
            | asdict(c.comparison)
            for c in found
        ]
        write_json(json.dumps(rows))
        return
    table = Table("", "first", "second", "difference", "corrected p", "verdict", box=None)
    for entry in found:
        c = entry.comparison
        table.add_row(
            entry.row,
            format_number(entry.first),
            format_number(entry.second),
            f"{c.difference:+.4f} [{c.low:+.4f}, {c.high:+.4f}]",
            format_p(c.p_holm),
            c.verdict,
        )
    _out.print(table)
    users = f"{found[0].metric} over {found[0].comparison.n_users} users" if found else ""
    note(users or "no row in common")


def _finish(report: Report, out: Path, *, as_json: bool) -> None:
    for line in [*report.notes, *report.findings]:
        note(line)
    if as_json:
        write_json(json.dumps(report.document()))
        return
    metric = report.experiment.metric
    table = Table("", metric, "95 % interval", "against the baseline", box=None)
    for row in sorted(report.rows, key=lambda row: -row.value):
        found = row.comparison
        verdict = f"{found.difference:+.4f} {found.verdict}" if found else ""
        table.add_row(
            row.name, format_number(row.value), f"{row.low:.4f} to {row.high:.4f}", verdict
        )
    _out.print(table)
    for line in conclusions(report):
        _out.print(f"- {line}", markup=False, highlight=False)
    note(f"reports: {out}/report.html, report.md, report.json, users.parquet")


def _judge(report: Report, gates: list[Gate], before: Report | None) -> None:
    """Exit with 100 when a gate does not hold; a void report holds none."""
    failures = [line for gate in gates for line in gate.failures(report)]
    failures += losses(report, before) if before is not None else []
    if gates or before is not None:
        failures += [f"the report is void: {finding}" for finding in report.findings]
    for line in failures:
        note(f"gate: {line}")
    if failures:
        raise typer.Exit(EXIT)

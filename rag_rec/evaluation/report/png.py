"""The charts as PNG files, for slides; the page has its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rag_rec.core import ConfigError

Report = dict[str, Any]


def write_pngs(report: Report, out: Path) -> list[Path]:
    """Writes ``leaderboard.png`` and ``funnel.png``.

    Raises:
        ConfigError: If matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure  # optional
    except ImportError as error:
        raise ConfigError("--png needs matplotlib: pip install 'rag-rec[eval]'") from error
    return [
        _leaderboard(Figure(figsize=(8, 0.4 * len(report["rows"]) + 1.2)), report, out),
        _funnel(Figure(figsize=(7, 4)), report, out),
    ]


def _leaderboard(figure: Any, report: Report, out: Path) -> Path:
    axes = figure.add_subplot()
    rows = sorted(report["rows"], key=lambda row: row["value"])
    for at, row in enumerate(rows):
        axes.plot([row["low"], row["high"]], [at, at], color="tab:gray")
        axes.plot(row["value"], at, "o", color="tab:blue" if row["comparison"] else "black")
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.set_xlabel(f"{report['experiment']['metric']}, mean and 95 % interval over users")
    return _saved(figure, out / "leaderboard.png")


def _funnel(figure: Any, report: Report, out: Path) -> Path:
    axes = figure.add_subplot()
    stages = report["funnel"]["retrieval"]
    axes.bar(range(len(stages)), list(stages.values()), color="tab:blue")
    axes.set_xticks(range(len(stages)), [name.removeprefix("retrieved, ") for name in stages])
    axes.set_ylabel("share of users whose target is there")
    return _saved(figure, out / "funnel.png")


def _saved(figure: Any, path: Path) -> Path:
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    return path

"""A report as Markdown, for a review or a repository."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rag_rec.evaluation.report.words import conclusions, number, p_value, percent

Report = dict[str, Any]


def markdown_of(report: Report) -> str:
    """The whole report."""
    parts = [
        f"# {report['name']}",
        report["description"],
        _what(report),
        "## What it shows",
        "\n".join(f"- {line}" for line in conclusions(report)),
        *_notes(report),
        "## Leaderboard",
        _leaderboard(report),
        "## Where the target is lost",
        _funnel(report),
        "## By length of the history",
        _strata(report),
        "## Beyond accuracy",
        _beyond(report),
        *_manners(report),
        *_sensitivity(report),
        *_blends(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column to the left, the others to the right."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _what(report: Report) -> str:
    data, users = report["data"], report["users"]
    split, strata = report["experiment"]["split"], report["users"]["strata"]
    shares = ", ".join(f"{n} {name}" for name, n in strata.items())
    return (
        f"{data['items']:,} items, {data['events fitted on']:,} events and "
        f"{data['reviews fitted on']:,} reviews fitted on; {data['reviews hidden']:,} reviews of "
        f"hidden events kept out. Split {split['protocol']}; {users['measured']} of "
        f"{users['planned']} users ({shares}). Seed {report['experiment']['seed']}, "
        f"{report['cores']} cores, version {report['version']}."
    )


def _notes(report: Report) -> Iterator[str]:
    if report["notes"]:
        yield "## What a reader must know"
        yield "\n".join(f"- {note}" for note in report["notes"])


def _leaderboard(report: Report) -> str:
    metric = report["experiment"]["metric"]
    others = [name for name in report["rows"][0]["metrics"] if name != metric]
    shown = [name for name in others if name.split("@")[0] in {"recall", "mrr"}]
    rows = sorted(report["rows"], key=lambda row: -row["value"])
    return table(
        ["", metric, "95 % interval", "difference", "corrected p", "failed", *shown],
        [
            [
                row["name"],
                number(row["value"]),
                f"{row['low']:.4f}–{row['high']:.4f}",
                *_compared(row),
                percent(row["manners"].get("failed")) if row["manners"] else "–",
                *(number(row["metrics"][name]) for name in shown),
            ]
            for row in rows
        ],
    )


def _compared(row: Report) -> list[str]:
    found = row["comparison"]
    if found is None:
        return ["–", "–"]
    return [f"{found['difference']:+.4f} ({found['verdict']})", p_value(found["p_holm"])]


def _funnel(report: Report) -> str:
    stages = report["funnel"]["retrieval"]
    first = table(["stage", "recall"], [[name, number(v)] for name, v in stages.items()])
    variants = report["funnel"]["variants"]
    names = ["proposed", "in the prompt", "in the list", "first"]
    second = table(
        ["variant", *names],
        [[name, *(number(found[stage]) for stage in names)] for name, found in variants.items()],
    )
    return first + "\n\n" + second


def _strata(report: Report) -> str:
    names = [name for name, n in report["users"]["strata"].items() if n]
    return table(
        ["", *(f"{name} ({report['users']['strata'][name]} users)" for name in names), "gap"],
        [
            [row["name"], *(_interval(row["strata"][name]) for name in names), number(row["gap"])]
            for row in report["rows"]
        ],
    )


def _interval(group: Report) -> str:
    return f"{group['value']:.4f} ({group['low']:.4f}–{group['high']:.4f})"


def _beyond(report: Report) -> str:
    rows = [row for row in report["rows"] if row["beyond"]]
    names = list(rows[0]["beyond"])
    return table(
        ["", *names], [[row["name"], *(number(row["beyond"][n], 3) for n in names)] for row in rows]
    )


def _manners(report: Report) -> Iterator[str]:
    rows = [row for row in report["rows"] if row["manners"]]
    if rows:
        yield "## How the models behaved"
        yield table(
            ["", *(row["name"] for row in rows)],
            [
                [name, *(_manner(name, row["manners"][name]) for row in rows)]
                for name in rows[0]["manners"]
            ],
        )


COUNTS = ("asked", "calls", "prompt tokens a user", "completion tokens a user")
MEASURES = ("seconds p50", "seconds p95", "cost", "cost of a thousand users")


def _manner(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    if name in COUNTS:
        return f"{value:,.0f}"
    return f"{value:.2f}" if name in MEASURES else percent(value)


def _sensitivity(report: Report) -> Iterator[str]:
    for name, arms in report["sensitivity"].items():
        yield f"## Sensitivity of {name}"
        if not arms:
            yield "Planned, but nothing of it has been answered."
            continue
        metric = report["experiment"]["metric"]
        yield table(
            ["circumstance", "users", metric, "as asked before", "retrieval under the same"],
            [
                [
                    arm,
                    f"{found['users']} of {found['planned']}",
                    number(found["value"]),
                    number(found["as asked"]),
                    number(found.get("retrieval")),
                ]
                for arm, found in arms.items()
            ],
        )
        if "shuffled" in arms:
            yield _shuffled(arms["shuffled"])


def _shuffled(found: Report) -> str:
    head = (
        "With the same candidates in random order: Kendall tau between the two lists "
        f"{number(found['correlation'], 2)}, shared items {percent(found['overlap'])}, tau between "
        f"the order shown and the list {number(found['follows'], 2)}."
    )
    return head + "\n\n" + table(
        ["target shown at", "users", "put first", "mean reciprocal place"],
        [[str(at), str(n), percent(first), number(mean)] for at, n, first, mean in
         found["by_position"]],
    )  # fmt: skip


def _blends(report: Report) -> Iterator[str]:
    if not report["blends"]:
        return
    yield "## Blend and routing, fitted on validation"
    yield table(
        ["variant", "weight", "by stratum", "calls saved", "file"],
        [
            [
                name,
                str(fit["weight"]),
                "; ".join(f"{s}: {w} ({n} users)" for s, (w, n, _) in fit["by_stratum"].items()),
                percent(fit["calls saved"]),
                fit["file"],
            ]
            for name, fit in report["blends"].items()
        ],
    )

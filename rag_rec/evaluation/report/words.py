"""What a report says in sentences; the same in Markdown and on the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Report = dict[str, Any]

_ECHO = 0.5


def number(value: float | None, digits: int = 4) -> str:
    """A figure, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """A share in percent, or a dash where there is none."""
    return "–" if value is None else f"{100 * value:.1f} %"


def p_value(value: float) -> str:
    """A p-value; never 0."""
    return "< .001" if value < 0.001 else f"{value:.3f}"


def conclusions(report: Report) -> list[str]:
    """What the figures allow one to say, and no more."""
    experiment = report["experiment"]
    metric, baseline = experiment["metric"], experiment["baseline"]
    lines = [
        *_void(report),
        (
            f"{metric} over {report['users']['measured']} users; every variant is tested against "
            f"“{baseline}” by a paired permutation test, corrected for their number (Holm)."
        ),
    ]
    lines += list(_verdicts(report, baseline))
    lines += list(_echoes(report))
    lines += list(_blame(report))
    lines += list(_blend_lines(report))
    return lines


def _void(report: Report) -> list[str]:
    if not report["findings"]:
        return []
    return ["THIS REPORT IS VOID: " + "; ".join(report["findings"])]


def _verdicts(report: Report, baseline: str) -> Iterator[str]:
    same = [
        row["name"]
        for row in report["rows"]
        if row["comparison"] and row["comparison"]["n_differ"] == 0
    ]
    if same:
        yield f"No difference shown, not one user differs from {baseline}: {', '.join(same)}."
    for row in report["rows"]:
        found = row["comparison"]
        if found is None or row["name"] in same:
            continue
        size = (
            f"{found['difference']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}], "
            f"corrected p {p_value(found['p_holm'])}"
        )
        if found["verdict"] != "no difference shown":
            yield f"{row['name']} is {found['verdict']} than {baseline}: {size}."
        else:
            more = f" ({found['n_needed']:,} users would be needed)" if found["n_needed"] else ""
            yield (
                f"{row['name']}: no difference shown ({size}); with so many users, differences "
                f"under {found['smallest']:.4f} are missed more than one time in five{more}."
            )


def _echoes(report: Report) -> Iterator[str]:
    """Models that mostly repeat what they were shown; their score is then retrieval's."""
    shares = {row["name"]: (row["manners"] or {}).get("kept order") for row in report["rows"]}
    echoes = [
        f"{name} for {percent(kept)}"
        for name, kept in shares.items()
        if kept is not None and kept >= _ECHO
    ]
    if echoes:
        yield (
            f"The order that was given is repeated by {', '.join(echoes)} of the users answered: "
            "what is scored there is retrieval's."
        )


def _blame(report: Report) -> Iterator[str]:
    stages = report["funnel"]["retrieval"]
    pipeline = report["experiment"]["pipeline"]
    shown = max(pipeline["k"], pipeline["candidates"])
    share = stages[f"retrieved, first {shown}"]
    yield (
        f"Retrieval puts the target among the {shown} candidates of {percent(share)} of the "
        f"users; for the others no order of a model can find it."
    )


def _blend_lines(report: Report) -> Iterator[str]:
    useless = [name for name, fit in report["blends"].items() if fit["calls saved"] >= 1]
    if useless:
        yield (
            f"Blends of {', '.join(useless)}: weight 0 for every length of history, that is, do "
            "not ask the model; all calls are saved."
        )
    for name, fit in report["blends"].items():
        if name not in useless:
            yield (
                f"Blend of {name}: weight {fit['weight']:g} overall; asking only where it paid on "
                f"validation saves {percent(fit['calls saved'])} of the calls."
            )

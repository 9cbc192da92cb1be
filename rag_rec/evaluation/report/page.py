"""The page: one file that needs nothing else, in light and dark, on a desk and on a phone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from rag_rec.evaluation.measure import Details
from rag_rec.evaluation.report import charts
from rag_rec.evaluation.report.browser import browser_of
from rag_rec.evaluation.report.markdown import COUNTS, MEASURES
from rag_rec.evaluation.report.words import conclusions, number, p_value, percent

Report = dict[str, Any]

_HERE = Path(__file__).parent
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def page_of(report: Report, details: Details | None) -> str:
    """The whole page; all text of the data is escaped or put in as text.

    Args:
        report: The report.
        details: What the browser over users shows; None for a page without one, which holds
            nothing of any user and no text of the data.
    """
    css = (_HERE / "page.css").read_text(encoding="utf-8")
    sections = list(_sections(report))
    links = "".join(f'<a href="#{key}">{escape(name)}</a>' for key, name, _ in sections)
    body = "".join(
        f'<section id="{key}"><h2>{escape(name)}</h2>{html}</section>'
        for key, name, html in sections
    )
    links += "" if details is None else '<a href="#users">Users</a>'
    browser, script = ("", "") if details is None else (_BROWSER, _script(details))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(report["name"])}</title>'
        f"<style>{css}</style></head><body><nav>{links}</nav>"
        f"<main><h1>{escape(report['name'])}</h1><p>{escape(report['description'])}</p>"
        f"{_what(report)}{body}{browser}</main>{script}</body></html>\n"
    )


def _script(details: Details) -> str:
    data = json.dumps(browser_of(details), ensure_ascii=False, separators=(",", ":"))
    for character, code in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        data = data.replace(character, code)
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    return f'<script type="application/json" id="data">{data}</script><script>{script}</script>'


_BROWSER = """<section id="users"><h2>Users</h2><div class="browser"><div>
<label>Row<select id="row"></select></label>
<label>Show<select id="which"><option value="all">all users</option>
<option value="hit">target in the list</option><option value="miss">target missed</option>
<option value="lost">target shown, not listed</option></select></label>
<input id="find" type="search" placeholder="user id" aria-label="user id">
<p class="soft" id="count"></p><div class="people" id="people"></div></div>
<div id="user" aria-live="polite"></div></div></section>"""


def _sections(report: Report) -> Iterator[tuple[str, str, str]]:
    yield "shows", "What it shows", _list(conclusions(report))
    if report["notes"]:
        yield "notes", "What a reader must know", _list(report["notes"])
    yield "board", "Leaderboard", _leaderboard(report)
    tested = [row for row in report["rows"] if row["comparison"]]
    if tested:
        yield "forest", "Differences from the baseline", _forest(report, tested)
    yield "funnel", "Where the target is lost", _funnel(report)
    if any(row["manners"] for row in report["rows"]):
        yield "cost", "Accuracy against cost", _cost(report)
    yield "strata", "By length of the history", _strata(report)
    for name, arms in report["sensitivity"].items():
        yield f"sensitivity-{_slug(name)}", f"Sensitivity of {name}", _sensitivity(report, arms)
    if report["blends"]:
        yield "blend", "Blend and routing", _blends(report)
    yield "beyond", "Beyond accuracy", _beyond(report)
    if any(row["manners"] for row in report["rows"]):
        yield "manners", "How the models behaved", _manners(report)


def _what(report: Report) -> str:
    users, data = report["users"], report["data"]
    strata = ", ".join(f"{n} {name}" for name, n in users["strata"].items())
    text = (
        f"{users['measured']:,} of {users['planned']:,} users ({strata}); {data['items']:,} items; "
        f"{data['events fitted on']:,} events fitted on; {data['reviews hidden']:,} reviews of "
        f"hidden events kept out; split {report['experiment']['split']['protocol']}; seed "
        f"{report['experiment']['seed']}"
    )
    void = "".join(
        f'<p class="void">This report is void: {escape(f)}</p>' for f in report["findings"]
    )
    return f'<p class="soft">{escape(text)}</p>{void}'


def _leaderboard(report: Report) -> str:
    metric = report["experiment"]["metric"]
    others = [m for m in report["rows"][0]["metrics"] if m != metric]
    rows = sorted(report["rows"], key=lambda row: -row["value"])
    chart = charts.forest(
        [(r["name"], r["value"], r["low"], r["high"], r["kind"]) for r in rows], None
    )
    head = ["", metric, "95 % interval", "difference", "corrected p", "failed", *others]
    body = [
        [
            row["name"],
            number(row["value"]),
            f"{row['low']:.4f}–{row['high']:.4f}",
            *_difference(row),
            percent(row["manners"].get("failed")) if row["manners"] else "–",
            *(number(row["metrics"][m]) for m in others),
        ]
        for row in rows
    ]
    return _figure(chart, f"{metric} and its 95 % interval over users") + table(head, body)


def _difference(row: Report) -> list[str | tuple[str, str]]:
    found = row["comparison"]
    if found is None:
        return ["–", "–"]
    kind = found["verdict"] if found["verdict"] in {"better", "worse"} else "none"
    return [(f"{found['difference']:+.4f} {found['verdict']}", kind), p_value(found["p_holm"])]


def _forest(report: Report, rows: Sequence[Report]) -> str:
    points = [(row["name"], row["comparison"]) for row in rows]
    chart = charts.forest(
        [
            (
                name,
                found["difference"],
                found["low"],
                found["high"],
                found["verdict"] if found["verdict"] in {"better", "worse"} else "baseline",
            )
            for name, found in points
        ],
        0.0,
    )
    metric, baseline = report["experiment"]["metric"], report["experiment"]["baseline"]
    head = ["", "difference", "interval", "p", "corrected p", "effect dz", "users that differ",
            "users needed", "smallest visible", "verdict"]  # fmt: skip
    body = [
        [
            name,
            f"{c['difference']:+.4f}",
            f"{c['low']:+.4f} to {c['high']:+.4f}",
            p_value(c["p"]),
            p_value(c["p_holm"]),
            number(c["effect"], 2),
            f"{c['n_differ']} of {c['n_users']}",
            "–" if c["n_needed"] is None else f"{c['n_needed']:,}",
            number(c["smallest"]),
            c["verdict"],
        ]
        for name, c in points
    ]
    return _figure(chart, f"{metric} minus that of “{baseline}”, same users") + table(head, body)


def _funnel(report: Report) -> str:
    stages = report["funnel"]["retrieval"]
    chart = charts.bars([(name, value, "baseline") for name, value in reversed(stages.items())])
    names = ["proposed", "in the prompt", "in the list", "first"]
    body = [
        [name, *(number(found[n]) for n in names)]
        for name, found in report["funnel"]["variants"].items()
    ]
    caption = "share of users whose target is still there after each stage of retrieval"
    return _figure(chart, caption) + table(["variant", *names], body)


def _cost(report: Report) -> str:
    priced = all(row["manners"].get("cost") is not None for row in report["rows"] if row["manners"])
    what = "cost of a thousand users" if priced else "tokens a user, read and written"
    rows = [
        (row, _spent(row, priced=priced))
        for row in report["rows"]
        if row["kind"] == "variant" or row["name"] == report["experiment"]["baseline"]
    ]
    points = [
        (row["name"], spent, row["value"], row["kind"]) for row, spent in rows if spent is not None
    ]
    unknown = ", ".join(row["name"] for row, spent in rows if spent is None)
    metric = report["experiment"]["metric"]
    left_out = f"; every answer of {unknown} came from a cache" if unknown else ""
    return _figure(charts.scatter(points, what, metric), f"{metric} against {what}{left_out}")


def _spent(row: Report, *, priced: bool) -> float | None:
    found = row["manners"]
    if not found:
        return 0.0
    if found["prompt tokens a user"] is None:
        return None
    if priced:
        return float(found["cost of a thousand users"])
    return float(found["prompt tokens a user"] + found["completion tokens a user"])


def _strata(report: Report) -> str:
    names = [name for name, n in report["users"]["strata"].items() if n]
    shown = [row for row in report["rows"] if row["kind"] != "blend"]
    figures = "".join(
        _figure(
            charts.forest(
                [
                    (r["name"], g["value"], g["low"], g["high"], r["kind"])
                    for r in shown
                    for g in [r["strata"][name]]
                ],
                None,
            ),
            f"{name}: {report['users']['strata'][name]} users",
        )
        for name in names
    )
    body = [
        [row["name"], *(number(row["strata"][n]["value"]) for n in names), number(row["gap"])]
        for row in report["rows"]
    ]
    return figures + table(["", *names, "gap"], body)


def _sensitivity(report: Report, arms: Report) -> str:
    if not arms:
        return "<p>Planned, but nothing of it has been answered.</p>"
    metric = report["experiment"]["metric"]
    body = [
        [arm, f"{f['users']} of {f['planned']}", number(f["value"]), number(f["as asked"]),
         number(f.get("retrieval"))]
        for arm, f in arms.items()
    ]  # fmt: skip
    html = table(
        ["circumstance", "users", metric, "as asked before", "retrieval, same circumstance"], body
    )
    found = arms.get("shuffled")
    if not found or not found["by_position"]:
        return html
    curve = charts.line(
        [(at, n, first) for at, n, first, _ in found["by_position"]], "place at which it was shown"
    )
    said = (
        "The same candidates in random order: Kendall tau between the two lists "
        f"{number(found['correlation'], 2)}, shared items {percent(found['overlap'])}, tau between "
        f"the order shown and the list {number(found['follows'], 2)}."
    )
    return f"{html}<p>{escape(said)}</p>" + _figure(
        curve, "target put first, by the place at which it was shown; larger dots, more users"
    )


def _blends(report: Report) -> str:
    head = ["variant", "weight", "cold", "warm", "hot", "validation users", "calls saved", "file"]
    body = [
        [
            name,
            f"{fit['weight']:g}",
            *(f"{fit['by_stratum'][s][0]:g}" for s in ("cold", "warm", "hot")),
            str(fit["validation users"]),
            percent(fit["calls saved"]),
            fit["file"],
        ]
        for name, fit in report["blends"].items()
    ]
    said = (
        "Weight of the model's order against retrieval's, fitted on earlier events of other "
        "draws of users; 0 means that the model is not asked. A weight above 0 must gain more "
        "than one standard error."
    )
    return f"<p>{escape(said)}</p>" + table(head, body)


def _beyond(report: Report) -> str:
    rows = [row for row in report["rows"] if row["beyond"]]
    names = list(rows[0]["beyond"])
    body = [[row["name"], *(number(row["beyond"][n], 3) for n in names)] for row in rows]
    return table(["", *names], body)


def _manners(report: Report) -> str:
    rows = [row for row in report["rows"] if row["manners"]]
    body = [
        [name, *(_manner(name, row["manners"][name]) for row in rows)]
        for name in rows[0]["manners"]
    ]
    return table(["", *(row["name"] for row in rows)], body)


def _manner(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    if name in COUNTS:
        return f"{value:,.0f}"
    return f"{value:.2f}" if name in MEASURES else percent(value)


def table(head: Sequence[str], rows: Iterable[Sequence[str | tuple[str, str]]]) -> str:
    """A table that scrolls by itself; a cell may bring a class as its second part."""
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return (
        f'<div class="scroll"><table><thead><tr>{cells}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _cell(cell: str | tuple[str, str]) -> str:
    if isinstance(cell, tuple):
        return f'<td class="{escape(cell[1])}">{escape(cell[0])}</td>'
    return f"<td>{escape(cell)}</td>"


def _figure(svg: str, caption: str) -> str:
    return f'<figure>{svg}<figcaption class="soft">{escape(caption)}</figcaption></figure>'


def _list(lines: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _slug(text: Any) -> str:
    return "".join(c if c.isalnum() else "-" for c in str(text))

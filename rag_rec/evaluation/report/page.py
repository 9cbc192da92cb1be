"""The page of a report: one file that needs nothing else, in light and dark, wide and narrow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from rag_rec.evaluation.measure import Details
from rag_rec.evaluation.report.browser import browser_data
from rag_rec.evaluation.report.charts import draw
from rag_rec.evaluation.report.sections import (
    Article,
    Block,
    Bullets,
    Cell,
    Chart,
    Folded,
    Heading,
    Paragraph,
    Section,
    Table,
    format_cell,
)

_HERE = Path(__file__).parent
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
_BROWSER = """<section id="users"><h2>Users</h2><div class="browser"><div>
<label>Row<select id="row"></select></label>
<label>Show<select id="which"><option value="all">all users</option>
<option value="hit">target in the list</option><option value="miss">target missed</option>
<option value="lost">target shown, not listed</option></select></label>
<input id="find" type="search" placeholder="user id" aria-label="user id">
<p class="soft" id="count"></p><div class="people" id="people"></div></div>
<div id="user" aria-live="polite"></div></div></section>"""


def render_page(article: Article, details: Details | None) -> str:
    """Return the whole page; all text of the data is escaped or put in as text by the script.

    Args:
        article: The report's sections.
        details: Data of the browser over users; None for a page without one, which holds nothing
            of any user and no text of the data.
    """
    css = (_HERE / "page.css").read_text(encoding="utf-8")
    sections = list(enumerate(article.sections, 1))
    links = "".join(f'<a href="#s{n}">{escape(section.title)}</a>' for n, section in sections)
    body = "".join(_section(f"s{n}", section) for n, section in sections)
    title, browser, script = escape(article.title), "", ""
    if details is not None:
        links += '<a href="#users">Users</a>'
        browser, script = _BROWSER, _script(details)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{title}</title><style>{css}</style></head>'
        f"<body><nav>{links}</nav><main><h1>{title}</h1>{_blocks(article.intro)}{body}{browser}"
        f"</main>{script}</body></html>\n"
    )


def _script(details: Details) -> str:
    data = json.dumps(browser_data(details), ensure_ascii=False, separators=(",", ":"))
    for character, code in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        data = data.replace(character, code)
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    return f'<script type="application/json" id="data">{data}</script><script>{script}</script>'


def _section(key: str, section: Section) -> str:
    return (
        f'<section id="{key}"><h2>{escape(section.title)}</h2>{_blocks(section.blocks)}</section>'
    )


def _blocks(blocks: Sequence[Block]) -> str:
    return "".join(map(_block, blocks))


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            return f'<p class="{block.style}">{escape(block.text)}</p>'
        case Bullets():
            return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in block.lines) + "</ul>"
        case Table():
            return _table(block)
        case Chart():
            return _figure(block)
        case Folded():
            summary, body = escape(block.summary), _blocks(block.blocks)
            return f"<details><summary>{summary}</summary>{body}</details>"


def _figure(chart: Chart) -> str:
    caption = f'<figcaption class="soft">{escape(chart.caption)}</figcaption>'
    table = _block(Folded("The figures", [chart.table])) if chart.table else ""
    return f"<figure>{draw(chart)}{caption}</figure>{table}"


def _table(table: Table) -> str:
    """Return a table that scrolls by itself where the window is narrow."""
    head = "".join(
        f'<th class="{column.kind}">{escape(column.name)}</th>' for column in table.columns
    )
    lines = "".join(
        "<tr>" + "".join(map(_cell, row, table.columns)) + "</tr>" for row in table.rows
    )
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>'
        "</div>"
    )


def _cell(cell: Cell, column: Heading) -> str:
    text = format_cell(cell, column.kind)
    tone = text if column.kind == "verdict" and text in {"better", "worse"} else column.kind
    return f'<td class="{tone}">{escape(text)}</td>'

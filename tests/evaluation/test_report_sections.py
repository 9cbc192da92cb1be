"""Sections of a report, and both renderings of them: the same figures, and text that stays text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from rag_rec.core import one_line
from rag_rec.evaluation import Report, conclusions, read_report
from rag_rec.evaluation.report.charts import draw
from rag_rec.evaluation.report.content import article_of
from rag_rec.evaluation.report.markdown import escape_markdown, render_markdown
from rag_rec.evaluation.report.page import render_page
from rag_rec.evaluation.report.sections import (
    Article,
    Block,
    Bullets,
    Cell,
    Chart,
    ColumnKind,
    Folded,
    Heading,
    Mark,
    Paragraph,
    Section,
    Table,
    format_cell,
)

REPORTS = Path(__file__).parents[2] / "eval" / "reports"
HOSTILE = "</td>|`<script>alert(1)</script>` [a](https://x.test) **b** _c_ &amp; <!-- \n# d"
MARKDOWN = MarkdownIt("commonmark").enable("table")
LINES = {"h1", "h2", "li", "p"}


@pytest.fixture(scope="module")
def sample() -> Report:
    return read_report(REPORTS / "sample")


def changed(report: Report, **parts: Any) -> Report:
    return report.model_copy(update=parts)


def walk(blocks: Any) -> Iterator[Block]:
    for block in blocks:
        yield block
        if isinstance(block, Folded):
            yield from walk(block.blocks)
        if isinstance(block, Chart) and block.table:
            yield block.table


def blocks_of(article: Article) -> list[Block]:
    return [*walk(article.intro), *(b for part in article.sections for b in walk(part.blocks))]


def section(article: Article, title: str) -> Section:
    return next(part for part in article.sections if part.title == title)


class Page(HTMLParser):
    """Cells of each table, headings, lines and paragraphs, all text, and the tags of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.tags: set[str] = set()
        self.text = ""
        self.lines: list[tuple[str, str]] = []
        self._line: list[str] | None = None
        self._cell: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag in LINES and ("class", "legend") not in attrs:
            self._line = []
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self._cell = ""

    def handle_endtag(self, tag: str) -> None:
        if tag in LINES and self._line is not None:
            self.lines.append((tag, one_line("".join(self._line))))
            self._line = None
        if tag in {"td", "th"} and self._cell is not None:
            self.tables[-1][-1].append(one_line(self._cell))
            self._cell = None

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._line is not None:
            self._line.append(data)
        if self._cell is not None:
            self._cell += data


def shown(token: Token) -> str:
    """Text of an inline token, which must hold nothing but text."""
    assert {child.type for child in token.children or ()} <= {"text", "text_special"}, token.content
    return "".join(child.content for child in token.children or ())


def tables_of(markdown: str) -> list[list[list[str]]]:
    tables: list[list[list[str]]] = []
    for token in MARKDOWN.parse(markdown):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type == "inline" and token.level >= 4 and tables:
            tables[-1][-1].append(shown(token))
    return tables


@pytest.mark.parametrize("name", ["sample", "movielens_small", "retrievers_temporal"])
def test_both_renderings_have_the_same_tables(name: str) -> None:
    article = article_of(read_report(REPORTS / name))
    in_page = Page(render_page(article, None)).tables
    assert len(in_page) >= 6
    assert tables_of(render_markdown(article)) == in_page


def lines_of(markdown: str) -> list[tuple[str, str]]:
    """Headings, lines of lists and paragraphs, in their order."""
    found: list[tuple[str, str]] = []
    tags: list[str] = []
    for token in MARKDOWN.parse(markdown):
        if token.tag in {*LINES, "table"}:
            tags = [*tags, token.tag] if token.nesting > 0 else tags[:-1]
        elif token.type == "inline" and "table" not in tags:
            found.append(("li" if "li" in tags else tags[-1], shown(token)))
    return found


@pytest.mark.parametrize("name", ["sample", "movielens_small", "retrievers_temporal"])
def test_both_renderings_have_the_same_headings_lines_and_paragraphs(name: str) -> None:
    article = article_of(read_report(REPORTS / name))
    page = Page(render_page(article, None))
    in_markdown = lines_of(render_markdown(article))
    assert in_markdown == page.lines
    titles = [("h1", article.title), *(("h2", part.title) for part in article.sections)]
    assert [line for line in in_markdown if line[0] in {"h1", "h2"}] == titles
    assert len([line for line in in_markdown if line[0] == "li"]) >= 3


@pytest.mark.parametrize("name", ["sample", "movielens_small", "retrievers_temporal"])
def test_tables_are_whole_and_charts_are_drawn_from_the_report(name: str) -> None:
    blocks = blocks_of(article_of(read_report(REPORTS / name)))
    for table in (block for block in blocks if isinstance(block, Table)):
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.columns)}
    for chart in (block for block in blocks if isinstance(block, Chart)):
        assert chart.marks
        if chart.kind == "intervals":
            assert all(mark.ends[0] <= mark.x <= mark.ends[1] for mark in chart.marks)


def test_the_leaderboard_is_ordered_and_holds_the_reports_figures(sample: Report) -> None:
    chart, board, metrics = section(article_of(sample), "Leaderboard").blocks
    assert isinstance(chart, Chart)
    assert isinstance(board, Table)
    assert isinstance(metrics, Folded)
    values = [row[1] for row in board.rows]
    assert values == sorted((row.value for row in sample.rows), reverse=True)
    fewshot = next(row for row in board.rows if row[0] == "local fewshot")
    found = sample.row("local fewshot")
    assert found is not None
    assert found.comparison is not None
    assert fewshot[2:6] == [(found.low, found.high), found.comparison.difference,
                            found.comparison.p_holm, "no difference shown"]  # fmt: skip


def test_sections_without_figures_are_left_out() -> None:
    without_models = article_of(read_report(REPORTS / "retrievers_temporal"))
    titles = [part.title for part in without_models.sections]
    assert titles[0] == "Conclusions"
    assert not {"Accuracy against cost", "Model behaviour", "Blend and routing"} & set(titles)


def test_a_void_report_says_so_first(sample: Report) -> None:
    void = changed(sample, findings=["random: saw the targets"])
    article = article_of(void)
    warning = Paragraph("This report is void: random: saw the targets", "void")
    assert warning in article.intro
    assert conclusions(void)[0] == "THIS REPORT IS VOID: random: saw the targets"
    assert '<p class="void">This report is void' in render_page(article, None)
    assert "void" in render_markdown(article).split("## Conclusions")[0]


def test_conclusions_name_what_was_shown(sample: Report) -> None:
    row = sample.row("local fewshot")
    assert row is not None
    assert row.comparison is not None
    worse = replace(row.comparison, verdict="worse", p_holm=0.0001)
    rows = [r if r is not row else r.model_copy(update={"comparison": worse}) for r in sample.rows]
    lines = conclusions(changed(sample, rows=rows))
    assert any(line.startswith("local fewshot is worse than retrieval only: -0.0575 ") and
               "corrected p < .001" in line for line in lines)  # fmt: skip
    assert any("repeated by local cited for 100.0 %" in line for line in lines)
    assert any("among the 6 candidates of 42.5 %" in line for line in lines)


def test_a_variant_answered_from_a_cache_has_no_place_against_cost(sample: Report) -> None:
    row = sample.row("local plain")
    assert row is not None
    unknown = {"prompt tokens a user": None, "completion tokens a user": None}
    cached = row.model_copy(update={"behaviour": row.behaviour | unknown})
    rows = [cached if r is row else r for r in sample.rows]
    (chart,) = section(article_of(changed(sample, rows=rows)), "Accuracy against cost").blocks
    assert isinstance(chart, Chart)
    assert "local plain" not in {mark.name for mark in chart.marks}
    assert "every answer of local plain came from a cache" in chart.caption
    assert chart.table
    assert ["local plain", None, row.value] in chart.table.rows


@pytest.mark.parametrize(
    ("cell", "kind", "text"),
    [
        ("a name", "text", "a name"), (None, "text", "–"), (0.25, "number", "0.2500"),
        (1234.4, "count", "1,234"), ((3, 1200), "part", "3 of 1,200"), (1.0, "share", "100.0 %"),
        (-0.01, "signed", "-0.0100"), (0.0, "p", "< .001"), (0.0314, "p", "0.031"),
        ((0.1, 0.2), "range", "0.1000–0.2000"), ((-0.1, 0.2), "signed range", "-0.1000 to +0.2000"),
        ((0.1, 0.0, 0.2), "estimate", "0.1000 (0.0000–0.2000)"), (None, "p", "–"),
    ],
)  # fmt: skip
def test_cells_are_written_by_the_kind_of_their_column(
    cell: Cell, kind: ColumnKind, text: str
) -> None:
    assert format_cell(cell, kind) == text


# --- text of the data stays text --------------------------------------------------------------


def hostile_article(text: str) -> Article:
    table = Table([Heading(text, "text"), Heading("x")], [[text, 0.5]])
    chart = Chart("points", [Mark(text, 1, 0.5)], text, text, table=table)
    blocks: list[Block] = [Paragraph(text), Bullets([text]), table, chart, Folded(text, [table])]
    return Article(text, blocks, [Section(text, blocks)])


@given(st.text())
def test_markdown_shows_any_text_as_it_is(text: str) -> None:
    line = one_line(text)
    for token in MARKDOWN.parse(escape_markdown(text)):
        assert token.type in {"paragraph_open", "inline", "paragraph_close"}
        if token.type == "inline":
            assert shown(token) == line
    if line:
        assert tables_of(render_markdown(hostile_article(text)))[0] == [
            [line, "x"],
            [line, "0.5000"],
        ]


@given(st.text(alphabet=st.sampled_from("#-+*_=~`<>|&[]()!\\$1.: \nwhtps/a"), max_size=30))
def test_markdown_escapes_everything_that_it_could_read(text: str) -> None:
    for token in MARKDOWN.parse(escape_markdown(text)):
        assert token.type in {"paragraph_open", "inline", "paragraph_close"}
        if token.type == "inline":
            assert shown(token) == one_line(text)


def test_no_rendering_takes_text_for_markup() -> None:
    article = hostile_article(HOSTILE)
    page = Page(render_page(article, None))
    assert not {"script", "b", "strong", "img"} & page.tags
    assert page.text.count("<script>alert(1)</script>") > 10
    inline = {child.type for token in MARKDOWN.parse(render_markdown(article))
              for child in token.children or ()}  # fmt: skip
    assert inline <= {"text", "text_special"}


# --- charts -----------------------------------------------------------------------------------

figures = st.floats(-1e6, 1e6, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-6)


def parsed(chart: Chart) -> ElementTree.Element:
    return ElementTree.fromstring(draw(chart).split("<p class")[0])  # noqa: S314 - our own


@given(st.lists(st.tuples(figures, figures, figures), min_size=1, max_size=8))
def test_intervals_lie_within_the_drawing(rows: list[tuple[float, float, float]]) -> None:
    marks = [Mark("<a>", sorted(r)[1], ends=(min(r), max(r)), tone="variant") for r in rows]
    drawing = parsed(Chart("intervals", marks, "<c>", zero=0.0))
    lines = [line for line in drawing.iter("line") if line.get("class") == "bar variant"]
    assert len(lines) == len(marks)
    for line in lines:
        assert 190 <= float(line.get("x1", "nan")) <= float(line.get("x2", "nan")) <= 660
    assert len([title for title in drawing.iter("title") if title.text == "<a>"]) == len(marks)


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0, 1), st.integers(1, 99)), min_size=1))
def test_curves_and_points_lie_within_the_drawing(rows: list[tuple[int, float, int]]) -> None:
    marks = [Mark("x", at, share, n_users=n) for at, share, n in rows]
    for kind in ("curve", "points"):
        dots = list(parsed(Chart(kind, marks, "c", "x")).iter("circle"))
        assert len(dots) == len(marks)
        assert all(60 <= float(dot.get("cx", "nan")) <= 660 for dot in dots)
        assert all(0 <= float(dot.get("cy", "nan")) <= 260 for dot in dots)


def test_bars_are_as_long_as_their_shares() -> None:
    marks = [Mark("all", 1.0, ends=(0.0, 1.0)), Mark("half", 0.5, ends=(0.0, 0.5))]
    drawing = parsed(Chart("shares", marks, "c"))
    lines = [line for line in drawing.iter("line") if line.get("class") == "wide baseline"]
    lengths = [float(line.get("x2", "nan")) - float(line.get("x1", "nan")) for line in lines]
    assert lengths[0] == pytest.approx(2 * lengths[1])

"""The model of a rendered report: titled sections of paragraphs, lists, tables, charts, details.

It holds plain text and raw figures. A renderer escapes the text; figures are formatted by the kind
of their column, so that Markdown and HTML cannot say different things.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Tone = Literal["baseline", "ceiling", "variant", "blend", "better", "worse"]
"""Meaning of a mark's colour."""

ColumnKind = Literal[
    "text", "verdict", "number", "count", "part", "share", "signed", "p", "range",
    "signed range", "estimate",
]  # fmt: skip
Cell = str | float | tuple[float, ...] | None
"""Raw value of a table's cell; None where there is no figure."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph; ``soft`` for remarks, ``void`` for the warning that a report is void."""

    text: str
    style: Literal["plain", "soft", "void"] = "plain"


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list without order."""

    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class Heading:
    """A column of a table: its heading and the kind of its cells, see `format_cell`."""

    name: str
    kind: ColumnKind = "number"


@dataclass(frozen=True, slots=True)
class Table:
    """A table; every row has as many cells as there are columns."""

    columns: Sequence[Heading]
    rows: Sequence[Sequence[Cell]]

    def texts(self) -> list[list[str]]:
        """Return the text of every cell, as the kind of its column says."""
        return [
            [format_cell(cell, column.kind) for cell, column in zip(row, self.columns, strict=True)]
            for row in self.rows
        ]


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark of a chart.

    Attributes:
        name: Its name.
        x: Position across; the length of a bar.
        y: Position upwards, in charts of points and curves.
        ends: Ends of the interval; of a bar 0 and its length.
        tone: Meaning of its colour.
        n_users: Number of users behind it, where that differs between marks.
    """

    name: str
    x: float
    y: float = 0.0
    ends: tuple[float, float] = (0.0, 0.0)
    tone: Tone = "baseline"
    n_users: int = 1


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart; a renderer that does not draw shows its table.

    Attributes:
        kind: ``intervals`` (a row a mark), ``shares`` (bars from 0 to 1), ``points`` (numbered, y
            against x) or ``curve`` (shares over whole numbers).
        marks: The marks, at least one.
        caption: One line below it.
        x_name: Name of the axis across; empty for none.
        zero: Position of a line to compare intervals with.
        table: The same figures; None where the section has a table of them anyway.
    """

    kind: Literal["intervals", "shares", "points", "curve"]
    marks: Sequence[Mark]
    caption: str
    x_name: str = ""
    zero: float | None = None
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class Folded:
    """Blocks that are folded below a line until a reader opens them."""

    summary: str
    blocks: Sequence[Block]


Block = Paragraph | Bullets | Table | Chart | Folded


@dataclass(frozen=True, slots=True)
class Section:
    """Blocks with a heading."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Article:
    """A whole report: its heading, blocks below that, and its sections."""

    title: str
    intro: Sequence[Block]
    sections: Sequence[Section]


def format_number(value: float | None, digits: int = 4) -> str:
    """Return a figure, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def format_percent(value: float | None) -> str:
    """Return a share in percent, or a dash where there is none."""
    return "–" if value is None else f"{100 * value:.1f} %"


def format_p(value: float) -> str:
    """Return a p-value; never 0."""
    return "< .001" if value < 0.001 else f"{value:.3f}"


_FORMATS: Mapping[ColumnKind, Callable[[Any], str]] = {
    "text": str,
    "verdict": str,
    "number": format_number,
    "count": "{:,.0f}".format,
    "part": lambda counts: f"{counts[0]:,} of {counts[1]:,}",
    "share": format_percent,
    "signed": "{:+.4f}".format,
    "p": format_p,
    "range": lambda ends: f"{ends[0]:.4f}–{ends[1]:.4f}",
    "signed range": lambda ends: f"{ends[0]:+.4f} to {ends[1]:+.4f}",
    "estimate": lambda found: f"{found[0]:.4f} ({found[1]:.4f}–{found[2]:.4f})",
}


def format_cell(cell: Cell, kind: ColumnKind) -> str:
    """Return a cell's text: strings as they are, a dash for None, figures by their kind.

    >>> format_cell(0.25, "share"), format_cell((0.1, 0.2), "range"), format_cell(None, "p")
    ('25.0 %', '0.1000–0.2000', '–')
    """
    if cell is None or isinstance(cell, str):
        return cell or "–"
    return _FORMATS[kind](cell)

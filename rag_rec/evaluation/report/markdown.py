"""The Markdown of a report, for a review or a repository."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from rag_rec.core import one_line
from rag_rec.evaluation.report.sections import (
    Article,
    Block,
    Bullets,
    Chart,
    Folded,
    Paragraph,
    Table,
)


def escape_markdown(text: str) -> str:
    r"""Return text on one line that Markdown shows as it is: no markup, links, HTML or cell ends.

    >>> print(escape_markdown("a|b <i>*c*</i>"))
    a\|b \<i\>\*c\*\</i\>
    """
    text = re.sub(r"[\\`*_\[\]<>|&~$]|(?<=:)//|(?<=www)\.", r"\\\g<0>", one_line(text))
    text = re.sub(r"^(#|=|[-+](?=[-+\s]|$))", r"\\\1", text)
    return re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", text)


def render_markdown(article: Article) -> str:
    """Return the whole report; charts become their tables."""
    parts = [f"# {escape_markdown(article.title)}", *_blocks(article.intro)]
    for section in article.sections:
        parts += [f"## {escape_markdown(section.title)}", *_blocks(section.blocks)]
    return "\n\n".join(parts) + "\n"


def _blocks(blocks: Sequence[Block]) -> Iterator[str]:
    for block in blocks:
        match block:
            case Paragraph():
                if block.text:
                    yield escape_markdown(block.text)
            case Bullets():
                yield "\n".join(f"- {escape_markdown(line)}" for line in block.lines)
            case Table():
                yield _table(block)
            case Chart():
                if block.table:
                    yield _table(block.table)
            case Folded():
                yield f"<details><summary>{escape(one_line(block.summary))}</summary>"
                yield from _blocks(block.blocks)
                yield "</details>"


def _table(table: Table) -> str:
    """Return a table; columns of text to the left, figures to the right."""
    head = [column.name for column in table.columns]
    marks = ["---" if column.kind in {"text", "verdict"} else "--:" for column in table.columns]
    lines = [_line(head), "|" + "|".join(marks) + "|", *map(_line, table.texts())]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(escape_markdown, cells)) + " |"

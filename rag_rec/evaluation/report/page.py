"""The page of a report: one file that needs nothing else, in light and dark, wide and narrow."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from rag_rec.evaluation.measuring.measure import Details
from rag_rec.evaluation.report.browser import browser_data
from rag_rec.evaluation.report.charts import draw
from rag_rec.evaluation.report.sections import Article

_HERE = Path(__file__).parent


def render_page(article: Article, details: Details | None) -> str:
    """Return the whole page; all text of the data is escaped or put in as text by the script.

    Args:
        article: The report's sections.
        details: Data of the browser over users; None for a page without one, which holds nothing
            of any user and no text of the data.
    """
    pages = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    pages.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    return pages.get_template("page.html.j2").render(
        article=article,
        data=None if details is None else browser_data(details),
        css=(_HERE / "page.css").read_text(encoding="utf-8"),
        script=(_HERE / "page.js").read_text(encoding="utf-8"),
        draw=draw,
    )

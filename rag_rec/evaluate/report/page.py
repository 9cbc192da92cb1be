"""The page; filled in below."""

from __future__ import annotations

from rag_rec.evaluate.measure import Details, Report


def page_of(report: Report, details: Details) -> str:
    return ""

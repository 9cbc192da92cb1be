"""Reports of a run: JSON for programs, Markdown for reviews, one HTML page for looking around."""

from rag_rec.evaluation.report.write import read_report, write_reports

__all__ = ["read_report", "write_reports"]

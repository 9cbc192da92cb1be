"""Reports of a run: JSON for programs, Markdown for reviews, one HTML page for looking around."""

from rag_rec.evaluation.report.conclusions import conclusions
from rag_rec.evaluation.report.sections import format_number, format_p
from rag_rec.evaluation.report.write import read_report, write_reports

__all__ = ["conclusions", "format_number", "format_p", "read_report", "write_reports"]

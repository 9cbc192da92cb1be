"""The files that an experiment leaves: report.json, report.md, report.html, users.parquet."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from rag_rec.core import DataError, first_problem, make_private, open_private, read_json
from rag_rec.evaluation.measuring.measure import Details
from rag_rec.evaluation.report.content import article_of
from rag_rec.evaluation.report.markdown import render_markdown
from rag_rec.evaluation.report.page import render_page
from rag_rec.evaluation.report_model import FORMAT, Report


def write_reports(report: Report, details: Details, out: Path, *, people: bool = True) -> None:
    """Write ``report.json``, ``report.md``, ``report.html`` and ``users.parquet``, each whole.

    Args:
        report: The report.
        details: Data of single users.
        out: The folder.
        people: Add a browser over users to the page.
    """
    out.mkdir(parents=True, exist_ok=True)
    article = article_of(report)
    _write(out / "report.json", _json(report))
    _write(out / "report.md", render_markdown(article))
    _write(out / "report.html", render_page(article, details if people else None))
    make_private(out / "users.parquet")
    _users(report, details).write_parquet(out / "users.parquet")


def read_report(path: str | Path) -> Report:
    """Read a report's JSON, from the file or from the folder that holds it.

    Raises:
        DataError: If it is not a report of this version.
    """
    file = Path(path)
    file = file / "report.json" if file.is_dir() else file
    try:
        document = read_json(file.read_bytes())
        json.dumps(document, allow_nan=False)  # what is infinite or no number is no figure
        return Report.model_validate(document)
    except FileNotFoundError as error:
        raise DataError("there is no report; run an experiment first", path=file) from error
    except ValidationError as error:
        raise DataError(
            f"is no report of format {FORMAT} ({first_problem(error, file.name)}); write it again "
            "with: rag-rec evaluate report",
            path=file,
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"is not a report ({error})", path=file) from error


def _json(report: Report) -> str:
    """Return JSON indented for people, but for the places, which are one long line."""
    document = report.document()
    hits = json.dumps(document["hits"], separators=(",", ":"))
    text = json.dumps(document | {"hits": None}, indent=1, ensure_ascii=False)
    return text.replace('"hits": null', f'"hits": {hits}') + "\n"


def _write(path: Path, text: str) -> None:
    scratch = path.with_name(path.name + ".new")
    with open_private(scratch, "w", encoding="utf-8") as handle:
        handle.write(text)
    os.replace(scratch, path)  # noqa: PTH105 - atomic on every system


def _users(report: Report, details: Details) -> pl.DataFrame:
    """Return a line a user and row: the list, the places of the targets, outcome and cost."""
    lines: list[dict[str, Any]] = []
    for row in details.rows:
        for at, task in enumerate(details.tasks if row.name in report.hits.places else ()):
            answer = row.answers.get(task.key)
            lines.append({
                "row": row.name,
                "user_id": details.user_ids[at],
                "stratum": task.stratum,
                "n_history": len(task.history.events),
                "targets": list(details.targets[at]),
                "items": list(row.lists[task.key]),
                "places": report.hits.places[row.name][0][at],
                "outcome": answer.outcome if answer else None,
                "error": answer.error if answer else None,
                "n_shown": answer.n_shown if answer else None,
                "calls": answer.usage.calls if answer else None,
                "prompt_tokens": answer.usage.prompt_tokens if answer else None,
                "completion_tokens": answer.usage.completion_tokens if answer else None,
                "seconds": answer.usage.wall_s if answer else None,
            })  # fmt: skip
    return pl.DataFrame(lines, infer_schema_length=None)

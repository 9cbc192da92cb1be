"""Writes and reads what a run leaves behind."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from rag_rec.core import DataError, first_problem
from rag_rec.evaluation.measure import Details
from rag_rec.evaluation.report.markdown import markdown_of
from rag_rec.evaluation.report.page import page_of
from rag_rec.evaluation.report_model import FORMAT, Report


def write_reports(report: Report, details: Details, out: Path, *, people: bool = True) -> None:
    """``report.json``, ``report.md``, ``report.html`` and ``users.parquet``, each whole or not.

    Args:
        report: The report.
        details: What is known of single users.
        out: The folder.
        people: Whether the page has a browser over users.
    """
    out.mkdir(parents=True, exist_ok=True)
    document = report.document()
    _write(out / "report.json", _json(document))
    _write(out / "report.md", markdown_of(document))
    _write(out / "report.html", page_of(document, details if people else None))
    _users(report, details).write_parquet(out / "users.parquet")


def read_report(path: str | Path) -> Report:
    """A report's JSON.

    Raises:
        DataError: If it is not a report of this version.
    """
    file = Path(path)
    file = file / "report.json" if file.is_dir() else file
    try:
        report: Any = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError("there is no report; run an experiment first", path=file) from error
    except (OSError, ValueError) as error:
        raise DataError(f"is not a report ({error})", path=file) from error
    try:
        return Report.model_validate(report)
    except ValidationError as error:
        raise DataError(
            f"is no report of format {FORMAT} ({first_problem(error, file.name)}); run the "
            "experiment again",
            path=file,
        ) from error


def _json(report: dict[str, Any]) -> str:
    """Indented for people, but for the places, which are one long line."""
    hits = json.dumps(report["hits"], separators=(",", ":"))
    text = json.dumps(report | {"hits": None}, indent=1, ensure_ascii=False)
    return text.replace('"hits": null', f'"hits": {hits}') + "\n"


def _write(path: Path, text: str) -> None:
    scratch = path.with_name(path.name + ".new")
    scratch.write_text(text, encoding="utf-8")
    os.replace(scratch, path)  # noqa: PTH105 - atomic on every system


def _users(report: Report, details: Details) -> pl.DataFrame:
    """One line a user and row: what was listed, where the target was, what it cost."""
    places = report.hits.places
    frames: list[dict[str, Any]] = []
    for row in details.rows:
        if row.name not in places:
            continue
        for at, task in enumerate(details.tasks):
            answer = row.answers.get(task.key)
            frames.append({
                "row": row.name,
                "user_id": details.user_ids[at],
                "stratum": task.stratum,
                "n_history": len(task.history.events),
                "targets": list(details.targets[at]),
                "items": list(row.lists[task.key]),
                "places": places[row.name][0][at],
                "outcome": answer.outcome if answer else None,
                "error": answer.error if answer else None,
                "n_shown": answer.n_shown if answer else None,
                "calls": int(answer.usage["calls"]) if answer else None,
                "prompt_tokens": int(answer.usage["prompt_tokens"]) if answer else None,
                "completion_tokens": int(answer.usage["completion_tokens"]) if answer else None,
                "seconds": float(answer.usage["wall_s"]) if answer else None,
            })  # fmt: skip
    return pl.DataFrame(frames, infer_schema_length=None)

"""Answers of the OpenAI Batch API, or of ``vllm run-batch``."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from rag_rec.core import DataError, TransportError, Truncated, read_json
from rag_rec.llm import Completion, Ranking, Request, read_body, read_scores_body

_PASSING = frozenset({408, 409, 425, 429})


class Answers:
    """The best answer of each id, by its position in its file; kept on disk, for there may be many.

    A completion is better than an error that will not pass, and that is better than one that may.

    Args:
        files: Files of answers and of errors, in any order.

    Raises:
        DataError: If one is missing, or a line of it is no answer.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self._files = list(files)
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute(
            "CREATE TABLE answers (custom_id TEXT PRIMARY KEY, file INTEGER, begin INTEGER, "
            "worth INTEGER, used INTEGER DEFAULT 0) WITHOUT ROWID"
        )
        self._db.execute("BEGIN")
        for number, path in enumerate(self._files):
            self._note(number, path)

    def take(self, custom_id: str, call: Request) -> Completion | None:
        """Return the answer of an id to a request, if there is one."""
        row = self._row(custom_id)
        if row is None:
            return None
        self._db.execute("UPDATE answers SET used = 1 WHERE custom_id = ?", (custom_id,))
        with self._files[row[0]].open("rb") as handle:
            handle.seek(row[1])
            return completion_of(read_json(handle.readline()), call.ranking)

    def settles(self, custom_id: str) -> bool:
        """Return True if the answer of an id would not change if it were asked again."""
        row = self._row(custom_id)
        return row is not None and row[2] > 0

    def unused(self) -> int:
        """Return the number of answers that were not taken."""
        return int(self._db.execute("SELECT count(*) FROM answers WHERE used = 0").fetchone()[0])

    def close(self) -> None:
        """Remove the positions."""
        self._db.close()

    def _row(self, custom_id: str) -> tuple[int, int, int] | None:
        query = "SELECT file, begin, worth FROM answers WHERE custom_id = ?"
        return self._db.execute(query, (custom_id,)).fetchone()

    def _note(self, number: int, path: Path) -> None:
        if not path.is_file():
            raise DataError("there is no such file", path=path)
        begin = 0
        with path.open("rb") as handle:
            for row, line in enumerate(handle, 1):
                if line.strip():
                    answer = _parsed(line, path, row)
                    self._db.execute(
                        "INSERT INTO answers (custom_id, file, begin, worth) VALUES (?, ?, ?, ?) "
                        "ON CONFLICT DO UPDATE SET file = excluded.file, begin = excluded.begin, "
                        "worth = excluded.worth WHERE excluded.worth > worth",
                        (answer["custom_id"], number, begin, _worth(answer)),
                    )
                begin += len(line)


def _worth(answer: Mapping[str, Any]) -> int:
    completion = completion_of(answer)
    if isinstance(completion.error, Truncated) and b'"logprobs":{' in _compact(answer):
        return 2  # scores, which are read off the first token
    return 2 if completion.error is None else int(not completion.error.retryable)


def _parsed(line: bytes, path: Path, row: int) -> dict[str, Any]:
    try:
        answer = read_json(line)
        json.dumps(answer, ensure_ascii=False).encode()
    except ValueError as error:
        raise DataError(f"is not JSON ({error})", path=path, row=row) from error
    if not isinstance(answer, dict) or not isinstance(answer.get("custom_id"), str):
        raise DataError("is not an answer of the Batch API", path=path, row=row, field="custom_id")
    return cast("dict[str, Any]", answer)


def _compact(answer: Mapping[str, Any]) -> bytes:
    return json.dumps(answer, separators=(",", ":")).encode()


def completion_of(answer: Mapping[str, Any], ranking: Ranking | None = None) -> Completion:
    """Return one line of a file of answers or errors as a completion.

    An error says first why, up to a colon: the code of the API, or the status.

    Args:
        answer: The line.
        ranking: The candidates that were to be scored; None for a reply in words.
    """
    response, error = answer.get("response"), answer.get("error")
    if not isinstance(response, dict) or error:
        code = error.get("code") if isinstance(error, dict) else None
        return _failed(str(code or "no answer"), error, passing=True)
    reply = cast("dict[str, Any]", response)
    status, body = reply.get("status_code"), reply.get("body")
    if status != 200:
        passing = not isinstance(status, int) or status >= 500 or status in _PASSING
        return _failed(f"status {status}", body, passing=passing)
    document = json.dumps(body).encode()
    if ranking is not None:
        return read_scores_body(document, "batch", ranking.labels)
    return read_body(document, "batch")


def _failed(why: str, detail: Any, *, passing: bool) -> Completion:
    message = f"{why}: {json.dumps(detail)[:150]}"
    return Completion(error=TransportError(message, provider="batch", retryable=passing))

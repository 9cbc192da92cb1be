"""Answers of the OpenAI Batch API, or of ``vllm run-batch``, as records."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, cast

from rag_rec.batch.engines.base import BatchPipeline, UserState
from rag_rec.batch.openai_batch.export import BLOCK, read_manifest
from rag_rec.batch.store.finished import pending_rows
from rag_rec.batch.store.job import BatchJob
from rag_rec.batch.store.record import Record
from rag_rec.batch.users import read_users
from rag_rec.core import ConfigError, DataError, Model, ModelError, TransportError
from rag_rec.llm import Completion, read_body


class ImportSummary(Model):
    """Counts of an import.

    Attributes:
        done: Users with a list, all imports together.
        failed: Rows in the failures file.
        missing: Users without an answer so far.
        unknown: Answers whose id no waiting user has.
        output: The output.
        failures: The failures file.
    """

    done: int
    failed: int
    missing: int
    unknown: int
    output: Path
    failures: Path

    @property
    def exit_code(self) -> int:
        """0 complete, 3 complete with failures, 4 answers are missing."""
        if self.missing:
            return 4
        return 3 if self.failed else 0


def import_answers(
    pipeline: BatchPipeline,
    requests: Path,
    answers: Sequence[Path],
    out: Path,
    *,
    columns: Mapping[str, str] | None = None,
) -> ImportSummary:
    """Join answers with their users by ``custom_id``, ground them, and write records.

    Users without an answer get no record: a later import, or a batch run with the same output,
    goes on with them.

    Args:
        pipeline: The pipeline, as the requests were made with.
        requests: The folder of the export.
        answers: Files of answers, and of errors, in any order; of the folder when there are none.
        out: The output of a batch run.
        columns: Our column of the user file to the file's own.

    Raises:
        ConfigError: If the requests were made by another run.
    """
    manifest = read_manifest(requests)
    identity = pipeline.fingerprint
    if differences := manifest.identity.differences(identity):
        raise ConfigError(
            f"the requests in {requests} were made with something else: {'; '.join(differences)}"
        )
    found = _Answers(answers or sorted(requests.glob("answers-*.jsonl")))
    users = Path(manifest.users)
    missing = 0
    with BatchJob(out, users, identity) as job:
        pending = pending_rows(read_users(users, columns), job.finished)
        while block := list(islice(pending, BLOCK)):
            ready, failures = pipeline.preview(block)
            made = [_records(pipeline, one, found) for one in ready]
            missing += made.count([])
            job.append([*failures, *chain.from_iterable(made)])
        reason = f"{missing} users have no answer yet" if missing else None
        job.save("stopped" if missing else "complete", stopped_by=reason)
        unknown = found.unused()
        found.close()
        return ImportSummary(
            done=job.totals.done,
            failed=job.totals.failed,
            missing=missing,
            unknown=unknown,
            output=job.output,
            failures=job.failures,
        )


def _records(pipeline: BatchPipeline, one: UserState, answers: _Answers) -> list[Record]:
    """Return the record of a user; none without an answer."""
    if one.state.call is None:  # nothing to choose from, so nothing was asked
        return pipeline.complete([one])
    completion = answers.take(one.user.custom_id)
    return [] if completion is None else pipeline.ground(one, completion)


class _Answers:
    """The position of each id's answer in its file; kept on disk, for there may be millions."""

    def __init__(self, files: Sequence[Path]) -> None:
        if not files:
            raise ConfigError("no answers: name their files, or poll for them first")
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute(
            "CREATE TABLE answers (custom_id TEXT PRIMARY KEY, file INTEGER, begin INTEGER, "
            "used INTEGER DEFAULT 0) WITHOUT ROWID"
        )
        self._files = list(files)
        self._db.execute("BEGIN")
        for number, path in enumerate(files):
            self._note(number, path)

    def take(self, custom_id: str) -> Completion | None:
        """Return the answer of an id, if there is one."""
        query = "SELECT file, begin FROM answers WHERE custom_id = ?"
        row = self._db.execute(query, (custom_id,)).fetchone()
        if row is None:
            return None
        self._db.execute("UPDATE answers SET used = 1 WHERE custom_id = ?", (custom_id,))
        with self._files[row[0]].open("rb") as handle:
            handle.seek(row[1])
            return completion_of(json.loads(handle.readline()))

    def unused(self) -> int:
        """Return the number of answers that were not taken."""
        return int(self._db.execute("SELECT count(*) FROM answers WHERE used = 0").fetchone()[0])

    def close(self) -> None:
        self._db.close()

    def _note(self, number: int, path: Path) -> None:
        """Note the answers of a file; a completion wins over an error under the same id."""
        if not path.is_file():
            raise DataError("there is no such file", path=path)
        begin = 0
        with path.open("rb") as handle:
            for row, line in enumerate(handle, 1):
                if line.strip():
                    answer = _parsed(line, path, row)
                    verb = "REPLACE" if completion_of(answer).error is None else "IGNORE"
                    self._db.execute(
                        f"INSERT OR {verb} INTO answers (custom_id, file, begin) VALUES (?, ?, ?)",  # noqa: S608 - one of two words
                        (answer["custom_id"], number, begin),
                    )
                begin += len(line)


def _parsed(line: bytes, path: Path, row: int) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except ValueError as error:
        raise DataError(f"is not JSON ({error})", path=path, row=row) from error
    if not isinstance(answer, dict) or not isinstance(answer.get("custom_id"), str):
        raise DataError("is not an answer of the Batch API", path=path, row=row, field="custom_id")
    return cast("dict[str, Any]", answer)


def completion_of(answer: Mapping[str, Any]) -> Completion:
    """Return one line of a file of answers or errors as a completion."""
    response, error = answer.get("response"), answer.get("error")
    if not isinstance(response, dict) or error:
        return Completion(error=_failed(f"no answer: {json.dumps(error)[:150]}"))
    reply = cast("dict[str, Any]", response)
    status, body = reply.get("status_code"), reply.get("body")
    if status != 200:
        return Completion(error=_failed(f"status {status}: {json.dumps(body)[:150]}"))
    return read_body(json.dumps(body).encode(), "batch")


def _failed(message: str) -> ModelError:
    return TransportError(message, provider="batch", retryable=True)

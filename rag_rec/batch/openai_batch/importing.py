"""Join answers with their users, and write records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from rag_rec.batch.engines.base import BatchPipeline, UserState
from rag_rec.batch.openai_batch.answers import Answers
from rag_rec.batch.openai_batch.export import BLOCK, read_manifest, request_ids
from rag_rec.batch.store.finished import pending_rows
from rag_rec.batch.store.job import BatchJob
from rag_rec.batch.store.record import Record
from rag_rec.batch.users import read_users
from rag_rec.core import ConfigError, Model

NO_ANSWER = "no answer"


class ImportSummary(Model):
    """Counts of an import.

    Attributes:
        done: Users with a list, all imports together.
        failed: Rows in the failures file.
        missing: Users without an answer so far.
        reasons: These users by the reason that the provider gave.
        unknown: Answers whose id no waiting user has.
        output: The output.
        failures: The failures file.
    """

    done: int
    failed: int
    missing: int
    reasons: dict[str, int]
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

    Users without an answer, or with an error that may pass, get no record: a later import, or a
    batch run with the same output, goes on with them.

    Args:
        pipeline: The pipeline, as the requests were made with.
        requests: The folder of the export.
        answers: Files of answers, and of errors, in any order; of the folder when there are none.
        out: The output of a batch run.
        columns: Our column of the user file to the file's own.

    Raises:
        ConfigError: If the requests were made by another run, or there are no answers.
    """
    manifest = read_manifest(requests)
    identity = pipeline.fingerprint
    if differences := manifest.identity.differences(identity):
        raise ConfigError(
            f"the requests in {requests} were made with something else: {'; '.join(differences)}"
        )
    files = answers or answer_files(requests)
    if not files:
        raise ConfigError("no answers: name their files, or poll for them first")
    found = Answers(files)
    users = Path(manifest.users)
    missing: Counter[str] = Counter()
    with BatchJob(out, users, identity) as job:
        pending = pending_rows(read_users(users, columns), job.finished)
        while block := list(islice(pending, BLOCK)):
            ready, failures = pipeline.preview(block)
            job.append(
                [*failures, *(r for one in ready for r in _record(pipeline, one, found, missing))]
            )
        reason = f"{missing.total()} users have no answer yet" if missing else None
        job.save("stopped" if missing else "complete", stopped_by=reason)
        unknown = found.unused()
        found.close()
        return ImportSummary(
            done=job.totals.done,
            failed=job.totals.failed,
            missing=missing.total(),
            reasons=dict(missing),
            unknown=unknown,
            output=job.output,
            failures=job.failures,
        )


def answer_files(folder: Path) -> list[Path]:
    """Return the files of answers and errors in the folder of an export."""
    return sorted(folder.glob("answers-*.jsonl"))


def _record(
    pipeline: BatchPipeline, one: UserState, answers: Answers, missing: Counter[str]
) -> list[Record]:
    """Return the record of a user; none, but a count, without an answer that settles it."""
    calls = one.state.calls
    if not calls:  # nothing to choose from, so nothing was asked
        return pipeline.complete([one])
    ids = request_ids(one.user.custom_id, len(calls))
    found = [answers.take(*asked) for asked in zip(ids, calls, strict=True)]
    errors = [done.error for done in found if done and done.error and done.error.retryable]
    known = [done for done in found if done is not None]
    if len(known) == len(calls) and not errors:
        return pipeline.ground(one, known)
    missing[str(errors[0]).split(": ")[1] if errors else NO_ANSWER] += 1
    return []

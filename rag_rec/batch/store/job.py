"""The files of one job: output, failures, manifest, lock.

::

    recs.jsonl            one record a user
    recs.failures.jsonl   one record a row without a list, with the reason
    recs.manifest.json    fingerprint of the run, counts, usage; replaced whole
    recs.jsonl.lock       held while a run writes

A row is finished when one of the two journals holds it. The counts of the manifest repeat what
the journals say; its fingerprint and the usage that no record carries are only there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, Self

from filelock import FileLock, Timeout
from pydantic import ValidationError

from rag_rec.batch.store.fingerprint import RunFingerprint
from rag_rec.batch.store.finished import IdSet, failures_beside
from rag_rec.batch.store.journal import Journal, read_journal, replace_file
from rag_rec.batch.store.record import FailureKind, Record
from rag_rec.core import MODE, ConfigError, Model, StorageError, Usage, make_private

JobState = Literal["running", "complete", "stopped", "interrupted"]


class Totals(Model):
    """Counts over all runs of a job.

    Attributes:
        done: Users with a list.
        failed: Rows in the failures file.
        reasons: These rows by the kind of their failure.
        usage: Usage of both, and usage that no record carries.
    """

    done: int = 0
    failed: int = 0
    reasons: Mapping[FailureKind, int] = {}
    usage: Usage = Usage()

    def plus(self, record: Record) -> Totals:
        """Return the totals with one record more."""
        usage = self.usage + record.usage
        if record.kind is None:
            return self.model_copy(update={"done": self.done + 1, "usage": usage})
        reasons = {**self.reasons, record.kind: self.reasons.get(record.kind, 0) + 1}
        return self.model_copy(
            update={"failed": self.failed + 1, "reasons": reasons, "usage": usage}
        )


class JobManifest(Model):
    """The document beside the output.

    Attributes:
        identity: The fingerprint of the run that made the records.
        users: The user file.
        state: State of the job; ``running`` also when the run was killed.
        stopped_by: The reason of an early end, for people.
        totals: Counts when this was written.
        cost: Price of the usage, where prices are known.
        currency: Currency of the price.
        other_usage: Usage that no record carries: of failures that were tried again, and of
            users that were not finished.
        changes: Parameters that the model was sent in another form than asked for, one line each.
        cleared: Digest of a failures file that is being emptied to try its users again.
    """

    identity: RunFingerprint
    users: str
    state: JobState = "running"
    stopped_by: str | None = None
    totals: Totals = Totals()
    cost: float | None = None
    currency: str | None = None
    other_usage: Usage = Usage()
    changes: tuple[str, ...] = ()
    cleared: str | None = None


class BatchJob:
    """The open files of a new job, or of one that goes on; a context manager.

    Args:
        output: The output; ``.jsonl``.
        users: The user file.
        identity: The fingerprint of the run.
        mix_runs: Go on although the records there were made by another run.
        retry_failed: Forget the failures, so that their users are tried again.

    Attributes:
        output: Path of the output.
        failures: Path of the failures file.
        finished: Keys of the rows that are finished.
        manifest: The manifest as it was last written.
        totals: Counts as of now.
        recovered: Bytes of unfinished lines that were removed on opening.

    Raises:
        ConfigError: If the output is the input, or was made by another run.
        StorageError: If another process writes it, or it cannot be written.
    """

    def __init__(
        self,
        output: Path,
        users: Path,
        identity: RunFingerprint,
        *,
        mix_runs: bool = False,
        retry_failed: bool = False,
    ) -> None:
        self.output = output
        self.failures = failures_beside(output)
        self.manifest = JobManifest(identity=identity, users=str(users))
        self.totals = Totals()
        self._manifest_path = output.with_name(f"{output.stem}.manifest.json")
        self._refuse_input(users)
        with ExitStack() as opened:
            opened.callback(self._locked().release)
            self._load(mix_runs=mix_runs)
            self.finished = IdSet()
            opened.callback(self.finished.close)
            self._journals: list[Journal] = []
            for path in (self.output, self.failures):
                self._journals.append(Journal(path))
                opened.callback(self._journals[-1].close)
            self.recovered = sum(journal.recovered for journal in self._journals)
            if retry_failed or self.manifest.cleared:
                self._forget_failures(retry=retry_failed)
            self._count()
            self.save("running")
            self._opened = opened.pop_all()

    def append(self, records: Sequence[Record]) -> None:
        """Write records; when this returns they are on the disk.

        Raises:
            StorageError: If one cannot be written.
        """
        written: set[Journal] = set()
        for record in records:
            journal = self._journals[record.kind is not None]
            journal.append(record.line.encode())
            written.add(journal)
            self.totals = self.totals.plus(record)
        for journal in written:
            journal.sync()

    def save(self, state: JobState, *, stopped_by: str | None = None, **others: Any) -> None:
        """Replace the manifest."""
        changed = {"state": state, "stopped_by": stopped_by, "totals": self.totals} | others
        self.manifest = self.manifest.model_copy(update=changed)
        replace_file(self._manifest_path, self.manifest.model_dump_json(indent=2) + "\n")

    def close(self) -> None:
        """Close the files and let the next run in."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- opening ----------------------------------------------------------------------------

    def _refuse_input(self, users: Path) -> None:
        for path in (self.output, self.failures, self._manifest_path):
            if path.resolve() == users.resolve() or (path.exists() and path.samefile(users)):
                raise ConfigError(f"{path} is the user file; name another --out")

    def _locked(self) -> FileLock:
        lock = FileLock(f"{self.output}.lock", mode=MODE)
        try:
            self.output.parent.mkdir(parents=True, exist_ok=True)
            # to the lock, a folder that cannot be written looks as if somebody held it
            make_private(lock.lock_file)
            lock.acquire(timeout=0)
        except Timeout as error:
            raise StorageError("another run is writing it", path=self.output) from error
        except OSError as error:
            raise StorageError(f"cannot be written ({error.strerror})", path=self.output) from error
        return lock

    def _load(self, *, mix_runs: bool) -> None:
        """Take over the manifest of earlier runs, if it has the same fingerprint."""
        if not self._manifest_path.exists():
            if self.output.exists() and self.output.stat().st_size:
                raise ConfigError(
                    f"{self.output} is there, but not its manifest {self._manifest_path.name}: "
                    "it is not the output of a batch run; name another --out"
                )
            return
        try:
            before = JobManifest.model_validate_json(self._manifest_path.read_bytes())
        except ValidationError as error:
            why = error.errors()[0]["msg"].lower()
            raise StorageError(f"is not a manifest ({why})", path=self._manifest_path) from error
        differences = before.identity.differences(self.manifest.identity)
        if differences and not mix_runs:
            raise ConfigError(
                f"{self.output} was made with something else ({'; '.join(differences)}); "
                "name another --out, or --mix-runs to go on all the same"
            )
        self.manifest = before.model_copy(
            update={"identity": self.manifest.identity, "users": self.manifest.users}
        )

    def _forget_failures(self, *, retry: bool) -> None:
        """Empty the failures file; count its usage once, also when killed in between."""
        digest = hashlib.sha256(self.failures.read_bytes()).hexdigest()
        if self.manifest.cleared != digest:
            if not retry:
                self.save("running", cleared=None)
                return
            usage = self.manifest.other_usage
            for record in read_journal(self.failures):
                usage += record.usage
            self.save("running", other_usage=usage, cleared=digest)
        self._journals[1].clear()
        self.save("running", cleared=None)

    def _count(self) -> None:
        self.totals = Totals(usage=self.manifest.other_usage)
        for journal in self._journals:
            for record in read_journal(journal.path):
                self.finished.add(record.key)
                self.totals = self.totals.plus(record)

"""The files of one job: output, failures, manifest, lock.

::

    recs.jsonl            one record a user
    recs.failures.jsonl   one record a row without a list, with the reason
    recs.manifest.json    what the records were made with, counts, usage; replaced whole
    recs.jsonl.lock       held while a run writes

A row is finished when one of the two journals holds it. The manifest repeats what they say and is
not needed to count; it keeps what they cannot: the identity, and usage that no record carries.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from rag_rec.batch.store.fingerprint import Identity
from rag_rec.batch.store.ids import IdSet
from rag_rec.batch.store.journal import Journal, read_records
from rag_rec.batch.store.record import Record, is_served
from rag_rec.core import ConfigError, StorageError, Usage

State = Literal["running", "complete", "stopped", "interrupted"]


class Totals(BaseModel):
    """Counts over all runs of a job.

    Attributes:
        done: Users with a list.
        failed: Rows in the failures file.
        usage: What they have cost, with what no record carries.
    """

    model_config = ConfigDict(extra="forbid")

    done: int = 0
    failed: int = 0
    usage: Usage = Usage()


class Manifest(BaseModel):
    """What is kept beside the output.

    Attributes:
        identity: What the records were made with.
        users: The user file.
        state: ``running`` also when the run was killed.
        stopped_by: Why it stopped before the end, for people.
        totals: Counts when this was written.
        cost: Price of the usage, where prices are known.
        other_usage: Usage that no record carries: of failures that were tried again, and of
            users that were not finished.
        cleared: Digest of a failures file that is being emptied to try its users again.
    """

    model_config = ConfigDict(extra="forbid")

    identity: Identity
    users: str
    state: State = "running"
    stopped_by: str | None = None
    totals: Totals = Totals()
    cost: float | None = None
    currency: str | None = None
    other_usage: Usage = Usage()
    cleared: str | None = None


class Job:
    """The open files of a job; use `open`, and as a context manager.

    Attributes:
        output: Path of the output.
        failures: Path of the failures file.
        finished: Keys of rows that are finished (see `key_of`).
        manifest: As it was last written.
        totals: Counts as of now.
        recovered: Bytes of unfinished lines that were removed on opening.
    """

    def __init__(self, output: Path, users: Path, identity: Identity) -> None:
        self.output = output
        self.failures = failures_beside(output)
        self._manifest_path = output.with_name(f"{output.stem}.manifest.json")
        self._lock = FileLock(f"{output}.lock")
        self.manifest = Manifest(identity=identity, users=str(users))
        self.finished = IdSet()
        self.totals = Totals()

    @classmethod
    def open(
        cls,
        output: Path,
        users: Path,
        identity: Identity,
        *,
        mix_runs: bool = False,
        retry_failed: bool = False,
    ) -> Self:
        """Opens, or goes on with, the job of an output file.

        Args:
            output: The output; ``.jsonl``.
            users: The user file.
            identity: What records are made with now.
            mix_runs: Go on although the records there were made with something else.
            retry_failed: Forget the failures, so that their users are tried again.

        Raises:
            ConfigError: If the output is the input, or was made with something else.
            StorageError: If another process writes it, or it cannot be written.
        """
        job = cls(output, users, identity)
        job._refuse_input(users)
        job._acquire()
        try:
            job._load(mix_runs=mix_runs)
            job._journals = (Journal(job.output), Journal(job.failures))
            job.recovered = sum(journal.recovered for journal in job._journals)
            if retry_failed or job.manifest.cleared:
                job._forget_failures(retry=retry_failed)
            job._count()
            job.save("running")
        except BaseException:
            job.close()
            raise
        return job

    def append(self, records: Sequence[Record]) -> None:
        """Writes records; when this returns they are on the disk.

        Raises:
            StorageError: If one cannot be written.
        """
        output, failures = self._journals
        written: set[Journal] = set()
        for record in records:
            served = is_served(record)
            journal = output if served else failures
            journal.append(record.model_dump_json().encode())
            written.add(journal)
            self._add(record.usage, done=int(served), failed=int(not served))
        for journal in written:
            journal.sync()

    def save(self, state: State, *, stopped_by: str | None = None, **others: Any) -> None:
        """Replaces the manifest."""
        changed = {"state": state, "stopped_by": stopped_by, "totals": self.totals} | others
        self.manifest = self.manifest.model_copy(update=changed)
        replace_file(self._manifest_path, self.manifest.model_dump_json(indent=2) + "\n")

    def close(self) -> None:
        """Closes the files and lets the next run in."""
        for journal in self._journals:
            journal.close()
        self.finished.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- opening ----------------------------------------------------------------------------

    _journals: tuple[Journal, ...] = ()
    recovered: int = 0

    def _refuse_input(self, users: Path) -> None:
        for path in (self.output, self.failures, self._manifest_path):
            if path.resolve() == users.resolve() or (path.exists() and path.samefile(users)):
                raise ConfigError(f"{path} is the user file; name another --out")

    def _acquire(self) -> None:
        try:
            self.output.parent.mkdir(parents=True, exist_ok=True)
            # a folder that cannot be written looks to the lock as if somebody held it
            Path(self._lock.lock_file).touch()
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise StorageError("another run is writing it", path=self.output) from error
        except OSError as error:
            raise StorageError(f"cannot be written ({error.strerror})", path=self.output) from error

    def _load(self, *, mix_runs: bool) -> None:
        """Takes over the manifest of earlier runs, if it is of the same identity."""
        if not self._manifest_path.exists():
            if self.output.exists() and self.output.stat().st_size:
                raise ConfigError(
                    f"{self.output} is there, but not its manifest {self._manifest_path.name}: "
                    "it is not the output of a batch run; name another --out"
                )
            return
        before = self._read_manifest()
        differences = before.identity.differences(self.manifest.identity)
        if differences and not mix_runs:
            raise ConfigError(
                f"{self.output} was made with something else ({'; '.join(differences)}); "
                "name another --out, or --mix-runs to go on all the same"
            )
        self.manifest = before.model_copy(
            update={"identity": self.manifest.identity, "users": self.manifest.users}
        )

    def _read_manifest(self) -> Manifest:
        try:
            return Manifest.model_validate_json(self._manifest_path.read_bytes())
        except ValidationError as error:
            why = error.errors()[0]["msg"].lower()
            raise StorageError(f"is not a manifest ({why})", path=self._manifest_path) from error

    def _forget_failures(self, *, retry: bool) -> None:
        """Empties the failures file; their usage is counted once, killed between or not."""
        journal = self._journals[1]
        digest = hashlib.sha256(self.failures.read_bytes()).hexdigest()
        if self.manifest.cleared != digest:
            if not retry:
                self.save("running", cleared=None)
                return
            usage = self.manifest.other_usage
            for record in journal.records():
                usage += Usage.model_validate(record["usage"])
            self.save("running", other_usage=usage, cleared=digest)
        journal.clear()
        self.save("running", cleared=None)

    def _count(self) -> None:
        self.totals = Totals(usage=self.manifest.other_usage)
        for which, journal in enumerate(self._journals):
            for record in journal.records():
                self.finished.add(key_of(record.get("custom_id"), record.get("row")))
                usage = Usage.model_validate(record["usage"])
                self._add(usage, done=int(which == 0), failed=which)

    def _add(self, usage: Usage, *, done: int, failed: int) -> None:
        totals = self.totals
        self.totals = Totals.model_construct(
            done=totals.done + done, failed=totals.failed + failed, usage=totals.usage + usage
        )


def key_of(custom_id: str | None, row: int | None) -> str:
    """What a finished row is known by: its id, or its number where it stands for nobody new."""
    return f"row {row}" if custom_id is None else f"id {custom_id}"


def finished_in(output: Path) -> IdSet:
    """Keys of the rows that an output and its failures hold; changes neither."""
    found = IdSet()
    for path in (output, failures_beside(output)):
        if path.exists():
            for record in read_records(path):
                found.add(key_of(record.get("custom_id"), record.get("row")))
    return found


def failures_beside(output: Path) -> Path:
    """Path of the failures file of an output."""
    return output.with_name(f"{output.stem}.failures.jsonl")


def replace_file(path: Path, text: str) -> None:
    """Writes a file whole, or leaves the one that was there."""
    fresh = path.with_name(path.name + ".new")
    try:
        with fresh.open("w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        fresh.replace(path)
    except OSError as error:
        raise StorageError(f"cannot be written ({error.strerror})", path=path) from error

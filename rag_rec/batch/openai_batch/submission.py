"""Submission of exported requests to the hosted Batch API, and retrieval of the answers.

A batch ends ``completed``, ``failed``, ``expired`` or ``cancelled``, and whatever it ends as, some
requests may be without an answer: they are sent again by the next `submit`, in files of their own.
A request that is under way is never sent a second time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock
from pydantic import Field, ValidationError

from rag_rec.batch.openai_batch.answers import Answers
from rag_rec.batch.openai_batch.export import read_manifest, write_parts
from rag_rec.batch.openai_batch.importing import answer_files
from rag_rec.batch.store.finished import IdSet
from rag_rec.batch.store.journal import replace_file
from rag_rec.core import MODE, Model, StorageError, read_json
from rag_rec.llm import BatchApi, BatchState

_BATCHES = "batches.json"
_AGAIN = "again"


class Submitted(Model):
    """One request file at the provider.

    Attributes:
        file: Name of the request file.
        batch_id: Id of the batch there.
        status: Status when last seen.
        done: Requests answered when last seen.
        total: Requests in it.
        fetched: Names of the files of answers that were fetched.
        problem: The reason why the provider refused it, or why its answers are not here.
        is_over: True once it has ended and its answers, if there are any, are here.
    """

    file: str
    batch_id: str
    status: str
    done: int = 0
    total: int = 0
    fetched: tuple[str, ...] = ()
    problem: str | None = None
    is_over: bool = False

    def line(self) -> str:
        """Return all of it in one line."""
        problem = f": {self.problem}" if self.problem else ""
        fetched = f"; fetched {', '.join(self.fetched)}" if self.fetched else ""
        counts = f"{self.done:,} of {self.total:,} answered"
        return f"{self.file}: {self.status} ({self.batch_id}), {counts}{fetched}{problem}"


class Submission(Model):
    """All batches of an export.

    Attributes:
        batches: Request files at the provider, in the order of submission.
        again: Requests that `submit` sent again just now, because they had no answer.
        missing: Requests of batches that are over, without an answer and not sent again.
    """

    batches: tuple[Submitted, ...]
    again: int = 0
    missing: int = 0

    @property
    def under_way(self) -> int:
        """Number of batches that are not over."""
        return sum(not batch.is_over for batch in self.batches)


class _Batches(Model):
    batches: dict[str, Submitted] = Field(default_factory=dict)


def submit(folder: Path, api: BatchApi) -> Submission:
    """Submit the request files of a folder, and again what ended there without an answer.

    A batch carries the hash of its file, and before a file is submitted the provider is asked for
    one that does: a file whose submission was cut off is not paid for twice.

    Raises:
        ModelError: If the provider does not take one; those before it are noted.
    """
    with _alone(folder):
        known = _polled(folder, api)
        first = [*read_manifest(folder).files, *_sent_again(folder)]
        _submit(folder, api, known, first)
        number = len(_sent_again(folder)) + 1
        again = write_parts(folder, _AGAIN, _missing(folder, known), first=number)
        _submit(folder, api, known, again)
    return Submission(
        batches=tuple(known.batches.values()),
        again=sum(1 for name in again for _ in _lines(folder / name)),
    )


def poll(folder: Path, api: BatchApi) -> Submission:
    """Ask for every batch that is not over, and fetch the answers of those that have ended."""
    with _alone(folder):
        known = _polled(folder, api)
        n_missing = sum(1 for _ in _missing(folder, known))
    return Submission(batches=tuple(known.batches.values()), missing=n_missing)


def _alone(folder: Path) -> FileLock:
    """Return the lock that keeps two commands from submitting the same requests."""
    read_manifest(folder)  # a lock would make the folder
    return FileLock(folder / f"{_BATCHES}.lock", mode=MODE)


def _polled(folder: Path, api: BatchApi) -> _Batches:
    known = _read(folder)
    for name, submitted in known.batches.items():
        if not submitted.is_over:
            state = api.state(submitted.batch_id)
            now = _noted(submitted, state)
            known.batches[name] = _fetched(folder, now, state, api) if state.ended else now
            _write(folder, known)
    return known


def _submit(folder: Path, api: BatchApi, known: _Batches, names: list[str]) -> None:
    """Submit those of some request files that are not known yet."""
    for name in names:
        if name in known.batches:
            continue
        with (folder / name).open("rb") as handle:
            mark = hashlib.file_digest(handle, "sha256").hexdigest()[:32]
        over = {batch.batch_id for batch in known.batches.values()}
        state = api.find(mark, without=over) or api.submit(folder / name, mark)
        known.batches[name] = _noted(Submitted(file=name, batch_id="", status=""), state)
        _write(folder, known)


def _fetched(folder: Path, submitted: Submitted, state: BatchState, api: BatchApi) -> Submitted:
    """Fetch the answers of a batch that has ended; say which are gone."""
    part = submitted.file.removeprefix("requests-")
    files = {f"answers-{part}": state.output_file, f"answers-errors-{part}": state.error_file}
    here = {
        name: api.download(file_id, folder / name) for name, file_id in files.items() if file_id
    }
    gone = [f"the provider no longer has {name}" for name, got in here.items() if not got]
    if state.done and not here:
        gone = ["the provider names no file of answers"]
    fetched = tuple(name for name, got in here.items() if got)
    problem = "; ".join(filter(None, (state.problem, *gone))) or None
    return submitted.model_copy(update={"fetched": fetched, "problem": problem, "is_over": True})


def _missing(folder: Path, known: _Batches) -> Iterator[bytes]:
    """Yield each request line of the batches that are over that still has to be sent again."""
    batches = sorted(known.batches.values(), key=lambda batch: batch.is_over)
    pending, answers = IdSet(), Answers(answer_files(folder))
    for batch in batches:  # those under way first
        for line in _lines(folder / batch.file):
            custom_id = read_json(line)["custom_id"]
            if not answers.settles(custom_id) and pending.add(custom_id) and batch.is_over:
                yield line
    pending.close()
    answers.close()


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as handle:
        yield from handle


def _sent_again(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(f"{_AGAIN}-*.jsonl"))


def _noted(submitted: Submitted, state: BatchState) -> Submitted:
    return submitted.model_copy(
        update={
            "batch_id": state.batch_id,
            "status": state.status,
            "done": state.done,
            "total": state.total,
            "problem": state.problem,
        }
    )


def _read(folder: Path) -> _Batches:
    path = folder / _BATCHES
    try:
        return _Batches.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return _Batches()
    except ValidationError as error:
        raise StorageError("is not a list of submitted batches", path=path) from error


def _write(folder: Path, batches: _Batches) -> None:
    replace_file(folder / _BATCHES, batches.model_dump_json(indent=2) + "\n")

"""Submission of exported requests to the hosted Batch API, and retrieval of the answers."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import Field, ValidationError

from rag_rec.batch.openai_batch.export import read_manifest
from rag_rec.batch.store.journal import replace_file
from rag_rec.core import Model, StorageError
from rag_rec.llm import BatchApi, BatchState

_BATCHES = "batches.json"


class Submitted(Model):
    """One request file at the provider.

    Attributes:
        file: Name of the request file.
        batch_id: Id of the batch there.
        status: Status when last seen.
        done: Requests answered when last seen.
        total: Requests in it.
        fetched: Names of the files of answers that were fetched.
        problem: The reason why the provider refused it, or None.
    """

    file: str
    batch_id: str
    status: str
    done: int = 0
    total: int = 0
    fetched: tuple[str, ...] = ()
    problem: str | None = None


class _Batches(Model):
    batches: dict[str, Submitted] = Field(default_factory=dict)


def submit(folder: Path, api: BatchApi) -> list[Submitted]:
    """Submit every request file of a folder that is not submitted yet.

    A batch carries the hash of its file, and before a file is submitted the provider is asked for
    one that does: a file whose submission was cut off is not paid for twice.

    Raises:
        ModelError: If the provider does not take one; those before it are noted.
    """
    known = _read(folder)
    for name in read_manifest(folder).files:
        if name in known.batches:
            continue
        with (folder / name).open("rb") as handle:
            mark = hashlib.file_digest(handle, "sha256").hexdigest()[:32]
        state = api.find(mark) or api.submit(folder / name, mark)
        known.batches[name] = _noted(Submitted(file=name, batch_id="", status=""), state)
        _write(folder, known)
    return list(known.batches.values())


def poll(folder: Path, api: BatchApi) -> list[Submitted]:
    """Ask for every batch that has not ended, and fetch the answers of those that have."""
    known = _read(folder)
    for name, submitted in known.batches.items():
        if submitted.fetched or (submitted.status == "failed" and submitted.problem):
            continue
        state = api.state(submitted.batch_id)
        now = _noted(submitted, state)
        if state.ended:
            number = Path(name).stem.rpartition("-")[2]
            files = {"answers": state.output_file, "answers-errors": state.error_file}
            targets = {folder / f"{k}-{number}.jsonl": i for k, i in files.items() if i}
            for target, file_id in targets.items():
                api.download(file_id, target)
            now = now.model_copy(update={"fetched": tuple(target.name for target in targets)})
        known.batches[name] = now
        _write(folder, known)
    return list(known.batches.values())


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

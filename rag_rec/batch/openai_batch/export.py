"""Request files for the OpenAI Batch API and ``vllm run-batch``.

::

    requests/
      requests-0001.jsonl   at most 50,000 requests and 200 MB
      manifest.json         fingerprint of the run, user file, names of the request files
      batches.json          submitted batches (`rag_rec.batch.openai_batch.submission`)
      answers-0001.jsonl    answers (`rag_rec.batch.openai_batch.answers`)
      again-0001.jsonl      requests without an answer, sent again
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rag_rec.batch.engines.base import BatchPipeline, omitted_in
from rag_rec.batch.store.fingerprint import RunFingerprint
from rag_rec.batch.store.finished import finished_in, pending_rows
from rag_rec.batch.store.journal import replace_file
from rag_rec.batch.users import read_users
from rag_rec.core import ConfigError, Model, Settings, StorageError, open_private
from rag_rec.llm import OfflineModel
from rag_rec.recommender import Recommender

MAX_REQUESTS = 50_000
MAX_BYTES = 200_000_000
BLOCK = 64
_MANIFEST = "manifest.json"


class ExportManifest(Model):
    """The document beside request files.

    Attributes:
        identity: The fingerprint of a batch run with the same model.
        users: The user file.
        requests: Number of requests.
        not_exported: Rows without a request: they cannot be read or served.
        files: Names of the request files.
        omitted: Steps that were left out because they would ask a model, one line each.
    """

    identity: RunFingerprint
    users: str
    requests: int
    not_exported: int
    files: list[str]
    omitted: tuple[str, ...] = ()


def export_requests(
    pipeline: BatchPipeline,
    users: Path,
    folder: Path,
    *,
    columns: Mapping[str, str] | None = None,
    skip_done: Path | None = None,
    max_requests: int = MAX_REQUESTS,
) -> ExportManifest:
    """Write the requests of every user's list, re-asks aside; send nothing, and need no key.

    Where a variant averages scores over several prompts, each has a request of its own.

    Args:
        pipeline: The pipeline, with an `OfflineModel`.
        users: The user file.
        folder: The folder of the request files; it must hold none.
        columns: Our column of the user file to the file's own.
        skip_done: An output whose users are left out.
        max_requests: Most requests in one file.

    Raises:
        ConfigError: If the folder holds request files already, or the model is not offline.
    """
    model = pipeline.recommender.model
    if not isinstance(model, OfflineModel):
        raise ConfigError("requests are exported for openai:MODEL or openai:MODEL@URL")
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / _MANIFEST).exists():
        raise ConfigError(f"{folder} holds exported requests already; name another folder")
    finished = finished_in(skip_done)
    counts: Counter[str] = Counter()
    omitted: dict[str, None] = {}

    def lines() -> Iterator[bytes]:
        pending = pending_rows(read_users(users, columns), finished)
        while block := list(islice(pending, BLOCK)):
            ready, failures = pipeline.preview(block)
            omitted.update(dict.fromkeys(omitted_in(ready)))
            asked = [one for one in ready if one.state.calls]
            counts.update(bad=len(failures) + len(ready) - len(asked))
            for one in asked:
                ids = request_ids(one.user.custom_id, len(one.state.calls))
                for custom_id, call in zip(ids, one.state.calls, strict=True):
                    counts["asked"] += 1
                    yield _line(custom_id, model.body(call))

    names = write_parts(folder, "requests", lines(), max_requests=max_requests)
    finished.close()
    manifest = ExportManifest(
        identity=pipeline.fingerprint,
        users=str(users),
        requests=counts["asked"],
        not_exported=counts["bad"],
        files=names,
        omitted=tuple(omitted),
    )
    replace_file(folder / _MANIFEST, manifest.model_dump_json(indent=2) + "\n")
    return manifest


def request_ids(custom_id: str, n: int) -> list[str]:
    """Return the ids of a user's requests: the user's own, then that with the prompt's number.

    >>> request_ids("u7", 2)
    ['u7', 'u7 (prompt 2)']
    """
    return [custom_id, *(f"{custom_id} (prompt {number})" for number in range(2, n + 1))]


def read_manifest(folder: Path) -> ExportManifest:
    """Read the manifest of an export.

    Raises:
        ConfigError: If the folder holds no export.
        StorageError: If the manifest cannot be read.
    """
    try:
        return ExportManifest.model_validate_json((folder / _MANIFEST).read_bytes())
    except FileNotFoundError as error:
        raise ConfigError(
            f"{folder} holds no exported requests; see rag-rec batch export"
        ) from error
    except ValidationError as error:
        raise StorageError("is not the manifest of an export", path=folder / _MANIFEST) from error


def offline_recommender(index: str | Path, settings: Settings, **options: Any) -> Recommender:
    """Open the pipeline with a model that is never asked, under the name of one that is."""
    return Recommender.open(index, OfflineModel(settings), settings=settings, live=False, **options)


def write_parts(
    folder: Path,
    stem: str,
    lines: Iterable[bytes],
    *,
    max_requests: int = MAX_REQUESTS,
    first: int = 1,
) -> list[str]:
    """Write lines to files within the limits of the API, each whole or not at all.

    Args:
        folder: The folder of the files.
        stem: Beginning of their names, before ``-0001.jsonl``.
        lines: Request lines with their ends.
        max_requests: Most lines in one file.
        first: Number of the first file.

    Returns:
        The names of the files.
    """
    names: list[str] = []
    waiting = iter(lines)
    line = next(waiting, None)
    while line:
        name = f"{stem}-{first + len(names):04d}.jsonl"
        part = folder / f"{name}.part"
        n = size = 0
        with open_private(part, "wb") as handle:
            while (
                line is not None and n < max_requests and (size + len(line) <= MAX_BYTES or not n)
            ):
                handle.write(line)
                n, size = n + 1, size + len(line)
                line = next(waiting, None)
        part.replace(folder / name)
        names.append(name)
    return names


def _line(custom_id: str, body: dict[str, Any]) -> bytes:
    request = {
        "custom_id": custom_id,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": body,
    }
    return json.dumps(request, ensure_ascii=False).encode() + b"\n"

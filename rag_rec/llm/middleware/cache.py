"""`CachedModel`: a model that does not pay twice for the same request.

Replies are kept in one SQLite file by the hash of everything that can change them: messages,
schema, sampling, model, parameters. Several threads and processes may use one file at a time.
Only complete replies of the agreed shape are kept, so a failed request is sent again.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

from filelock import FileLock
from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from rag_rec.core import (
    MODE,
    ConfigError,
    OnDone,
    StorageError,
    Usage,
    make_private,
    parse_json,
    read_json,
)
from rag_rec.llm.base import ChatModel, Completion, Request, WrappedModel, portable_schema

_FORMAT = 1
_BUSY_S = 60.0
_STORE_EVERY = 256

_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
    key BLOB PRIMARY KEY,
    text TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    model TEXT NOT NULL,
    stored_at INTEGER NOT NULL
) WITHOUT ROWID
"""


class ReplyCache:
    """Replies by the hash of their request, in one SQLite file.

    Args:
        path: The file; made, with its folder, where there is none.

    Raises:
        StorageError: If it cannot be opened or is no reply cache.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        with self._errors():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            make_private(self.path)  # its journals get the mode of the file
            self._db = sqlite3.connect(
                self.path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            # SQLite does not wait for others while it changes the journal's mode
            with FileLock(f"{self.path}.lock", timeout=_BUSY_S, mode=MODE):
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute(_SCHEMA)
            # a power cut may cost the last replies, never the file
            self._db.execute("PRAGMA synchronous = NORMAL")

    def get(self, key: bytes) -> Completion | None:
        """Return the reply stored under a key; its usage counts one cached answer and no call."""
        with self._errors(), self._lock:
            row = self._db.execute("SELECT text FROM replies WHERE key = ?", (key,)).fetchone()
        return None if row is None else Completion(row[0], Usage(cached=1))

    def put(self, replies: Iterable[tuple[bytes, Completion]], model: str) -> None:
        """Store replies, all or none; a key that is there keeps its reply."""
        now = int(time.time())
        rows = [
            (key, done.text, used.prompt_tokens, used.completion_tokens, model, now)
            for key, done in replies
            for used in [done.counted]
        ]
        if not rows:
            return
        with self._errors(), self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany("INSERT OR IGNORE INTO replies VALUES (?,?,?,?,?,?)", rows)
                self._db.execute("COMMIT")
            except sqlite3.Error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def __len__(self) -> int:
        with self._errors(), self._lock:
            return int(self._db.execute("SELECT count(*) FROM replies").fetchone()[0])

    def close(self) -> None:
        """Close the file; harmless when called twice."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _errors(self) -> Generator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StorageError(
                f"the reply cache cannot be used ({error}); name another file, or remove this one "
                "(it only saves calls)",
                path=self.path,
            ) from error


class CachedModel(WrappedModel):
    """A cache before a model, under the model's name, since a cache does not change replies.

    Args:
        model: The model behind the cache; closed with it.
        cache: The cache, or its file.
        parameters: Request parameters the model was opened with, beside those of a `Request`.

    Raises:
        ConfigError: If a parameter is not JSON.
        StorageError: If the file cannot be used.
    """

    def __init__(
        self,
        model: ChatModel,
        cache: ReplyCache | str | Path,
        *,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(model)
        self._parameters = dict(parameters or {})
        try:
            _canonical(self._parameters)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"the model's parameters must be JSON ({error})") from error
        self._cache = cache if isinstance(cache, ReplyCache) else ReplyCache(cache)

    def generate(
        self, requests: Iterable[Request], on_done: OnDone | None = None
    ) -> list[Completion]:
        """See `ChatModel.generate`; equal requests of one batch are asked once.

        Replies are stored some hundred at a time, while later requests still wait to be made.
        """
        waiting = iter(requests)
        completions: list[Completion] = []
        while True:
            first = list(islice(waiting, 1))
            if not first:
                return completions
            part = chain(first, islice(waiting, _STORE_EVERY - 1))
            completions += self._generate(part, on_done)

    def key(self, request: Request) -> bytes:
        """Return the SHA-256 of everything that can change the reply."""
        asked = {
            "format": _FORMAT,
            "model": self.name,
            "parameters": self._parameters,
            "messages": [message._asdict() for message in request.messages],
            "schema": request.schema,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
        }
        if request.ranking is not None:
            asked["ranking"] = asdict(request.ranking)
        return hashlib.sha256(_canonical(asked).encode()).digest()

    def holds(self, request: Request) -> bool:
        """Return True if a request would be answered without a call."""
        return self._cache.get(self.key(request)) is not None

    def close(self) -> None:
        """Close the model and the cache."""
        super().close()
        self._cache.close()

    def _generate(self, requests: Iterable[Request], on_done: OnDone | None) -> list[Completion]:
        keys: list[bytes] = []
        known: dict[bytes, Completion] = {}
        asked: dict[bytes, Request] = {}

        def unknown() -> Iterator[Request]:
            for request in requests:
                key = self.key(request)
                keys.append(key)
                if key not in asked and (hit := self._cache.get(key)):
                    known[key] = hit
                if key not in known and key not in asked:
                    asked[key] = request
                    yield request
                elif on_done:
                    on_done(1)

        replies = self._model.generate(unknown(), on_done)
        fresh = dict(zip(asked, replies, strict=True))
        good = [(key, done) for key, done in fresh.items() if _worth_keeping(done, asked[key])]
        self._cache.put(good, self.name)
        return list(_in_order(keys, known, fresh))


def _in_order(
    keys: list[bytes], known: dict[bytes, Completion], fresh: dict[bytes, Completion]
) -> Iterator[Completion]:
    """Yield one completion a key; the first of equal keys carries the cost of the call."""
    paid: set[bytes] = set()
    for key in keys:
        if key in known:
            yield known[key]
        elif key not in paid:
            paid.add(key)
            yield fresh[key]
        else:
            done = fresh[key]
            yield Completion(done.text, Usage(cached=int(done.error is None)), done.error)


def _worth_keeping(completion: Completion, request: Request) -> bool:
    if completion.error is not None:
        return False
    text, schema = completion.text, request.schema
    if schema is None:
        return bool(text.strip())
    opening, closing = "{}" if schema.get("type") == "object" else "[]"
    try:  # words around the document are allowed
        reply = parse_json(text[text.find(opening) : text.rfind(closing) + 1])
    except ValueError:
        return False
    # no backend need keep to maxLength
    return _validator(_canonical(portable_schema(schema))).is_valid(reply)


def _is_integer(_: object, value: object) -> bool:
    return type(value) is int  # for jsonschema 3.0 is one too


_TYPES = Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer)
_StrictValidator = extend(Draft202012Validator, type_checker=_TYPES)


@lru_cache(maxsize=256)
def _validator(schema: str) -> Validator:
    return _StrictValidator(read_json(schema))


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)

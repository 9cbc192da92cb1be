"""Errors that this library raises on purpose.

::

    RagRecError
    ├── ConfigError               a setting that cannot be used
    ├── DataError                 a row, file or id that cannot be used (path, row, field)
    ├── StorageError              a file of ours cannot be written or read back (path)
    ├── IndexNotFound             no built index at that path
    ├── StaleIndex                the index was built from something else (expected, found)
    ├── IndexLocked               another process is writing this index
    ├── PromptError
    │   ├── MissingVariable       a template names a variable that does not exist
    │   └── BudgetTooSmall        not even k candidates fit the token budget
    ├── ModelError                a language model call failed (provider, retryable, hint)
    │   ├── RateLimited
    │   ├── QuotaExhausted
    │   ├── ModelTimeout
    │   ├── TransportError        connection, status or body that is not a completion
    │   ├── Refused               the model or its filter declined
    │   ├── RunStopped            not sent: the run it belongs to is ending
    │   └── Truncated             the reply stopped at max_tokens
    └── OutputError               a reply that is not the agreed JSON (raw, problems)

Each message is one line that ends with a way out. In batch and evaluation a `ModelError` or
`OutputError` of one user is recorded in that user's row; every other kind stops the run.
"""

from __future__ import annotations

from pathlib import Path

from rag_rec.core.text import one_line

_HEAD, _TAIL = 1_200, 300
"""Characters of a longer message that are kept of its beginning and of its end."""


class RagRecError(Exception):
    """Base of all errors raised on purpose; ``str(error)`` is one line for a person.

    Whatever a message quotes, it stays one line without control characters, of bounded length.
    """

    def __init__(self, message: str = "") -> None:
        line = one_line(message)
        if len(line) > _HEAD + _TAIL:
            line = f"{line[:_HEAD]} … {line[-_TAIL:]}"
        super().__init__(line)


class ConfigError(RagRecError):
    """A setting, name or option that cannot be used."""


class DataError(RagRecError):
    """Input data that cannot be used.

    Attributes:
        path: The file, when there is one.
        row: Line number in that file, counted from 1 with the header, when known.
        field: The column or key at fault, when known.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | Path | None = None,
        row: int | None = None,
        field: str | None = None,
    ) -> None:
        self.path = None if path is None else Path(path)
        self.row = row
        self.field = field
        where = ":".join(str(part) for part in (path, row) if part is not None)
        prefix = ": ".join(part for part in (where, f"field '{field}'" if field else "") if part)
        super().__init__(f"{prefix}: {message}" if prefix else message)


class StorageError(RagRecError):
    """A file that this library writes, and now cannot write or read back.

    Attributes:
        path: The file.
    """

    def __init__(self, message: str, *, path: str | Path) -> None:
        self.path = Path(path)
        super().__init__(f"{path}: {message}")


class IndexNotFound(RagRecError):
    """There is no built index at the given path."""


class StaleIndex(RagRecError):
    """An index that does not match what it is opened with."""

    def __init__(self, message: str, *, expected: str, found: str) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"{message} (expected {expected}, found {found})")


class IndexLocked(RagRecError):
    """Another process holds the write lock of this index."""


class PromptError(RagRecError):
    """A prompt variant that cannot be loaded or rendered."""


class MissingVariable(PromptError):
    """A template names a variable that is unknown, or lacks one that it must have."""


class BudgetTooSmall(PromptError):
    """The token budget does not hold the instructions and k candidates."""


class ModelError(RagRecError):
    """A language model call that gave no usable reply.

    Attributes:
        provider: The model spec, such as ``openai:gpt-5-mini``.
        retryable: True if the same request may succeed later.
        hint: A way out, for a person.
        retry_after_s: Seconds the provider asked to wait, when it did.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        retryable: bool = False,
        hint: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        self.provider = provider
        self.retryable = retryable
        self.hint = hint
        self.retry_after_s = retry_after_s
        super().__init__(f"{provider}: {message}" + (f"; {hint}" if hint else ""))


class RateLimited(ModelError):
    """HTTP 429, or the provider's equivalent."""


class QuotaExhausted(ModelError):
    """The account cannot pay for another call; waiting does not help."""


class ModelTimeout(ModelError):
    """No reply within the time allowed."""


class TransportError(ModelError):
    """The connection, the status code or the body is not that of a completion."""


class Refused(ModelError):
    """The model, or a content filter before or behind it, declined to answer."""


class RunStopped(ModelError):
    """The request was not sent, because the run is ending: interrupted, or at a limit."""


class Truncated(ModelError):
    """The reply stopped at ``max_tokens``."""


class OutputError(RagRecError):
    """A reply that is not the agreed JSON.

    Attributes:
        raw: The reply as received.
        problems: Its faults, one line each.
    """

    def __init__(self, problems: list[str], *, raw: str) -> None:
        self.raw = raw
        self.problems = problems
        super().__init__("the model's reply cannot be used: " + "; ".join(problems))

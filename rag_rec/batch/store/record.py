"""One line of the output or of the failures file: a list, or the reason why there is none.

The JSON schemas are published as ``docs/batch-record.schema.json`` and
``docs/batch-failure.schema.json``; `VERSION` changes with them.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, NamedTuple, cast

from pydantic import create_model

from rag_rec.core import (
    BudgetTooSmall,
    ConfigError,
    DataError,
    Model,
    ModelTimeout,
    RagRecError,
    RateLimited,
    RecommendationList,
    Refused,
    Truncated,
    Usage,
    read_json,
)

VERSION = 1

FailureKind = Literal[
    "bad_row",
    "duplicate_id",
    "unknown_user",
    "unknown_item",
    "prompt_too_long",
    "rate_limited",
    "timeout",
    "transport",
    "refused",
    "truncated",
    "unusable_reply",
]
"""The reason why a user has no list.

``bad_row``: the row cannot be read, or a field of it, or its rules contradict each other.
``duplicate_id``: a row before it has the same id. ``unknown_user``, ``unknown_item``: the index
does not know them. ``prompt_too_long``: k candidates do not fit the model's context.
``rate_limited``, ``timeout``, ``transport``: no answer, and another try may succeed. ``refused``,
``truncated``, ``unusable_reply``: an answer without a list.
"""

TRANSPORT_KINDS: frozenset[FailureKind] = frozenset({"rate_limited", "timeout", "transport"})
"""Failures of the way to the model rather than of one user."""


class BatchRecord(RecommendationList):
    """One line of the output: the list of one user; other list types add their fields.

    Attributes:
        schema_version: Version of this document.
        custom_id: The id of the user in the user file; unique in the output.
    """

    schema_version: Literal[1] = VERSION
    custom_id: str


class FailureRecord(Model):
    """One line of the failures file: a row without a list.

    Attributes:
        schema_version: Version of this document.
        row: Line of the user file, from 1 with the header.
        custom_id: The id of the user in the user file; None for a row that cannot be read, or
            that repeats the id of a row before it.
        user_id: The user, when known.
        kind: The reason, for programs.
        reason: The reason, for people, in one line.
        usage: Cost of the attempt.
        run_id: Hash of everything that can change the output.
        fallback: The list in retrieval order, where there were candidates; for those who would
            rather show something.
    """

    schema_version: Literal[1] = VERSION
    row: int
    custom_id: str | None = None
    user_id: str | None = None
    kind: FailureKind
    reason: str
    usage: Usage = Usage()
    run_id: str
    fallback: RecommendationList | None = None


class Record(NamedTuple):
    """A document as the line that is written, and the few fields that a run needs.

    Attributes:
        line: The document as JSON.
        key: Key of the row that it finishes: its id, or its number if it has no id of its own.
        usage: Cost of the user.
        kind: Kind of a failure; None for a list.
        reason: Reason of a failure, for people.
    """

    line: str
    key: str
    usage: Usage
    kind: FailureKind | None = None
    reason: str = ""

    @classmethod
    def of(cls, line: str) -> Record:
        """Read a line of the output or of the failures file.

        Raises:
            ValueError: If it is not one.
        """
        document = read_json(line)
        if not isinstance(document, dict) or not {"run_id", "usage"} <= document.keys():
            raise ValueError("not the record of a batch run")
        found = cast("dict[str, Any]", document)
        key = key_of(found.get("custom_id"), found.get("row"))
        usage = Usage.model_validate(found["usage"])
        return cls(line, key, usage, found.get("kind"), found.get("reason", ""))


def key_of(custom_id: str | None, row: int | None) -> str:
    """Return the key of a finished row."""
    return f"row {row}" if custom_id is None else f"id {custom_id}"


def failure_kind(error: RagRecError | None) -> FailureKind:
    """Return the kind of a failure; without an error, the reply was unusable."""
    match error:
        case None:
            return "unusable_reply"
        case DataError(field="item_id"):
            return "unknown_item"
        case DataError():
            return "unknown_user"
        case ConfigError():
            return "bad_row"
        case BudgetTooSmall():
            return "prompt_too_long"
        case RateLimited():
            return "rate_limited"
        case ModelTimeout():
            return "timeout"
        case Refused():
            return "refused"
        case Truncated():
            return "truncated"
        case _:
            return "transport"


@cache
def record_type(document: type[RecommendationList]) -> type[BatchRecord]:
    """Return the class of the records of one list type: its document, with the record's fields."""
    if document is RecommendationList:
        return BatchRecord
    made = create_model(f"{document.__name__}Record", __base__=(BatchRecord, document))
    return cast("type[BatchRecord]", made)

"""Users to recommend for, read from the rows of a user file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from pydantic import ValidationError

from rag_rec.core import (
    ConfigError,
    Constraints,
    DataError,
    Interaction,
    first_problem,
    parse_json,
)
from rag_rec.data import FileRow, normalise, read_rows

COLUMNS = ("user_id", "custom_id", "history", "profile", "constraints", "k")
_ALIASES = {
    "user_id": ("userid", "user", "uid", "customerid", "reviewerid"),
    "custom_id": ("customid",),
    "history": ("history", "itemids", "items"),
    "profile": ("profile", "profiletext"),
    "constraints": ("constraints",),
    "k": ("k", "listlength"),
}
_MAX_ID = 512
_MAX_PROFILE = 100_000
_MAX_K = 1_000

RowProblem = Literal["bad_row", "duplicate_id"]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class BatchUser:
    """One user to recommend for.

    Attributes:
        row: Line of the user file.
        custom_id: The id of the record; the user id where the file has none.
        user_id: The user of the log, when there is one.
        history: Events in place of the log's, oldest first; None for the log's own.
        profile: Plain words about the user.
        constraints: Constraints of the list.
        k: List length; None for the run's.
    """

    row: int
    custom_id: str
    user_id: str | None = None
    history: tuple[Interaction, ...] | None = None
    profile: str | None = None
    constraints: Constraints | None = None
    k: int | None = None

    @property
    def is_unnamed(self) -> bool:
        """True if nothing is known but the id of the record."""
        return self.user_id is None and self.history is None and self.profile is None


@dataclass(frozen=True, slots=True)
class BadUser:
    """A row that cannot be used.

    Attributes:
        row: Line of the user file.
        kind: The problem, for programs.
        reason: The problem, for people.
    """

    row: int
    kind: RowProblem
    reason: str


class _Unusable(ValueError):
    """The problem of one field."""


def read_users(
    path: str | Path,
    columns: Mapping[str, str] | None = None,
    *,
    on_ignored: Callable[[list[str]], None] | None = None,
) -> Iterator[BatchUser | BadUser]:
    """Yield the users of a file, in order, read as they are taken.

    Args:
        path: CSV, JSON lines or Parquet; see `read_rows`.
        columns: Our column to the file's, where the names are not recognised.
        on_ignored: Called once with the names of columns that are not used.

    Raises:
        DataError: If the file as a whole cannot be used.
    """
    path = Path(path)
    given = dict(columns or {})
    if unknown := set(given) - set(COLUMNS):
        raise ConfigError(f"no such column to map: {unknown.pop()}; there are {', '.join(COLUMNS)}")
    has_header = not {".jsonl", ".ndjson"} & set(path.suffixes)
    named: dict[tuple[str, ...], dict[str, str]] = {}
    for row in read_rows(path):
        if row.problem:
            yield BadUser(row.number, "bad_row", row.problem)
            continue
        keys = tuple(row.fields)
        if keys not in named:
            names = _match(keys, given)
            ignored = sorted(set(keys) - set(names.values()))
            if not named and has_header and not names.keys() & {"user_id", "custom_id"}:
                raise DataError(
                    f"no column for user_id; the file has {', '.join(keys)[:200]} "
                    "(name it with --column user_id=NAME)",
                    path=path,
                )
            if ignored and on_ignored and not named:
                on_ignored(ignored)
            if len(named) > 1_000:  # every row with keys of its own
                named.clear()
            named[keys] = names
        yield _user(row, named[keys])


def _match(keys: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """Return our column to the file's."""
    found = {ours: theirs for ours, theirs in given.items() if theirs in keys}
    for ours, aliases in _ALIASES.items():
        if ours in found or ours in given:
            continue
        free = [key for key in keys if key not in found.values() and normalise(key) in aliases]
        if free:
            found[ours] = free[0]
    return found


def _user(row: FileRow, names: Mapping[str, str]) -> BatchUser | BadUser:
    def value(ours: str, read: Callable[[Any], _T]) -> _T | None:
        given = row.fields.get(names[ours]) if ours in names else None
        if given is None or (isinstance(given, str) and not given.strip()):
            return None
        try:
            return read(given)
        except _Unusable as error:
            raise _Unusable(f"{names[ours]}: {error}") from error

    try:
        user_id = value("user_id", _id)
        custom_id = value("custom_id", _id) or user_id
        user = BatchUser(row.number, _some(custom_id), user_id)
        return replace(
            user,
            history=value("history", _history),
            profile=value("profile", _profile),
            constraints=value("constraints", _constraints),
            k=value("k", _k),
        )
    except _Unusable as error:
        return BadUser(row.number, "bad_row", str(error))


def _some(custom_id: str | None) -> str:
    if custom_id is None:
        raise _Unusable("no user_id and no custom_id (--column user_id=NAME names it)")
    return custom_id


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Unusable(f"expected text, found {_shown(value)}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _Unusable("is not UTF-8 text; save the file as UTF-8") from error
    return value


def _id(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    text = _text(value).strip()
    if not 0 < len(text) <= _MAX_ID:
        raise _Unusable(f"an id has 1 to {_MAX_ID} characters, this one {len(text):,}")
    return text


def _profile(value: Any) -> str:
    text = _text(value)
    if len(text) > _MAX_PROFILE:
        raise _Unusable(f"a profile has at most {_MAX_PROFILE:,} characters, not {len(text):,}")
    return text


def _k(value: Any) -> int:
    if isinstance(value, str) and value.strip().isdecimal() and len(value.strip()) < 10:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MAX_K:
        raise _Unusable(f"expected a whole number from 1 to {_MAX_K}, found {_shown(value)}")
    return value


def _history(value: Any) -> tuple[Interaction, ...]:
    if isinstance(value, str):
        text = _text(value).strip()
        value = _json(text) if text.startswith("[") else text.split("|")
    if not isinstance(value, list):
        raise _Unusable(f"expected a list of item ids, found {_shown(value)}")
    return tuple(_event(event) for event in cast("list[Any]", value))


def _event(value: Any) -> Interaction:
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        try:
            return Interaction.model_validate({**table, "item_id": _id(table.get("item_id"))})
        except ValidationError as error:
            raise _Unusable(first_problem(error)) from error
    return Interaction(item_id=_id(value))


def _constraints(value: Any) -> Constraints:
    if isinstance(value, str):
        value = _json(_text(value))
    try:
        return Constraints.model_validate(value)
    except ValidationError as error:
        raise _Unusable(first_problem(error)) from error


def _json(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise _Unusable(f"is not JSON ({str(error)[:80]})") from error


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."

"""Users to recommend for, read from the rows of a user file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import BeforeValidator, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from rag_rec.core import MAX_K, ConfigError, Constraints, DataError, Interaction, parse_json
from rag_rec.data import FileRow, normalise, read_rows

_ALIASES = {
    "user_id": ("userid", "user", "uid", "customerid", "reviewerid"),
    "custom_id": ("customid",),
    "history": ("history", "itemids", "items"),
    "profile": ("profile", "profiletext"),
    "request": ("request",),
    "constraints": ("constraints",),
    "k": ("k", "listlength"),
}
COLUMNS = tuple(_ALIASES)
_MAX_ID = 512
_MAX_WORDS = 100_000

RowProblem = Literal["bad_row", "duplicate_id"]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected text, found {_shown(value)}")  # noqa: TRY004 - pydantic's way
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError("is not UTF-8 text; save the file as UTF-8") from error
    return value


def _id(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    text = _text(value).strip()
    if not 0 < len(text) <= _MAX_ID:
        raise ValueError(f"an id has 1 to {_MAX_ID} characters, this one {len(text):,}")
    return text


def _words(value: object) -> str:
    text = _text(value)
    if len(text) > _MAX_WORDS:
        raise ValueError(
            f"a profile or request has at most {_MAX_WORDS:,} characters, not {len(text):,}"
        )
    return text


def _k(value: object) -> int:
    if isinstance(value, str) and value.strip().isdecimal() and len(value.strip()) < 10:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_K:
        raise ValueError(f"expected a whole number from 1 to {MAX_K}, found {_shown(value)}")
    return value


def _events(value: object) -> list[dict[str, object]]:
    if isinstance(value, str):
        text = _text(value).strip()
        value = _json(text) if text.startswith("[") else text.split("|")
    if not isinstance(value, list | tuple):
        raise ValueError(f"expected a list of item ids, found {_shown(value)}")  # noqa: TRY004
    return [_event(event) for event in cast("Sequence[object]", value)]


def _event(value: object) -> dict[str, object]:
    event = cast("dict[str, object]", value) if isinstance(value, dict) else {"item_id": value}
    return event | {"item_id": _id(event.get("item_id"))}


def _json(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return parse_json(_text(value))
    except ValueError as error:
        raise ValueError(f"is not JSON ({str(error)[:80]})") from error


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."


_Id = Annotated[str, BeforeValidator(_id)]
_Words = Annotated[str, BeforeValidator(_words)]


@dataclass(frozen=True, slots=True)
class BatchUser:
    """One user to recommend for.

    Attributes:
        row: Line of the user file.
        custom_id: The id of the record; the user id where the file has none.
        user_id: The user of the log, when there is one.
        history: Events in place of the log's, oldest first; None for the log's own.
        profile: Plain words about the user.
        request: A wish in plain words.
        constraints: Constraints of the list.
        k: List length; None for the run's.
    """

    row: int
    custom_id: _Id
    user_id: _Id | None = None
    history: Annotated[tuple[Interaction, ...], BeforeValidator(_events)] | None = None
    profile: _Words | None = None
    request: _Words | None = None
    constraints: Annotated[Constraints, BeforeValidator(_json)] | None = None
    k: Annotated[int, BeforeValidator(_k)] | None = None

    @property
    def is_unnamed(self) -> bool:
        """True if nothing is known but the id of the record."""
        return all(x is None for x in (self.user_id, self.history, self.profile, self.request))


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


UserRow = BatchUser | BadUser
_USER = TypeAdapter(BatchUser)


def read_users(
    path: str | Path,
    columns: Mapping[str, str] | None = None,
    *,
    on_ignored: Callable[[list[str]], None] | None = None,
) -> Iterator[UserRow]:
    """Yield the users of a file, in order, read as they are taken.

    Args:
        path: CSV, JSON lines or Parquet; see `read_rows`.
        columns: Our column to the file's, where the names are not recognised.
        on_ignored: Called once with the names of columns that are not used.

    Raises:
        ConfigError: If ``columns`` names a column that there is not.
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


def _user(row: FileRow, names: Mapping[str, str]) -> UserRow:
    fields: Mapping[str, object] = row.fields
    given = {ours: fields[theirs] for ours, theirs in names.items()}
    given = {ours: value for ours, value in given.items() if not _is_blank(value)}
    custom_id = given.get("custom_id", given.get("user_id"))
    if custom_id is None:
        reason = "no user_id and no custom_id (--column user_id=NAME names it)"
        return BadUser(row.number, "bad_row", reason)
    try:
        return _USER.validate_python(given | {"row": row.number, "custom_id": custom_id})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field, *inner = (str(part) for part in first["loc"] if isinstance(part, str))
        message = first["msg"].removeprefix("Value error, ")
        column = names.get(field, names.get("user_id", field))
        return BadUser(
            row.number, "bad_row", ": ".join((column, *inner, message[:1].lower() + message[1:]))
        )


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())

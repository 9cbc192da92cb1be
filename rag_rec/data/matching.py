"""Match a file's columns with those of a table, and ask where a name is near but not known."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path

from rag_rec.core import DataError
from rag_rec.data.schema import Column

_NEAR = 0.8
"""Least share of letters in order that two names of columns have in common, to be near."""


def normalise(name: str) -> str:
    """Return a header as aliases spell it.

    >>> normalise("item ID:token")
    'itemid'
    """
    return "".join(c for c in name.split(":")[0].lower() if c.isalnum())


def match_columns(
    header: Sequence[str], columns: Sequence[Column], mapping: Mapping[str, str]
) -> dict[str, str]:
    """Map table columns to the columns of a file, for those that are found.

    Args:
        header: Names in the file.
        columns: The table.
        mapping: Table column to file column, as given by the user; wins over aliases. An empty
            name leaves a column out: one of the table, or one of the file.
    """
    found = {name: source for name, source in mapping.items() if source in header}
    free = [name for name in header if name not in found.values() and mapping.get(name) != ""]
    for column in columns:
        if column.name in found or mapping.get(column.name) == "":
            continue
        for alias in (normalise(column.name), *column.aliases):
            hit = next((name for name in free if normalise(name) == alias), None)
            if hit is not None:
                found[column.name] = hit
                free.remove(hit)
                break
    return found


def checked_columns(
    header: Sequence[str],
    columns: Sequence[Column],
    mapping: Mapping[str, str],
    *,
    table: str,
    path: Path,
) -> dict[str, str]:
    """Return `match_columns`, or say which name is wrong or missing and how to give it.

    Raises:
        DataError: If a given name is unknown, a required column is missing, or another one with
            hints is missing while the file has one of a similar name.
    """
    names = [column.name for column in columns]
    for name, source in mapping.items():
        if name not in names and (source or name not in header):
            known = ", ".join(names)
            raise DataError(f"no such column to map: {name}; there are {known}", path=path)
        if source and source not in header:
            message = f"column '{source}' for {name} is not in the file, which has "
            raise DataError(message + ", ".join(header), path=path)
    found = match_columns(header, columns, mapping)
    free = [name for name in header if name not in found.values()]
    for column in columns:
        if column.name in found or (mapping.get(column.name) == "" and not column.required):
            continue
        near = list(_near(column, free))
        if column.required or near:
            message = f"no column for {column.name}; the file has {', '.join(header)} "
            advice = _advice(f"{table}.{column.name}", column, header, near)
            raise DataError(message + advice, path=path, field=column.name)
    return found


def _near(column: Column, free: Collection[str]) -> Iterator[str]:
    """Yield the columns of the file that may be this one, by a word or by most of their letters."""
    for name in free:
        words = {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}
        spellings = (normalise(column.name), *column.aliases)
        if column.hints and (
            words & set(column.hints)
            or any(SequenceMatcher(None, normalise(name), s).ratio() >= _NEAR for s in spellings)
        ):
            yield name


def _advice(option: str, column: Column, header: Sequence[str], near: Sequence[str]) -> str:
    theirs = near[0] if len(near) == 1 else "THEIRS"
    theirs = f'"{theirs}"' if " " in theirs else theirs
    advice = f"(name it with --columns {option}={theirs}"
    if len(near) > 1:
        advice += f", perhaps one of {', '.join(near)}"
    if not column.required:
        advice += f", or go without: --columns {option}="
    elif any(not any(c.isalpha() for c in name) for name in header):
        advice += f'; without a header line: --columns "{option}=column 1"'
    return advice + ")"

"""The formats by name; `register_format` adds one of your own."""

from __future__ import annotations

from rag_rec.core import ConfigError
from rag_rec.data.formats.amazon import AMAZON
from rag_rec.data.formats.auto import AUTO
from rag_rec.data.formats.base import Format
from rag_rec.data.formats.movielens import MOVIELENS
from rag_rec.data.formats.recbole import RECBOLE
from rag_rec.data.formats.sequences import SEQUENCES

FORMATS: dict[str, Format] = {
    known.name: known for known in (AUTO, AMAZON, MOVIELENS, RECBOLE, SEQUENCES)
}
"""Formats that `Dataset.load`, the command line and experiments accept."""


def register_format(new: Format) -> None:
    """Add a format; ``FORMATS.pop(name)`` takes it out again.

    The command line reads the names when `rag_rec.cli` is imported: register before that.

    Raises:
        ConfigError: If there is one of that name.
    """
    if new.name in FORMATS:
        raise ConfigError(f"there is a format '{new.name}' already; choose another name")
    FORMATS[new.name] = new


def format_named(name: str) -> Format:
    """Return the format of that name.

    Raises:
        ConfigError: If there is none.
    """
    if name not in FORMATS:
        raise ConfigError(f"unknown format '{name}'; choose one of {', '.join(FORMATS)}")
    return FORMATS[name]

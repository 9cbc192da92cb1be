"""TOML files; a fault is one line that names the file and the field."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rag_rec.core.errors import ConfigError


def read_toml(path: str | Path, what: str) -> dict[str, Any]:
    """Return the table in a file.

    Args:
        path: The file.
        what: Its name in messages, such as "settings file".

    Raises:
        ConfigError: If it cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"there is no {what} {path}") from error
    except OSError as error:
        raise ConfigError(f"the {what} {path} cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def first_problem(error: ValidationError, where: str = "") -> str:
    """Return the first fault of a table: ``where: field: message``."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return ": ".join(filter(None, (where, field, message[:1].lower() + message[1:])))

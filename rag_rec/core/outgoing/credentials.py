"""Credentials: found in names, values and messages, so that none is kept or shown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

_NAMES = (
    r"api[_-]?key|access[_-]?key|private[_-]?key|subscription[_-]?key|auth|authorization|bearer"
    r"|password|passwd|pwd|secret|credentials?|cookies?|headers?|signature|sig"
    r"|(?:access|auth|api|bearer|id|refresh|session)[_-]?token"
)
_NAME = re.compile(rf"(?:^|[_.-])(?:{_NAMES})(?:$|[_.-])|^(?:key|token)$", re.IGNORECASE)
_VALUE = re.compile(r"(\bBearer(?:\s|\\n)+|\bsk-)[^\s'\",;*]{4,}", re.IGNORECASE)
_USER_INFO = re.compile(r"(?<=://)[^/\s@'\"]+@")
_QUERY = re.compile(rf"([?&](?:[\w.-]*[_.-])?(?:{_NAMES}|key|token)=)[^&\s'\"]+", re.IGNORECASE)
_VARIABLE = re.compile(r"API_?KEY|RAG_REC_KEY_|ACCESS_KEY|SECRET|PASSWORD|_TOKEN$")
_SHORTEST = 5


def is_credential(name: str, value: object = "") -> bool:
    """Return True for a name that only credentials have, or a value that looks like one.

    >>> is_credential("x-api-key"), is_credential("max_tokens"), is_credential("note", "sk-12345")
    (True, False, True)
    """
    looks = isinstance(value, str) and bool(_VALUE.search(value) or _USER_INFO.search(value))
    return looks or bool(_NAME.search(name))


def credentials_in(table: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """Yield the dotted names of the credentials in a table, in tables and lists inside it too."""
    for name, value in table.items():
        path = f"{where}{name}"
        if is_credential(str(name), value):
            yield path
        for inner in value if isinstance(value, list | tuple) else (value,):
            if isinstance(inner, Mapping):
                yield from credentials_in(inner, f"{path}.")
            elif is_credential("", inner):
                yield path


def refuse_credentials(parameters: Mapping[str, Any]) -> None:
    """Refuse parameters of a model that hold a credential.

    Raises:
        ValueError: If one does; its value is not shown.
    """
    if (found := next(credentials_in(parameters, "parameters."), None)) is not None:
        raise ValueError(f"{found} would be written to files; keys come from the environment")


def redacted(text: str) -> str:
    """Return a text without the keys of the environment, and without what looks like one.

    >>> redacted("no route to http://bob:hunter2@host/v1?api_key=abc")
    'no route to http://***@host/v1?api_key=***'
    """
    text = without_keys(text, _keys())
    text = _QUERY.sub(r"\1***", _USER_INFO.sub("***@", text))
    return _VALUE.sub(r"\1***", text)


def without_keys(text: str, keys: Iterable[str]) -> str:
    """Return a text with stars for each of some keys that are long enough to be one."""
    for key in keys:
        if len(key) >= _SHORTEST:
            text = text.replace(key, "***")
    return text


def _keys() -> Iterator[str]:
    """Yield the keys of the environment: as they are, on one line, and as in a URL."""
    for name, value in os.environ.items():
        key = value.strip()
        if _VARIABLE.search(name):
            yield from dict.fromkeys((key, " ".join(key.split()), quote(key, safe="")))

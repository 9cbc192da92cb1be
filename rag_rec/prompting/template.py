"""``$name`` templates without logic, compiled once, filled many times.

Values are data: they are inserted as they are, never read as templates again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from rag_rec.core import MissingVariable

_TOKEN = re.compile(r"\$(?:(?P<escape>\$)|(?P<name>[a-z_]+)|\{(?P<braced>[a-z_]+)\}|(?P<bad>))")


class Template:
    """A text with ``$name`` or ``${name}`` variables; ``$$`` is a dollar sign.

    Args:
        text: The template.
        allowed: Variables it may name.
        required: Variables it must name.
        where: What to call it in errors, such as ``plain.toml: candidate_line``.

    Raises:
        MissingVariable: On an unknown or missing variable, or a stray ``$``.

    >>> Template("$label. $title", allowed={"label", "title"}).fill({"label": "1", "title": "Tea"})
    '1. Tea'
    """

    def __init__(
        self,
        text: str,
        *,
        allowed: Iterable[str],
        required: Iterable[str] = (),
        where: str = "template",
    ) -> None:
        self.text = text
        self._parts: list[tuple[str, str]] = []
        end = 0
        for match in _TOKEN.finditer(text):
            literal = text[end : match.start()] + ("$" if match["escape"] else "")
            name = match["name"] or match["braced"] or ""
            if match["bad"] is not None:
                raise MissingVariable(
                    f"{where}: a '$' that names no variable; write $$ for a dollar"
                )
            self._parts.append((literal, name))
            end = match.end()
        self._tail = text[end:]
        self.names = frozenset(name for _, name in self._parts if name)
        self._check(frozenset(allowed), frozenset(required), where)

    def _check(self, allowed: frozenset[str], required: frozenset[str], where: str) -> None:
        unknown = self.names - allowed
        if unknown:
            raise MissingVariable(
                f"{where}: unknown variable ${min(unknown)}; there are "
                + ", ".join(f"${name}" for name in sorted(allowed))
            )
        missing = required - self.names
        if missing:
            raise MissingVariable(f"{where}: must contain ${min(missing)}")

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with every variable replaced by its value."""
        filled = [literal + (values[name] if name else "") for literal, name in self._parts]
        return "".join(filled) + self._tail

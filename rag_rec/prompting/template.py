"""``$name`` templates without logic, checked when they are loaded.

Values are data: they are inserted as they are, never read as templates again.
"""

from __future__ import annotations

from collections.abc import Collection
from string import Template

from rag_rec.core import MissingVariable


def read_template(
    text: str, *, allowed: Collection[str], required: Collection[str] = (), where: str = "template"
) -> Template:
    """Return a text with ``$name`` or ``${name}`` variables; ``$$`` is a dollar sign.

    Args:
        text: The template.
        allowed: Variables it may name.
        required: Variables it must name.
        where: Its name in errors, such as ``plain.toml: candidate_line``.

    Raises:
        MissingVariable: On an unknown or missing variable, or a stray ``$``.

    >>> read_template("$label. $title", allowed=("label", "title")).substitute(label=1, title="Tea")
    '1. Tea'
    """
    template = Template(text)
    if not template.is_valid():
        raise MissingVariable(f"{where}: a '$' that names no variable; write $$ for a dollar")
    names = set(template.get_identifiers())
    if unknown := names.difference(allowed):
        known = ", ".join(f"${name}" for name in sorted(allowed))
        raise MissingVariable(f"{where}: unknown variable ${min(unknown)}; there are {known}")
    if missing := set(required) - names:
        raise MissingVariable(f"{where}: must contain ${min(missing)}")
    return template

"""Whether a reply has the shape it was asked for; the schemas of `Request`, nothing more."""

from __future__ import annotations

import json
from typing import Any, cast


def conforms(text: str, schema: dict[str, Any] | None) -> bool:
    """Whether a reply holds one JSON document of the schema, words around it allowed.

    ``maxLength`` is not looked at: not every backend can be held to it.

    >>> schema = {"type": "array", "items": {"type": "integer", "enum": [1, 2]}, "minItems": 1}
    >>> conforms("Here you are: [2, 1]", schema), conforms("[3]", schema), conforms("[]", schema)
    (True, False, False)
    """
    if schema is None:
        return bool(text.strip())
    opening, closing = ("{", "}") if schema.get("type") == "object" else ("[", "]")
    try:
        value = json.loads(text[text.find(opening) : text.rfind(closing) + 1])
    except (ValueError, RecursionError):
        return False
    return _fits(value, schema)


def _fits(value: Any, schema: dict[str, Any]) -> bool:
    if "enum" in schema:
        return type(value) is not bool and type(value) is not float and value in schema["enum"]
    match schema["type"]:
        case "integer":
            return type(value) is int
        case "string":
            return isinstance(value, str)
        case "array":
            return isinstance(value, list) and _array_fits(cast("list[Any]", value), schema)
        case "object":
            return isinstance(value, dict) and _object_fits(cast("dict[str, Any]", value), schema)
        case other:
            raise AssertionError(f"schemas of requests know no type '{other}'")


def _array_fits(values: list[Any], schema: dict[str, Any]) -> bool:
    enough = schema.get("minItems", 0) <= len(values) <= schema.get("maxItems", len(values))
    return enough and all(_fits(value, schema["items"]) for value in values)


def _object_fits(table: dict[str, Any], schema: dict[str, Any]) -> bool:
    known = schema["properties"]
    if table.keys() - known.keys() or set(schema.get("required", ())) - table.keys():
        return False
    return all(_fits(value, known[name]) for name, value in table.items())

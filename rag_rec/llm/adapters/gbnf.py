"""JSON schema to a llama.cpp grammar (GBNF) for the schemas this library sends.

llama-cpp-python's own converter ignores ``maxLength`` and allows white space, and a small model
can loop in either until ``max_tokens``. This one bounds strings and writes compact JSON.
"""

from __future__ import annotations

import json
from typing import Any

from rag_rec.core import ConfigError

_CHAR = r'char ::= [^"\\\x00-\x1f\x7f] | "\\" ["\\/bfnrt]'
_UNBOUNDED = 2_000


def grammar(schema: dict[str, Any]) -> str:
    r"""Return the grammar of a schema of closed objects, arrays, strings and enumerations.

    Raises:
        ConfigError: If the schema has other parts.

    >>> print(grammar({"type": "array", "items": {"enum": [1, 2]}, "minItems": 1, "maxItems": 2}))
    root ::= "[" (("1" | "2")) ("," (("1" | "2"))){0,1} "]"
    char ::= [^"\\\x00-\x1f\x7f] | "\\" ["\\/bfnrt]
    """
    return f"root ::= {_rule(schema)}\n{_CHAR}"


def _rule(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return "(" + " | ".join(_literal(json.dumps(value)) for value in schema["enum"]) + ")"
    match schema.get("type"):
        case "object":
            return _object(schema)
        case "array":
            return _array(schema)
        case "string":
            low, high = schema.get("minLength", 0), schema.get("maxLength", _UNBOUNDED)
            return rf'"\"" char{{{low},{high}}} "\""'
        case "integer":
            return '"-"? ("0" | [1-9] [0-9]{0,15})'
        case "boolean":
            return '("true" | "false")'
        case other:
            raise ConfigError(f"no grammar for a schema of type {other!r}")


def _object(schema: dict[str, Any]) -> str:
    fields = [
        f"{_literal(json.dumps(name) + ':')} {_rule(inner)}"
        for name, inner in schema["properties"].items()
    ]
    return '"{" ' + ' "," '.join(fields) + ' "}"'


def _array(schema: dict[str, Any]) -> str:
    item = f"({_rule(schema['items'])})"
    low, high = schema.get("minItems", 0), schema.get("maxItems", _UNBOUNDED)
    if high == 0:
        return '"[]"'
    some = f'{item} ("," {item}){{{max(low - 1, 0)},{high - 1}}}'
    return f'"[" {some} "]"' if low else f'"[" ({some})? "]"'


def _literal(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

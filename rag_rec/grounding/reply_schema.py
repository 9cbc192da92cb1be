"""JSON schemas of replies."""

from __future__ import annotations

from typing import Any

_MAX_CITES = 2


def answer_schema(
    *, n_labels: int, k: int, reason_chars: int, n_evidence: int = 0, n_rows: int = 0
) -> dict[str, Any]:
    """Return the schema of a reply: ``k`` labels of 1..``n_labels``, with reasons if wanted.

    It depends on these numbers only, so a backend compiles it once for all users. Constrained
    decoders cannot demand distinct labels; `read_answer` enforces it.

    Args:
        n_labels: Number of candidates shown.
        k: Length of the list.
        reason_chars: Longest reason; 0 asks for labels only.
        n_evidence: Highest number that a reason may cite; 0 asks for no citations. Citations
            come before the reason, so that it is written with them in view.
        n_rows: Number of rows of a page, one of which each entry names; 0 for a plain list.

    >>> schema = answer_schema(n_labels=3, k=2, reason_chars=0)
    >>> schema["properties"]["items"]["items"]["properties"]["label"]
    {'type': 'integer', 'enum': [1, 2, 3]}
    """
    properties: dict[str, Any] = {"row": _one_of(n_rows)} if n_rows else {}
    properties["label"] = _one_of(n_labels)
    if reason_chars:
        if n_evidence:
            cites = {"type": "array", "items": _one_of(n_evidence)}
            properties["cites"] = cites | {"minItems": 1, "maxItems": _MAX_CITES}
        properties["reason"] = {"type": "string", "maxLength": reason_chars}
    entry = closed_object(properties)
    length = min(k, n_labels)
    items = {"type": "array", "items": entry, "minItems": length, "maxItems": length}
    return closed_object({"items": items})


def closed_object(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object with exactly these fields, in this order."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _one_of(n: int) -> dict[str, Any]:
    return {"type": "integer", "enum": [*range(1, n + 1)]}

"""Values that strangers or accidents leave in files and replies; each stands for a kind."""

from __future__ import annotations

from collections.abc import Callable

from rag_rec import RagRecError

DEEP = 9_000

TEXTS: dict[str, str] = {
    "reference of 4,301 digits": f"&#{'9' * 4301};",
    "hexadecimal reference": f"&#x{'f' * 5000};",
    "references to no character": "&#xD800;&#0;&#x110000;&#99999999;",
    "ampersands": "&" * 5_000,
    "number of 5,000 digits": "1" * 5_000,
    "number beyond floats": "1e400",
    "number below floats": "-1e400",
    "infinity": "Infinity",
    "not a number": "NaN",
    "digits of another script": "١٢٣",
    "time of 10^18": str(10**18),
    "time of 10^30": str(10**30),
    "time long ago": str(-(10**11)),
    "day beyond the calendar": "10000-01-01",
    "last day": "9999-12-31T23:59:59-12:00",
    "no day": "2024-02-30 25:61:61",
    "zone of 99 hours": "2024-01-01T00:00:00+99:99",
    "open brackets": "[" * DEEP,
    "deep lists": "[" * DEEP + "]" * DEEP,
    "deep objects": '{"a":' * DEEP + "1" + "}" * DEEP,
    "deep brackets": "[" + "(" * 5_000 + ")" * 5_000 + "]",
    "signs": "[" + "-" * 20_000 + "1]",
    "literal that cannot be hashed": "{[1]: 2}",
    "set of sets": "[{{1}: 2}]",
    "other literals": "[b'a', 1j, ...]",
    "half a pair, escaped": '["\\ud800"]',
    "half a pair": "a\ud800b",
    "zero byte": "a\x00b",
    "no characters": "\ufffe\uffff\U0010ffff",
    "unit separator": "a\x1fb",
    "line ends": "a\rb\r\nc\u2028d\u2029e\x85f",
    "marks on one letter": "e" + "\u0301" * 5_000,
    "tags": "<a " * 5_000,
    "scripts": "<script" * 3_000,
    "quotes": '"' * 4_999,
    "backslashes": '\\"' * 3_001,
    "template": "{title} %s %n {0.__class__} ${x}",
    "long": "tea " * 10_000,
}
"""Texts by kind."""

JSON: dict[str, str] = {
    "deep lists": "[" * DEEP + "]" * DEEP,
    "deep objects": '{"a":' * DEEP + "1" + "}" * DEEP,
    "deep, but not for the parser": "[" * 700 + "]" * 700,
    "number of 5,000 digits": "9" * 5_000,
    "number of 400 digits": "9" * 400,
    "number beyond floats": "1e400",
    "negative": "-1",
    "not a number": "NaN",
    "infinity": "-Infinity",
    "half a pair": '"\\ud800"',
    "zero byte": '"\\u0000"',
    "true": "true",
    "null": "null",
    "text": '"x"',
    "list": "[1]",
    "object": '{"a": {"b": 1}}',
}
"""JSON values by kind, as written."""


def is_one_line(message: str) -> bool:
    return "\n" not in message and "\r" not in message and 0 < len(message) < 1_800


def is_done_or_refused(call: Callable[[], object]) -> bool:
    """Return True if a call ends well or with one of our errors, in one line."""
    try:
        call()
    except RagRecError as error:
        return is_one_line(str(error))
    return True

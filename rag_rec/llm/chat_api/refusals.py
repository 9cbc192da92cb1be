"""Read which parameter a server refuses, from an error whose form every server chooses anew."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from rag_rec.llm.chat_api.families import LIMITS

STATUSES = frozenset({400, 404, 405, 415, 422, 500, 501})
"""Statuses under which servers refuse a parameter."""

_REFUSED = re.compile(
    r"unsupported"
    r"|not (?:\w+ )?(?:support|permit|allow|available|recogni|accept|implement|valid|enabled)"
    r"|n['’]t (?:\w+ )?(?:support|accept|allow|take|recogni|available|implement)"
    r"|unrecogni|unknown|unexpected|unavailable|extra[_ ](?:input|field|key|forbidden)|extraneous"
    r"|additional propert|only (?:the default|\S+ (?:is|are) )|only supports|deprecated|no longer"
    r"|cannot find field|invalid|forbidden|must (?:be|contain)|should be|strictly positive"
    r"|incompatible|failed to (?:parse|initialize)",
    re.IGNORECASE,
)
_RANGE = re.compile(
    r"too (?:large|long|high|big|many)|maximum|at most|at least|exceed|context length"
    r"|(?:less|greater) than|between",
    re.IGNORECASE,
)
_STREAM = re.compile(
    r"only supports? (?:the )?stream|stream(?:ing)? (?:mode )?(?:only|is required|must be)"
    r"|(?:set|enable|use)\b.{0,20}\bstream|non-?stream\w*.{0,40}not",
    re.IGNORECASE | re.DOTALL,
)
_SYSTEM = re.compile(
    r"system['\"`]* (?:role|message|prompt|instruction)\w* (?:is |are )?(?:not|un)\s?support"
    r"|not support\w* (?:the )?['\"`]*system|developer instruction is not enabled"
    r"|only user and assistant roles",
    re.IGNORECASE,
)
_FORMAT = (
    r"(?:response|output)[_ ]format|json[_ ](?:schema|object|mode)|structured[_ ]output|grammar"
)

_INSTEAD = re.compile(r"\buse ['\"`]?(\w+)['\"`]? instead", re.IGNORECASE)


class Refusal:
    """An error body that may say that a parameter is refused.

    Args:
        body: The parsed body, or its text.
    """

    def __init__(self, body: Any) -> None:
        self._body = body
        self._text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)

    @property
    def wants_stream(self) -> bool:
        """True if the server only answers in a stream."""
        return bool(_STREAM.search(self._text))

    @property
    def of_system_role(self) -> bool:
        """True if the server or the chat template knows no system message."""
        return bool(_SYSTEM.search(self._text))

    def parameter(self, sent: Mapping[str, Any]) -> str | None:
        """Return the sent parameter that is refused as such, not for its value; None if none is."""
        advice = _INSTEAD.search(self._text)
        ours = sent.keys() - {"model", "messages", advice and advice[1]}
        named = [name for name in self._named() if name in ours]
        if not named and _REFUSED.search(self._text):
            named = self._mentioned(ours)
        found = next(iter(named), None)
        return None if found is None or self._is_out_of_range(found, sent) else found

    def misses(self, name: str) -> bool:
        """Return True if the error says that a parameter is missing which was not sent."""
        missing = rf"missing field\W{{1,3}}{re.escape(name)}\b"
        return name in self._named() or bool(re.search(missing, self._text))

    def instead(self, sent: Mapping[str, Any]) -> str | None:
        """Return the name that the error tells to use, if it is none that is sent already."""
        found = _INSTEAD.search(self._text)
        return found[1] if found and found[1] not in sent else None

    def _is_out_of_range(self, name: str, sent: Mapping[str, Any]) -> bool:
        """Return True if a limit or a value of the user's is refused, which has to be mended."""
        by_user = name in LIMITS or (name == "temperature" and sent[name] != 0)
        return by_user and bool(_RANGE.search(self._text)) and self.instead(sent) is None

    def _named(self) -> Iterator[str]:
        """Yield the parameters that fields of the error name."""
        for value in _values(self._body):
            match value:
                case {"param": str(name)}:
                    yield re.split(r"[.\[]", name.removeprefix("body."))[0]
                case {"loc": [*place]}:
                    yield from (part for part in place if isinstance(part, str))
                case _:
                    pass

    def _mentioned(self, names: Iterable[str]) -> list[str]:
        """Return the parameters that the text mentions, in its order."""
        patterns = {name: rf"\b{re.escape(name)}\b" for name in names}
        if "response_format" in patterns:
            patterns["response_format"] = _FORMAT
        found = {
            name: hit.start()
            for name, pattern in patterns.items()
            if (hit := re.search(pattern, self._text, re.IGNORECASE))
        }
        return sorted(found, key=found.__getitem__)


def _values(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON value, those in strings of JSON too, outer ones first."""
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        yield table
        value = list(table.values())
    if isinstance(value, list):
        for inner in value:
            yield from _values(inner)

"""The form of the requests that one model takes: as documented, as told, and as it teaches.

A server that refuses a parameter says so with a status such as 400. The parameter is renamed or
left out from then on, and the request is sent again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rag_rec.core import ModelError
from rag_rec.llm.base import Answer, Request, encodable, portable_schema
from rag_rec.llm.chat_api.endpoint import Endpoint
from rag_rec.llm.chat_api.families import LIMITS, families_of
from rag_rec.llm.chat_api.refusals import Refusal
from rag_rec.llm.chat_api.reply_scores import MOST_LABELS, no_scores, unscorable
from rag_rec.llm.tokens import ByteEstimate

_log = logging.getLogger(__name__)

OMIT = "omit"
LOGPROBS: dict[str, Any] = {"logprobs": True, "top_logprobs": MOST_LABELS}
"""Parameters of a request for scores, in place of those of a reply in words."""

_FORMATS = ("json_schema", "json_object")
_NAMES: dict[str, str | None] = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "seed": "seed",
    "response_format": "response_format",
    "stream": None,
    "stream_options": None,
}


class RequestForm:
    """Writes the bodies of requests to one model, and learns from refusals. Used by many threads.

    Args:
        name: The model's spec, for warnings.
        model: The model's name at the endpoint.
        endpoint: The server.
        parameters: Further parameters; `OMIT` or None leaves a standard one out.
        reasoning_tokens: Tokens that a model which reasons may spend on it.

    Attributes:
        answers: The kinds of answer that the model's family gives.
        changes: What is sent in another form than usual, one line each.
    """

    def __init__(
        self,
        name: str,
        model: str,
        endpoint: Endpoint,
        *,
        parameters: Mapping[str, Any],
        reasoning_tokens: int = 0,
    ) -> None:
        self._name, self._model = name, model
        self._given = {n: None if v == OMIT else v for n, v in parameters.items()}
        self._reasoning_tokens = reasoning_tokens
        self._names = _NAMES.copy()
        self._formats = [*_FORMATS]
        self.reasons = self._merges_system = False
        self.changes: tuple[str, ...] = ()
        self._lock = threading.Lock()
        families = families_of(model, endpoint.base.host)
        for family in reversed(families):  # the first has the last word
            self._names |= family.names
            self.reasons |= family.reasons
            if family.response_format == "json_object":
                self._formats = ["json_object"]
            for ours, theirs in family.names.items():
                if theirs is None and not self._is_given(ours):
                    self._changed(f"{ours} is left out, as {family.name} need it")
        self._keeps_room = self.reasons
        kinds: set[Answer] = {"text"} if self.reasons else {"text", "scores"}
        self.answers = frozenset(kinds)

    # --- writing -------------------------------------------------------------------------------

    def body(self, request: Request) -> dict[str, Any]:
        """Return a request as the API takes it; see `with_room` for its ``max_tokens``.

        One for scores writes one token, in any form, and asks for the log-probabilities of others.
        """
        scored, given = request.ranking is not None, self._given
        if scored:
            given = {n: v and 1 if n in LIMITS else v for n, v in given.items()}
            given.pop("response_format", None)
        standard: dict[str, Any] = {
            "max_tokens": 1 if scored else request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
            "response_format": self._response_format(request),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        body: dict[str, Any] = {"model": self._model, "messages": self._messages(request)}
        for ours, theirs in self._names.items():
            if theirs and not self._is_given(ours):
                body[theirs] = standard[ours]
        body |= (LOGPROBS if scored else {}) | given
        return {name: value for name, value in body.items() if value is not None}

    def refusal(self, request: Request) -> ModelError | None:
        """Return the error of a request that the model cannot answer, which is not to be sent."""
        if request.ranking is None:
            return None
        if self._keeps_room:
            return no_scores("it reasons first, so its first token is no answer", self._name)
        return unscorable(len(request.ranking.labels), self._name)

    def with_room(self, request: Request, context_tokens: int) -> Request:
        """Return a request whose ``max_tokens`` leave room for reasoning, within the context."""
        if request.ranking is not None:
            return replace(request, max_tokens=1)
        if not self.reasons:
            return request
        counter, texts = ByteEstimate(), [message.content for message in request.messages]
        read = sum(counter.count(texts)) + counter.per_message * len(texts)
        room = min(self._reasoning_tokens, context_tokens - read - request.max_tokens)
        return replace(request, max_tokens=request.max_tokens + max(0, room))

    def prompt_room(self, context_tokens: int) -> int:
        """Return the part of a context that prompt and reply may fill, beside the reasoning."""
        kept = min(self._reasoning_tokens, context_tokens // 2) if self._keeps_room else 0
        return context_tokens - kept

    def _is_given(self, ours: str) -> bool:
        names = LIMITS if ours == "max_tokens" else (ours,)
        return any(name in self._given for name in names)

    def _messages(self, request: Request) -> list[dict[str, str]]:
        turns = [{"role": m.role, "content": encodable(m.content)} for m in request.messages]
        if self._merges_system and _has_system(turns):
            first, second, *others = turns
            return [second | {"content": f"{first['content']}\n\n{second['content']}"}, *others]
        return turns

    def _response_format(self, request: Request) -> dict[str, Any] | None:
        if request.schema is None or request.ranking is not None:
            return None
        if self._formats[0] == "json_object":
            return {"type": "json_object"}
        schema = {"name": "answer", "strict": True, "schema": portable_schema(request.schema)}
        return {"type": "json_schema", "json_schema": schema}

    # --- learning ------------------------------------------------------------------------------

    def learn(self, sent: Mapping[str, Any], refusal: Refusal) -> bool:
        """Adapt to a refusal; return True if the request should be sent again in the new form."""
        with self._lock:
            if refusal.wants_stream and "stream" not in sent:
                if self._names["stream"] is None:
                    self._names |= {"stream": "stream", "stream_options": "stream_options"}
                    self._changed("replies are streamed, the only way of this server")
                return True
            if refusal.of_system_role and _has_system(sent["messages"]):
                if not self._merges_system:
                    self._merges_system = True
                    self._changed("the system message is put before the user's")
                return True
            refused = refusal.parameter(sent)
            if refused is None or refused in self._given or refused in LOGPROBS:
                return False
            self._avoid(refused, sent, refusal.instead(sent))
            return True

    def learn_reasoning(self) -> None:
        """Note that the model spent all its tokens on thoughts; from now on it gets more."""
        with self._lock:
            if not self.reasons and self._reasoning_tokens:
                self._changed(f"{self._reasoning_tokens} tokens are added for its reasoning")
            self.reasons = True

    def _avoid(self, refused: str, sent: Mapping[str, Any], instead: str | None) -> None:
        """Rename, weaken or leave out a parameter, unless that was done since it was sent."""
        ours = next((ours for ours, theirs in self._names.items() if theirs == refused), None)
        if ours is None:
            return
        if ours == "response_format":
            if sent[refused].get("type") != self._formats[0]:
                return
            if len(self._formats) > 1:
                self._formats.pop(0)
                self._changed("replies are held to JSON only, for the schema is refused")
                return
        if ours == "max_tokens" and refused == LIMITS[0]:
            instead = instead or LIMITS[1]
        self._names[ours] = instead
        how = f"sent as {instead}" if instead else "left out"
        self._changed(f"{refused} is refused and {how}")

    def _changed(self, change: str) -> None:
        _log.warning("%s: %s", self._name, change)
        self.changes = (*self.changes, change)


def _has_system(messages: Sequence[Mapping[str, str]]) -> bool:
    return len(messages) > 1 and messages[0]["role"] == "system"

"""`FaultyServer`: a loopback chat server that fails on a schedule.

What a hosted model does to a program that calls it a hundred thousand times, on demand:

>>> with FaultyServer(by_content({"user-7": ["server_error", "hang"]})) as server:
...     sorted(FAULTS)[:3]
['content_filter', 'endless', 'error_body']
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Mapping, Sequence

from rag_rec.testing.server import (
    ChatServer,
    Json,
    Response,
    answer_first_labels,
    completion,
    scored_completion,
)

Schedule = Callable[[int, Json], str | None]
"""From a request's number (from 0) and body to the fault it meets, or None."""


def _error(code: str, status: int, **headers: str) -> Response:
    body = json.dumps({"error": {"message": f"scripted: {code}", "type": code, "code": code}})
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(body.encode(), status, names)


FAULTS: Mapping[str, Response] = {
    "rate_limit": _error("rate_limit_exceeded", 429, retry_after="1"),
    "rate_limit_short": _error("rate_limit_exceeded", 429, retry_after="0.05"),
    "rate_limit_long": _error("rate_limit_exceeded", 429, retry_after="300"),
    "quota": _error("insufficient_quota", 429),
    "server_error": _error("internal", 500),
    "unavailable": _error("overloaded", 503),
    "hang": Response(hang=True),
    "reset": Response(reset=True),
    "html": Response(b"<html><body>Bad gateway</body></html>"),
    "malformed": Response(b'{"choices": [{"message": '),
    "truncated": Response(completion("x" * 900), cut=300),
    "no_choices": Response(b'{"id": "x", "object": "chat.completion", "choices": []}'),
    "error_body": Response(b'{"error": {"message": "scripted", "code": 500}}'),
    "endless": Response(b'f\r\n{"id": "chatcmp\r\n', endless=True),
    "length": Response(completion('{"items": [{"la', finish="length")),
    "content_filter": Response(completion("", finish="content_filter")),
    "refusal": Response(completion(None, refusal="I would rather not")),
    "wrong_schema": Response(completion('{"recommendations": ["a kettle"]}')),
    "white_space": Response(completion(" \n" * 400, finish="length", tokens=400)),
}
"""Every fault of a chat by name."""


def _logprobs(value: str) -> Response:
    body = json.loads(completion("A", finish="length", tokens=1))
    body["choices"][0]["logprobs"] = "VALUE"
    return Response(json.dumps(body).replace('"VALUE"', value).encode())


def _top(entries: str) -> Response:
    return _logprobs(
        f'{{"content": [{{"token": "A", "logprob": -0.1, "top_logprobs": {entries}}}]}}'
    )


def _refused_logprobs() -> Response:
    message = "This model does not support the 'logprobs' parameter."
    error = {"message": message, "type": "invalid_request_error", "param": "logprobs"}
    return Response(json.dumps({"error": error}).encode(), 400)


SCORE_FAULTS: Mapping[str, Response] = {
    "logprobs_refused": _refused_logprobs(),
    "logprobs_ignored": Response(completion("A", finish="length", tokens=1)),
    "logprobs_null": _logprobs("null"),
    "logprobs_other_form": _logprobs('{"tokens": ["A"], "token_logprobs": [-0.1]}'),
    "logprobs_empty": _logprobs('{"content": []}'),
    "top_empty": _top("[]"),
    "top_of_one": _top('[{"token": "A", "logprob": -0.1}]'),
    "top_of_strings": _top('["A", "B"]'),
    "top_null": _top('[{"token": "A", "logprob": -0.1}, null]'),
    "token_missing": _top('[{"token": "A", "logprob": -0.1}, {"logprob": -0.2}]'),
    "token_number": _top('[{"token": "A", "logprob": -0.1}, {"token": 7, "logprob": -0.2}]'),
    "logprob_missing": _top('[{"token": "A"}, {"token": "B", "logprob": -0.1}]'),
    "logprob_string": _top('[{"token": "A", "logprob": "-0.1"}, {"token": "B", "logprob": -2}]'),
    "logprob_true": _top('[{"token": "A", "logprob": true}, {"token": "B", "logprob": -2}]'),
    "logprob_nan": _top('[{"token": "A", "logprob": NaN}, {"token": "B", "logprob": -2}]'),
    "logprob_infinite": _top('[{"token": "A", "logprob": -1e400}, {"token": "B", "logprob": -2}]'),
    "logprob_positive": _top('[{"token": "A", "logprob": 0.5}, {"token": "B", "logprob": -2}]'),
    "logprob_zeros": _top('[{"token": "A", "logprob": 0}, {"token": "B", "logprob": 0.0}]'),
    "logprob_placeholders": _top('[{"token": "A", "logprob": -9999.0}]'),
    "other_words": Response(scored_completion({"The": -0.2, "I": -2.0, "Sure": -3.0})),
}
"""Every fault of log-probabilities by name: the model answers, but not with scores."""


def _results(entries: str) -> Response:
    return Response(f'{{"results": {entries}}}'.encode())


_FIRST = '{"index": 0, "relevance_score": 0.9}'
RANK_FAULTS: Mapping[str, Response] = {
    "no_results": Response(b'{"id": "x"}'),
    "results_object": _results('{"0": 0.9, "1": 0.1}'),
    "results_missing": _results(f"[{_FIRST}]"),
    "results_empty": _results("[]"),
    "result_null": _results(f"[{_FIRST}, null]"),
    "index_beyond": _results(f'[{_FIRST}, {{"index": 9, "relevance_score": 0.1}}]'),
    "index_negative": _results(f'[{_FIRST}, {{"index": -1, "relevance_score": 0.1}}]'),
    "index_twice": _results(f"[{_FIRST}, {_FIRST}]"),
    "index_true": _results(f'[{_FIRST}, {{"index": true, "relevance_score": 0.1}}]'),
    "index_float": _results(f'[{_FIRST}, {{"index": 1.0, "relevance_score": 0.1}}]'),
    "index_string": _results(f'[{_FIRST}, {{"index": "1", "relevance_score": 0.1}}]'),
    "index_null": _results(f'[{_FIRST}, {{"relevance_score": 0.1}}]'),
    "score_missing": _results(f'[{_FIRST}, {{"index": 1}}]'),
    "score_string": _results(f'[{_FIRST}, {{"index": 1, "relevance_score": "0.1"}}]'),
    "score_true": _results(f'[{_FIRST}, {{"index": 1, "relevance_score": true}}]'),
    "score_nan": _results(f'[{_FIRST}, {{"index": 1, "relevance_score": NaN}}]'),
    "score_infinite": _results(f'[{_FIRST}, {{"index": 1, "relevance_score": 1e400}}]'),
    "score_beyond_floats": _results(f'[{_FIRST}, {{"index": 1, "score": {"9" * 400}}}]'),
    "list_beyond": Response(b'[{"index": 0, "score": 0.9}, {"index": 2, "score": 0.1}]'),
}
"""Every fault of a ranking of two documents by name."""


class FaultyServer(ChatServer):
    """A `ChatServer` that answers well but where the schedule names a fault.

    Args:
        schedule: Which request meets which fault; see `by_number`, `by_content`, `at_random`.
        answer: The response to all others.
        delay_s: Added to every response.

    Attributes:
        met: How often each fault was met.
    """

    def __init__(
        self,
        schedule: Schedule,
        answer: Callable[[Json], Response] = answer_first_labels,
        *,
        delay_s: float = 0.0,
    ) -> None:
        super().__init__(self._scheduled, delay_s=delay_s)
        self._schedule = schedule
        self._well = answer
        self.met: dict[str, int] = {}

    def _scheduled(self, request: Json) -> Response:
        fault = self._schedule(self.n_requests - 1, request)
        if fault is None:
            return self._well(request)
        self.met[fault] = self.met.get(fault, 0) + 1
        return FAULTS[fault] if fault in FAULTS else SCORE_FAULTS[fault]


def by_number(faults: Mapping[int, str]) -> Schedule:
    """Return a schedule for these requests, counted from 0 as they come in."""
    return lambda number, _: faults.get(number)


def by_content(faults: Mapping[str, str | Sequence[str]]) -> Schedule:
    """Return a schedule by a text in the messages: always one fault, or some in turn, then none."""
    left = {
        text: fault if isinstance(fault, str) else list(fault) for text, fault in faults.items()
    }
    lock = threading.Lock()

    def schedule(number: int, request: Json) -> str | None:
        del number
        content = "\n".join(message["content"] for message in request["messages"])
        for text, fault in left.items():
            if text in content:
                if isinstance(fault, str):
                    return fault
                with lock:
                    return fault.pop(0) if fault else None
        return None

    return schedule


def at_random(shares: Mapping[str, float], *, seed: int = 0) -> Schedule:
    """Return a schedule of faults with their probabilities; a seed gives the same ones again."""
    names, edges = list(shares), []
    for share in shares.values():
        edges.append(share + (edges[-1] if edges else 0.0))

    def schedule(number: int, request: Json) -> str | None:
        del request
        drawn = random.Random(f"{seed}/{number}").random()  # noqa: S311 - a schedule, no secret
        return next((name for name, edge in zip(names, edges, strict=True) if drawn < edge), None)

    return schedule

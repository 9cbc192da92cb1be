"""Requests and tokens a minute, over all threads of a run."""

from __future__ import annotations

import threading
import time


class Pace:
    """Spaces requests evenly, so that no minute holds more than the limits.

    Args:
        requests_per_minute: 0 for no limit.
        tokens_per_minute: Tokens read and written; 0 for no limit.
    """

    def __init__(self, requests_per_minute: float = 0, tokens_per_minute: float = 0) -> None:
        self._per_request = 60 / requests_per_minute if requests_per_minute else 0.0
        self._per_token = 60 / tokens_per_minute if tokens_per_minute else 0.0
        self._next_request = 0.0
        self._next_token = 0.0
        self._paused_until = 0.0
        self._lock = threading.Lock()

    def wait_s(self, tokens: int) -> float:
        """Books a request of so many tokens, and says in how many seconds it may be sent."""
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._next_request, self._next_token, self._paused_until)
            if self._per_request:
                self._next_request = begin + self._per_request
            self._next_token = max(now, self._next_token) + tokens * self._per_token
            return begin - now

    def correct(self, booked: int, used: int) -> None:
        """Gives back the tokens that a request was booked for and did not use."""
        with self._lock:
            self._next_token -= (booked - used) * self._per_token

    def pause(self, seconds: float) -> None:
        """Nothing is sent for so long, as the provider asked."""
        with self._lock:
            self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def paused_s(self) -> float:
        """Seconds of such a pause that are left."""
        return max(0.0, self._paused_until - time.monotonic())

"""The property's quota as its last answer told it: a read stops before it is used up."""

from __future__ import annotations

import threading
from typing import Any

from data_platform.errors import SourceError

_TOKENS = {
    "tokens_per_day": "tokens of the day, which come back at midnight in California",
    "tokens_per_hour": "tokens of the hour",
    "tokens_per_project_per_hour": "tokens of the Cloud project in this hour",
}
_COUNTS = {
    "server_errors_per_project_per_hour": "server errors of the hour",
    "potentially_thresholded_requests_per_hour": "requests of the hour that may be thresholded",
}


class Quota:
    """``reserve`` tokens are left to others."""

    def __init__(self, source: str, reserve: int) -> None:
        self._source, self._reserve = source, reserve
        self._left: dict[str, int] = {}
        self._lock = threading.Lock()

    def take(self, quota: Any) -> None:
        """What an answer told, a protobuf ``PropertyQuota``."""
        with self._lock:
            for name in (*_TOKENS, *_COUNTS):
                if quota.HasField(name):
                    self._left[name] = getattr(quota, name).remaining

    def check(self, what: str) -> None:
        """SourceError where another request would take what is reserved."""
        with self._lock:
            low = [
                (n, self._left[n], w)
                for n, w in _TOKENS.items()
                if self._left.get(n, self._reserve) < self._reserve
            ]
            low += [(n, self._left[n], w) for n, w in _COUNTS.items() if self._left.get(n, 1) < 1]
        if low:
            _, left, words = low[0]
            raise SourceError(
                f"{self._source}: {what} was not asked for, since only {left:,} are left of the property's {words}"
                f" (`quota_reserve` is {self._reserve:,}). What was read is kept; the next sync goes on there."
            )

    def text(self) -> str | None:
        """What is left of the tokens, for people."""
        with self._lock:
            day, hour = self._left.get("tokens_per_day"), self._left.get("tokens_per_hour")
        if day is None or hour is None:
            return None
        return f"quota of the property after this read: {day:,} tokens left today, {hour:,} this hour"

"""When a request may be sent, and how long to wait before it is sent again. Every wait can be ended by another thread."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Event, Lock
from typing import Protocol

from data_platform.errors import SourceUnreachable

_EPOCH_FROM = 1_000_000_000
"""A reset of a rate limit from here on is a time in seconds since 1970, below it a number of seconds to wait."""


class Clock(Protocol):
    """A test hands in its own."""

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    def wait(self, ended: Event, seconds: float) -> None:
        """Return after so many seconds, or as soon as ``ended`` is set."""


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, ended: Event, seconds: float) -> None:
        ended.wait(seconds)


class Waits:
    """The waits of one client: by its rate limits, by what the server asked for, and between attempts. ``window`` allows
    so many requests in any so many seconds, and all of them at once."""

    def __init__(
        self,
        title: str,
        clock: Clock,
        per_second: float | None = None,
        window: tuple[int, float] | None = None,
    ) -> None:
        self._title, self.clock = title, clock
        self._gap = 1 / per_second if per_second else 0.0
        self._free, self._lock, self._ended = 0.0, Lock(), Event()
        self._span = window[1] if window else 0.0
        self._sent = deque[float](maxlen=window[0] if window else 0)

    def sleep(self, seconds: float) -> None:
        """SourceUnreachable where ``end`` was called: nobody wants the answer any more."""
        if seconds > 0 and not self._ended.is_set():
            self.clock.wait(self._ended, seconds)
        self.check()

    def check(self) -> None:
        if self._ended.is_set():
            raise SourceUnreachable(f"{self._title}: the read was ended before it was done.")

    def turn(self) -> None:
        """Wait for the next moment at which a request may be sent. All tables of a source share one sequence."""
        with self._lock:
            now = self.clock.monotonic()
            at = max(now, self._free)
            if self._sent.maxlen and len(self._sent) == self._sent.maxlen:
                at = max(at, self._sent[0] + self._span)
            self._sent.append(at)
            self._free = at + self._gap
        self.sleep(at - now)

    def hold(self, seconds: float) -> None:
        """Let no table of the source send anything for so many seconds: the server asked for it."""
        with self._lock:
            self._free = max(self._free, self.clock.monotonic() + seconds)

    def told(self, left: int, seconds: float) -> None:
        """``left`` requests may be sent now, more after so many seconds."""
        with self._lock:
            self._sent.clear()
        if left <= 0:
            self.hold(seconds)

    def end(self) -> None:
        self._ended.set()


def retry_after(status: int, headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds that an answer asks to wait; None where it asks for nothing.

    ``Retry-After`` is seconds or a date (RFC 9110, 10.2.3). A date is compared with the answer's own ``Date``, so that
    a wrong clock here does no harm. A 429 or 403 that says that nothing is left is taken by its reset.
    """
    asked = headers.get("Retry-After", "").strip()
    if asked:
        try:
            return max(0.0, float(asked))
        except ValueError:
            at, sent = _date(asked), _date(headers.get("Date", ""))
            if at is not None:
                return max(0.0, (at - (sent or now)).total_seconds())
    if status not in (403, 429):
        return None
    for prefix in ("X-RateLimit-", "RateLimit-", "X-Rate-Limit-"):
        left, reset = headers.get(f"{prefix}Remaining", "").strip(), headers.get(f"{prefix}Reset", "").strip()
        if left != "0" or not reset:
            continue
        try:
            seconds = float(reset)
        except ValueError:
            continue
        server = _date(headers.get("Date", "")) or now
        return max(0.0, seconds - server.timestamp() if seconds >= _EPOCH_FROM else seconds)
    return None


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)

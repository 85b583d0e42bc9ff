"""The property's quota: tokens, requests at a time, server errors.

Google does not say how many tokens a request takes; here it is one, and more for
long ranges and many rows. Hours and days are those of the clock, the day that of
California (https://developers.google.com/analytics/devguides/reporting/data/v1/quotas).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from data_platform.sandbox.services.ga4.requests import Refused, Report

_PAGE = "To learn more, see https://developers.google.com/analytics/devguides/reporting/data/v1/quotas"
_PACIFIC = ZoneInfo("America/Los_Angeles")


@dataclass(frozen=True, slots=True)
class Limits:
    """Those of a standard property."""

    tokens_a_day: int = 200_000
    tokens_an_hour: int = 40_000
    project_tokens_an_hour: int = 14_000
    concurrent: int = 10
    server_errors_an_hour: int = 10
    thresholded_an_hour: int = 120


@dataclass
class Quota:
    clock: Callable[[], float]
    limits: Limits = field(default_factory=Limits)
    _used: dict[str, int] = field(default_factory=dict)
    _periods: dict[str, Any] = field(default_factory=dict)
    _running: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def request(self) -> Iterator[None]:
        """While a request runs; Refused when something is used up before it begins."""
        with self._lock:
            self._turn()
            for name, limit, message in (
                ("errors", self.limits.server_errors_an_hour, "Exhausted server errors per project per hour."),
                ("day", self.limits.tokens_a_day, "Exhausted property tokens per day. These quota tokens will return in under a day."),
                ("hour", self.limits.tokens_an_hour, "Exhausted property tokens per hour. These quota tokens will return in under an hour."),
                ("project", self.limits.project_tokens_an_hour, "Exhausted property tokens for a project per hour. These quota tokens will return in under an hour."),
            ):  # fmt: skip
                if self._used.get(name, 0) >= limit:
                    raise Refused(429, "RESOURCE_EXHAUSTED", f"{message} {_PAGE}")
            if self._running >= self.limits.concurrent:
                raise Refused(429, "RESOURCE_EXHAUSTED", f"Exhausted concurrent requests quota. Please try again later. {_PAGE}")  # fmt: skip
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1

    def charge(self, report: Report, rows: int) -> None:
        days = sum((r.last - r.first).days + 1 for r in report.ranges)
        tokens = 1 + days // 30 + rows // 2_500 + max(0, len(report.dimensions) - 4)
        with self._lock:
            for name in ("day", "hour", "project"):
                self._used[name] = self._used.get(name, 0) + tokens
            self._used["last"] = tokens

    def server_error(self) -> None:
        with self._lock:
            self._turn()
            self._used["errors"] = self._used.get("errors", 0) + 1

    def status(self) -> dict[str, Any]:
        """The API's PropertyQuota: what the last request took, and what is left."""
        with self._lock:
            used, last, limits = self._used, self._used.get("last", 0), self.limits

            def left(limit: int, name: str, consumed: int) -> dict[str, int]:
                return {"consumed": consumed, "remaining": max(0, limit - used.get(name, 0))}

            return {
                "tokensPerDay": left(limits.tokens_a_day, "day", last),
                "tokensPerHour": left(limits.tokens_an_hour, "hour", last),
                "tokensPerProjectPerHour": left(limits.project_tokens_an_hour, "project", last),
                "concurrentRequests": {"consumed": 0, "remaining": limits.concurrent - self._running + 1},
                "serverErrorsPerProjectPerHour": left(limits.server_errors_an_hour, "errors", 0),
                "potentiallyThresholdedRequestsPerHour": {
                    "consumed": 0,
                    "remaining": limits.thresholded_an_hour,
                },
            }

    def _turn(self) -> None:
        """Begin a new hour or day when the clock has."""
        now = self.clock()
        hour, day = int(now // 3600), datetime.fromtimestamp(now, _PACIFIC).date()
        for period, names in ((hour, ("hour", "project", "errors")), (day, ("day",))):
            for name in names:
                if self._periods.get(name) != period:
                    self._periods[name], self._used[name] = period, 0

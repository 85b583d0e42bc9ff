"""Rate limits: how many requests an account may send in a window, and how many of them may be exports."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Window:
    """At most ``limit`` requests in any ``seconds``."""

    limit: int
    seconds: float
    times: deque[float] = field(default_factory=deque)

    def take(self, now: float) -> float:
        """0 when the request may pass, which counts it; else the seconds until one may."""
        while self.times and self.times[0] <= now - self.seconds:
            self.times.popleft()
        if len(self.times) >= self.limit:
            return self.times[0] + self.seconds - now
        self.times.append(now)
        return 0.0

    @property
    def remaining(self) -> int:
        return max(0, self.limit - len(self.times))

    def reset(self, now: float) -> int:
        return round(self.times[0] + self.seconds - now) if self.times else 0


class RateLimits:
    """Zendesk allows 700 requests a minute on the enterprise plan and 10 exports a minute. Here the windows
    are shorter, so that a first read of the demo does not wait for minutes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.lock = threading.Lock()
        self.account = Window(700, 6.0)
        self.exports = Window(10, 6.0)

    def take(self, export: bool) -> tuple[dict[str, str], float]:
        """The headers of the answer, and the seconds to wait if the request is one too many."""
        with self.lock:
            now = self.clock()
            wait = self.account.take(now)
            if export and not wait:
                wait = self.exports.take(now)
            headers = {
                "x-rate-limit": str(self.account.limit),
                "x-rate-limit-remaining": str(self.account.remaining),
                "ratelimit-limit": str(self.account.limit),
                "ratelimit-remaining": str(self.account.remaining),
                "ratelimit-reset": str(self.account.reset(now)),
            }
            if export:
                window = self.exports
                headers["zendesk-ratelimit-incremental-exports"] = (
                    f"total={window.limit}; remaining={window.remaining}; resets={window.reset(now)}"
                )
            return headers, wait

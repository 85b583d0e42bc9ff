"""A clock that only moves where somebody says how long a thing takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heapreplace
from typing import TypeVar

T = TypeVar("T")


class Clock:
    """``now`` is in seconds since the simulation began."""

    def __init__(self) -> None:
        self.now = 0.0

    def spend(self, seconds: float) -> None:
        self.now += seconds

    def taken(self, act: Callable[[], T]) -> tuple[T, float]:
        """What ``act`` answers and how long it took; the clock is then where it was."""
        start = self.now
        try:
            return act(), self.now - start
        finally:
            self.now = start

    def together(self, calls: Sequence[Callable[[], T]], lanes: int) -> list[T]:
        """The answers of ``calls``, ``lanes`` of them at a time: each begins when a lane is free."""
        free = [self.now] * max(1, lanes)
        heapify(free)
        answers = []
        for call in calls:
            self.now = free[0]
            answers.append(call())
            heapreplace(free, self.now)
        self.now = max(free)
        return answers

"""A bucket in memory: each request takes its time on the clock and is counted."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TypeVar

from benchmarks.scale.clock import Clock

T = TypeVar("T")


@dataclass(frozen=True)
class Latency:
    """Seconds of a small request in the bucket's own region, from sending to the whole answer."""

    list: float = 0.040
    read: float = 0.025
    write: float = 0.060


class SimulatedStore:
    """A ``stores.Store``, as far as a ledger needs one."""

    url = "sim://bucket"

    def __init__(self, clock: Clock, latency: Latency, requests_at_once: int) -> None:
        self.clock, self.latency, self.requests_at_once = clock, latency, requests_at_once
        self.requests: Counter[str] = Counter()
        self._objects: dict[str, bytes] = {}
        self._keys: list[str] = []

    def together(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        return self.clock.together(calls, self.requests_at_once)

    def read(self, key: str) -> bytes:
        self._spend("read")
        return self._objects[key]

    def list(self, prefix: str, limit: int | None = None) -> list[str]:
        self._spend("list")
        start = f"{prefix}/" if prefix else ""
        first = bisect_left(self._keys, start)
        below = (key for key in islice(self._keys, first, None))
        found: list[str] = []
        for key in below:
            if not key.startswith(start) or len(found) == limit:
                break
            found.append(key)
        return found

    def size(self, key: str) -> int:
        self._spend("read")
        return len(self._objects[key])

    def put_new(self, key: str, data: bytes) -> bool:
        self._spend("write")
        if key in self._objects:
            return False
        self._put(key, data)
        return True

    def put_hint(self, key: str, data: bytes) -> None:
        self._spend("write")
        self._put(key, data)

    def put_part(self, key: str) -> None:
        """A part whose bytes nobody reads."""
        self._spend("write")

    def read_range(self, key: str, start: int, length: int) -> bytes:
        return self.read(key)[start : start + length]

    def delete(self, key: str) -> None:
        self._spend("write")
        if self._objects.pop(key, None) is not None:
            self._keys.remove(key)

    def written_at(self, key: str) -> datetime | None:
        raise NotImplementedError("the simulation collects nothing")

    def put_file(self, key: str, path: Path, sha256: str | None = None) -> None:
        raise NotImplementedError("the simulation lands no rows")

    @property
    def folder(self) -> Path:
        raise NotImplementedError("the simulation lands no rows")

    def address(self, key: str) -> str | None:
        return None

    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        raise NotImplementedError("the simulation lands no rows")

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        raise NotImplementedError("the simulation lands no rows")

    def _put(self, key: str, data: bytes) -> None:
        if key not in self._objects:
            insort(self._keys, key)
        self._objects[key] = data

    def _spend(self, kind: str) -> None:
        self.requests[kind] += 1
        self.clock.spend(getattr(self.latency, kind))

"""Logs in folders, for tests: their keys, their clock, and a store that counts and fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from data_platform.chained.log import Log
from data_platform.errors import StoreUnreachable
from data_platform.landing.signing import Signer
from data_platform.stores import Store
from data_platform.stores.wrapped import WrappedStore

T = TypeVar("T")
SIGNER = Signer("LEDGER_KEY", (b"k" * 32,))
OTHER = Signer("LEDGER_KEY", (b"o" * 32,))
BEGAN = datetime(2026, 3, 1, tzinfo=UTC)


class Clock:
    """An hour later each time it is set on; the same time otherwise."""

    def __init__(self) -> None:
        self.now = BEGAN

    def __call__(self) -> datetime:
        return self.now

    def forward(self, hours: float = 1) -> None:
        self.now += timedelta(hours=hours)


def filled(store: Store, blocks: int, signer: Signer = SIGNER, name: str = "audit") -> tuple[Log, Clock]:
    """A log of ``blocks`` blocks of one, two, three, one... entries, an hour apart."""
    clock = Clock()
    log = Log(store, name, signer, clock)
    for number in range(1, blocks + 1):
        clock.forward()
        log.append([{"block": number, "part": part} for part in range(number % 3 + 1)])
    return log, clock


class CountingStore(WrappedStore):
    """``requests`` by their kind. It fails once, at call ``fails_at`` (from 1), before or ``after`` the call was carried
    out."""

    def __init__(self, store: Store, fails_at: int = 0, *, after: bool = False) -> None:
        super().__init__(store)
        self.requests: Counter[str] = Counter()
        self.fails_at, self.after = fails_at, after

    def put_new(self, key: str, data: bytes) -> bool:
        return self._call("put_new", lambda: self._store.put_new(key, data))

    def put_hint(self, key: str, data: bytes) -> None:
        self._call("put_hint", lambda: self._store.put_hint(key, data))

    def read(self, key: str) -> bytes:
        return self._call("read", lambda: self._store.read(key))

    def list(self, prefix: str, limit: int | None = None) -> list[str]:
        return self._call("list", lambda: self._store.list(prefix, limit))

    def delete(self, key: str) -> None:
        self._call("delete", lambda: self._store.delete(key))

    def together(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        return [call() for call in calls]

    def _call(self, kind: str, call: Callable[[], T]) -> T:
        self.requests[kind] += 1
        due = self.requests.total() == self.fails_at
        if due and not self.after:
            raise StoreUnreachable("no answer")
        answer = call()
        if due:
            raise StoreUnreachable("the answer was lost")
        return answer

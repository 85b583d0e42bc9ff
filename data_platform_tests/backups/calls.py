"""Every call of a store and of PostgreSQL's programs is a point that may fail, before or after it is done, or be the last."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from data_platform.backups.database.running import RecoveredServer
from data_platform.backups.database.tools import Programs, failure
from data_platform.errors import StoreUnreachable
from data_platform.stores.local import LocalStore

PLAIN = ("put_new", "put_file", "put_hint", "read", "read_range", "list", "size", "written_at", "delete")
BLOCKS = ("local", "scratch")
"""Calls that hold while a block runs: after it means at its end."""
SERVER = ("start", "stop")
MARK = "a planted fault"

How = Literal["before", "after", "killed"]


@dataclass
class Calls:
    """Counts the calls, and fails the one of number ``at``. ``seen`` names each: its method, and what it was asked for."""

    at: int = -1
    how: How = "before"
    seen: list[tuple[str, str]] = field(default_factory=list)
    happened: bool = False
    """Whether the fault did."""
    _lock: Any = field(default_factory=threading.Lock)

    def _begin(self, method: str, what: str) -> bool:
        with self._lock:
            self.seen.append((method, what))
            mine = len(self.seen) - 1 == self.at
        if mine and self.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()
        if mine and self.how == "before":
            raise self._error(method, what)
        return mine

    @contextmanager
    def installed(self) -> Iterator[Calls]:
        originals = [
            (owner, name, getattr(owner, name))
            for owner, names in (
                (LocalStore, (*PLAIN, *BLOCKS)),
                (Programs, ("started",)),
                (RecoveredServer, SERVER),
            )
            for name in names
        ]
        try:
            for owner, name, original in originals:
                wrap = self._block if name in (*BLOCKS, "started") else self._plain
                setattr(owner, name, wrap(name, original))
            yield self
        finally:
            for owner, name, original in originals:
                setattr(owner, name, original)

    def _plain(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(subject: Any, *given: Any, **named: Any) -> Any:
            what = _what(subject, given)
            mine = self._begin(name, what)
            try:
                return original(subject, *given, **named)
            finally:
                if mine:  # whatever its answer was
                    raise self._error(name, what)

        return call

    def _block(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        @contextmanager
        def block(subject: Any, *given: Any, **named: Any) -> Iterator[Any]:
            what = _what(subject, given)
            mine = self._begin(name, what)
            with original(subject, *given, **named) as answer:
                yield answer
            if mine:
                raise self._error(name, what)

        return block

    def _error(self, method: str, what: str) -> Exception:
        self.happened = True
        if method in ("started", *SERVER):
            return failure(what, 1, f"error: {MARK}")
        return StoreUnreachable(f"The store cannot {method} {what}: {MARK}.")


def _what(subject: Any, given: tuple[Any, ...]) -> str:
    if isinstance(subject, LocalStore):
        return f"{subject.path.name}/{given[0] if given else ''}"
    return str(given[0]) if isinstance(subject, Programs) else "the recovered server"

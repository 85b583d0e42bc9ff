"""A few connections to the shop's database, lent to the services' requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

MOST = 6
IDLE_SECONDS = 5.0
"""A connection that lay idle for longer is asked whether it still lives: the server may have been started anew."""


class Connections:
    """At most ``most`` at a time; whoever comes later waits. ``url`` is asked for each new one."""

    def __init__(self, url: Callable[[], str], most: int = MOST) -> None:
        self._url = url
        self._free: list[tuple[float, Connection]] = []
        self._places = threading.Semaphore(most)
        self._lock = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[Connection]:
        """A connection in autocommit mode, UTC. It is dropped if the caller leaves it broken."""
        with self._places:
            connection = self._take()
            try:
                yield connection
            finally:
                if connection.closed or connection.info.transaction_status != 0:
                    connection.close()
                else:
                    with self._lock:
                        self._free.append((time.monotonic(), connection))

    def close(self) -> None:
        with self._lock:
            while self._free:
                self._free.pop()[1].close()

    def _take(self) -> Connection:
        import psycopg

        while True:
            with self._lock:
                idle_since, connection = self._free.pop() if self._free else (0.0, None)
            if connection is None:
                return psycopg.connect(
                    self._url(),
                    autocommit=True,
                    connect_timeout=10,
                    application_name="sandbox services",
                    options="-c timezone=UTC -c statement_timeout=60s",
                )
            if time.monotonic() - idle_since < IDLE_SECONDS:
                return connection
            try:
                connection.execute("SELECT 1")
                return connection
            except psycopg.OperationalError:
                connection.close()

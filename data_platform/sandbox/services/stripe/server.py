"""State of the running stand-in that is not in the database: settings, and how many requests came within a second."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from data_platform.sandbox.services.stripe.settings import Settings

if TYPE_CHECKING:
    from data_platform.sandbox.services.database import Connections
    from data_platform.sandbox.services.service import Place


class Server:
    """``listeners`` is set while somebody may want webhooks."""

    def __init__(self, place: Place, connections: Connections) -> None:
        self.place, self.connections = place, connections
        self.settings = Settings()
        self.listeners = threading.Event()
        self._recent: deque[float] = deque()
        self._lock = threading.Lock()

    def over_limit(self) -> bool:
        """Whether this request is one too many within a second."""
        most, now = self.settings.requests_per_second, time.monotonic()
        with self._lock:
            while self._recent and self._recent[0] <= now - 1:
                self._recent.popleft()
            if most and len(self._recent) >= most:
                return True
            self._recent.append(now)
        return False


_SERVERS: dict[int, Server] = {}


def server_of(place: Place, connections: Connections) -> Server:
    """One a stand-in: the application and what runs in the background share it.

    A port alone does not name it: once a stand-in is closed, the next one in the process may get its port, and has other keys.
    """
    found = _SERVERS.get(place.port)
    if found is None or found.place != place or found.connections is not connections:
        found = _SERVERS[place.port] = Server(place, connections)
    return found

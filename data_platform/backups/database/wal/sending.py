"""One store's side of a receiver: ships in a thread of its own, retries by itself, and says what is wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from data_platform.backups.archive import Archive
from data_platform.backups.database.wal import adding
from data_platform.backups.database.wal.archive import WalArchive
from data_platform.backups.database.wal.records import Interruption
from data_platform.backups.database.wal.ship import Beats, End, Shipper
from data_platform.backups.database.wal.spool import Received, Spool
from data_platform.errors import DataPlatformError

Say = Callable[[str], None]
"""Called with a sentence for people."""
PAUSE_MAX_SECONDS = 60.0
PAUSE_MIN_SHARE = 0.1
"""Of the time between two shipments, where one takes nearly all of it."""


class Sender:
    """Sends the WAL of one server (``system``) to ``archive``. ``problem`` says why the last attempt failed; empty if it did not."""

    def __init__(self, archive: Archive, source: str, system: str, beats: Beats, say: Say) -> None:
        self.archive, self._say = archive, say
        self.source, self.system = source, system
        self.shipper = Shipper(WalArchive(archive, source, system), beats)
        self.problem = ""
        self.others: Sequence[Sender] = ()
        """What this store lacks is copied from them, after it was away."""
        self.histories: dict[int, str] = {}
        """History files of the server's timelines, to be kept before anything is shipped."""
        self._pending: list[Interruption] = []
        self._behind = True
        self._begun = False

    @property
    def name(self) -> str:
        return self.archive.name

    @property
    def end(self) -> End | None:
        return self.shipper.end

    def open(self) -> bool:
        """Read how far the store is. False if it cannot be read: ``problem`` says why."""
        return self._tried(self._begin)

    def interrupted(self, interruption: Interruption) -> None:
        """To be written down before anything else is shipped."""
        self._pending.append(interruption)

    def ship(self, spool: Spool) -> bool:
        """One attempt to send everything. False if it failed: ``problem`` says why."""
        return self._tried(lambda: self._ship(spool))

    def keep_shipping(self, spool: Spool, seconds: float, closing: threading.Event) -> None:
        """Begin to ship every so many ``seconds`` until ``closing``; later after each failure in a row."""
        pause = wait = seconds
        while not closing.wait(wait):
            began = time.monotonic()
            pause = seconds if self.ship(spool) else min(max(pause, 1) * 2, max(PAUSE_MAX_SECONDS, seconds))
            wait = max(pause - (time.monotonic() - began), pause * PAUSE_MIN_SHARE)

    def has(self, received: Received) -> bool:
        return self._begun and self.shipper.has(received)

    def has_all(self, spool: Spool) -> bool:
        return all(self.has(received) for received in spool.files() if received.length)

    def _begin(self) -> None:
        if not self._begun:
            self.shipper.begin()
            self._begun = True

    def _ship(self, spool: Spool) -> None:
        self._begin()
        while self._pending:
            adding.interrupt(self.shipper.wal, self._pending[0])
            self._pending.pop(0)
        for timeline, content in self.histories.items():
            self.shipper.add_history(timeline, content)
        self.shipper.ship(spool)
        if self._behind:
            for other in self.others:
                if other.problem:
                    continue
                own = WalArchive(replace(other.archive), self.source, self.system)
                if copied := self.shipper.copy_from(own):
                    self._say(
                        f"{copied:,} WAL segment(s) that {self.name} lacked were copied from {other.name}."
                    )
            self._behind = False

    def _tried(self, act: Callable[[], None]) -> bool:
        try:
            act()
        except Exception as error:  # whatever it is, the thread goes on, and nothing of the other stores ends
            known = isinstance(error, DataPlatformError)
            problem = str(error) if known else f"a defect ({type(error).__name__})"
            if problem != self.problem:
                self._say(f"WAL is not shipped to {self.name}: {problem}")
            self.problem, self._behind = problem, True
            return False
        if self.problem:
            self._say(f"WAL is shipped to {self.name} again.")
        self.problem = ""
        return True

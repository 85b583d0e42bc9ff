"""Receives a source's WAL without end: ``pg_receivewal`` as a child, a thread for each store, a heartbeat.

A store that does not answer holds up no other. The slot is advanced to what the furthest store holds, so the server keeps
all WAL that only this machine has; its loss loses nothing.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from data_platform.backups.archive import Archive
from data_platform.backups.database.config import DatabaseBackups
from data_platform.backups.database.lsn import Lsn, Segment
from data_platform.backups.database.tools import Programs
from data_platform.backups.database.wal.heartbeat import Heart
from data_platform.backups.database.wal.records import Heartbeat, Interruption
from data_platform.backups.database.wal.resume import Start, start
from data_platform.backups.database.wal.sending import PAUSE_MAX_SECONDS, Say, Sender
from data_platform.backups.database.wal.server import Server, connected
from data_platform.backups.database.wal.ship import Beats, End, furthest
from data_platform.backups.database.wal.spool import Spool
from data_platform.errors import BackupError, DataPlatformError
from data_platform.sources.server_access import ServerAccess
from data_platform.stores.kinds import in_folder

SPOOL_FILES_MAX = 64
"""More complete segments than these do not wait for a store that does not answer, if another one holds them."""
ONCE_WITHIN_SECONDS = 600.0
GOOD_AFTER_SECONDS = 60.0
"""A session that lasted so long ends the growing of the pauses."""
TICK_SECONDS = 0.25
TICKS_MIN = 8
"""In the time between two shipments."""
_REMOVED = re.compile(r"requested WAL segment \S+ has already been removed")
_MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Sent:
    """How far one store is. ``problem`` says why it is not further; empty if nothing is wrong."""

    archive: str
    end: End | None
    heartbeat: Heartbeat | None
    problem: str = ""


class Receiver:
    """One source's. ``folder`` is on this machine and holds what was received until it is shipped; ``say`` gets sentences for
    people, from several threads."""

    def __init__(
        self,
        access: ServerAccess,
        archives: Sequence[Archive],
        config: DatabaseBackups,
        folder: Path,
        say: Say,
    ) -> None:
        self._access, self._archives, self._config, self._say = access, archives, config, say
        self._folder = in_folder(folder)
        self._beats = Beats()

    def run(self, stop: threading.Event) -> None:
        """Until ``stop``. What fails is said and tried again after a pause, which grows from 1 to 60 seconds."""
        pause = 1.0
        while not stop.is_set():
            began = time.monotonic()
            try:
                with self._session() as session:
                    session.run(stop)
            except DataPlatformError as error:
                pause = (
                    1.0
                    if time.monotonic() - began > GOOD_AFTER_SECONDS
                    else min(pause * 2, PAUSE_MAX_SECONDS)
                )
                self._say(
                    f"WAL of {self._access.source} is not received; the next attempt is in {pause:.0f} s. {error}"
                )
                stop.wait(pause)

    def once(self) -> list[Sent] | None:
        """Receive and ship up to where the server is now. None if another receiver does that already; ``BackupError`` if no
        store got it."""
        try:
            with self._session() as session:
                return session.once()
        except _Busy:
            return None

    @contextmanager
    def _session(self) -> Iterator[_Session]:
        import psycopg

        with connected(self._access) as connection:
            try:
                server = Server(self._access, connection)
                if not server.claim():
                    raise _Busy(
                        f"Another receiver gets the WAL of {self._access.source} already. One is enough: stop the other one"
                        " first."
                    )
                heart = Heart(connection)
                if heart.problem:
                    self._say(heart.problem)
                with self._folder.scratch() as folder:
                    yield _Session(
                        server, heart, self._archives, self._config, self._beats, folder, self._say
                    )
            except psycopg.Error as error:
                raise BackupError(
                    f"The connection to the server of {self._access.source} was lost, or it refused a question"
                    f" ({type(error).__name__})."
                ) from None


class _Busy(BackupError):
    pass


class _Stopped(Exception):
    pass


class _Session:
    """One connection's worth of receiving."""

    def __init__(
        self,
        server: Server,
        heart: Heart,
        archives: Sequence[Archive],
        config: DatabaseBackups,
        beats: Beats,
        folder: Path,
        say: Say,
    ) -> None:
        self._server, self._heart, self._config, self._beats, self._say = server, heart, config, beats, say
        self._identity = server.identity
        self._spool = Spool(folder, self._identity.segment_bytes)
        source = server.access.source
        self._programs = Programs.find(self._identity.major, config.programs, or_newer=True)
        self._senders = [Sender(archive, source, self._identity.system, beats, say) for archive in archives]
        for sender in self._senders:
            sender.others = [other for other in self._senders if other is not sender]
        self._start = self._begin()

    def run(self, stop: threading.Event) -> None:
        """Until ``stop``, or an error of the server or of ``pg_receivewal``."""
        self._with_what_is_there(lambda: self._stream(stop))

    def once(self) -> list[Sent]:
        beat = self._beat()
        until = self._flushed(beat.lsn)
        if (end := self._furthest()) is None or end < (self._identity.timeline, until):
            self._with_what_is_there(lambda: self._receive(until))
            self._spool.wrote(until)
        self._spool.settle()  # before it is shipped: more may have come than was asked for
        with self._shipping(seconds=0):
            pass
        if not any(sender.has_all(self._spool) and not sender.problem for sender in self._senders):
            raise BackupError(f"No store got the WAL of {self._source}. {self._problems()}")
        self._let_go()
        return [
            Sent(one.name, one.end, self._beats.reached(one.end[1]) if one.end else None, one.problem)
            for one in self._senders
        ]

    # ---- where to begin

    def _begin(self) -> Start:
        """Make the slot, and find where the stores end."""
        opened = [sender.open() for sender in self._senders]
        if not any(opened):
            raise BackupError(f"No store of the WAL of {self._source} can be read. {self._problems()}")
        slot = self._server.make_slot()
        assert slot.restart is not None
        ends = [sender.end for sender in self._senders if sender.end]
        identity = self._identity
        found = start(ends, identity.timeline, identity.history, slot.restart)
        if found.lost:
            self._interrupted(found.lost)
        return found

    def _with_what_is_there(self, act: Callable[[], None]) -> None:
        """Begin where the stores end; where the slot does, if the server has removed WAL before."""
        try:
            self._begin_at(self._start)
            act()
        except BackupError as error:
            if not _REMOVED.search(str(error)):
                raise
            slot = self._server.make_slot()
            assert slot.restart is not None
            self._interrupted("the server has removed WAL that no store holds")
            self._begin_at(Start(self._identity.timeline, slot.restart))
            act()

    def _begin_at(self, found: Start) -> None:
        if self._identity.history:
            for sender in self._senders:
                sender.histories[self._identity.timeline] = self._identity.history
        self._spool.begin_at(Segment.at(found.timeline, found.lsn, self._spool.segment_bytes))

    def _interrupted(self, why: str) -> None:
        end = self._furthest() or (self._identity.timeline, Lsn(0))
        interruption = Interruption(datetime.now(UTC), end[0], end[1], why)
        self._say(
            f"WAL of {self._source} is missing behind {end[1]}: {why}. No second between there and the end of the next"
            " full backup can be recovered; the next backup is a full one."
        )
        for sender in self._senders:
            sender.interrupted(interruption)

    # ---- receiving

    def _stream(self, stop: threading.Event) -> None:
        access = self._server.access
        named = replace(
            access, parameters={**access.parameters, "application_name": self._server.application}
        )
        try:
            with (
                self._shipping(self._config.ship_seconds),
                self._programs.started("pg_receivewal", *self._arguments(), access=named) as running,
            ):
                tick = min(TICK_SECONDS, self._config.ship_seconds / TICKS_MIN)
                beat_at = kept_at = time.monotonic()
                while running.process.poll() is None:
                    if stop.wait(tick):
                        raise _Stopped
                    now = time.monotonic()
                    if now >= beat_at:
                        self._beat()
                        beat_at = now + self._config.heartbeat_seconds
                    position = self._server.position()
                    self._beats.mark(position.mark)
                    if position.received:
                        self._spool.wrote(position.received)
                    if now >= kept_at:
                        self._let_go()
                        self._check_slot()
                        kept_at = now + self._config.ship_seconds
        except _Stopped:
            self._let_go()
            return
        raise BackupError("pg_receivewal ended, though nobody asked it to.")

    def _receive(self, until: Lsn) -> None:
        """Up to ``until`` and no further: ``pg_receivewal`` ends behind the position that it is given."""
        arguments = (*self._arguments(), f"--endpos={Lsn(until.value - 1)}")
        with self._programs.started("pg_receivewal", *arguments, access=self._server.access) as running:
            try:
                running.process.wait(ONCE_WITHIN_SECONDS)
            except Exception:
                raise BackupError(
                    f"WAL of {self._source} was not received within {ONCE_WITHIN_SECONDS:.0f} s. The service `wal receive`"
                    " has no such limit."
                ) from None

    def _arguments(self) -> Sequence[str]:
        return (f"--directory={self._spool.folder}", "--no-loop", "--status-interval=1")

    @contextmanager
    def _shipping(self, seconds: float) -> Iterator[None]:
        """A thread for each store. In the end each sends what there is, whatever became of the server."""
        closing = threading.Event()

        def work(sender: Sender) -> None:
            sender.keep_shipping(self._spool, seconds, closing)
            sender.ship(self._spool)

        threads = [threading.Thread(target=work, args=(one,), daemon=True) for one in self._senders]
        if seconds == 0:
            closing.set()
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._spool.settle()
            closing.set()
            for thread in threads:
                thread.join()

    def _beat(self) -> Heartbeat:
        beat = self._heart.beat()
        self._beats.add(beat)
        return beat

    def _flushed(self, least: Lsn) -> Lsn:
        """What the server would stream, once that is at least ``least``."""
        for _ in range(100):
            found = self._server.flushed()
            if found >= least:
                return found
            time.sleep(0.05)
        return found

    # ---- what the server keeps

    def _let_go(self) -> None:
        """Let the server and the folder drop what a store holds."""
        if end := self._furthest():
            self._server.advance(end[1])
        whole = [received for received in self._spool.files() if received.whole]
        for number, received in enumerate(whole):
            holders = sum(sender.has(received) for sender in self._senders)
            waits = len(whole) - number <= SPOOL_FILES_MAX
            if holders == len(self._senders) or (holders and not waits):
                self._spool.remove(received)

    def _check_slot(self) -> None:
        slot = self._server.look_at_slot()
        if slot is None or slot.lost:
            why = slot.lost if slot else "somebody dropped it"
            raise BackupError(
                f"The slot {self._server.slot} of {self._source} keeps no WAL any more: {why}. A new one is made."
            )
        if slot.holds_bytes > self._config.slot_max_mb * _MB:
            self._server.drop_slot()
            raise BackupError(
                f"The slot {slot.name} held back {slot.holds_bytes / _MB:,.0f} MB of WAL on the server of {self._source}, more than"
                f" the {self._config.slot_max_mb:,} MB of `slot_max_mb`, because no store got it: it was dropped, so that the"
                f" server's disk does not fill up. {self._problems()}"
            )

    def _furthest(self) -> End | None:
        return furthest(sender.end for sender in self._senders)

    def _problems(self) -> str:
        return " ".join(f"{one.name}: {one.problem}" for one in self._senders if one.problem)

    @property
    def _source(self) -> str:
        return self._server.access.source

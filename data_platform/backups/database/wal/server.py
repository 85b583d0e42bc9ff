"""What the receiver asks of the source's server: who it is, what the slot holds back, how far WAL was received.

The slot is not streamed from: it is advanced once WAL is in a store, so that the server keeps what only this machine has.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC
from functools import cached_property
from typing import TYPE_CHECKING, Any

from data_platform.backups.database.lsn import Lsn
from data_platform.backups.database.wal.records import Heartbeat
from data_platform.errors import BackupError
from data_platform.sources.server_access import ServerAccess

if TYPE_CHECKING:
    import psycopg

ANSWERS_WITHIN = "30s"
_NOT_A_SLOT = re.compile(r"[^a-z0-9_]")
SLOT_LONGEST = 63


@dataclass(frozen=True, slots=True)
class Identity:
    """``system`` is the server's identifier, ``timeline`` the present one, ``history`` its history file (empty on the first)."""

    system: str
    timeline: int
    history: str
    segment_bytes: int
    major: int


@dataclass(frozen=True, slots=True)
class Slot:
    """``holds_bytes`` is the WAL that the slot keeps on the server. ``lost`` says why it keeps nothing any more; empty if it does."""

    name: str
    restart: Lsn | None
    holds_bytes: int
    lost: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """``mark`` is the server's clock and position. ``received`` is what ``pg_receivewal`` said last, once a second: None while
    it says nothing."""

    mark: Heartbeat
    received: Lsn | None


def slot_name(source: str) -> str:
    return f"data_platform_wal_{_NOT_A_SLOT.sub('_', source)}"[:SLOT_LONGEST]


@contextmanager
def connected(access: ServerAccess, *, replication: bool = False) -> Iterator[psycopg.Connection]:
    """A connection in autocommit. ``BackupError`` if there is none; it repeats nothing of the URL."""
    import psycopg

    more = {"replication": "true"} if replication else {}
    try:
        connection = psycopg.connect(
            replace(access, parameters={**access.parameters, **more}).conninfo,
            autocommit=True,
            prepare_threshold=None,
        )
    except psycopg.Error as error:
        what = "for replication" if replication else ""
        raise BackupError(
            f"The server of {access.source} cannot be reached {what} ({type(error).__name__}). Check the URL in"
            f" {access.variable}"
            + (
                ", that its role has REPLICATION, and that pg_hba.conf lets it connect to `replication`. Without that"
                " right, `engine: logical` is what can be backed up."
                if replication
                else "."
            )
        ) from None
    with connection:
        yield connection


class Server:
    """The questions of one receiver, over one connection."""

    def __init__(self, access: ServerAccess, connection: psycopg.Connection) -> None:
        self.access, self.connection = access, connection
        self.slot = slot_name(access.source)
        self.application = self.slot
        connection.execute(f"set statement_timeout = '{ANSWERS_WITHIN}'".encode())
        if self._one("select pg_is_in_recovery()"):
            raise BackupError(
                f"The server in {access.variable} is a standby: WAL is received from the primary. Name the primary's URL"
                " with `url_env` in the source's `backups.database`."
            )

    @cached_property
    def identity(self) -> Identity:
        """``BackupError`` if the role may not replicate."""
        size = int(self._one("select setting from pg_settings where name = 'wal_segment_size'"))
        major = self.connection.info.server_version // 10_000
        with connected(self.access, replication=True) as replicating:
            row = replicating.execute(b"IDENTIFY_SYSTEM").fetchone()
            assert row is not None
            timeline, history = int(row[1]), ""
            if timeline > 1:  # text arrives as bytes: such a connection has no encoding
                there = replicating.execute(f"TIMELINE_HISTORY {timeline}".encode()).fetchone()
                history = _text(there[1]) if there else ""
        return Identity(_text(row[0]), timeline, history, size, major)

    def claim(self) -> bool:
        """Whether this is now the one receiver of the source: a lock that ends with the connection. What an earlier one
        left streaming is ended."""
        lock = int.from_bytes(hashlib.sha256(self.slot.encode()).digest()[:8], "big", signed=True)
        if not self._one("select pg_try_advisory_lock(%s)", lock):
            return False
        self._one(
            "select count(pg_terminate_backend(pid)) from pg_stat_replication where application_name = %s",
            self.application,
        )
        return True

    def make_slot(self) -> Slot:
        """The slot, made if there is none. Made anew if it was invalidated."""
        found = self.look_at_slot()
        if found and not found.lost:
            return found
        if found:
            self.drop_slot()
        self._one("select slot_name from pg_create_physical_replication_slot(%s, true)", self.slot)
        made = self.look_at_slot()
        assert made is not None
        return made

    def look_at_slot(self) -> Slot | None:
        reason = "invalidation_reason" if self.connection.info.server_version >= 170_000 else "null"
        row = self.connection.execute(
            f"select restart_lsn, coalesce(pg_current_wal_lsn() - restart_lsn, 0)::bigint, wal_status, {reason}"
            " from pg_replication_slots where slot_name = %s".encode(),
            (self.slot,),
        ).fetchone()
        if row is None:
            return None
        lost = f"the server invalidated it ({row[3] or row[2]})" if row[2] == "lost" or row[0] is None else ""
        return Slot(self.slot, Lsn.parse(row[0]) if row[0] else None, row[1], lost)

    def advance(self, to: Lsn) -> None:
        """Let the server remove WAL before ``to``. Nothing happens if the slot is further, or the server is not there yet."""
        self._one(
            "select count(pg_replication_slot_advance(slot_name, least(%s::pg_lsn, pg_current_wal_flush_lsn())))"
            " from pg_replication_slots where slot_name = %s and restart_lsn < least(%s::pg_lsn, pg_current_wal_flush_lsn())",
            str(to), self.slot, str(to),
        )  # fmt: skip

    def drop_slot(self) -> None:
        self._one(
            "select count(pg_drop_replication_slot(slot_name)) from pg_replication_slots where slot_name = %s",
            self.slot,
        )

    def position(self) -> Position:
        """Where the server is now, and how far ``pg_receivewal`` says that it is."""
        row = self.connection.execute(
            # the statement's time is older than the position, so what was committed by then is before it
            b"select statement_timestamp(), pg_current_wal_insert_lsn(),"
            b" (select max(write_lsn) from pg_stat_replication where application_name = %s)",
            (self.application,),
        ).fetchone()
        assert row is not None
        mark = Heartbeat(row[0].astimezone(UTC), Lsn.parse(row[1]), row=False)
        return Position(mark, Lsn.parse(row[2]) if row[2] else None)

    def flushed(self) -> Lsn:
        """The end of what the server would stream now."""
        return Lsn.parse(self._one("select pg_current_wal_flush_lsn()"))

    def _one(self, statement: str, *values: object) -> Any:
        row = self.connection.execute(statement.encode(), values or None).fetchone()
        return row[0] if row else None


def _text(content: object) -> str:
    return bytes(content).decode() if isinstance(content, bytes | memoryview) else str(content)

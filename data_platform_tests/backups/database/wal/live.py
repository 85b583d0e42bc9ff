"""A real PostgreSQL with segments of 1 MB, receivers of its WAL, and a load that writes it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from psycopg import conninfo

from data_platform.backups.archive import Archive
from data_platform.backups.database.config import DatabaseBackups
from data_platform.backups.database.lsn import Lsn, Segment
from data_platform.backups.database.wal import WalArchive
from data_platform.backups.database.wal.receive import Receiver, Sent
from data_platform.sandbox.server import BUILTIN_LOCALE, PostgresServer
from data_platform.sources.server_access import ServerAccess
from data_platform.stores import Store
from data_platform.stores.local import LocalStore

SEGMENT = 1 << 20
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "on",
    "shared_buffers": "32MB",
    "wal_keep_size": "512MB",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "summarize_wal": "on",
    "autovacuum": "off",
}


def server(home: Path, **settings: str) -> PostgresServer:
    return PostgresServer(
        home, settings={**SETTINGS, **settings}, locale=(*BUILTIN_LOCALE, "--wal-segsize=1")
    )


def access(url: str, source: str = "shop") -> ServerAccess:
    return ServerAccess(
        source, "SHOP_BACKUP_URL", {k: str(v) for k, v in conninfo.conninfo_to_dict(url).items()}
    )


@dataclass
class Box:
    """Receivers of ``running`` into the stores under ``root``."""

    root: Path
    running: PostgresServer
    names: Sequence[str] = ("primary",)
    url: str | None = None
    said: list[str] = field(default_factory=list)
    openers: dict[str, Callable[[], Store]] = field(default_factory=dict)

    def archive(self, name: str = "primary") -> Archive:
        return Archive(name, self.openers.get(name, lambda: LocalStore(self.root / name)))

    def wal(self, name: str = "primary") -> WalArchive:
        """Read without what a test has put into the store's way."""
        given = self.openers.get(name)
        inner = (
            given if given and not isinstance(given(), LocalStore) else lambda: LocalStore(self.root / name)
        )
        return WalArchive(Archive(name, inner), "shop", self.system)

    @property
    def system(self) -> str:
        with self.running.connect() as connection:
            row = connection.execute("select system_identifier::text from pg_control_system()").fetchone()
        assert row
        return str(row[0])

    def receiver(self, **config: object) -> Receiver:
        given = {"ship_seconds": 0.3, "heartbeat_seconds": 0.3, **config}
        return Receiver(
            access(self.url or self.running.url("postgres")),
            [self.archive(name) for name in self.names],
            DatabaseBackups.model_validate(given),
            self.root / "spool",
            self.said.append,
        )

    def once(self) -> list[Sent]:
        sent = self.receiver().once()
        assert sent is not None
        return sent

    @contextmanager
    def receiving(self, **config: object) -> Iterator[None]:
        stop, errors = threading.Event(), []

        def run() -> None:
            try:
                self.receiver(**config).run(stop)
            except BaseException as error:
                errors.append(error)
                raise

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(60)
        assert not thread.is_alive() and not errors, errors

    def write(self, megabytes: int = 3) -> Lsn:
        """Write about so much WAL; returns its end."""
        with self.running.connect() as connection:
            connection.execute("create table if not exists filler (n int, t text)")
            for _ in range(megabytes):
                connection.execute(
                    "insert into filler select n, md5(n::text || random()) from generate_series(1, 9000) n"
                )
            connection.execute("truncate filler")
            row = connection.execute("select pg_current_wal_flush_lsn()").fetchone()
        assert row
        return Lsn.parse(row[0])

    def until(self, reached: Callable[[], bool], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < end, self.said
            time.sleep(0.05)

    def shipped(self, end: Lsn, name: str = "primary", timeline: int = 1) -> Callable[[], bool]:
        def reached() -> bool:
            newest = self.wal(name).newest()
            return newest is not None and (newest.segment.timeline, newest.end) >= (timeline, end)

        return reached

    def first(self, name: str = "primary", timeline: int = 1) -> Lsn:
        there = self.wal(name).stored(timeline)
        return Segment(timeline, min((*there.whole, *there.pieces)), there.size).start

    def slot(self) -> tuple[str | None, str] | None:
        with self.running.connect() as connection:
            row = connection.execute(
                "select restart_lsn, wal_status from pg_replication_slots where slot_name = 'data_platform_wal_shop'"
            ).fetchone()
        return (row[0], row[1]) if row else None

    def assert_same_as_the_server(self, name: str = "primary", timeline: int = 1) -> None:
        """Every byte that the store gives back is the server's own, up to where the store ends."""
        folder = self.root / f"compared-{time.monotonic_ns()}"
        found = self.wal(name).fetch(timeline, self.first(name, timeline), folder)
        assert not found.gap, found
        compared = 0
        for path in sorted(folder.glob("0" * 7 + "*")):
            if path.suffix:
                continue
            segment = Segment.parse(path.name, SEGMENT)
            length = min(SEGMENT, found.end - segment.start)
            own = (self.running.data_dir / "pg_wal" / path.name).read_bytes()
            assert path.read_bytes()[:length] == own[:length], path.name
            compared += length
        assert compared > 0

    def heartbeat_row(self) -> datetime:
        with self.running.connect() as connection:
            row = connection.execute("select at from _data_platform.heartbeat").fetchone()
        assert row
        return row[0]

"""Made-up WAL of 1 MB segments in a local store."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from data_platform.backups.archive import Archive
from data_platform.backups.database.lsn import Segment
from data_platform.backups.database.wal import Heartbeat, WalArchive
from data_platform.backups.database.wal.adding import add
from data_platform.landing.signing import NOT_SIGNED, Signer
from data_platform.stores.local import LocalStore

SIZE = 1 << 20
NOW = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
SIGNER = Signer("LEDGER_KEY", (b"k" * 32,))


@dataclass
class Shelf:
    """A store, and what was shipped into it."""

    root: Path
    signer: Signer = NOT_SIGNED
    bytes: dict[Segment, builtins_bytes] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        return self.root / "store"

    def wal(self, system: str = "7000") -> WalArchive:
        return WalArchive(Archive("primary", lambda: LocalStore(self.store), self.signer), "shop", system)

    def content(self, segment: Segment) -> builtins_bytes:
        if segment not in self.bytes:
            noise = random.Random(f"{segment.name}").randbytes(4096)
            self.bytes[segment] = noise * (SIZE // 4096)
        return self.bytes[segment]

    def ship(self, numbers: Iterable[int], timeline: int = 1, system: str = "7000") -> None:
        """Complete segments, each with a heartbeat a minute after that of the one before."""
        wal, previous = self.wal(system), ""
        for number in numbers:
            segment = Segment(timeline, number, SIZE)
            beat = Heartbeat(NOW + timedelta(minutes=number), segment.end, row=True)
            previous = self.add(wal, segment, (0, SIZE), heartbeat=beat, previous=previous)

    def add(self, wal: WalArchive, segment: Segment, piece: tuple[int, int], **how: object) -> str:
        path = self.root / "plain"
        path.write_bytes(self.content(segment)[piece[0] : piece[1]])
        return add(wal, path, segment, piece, now=NOW, **how).digest  # type: ignore[arg-type]

    def fetched(self, timeline: int = 1, number: int = 1) -> dict[str, builtins_bytes]:
        folder = self.root / "fetched"
        self.wal().fetch(timeline, Segment(timeline, number, SIZE).start, folder)
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    def path(self, end: str) -> Path:
        """The one object whose key holds ``end``."""
        (found,) = [path for path in self.store.rglob("*") if path.is_file() and end in path.as_posix()]
        return found


builtins_bytes = bytes


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)

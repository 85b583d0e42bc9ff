"""The folder that ``pg_receivewal`` writes into: complete segments, and the one that grows (``.partial``).

It is needed by nobody once a store has its content: the server keeps what no store has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from data_platform.backups.database.lsn import Lsn, Segment

PARTIAL = ".partial"
BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Received:
    """``length`` bytes of ``segment`` are in ``path``; all of it if ``whole``."""

    segment: Segment
    path: Path
    length: int
    whole: bool

    @property
    def end(self) -> Lsn:
        return self.segment.start + self.length


@dataclass
class Spool:
    """``segment_bytes`` is the server's. Read by many threads, changed by one."""

    folder: Path
    segment_bytes: int
    _written: dict[Segment, int] = field(default_factory=dict)

    def files(self) -> list[Received]:
        """The oldest first."""
        found = []
        for path in self.folder.iterdir():
            name = path.name.removesuffix(PARTIAL)
            try:
                segment = Segment.parse(name, self.segment_bytes)
            except ValueError:
                continue  # history files, and the pieces that are being shipped
            whole = path.name == name
            length = self.segment_bytes if whole else self._written.get(segment, 0)
            found.append(Received(segment, path, length, whole))
        return sorted(found, key=lambda one: one.segment)

    def histories(self) -> dict[int, str]:
        return {int(path.stem, 16): path.read_text() for path in self.folder.glob("*.history")}

    def wrote(self, to: Lsn) -> None:
        """``pg_receivewal`` has written up to ``to``, on the newest timeline there is."""
        growing = [one for one in self.files() if not one.whole]
        for one in growing[:-1]:  # left at a change of timeline
            self._settle(one)
        if growing:
            newest = growing[-1].segment
            length = min(max(to - newest.start, 0), newest.size)
            self._written[newest] = max(length, self._written.get(newest, 0))

    def settle(self) -> None:
        """Take what is in the files as received, though the server cannot be asked: all but the zeros that fill them up."""
        for one in self.files():
            if not one.whole:
                self._settle(one)

    def begin_at(self, segment: Segment) -> None:
        """Empty the folder, and let ``pg_receivewal`` start with ``segment``."""
        for path in self.folder.iterdir():
            path.unlink()
        self._written.clear()
        (self.folder / f"{segment.name}{PARTIAL}").touch(mode=0o600)

    def remove(self, received: Received) -> None:
        received.path.unlink(missing_ok=True)

    def _settle(self, received: Received) -> None:
        length = _without_zeros(received.path)
        self._written[received.segment] = max(length, self._written.get(received.segment, 0))


def _without_zeros(path: Path) -> int:
    """The length of a file without the zeros at its end."""
    for start, block in _backwards(path):
        if kept := block.rstrip(b"\0"):
            return start + len(kept)
    return 0


def _backwards(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        start = file.seek(0, 2)
        while start > 0:
            length = min(BLOCK, start)
            start -= length
            file.seek(start)
            yield start, file.read(length)

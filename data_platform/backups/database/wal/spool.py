"""The folder that ``pg_receivewal`` writes into: complete segments, and the one that grows (``.partial``).

It is needed by nobody once a store has its content: the server keeps what no store has.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

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
    """``segment_bytes`` is the server's. Used by many threads."""

    folder: Path
    segment_bytes: int
    _written: dict[Segment, int] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock, repr=False)

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
            with suppress(FileNotFoundError):
                self.settled(one)
        if growing:
            newest = growing[-1].segment
            self._wrote(newest, min(max(to - newest.start, 0), newest.size))

    def settle(self) -> None:
        """Take what is in the files as received, though the server cannot be asked."""
        for one in self.files():
            if not one.whole:
                with suppress(FileNotFoundError):  # it was completed meanwhile and has another name
                    self.settled(one)

    def settled(self, received: Received) -> Received:
        """What is in the file now: all but the zeros that fill it up. ``pg_receivewal`` writes it from the front to the back,
        and tells the server only once a second how far it is. FileNotFoundError if it was completed meanwhile."""
        length = max(received.length, _without_zeros(received.path, received.length))
        self._wrote(received.segment, length)
        return replace(received, length=length)

    def begin_at(self, segment: Segment) -> None:
        """Empty the folder, and let ``pg_receivewal`` start with ``segment``."""
        for path in self.folder.iterdir():
            path.unlink()
        self._written.clear()
        (self.folder / f"{segment.name}{PARTIAL}").touch(mode=0o600)

    def remove(self, received: Received) -> None:
        received.path.unlink(missing_ok=True)

    def _wrote(self, segment: Segment, length: int) -> None:
        with self._lock:
            self._written[segment] = max(length, self._written.get(segment, 0))


def _without_zeros(path: Path, known: int) -> int:
    """The length of a file without the zeros at its end; 0 if that is less than ``known``."""
    for start, block in _backwards(path, known):
        if kept := block.rstrip(b"\0"):
            return start + len(kept)
    return 0


def _backwards(path: Path, known: int) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        start = file.seek(0, 2)
        while start > known:
            length = min(BLOCK, start)
            start -= length
            file.seek(start)
            yield start, file.read(length)

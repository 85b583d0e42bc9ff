"""Ships what was received into one store: complete segments, and pieces of the one that grows.

What is there already is read from the store, so a shipper that was killed goes on where it was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from data_platform.backups.database.lsn import Lsn, Segment
from data_platform.backups.database.wal import gaps
from data_platform.backups.database.wal.adding import add, add_history
from data_platform.backups.database.wal.archive import WalArchive
from data_platform.backups.database.wal.keys import Piece
from data_platform.backups.database.wal.records import Heartbeat, WalRecord
from data_platform.backups.database.wal.retention import remove_tail
from data_platform.backups.database.wal.spool import Received, Spool

PIECES_MAX = 64
"""So many pieces of one segment are joined into one: a quiet database would make thousands a day."""
BEATS_KEPT = 1_000

End = tuple[int, Lsn]
"""A timeline, and how far WAL is shipped on it."""


class Beats:
    """The newest heartbeats, and the newest positions that were read between them, which write nothing. Written by one
    thread, read by others."""

    def __init__(self) -> None:
        self._beats: deque[Heartbeat] = deque(maxlen=BEATS_KEPT)
        self._marks: deque[Heartbeat] = deque(maxlen=BEATS_KEPT)

    def add(self, beat: Heartbeat) -> None:
        self._beats.append(beat)
        self.mark(beat)

    def mark(self, read: Heartbeat) -> None:
        self._marks.append(read)

    def reached(self, end: Lsn) -> Heartbeat | None:
        """The newest heartbeat that WAL up to ``end`` recovers."""
        return _reached(self._beats, end)

    def marked(self, end: Lsn) -> Heartbeat | None:
        """The newest position that WAL up to ``end`` reaches."""
        return _reached(self._marks, end)


def _reached(read: deque[Heartbeat], end: Lsn) -> Heartbeat | None:
    return next((one for one in reversed(tuple(read)) if one.lsn <= end), None)


class Shipper:
    """One store's. ``end`` is how far it is shipped; None if the store is empty. Used by one thread at a time."""

    def __init__(
        self, wal: WalArchive, beats: Beats, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.wal, self._beats, self._clock = wal, beats, clock
        self.end: End | None = None
        self._shipped: set[Segment] = set()
        self._tail: tuple[Segment, list[Piece]] | None = None
        self._beat: Heartbeat | None = None
        self._histories: set[int] = set()

    def begin(self) -> None:
        """Read from the store how far it is, and remove pieces of segments that are complete."""
        newest = self.wal.newest()
        self.end = (newest.segment.timeline, newest.end) if newest else None
        self._beat = newest.heartbeat if newest else None
        self._tail = None
        if newest:
            there = self.wal.stored(newest.segment.timeline)
            for number in self.wal.tails(newest.segment.timeline):
                if number in there.whole:
                    remove_tail(self.wal, Segment(newest.segment.timeline, number, there.size))

    def ship(self, spool: Spool) -> int:
        """Ship what the store lacks; returns the plain bytes."""
        sent = 0
        for timeline, content in spool.histories().items():
            self.add_history(timeline, content)
        for received in spool.files():
            try:
                sent += self._ship(received if received.whole else spool.settled(received))
            except FileNotFoundError:
                continue  # it was completed meanwhile and has another name: the next time
        return sent

    def add_history(self, timeline: int, content: str) -> None:
        if timeline not in self._histories:
            add_history(self.wal, timeline, content)
            self._histories.add(timeline)

    def has(self, received: Received) -> bool:
        """Whether the store holds all of it, as far as this shipper knows."""
        if received.segment in self._shipped:
            return True
        return (
            not received.whole
            and self.end is not None
            and self.end >= (received.segment.timeline, received.end)
        )

    def copy_from(self, other: WalArchive) -> int:
        """Add complete segments that only ``other`` holds: what was shipped while this store could not be reached. Returns
        their number."""
        copied = 0
        for timeline in other.timelines():
            theirs, ours = other.stored(timeline), self.wal.stored(timeline)
            for number in sorted(theirs.whole - ours.whole):
                record = other.record(Segment(timeline, number, theirs.size))
                with other.plain(record) as path:
                    self._moved(self._add(path, record.segment, (0, record.segment.size), of=record))
                copied += 1
        for timeline, content in other.histories().items():
            self.add_history(timeline, content)
        return copied

    def _ship(self, received: Received) -> int:
        segment = received.segment
        if segment in self._shipped:
            return 0
        if received.whole:
            if not self.wal.has(segment):
                self._moved(self._add(received.path, segment, (0, segment.size)))
            else:
                self._moved(self.wal.record(segment))
            remove_tail(self.wal, segment)
            self._shipped.add(segment)
            return segment.size
        pieces = self._pieces(segment)
        tail = gaps.contiguous(pieces)
        begun = tail[-1][1] if tail else 0
        if received.length <= begun:
            return 0
        if len(pieces) >= PIECES_MAX:
            begun = 0
        piece = (begun, received.length)
        with self.wal.archive.store.scratch() as folder:
            cut = folder / "piece"
            _cut(received.path, piece, cut)
            record = self._add(cut, segment, piece)
        pieces.append(piece)
        if len(pieces) > PIECES_MAX:
            remove_tail(self.wal, segment, keep=piece)
            pieces[:] = [piece]
        self._moved(record)
        return piece[1] - piece[0]

    def _add(self, path: Path, segment: Segment, piece: Piece, of: WalRecord | None = None) -> WalRecord:
        """Add the bytes ``piece`` of ``segment``, with what ``of``, another store's record, says of them, if there is one."""
        end = segment.start + piece[1]
        return add(
            self.wal, path, segment, piece, now=self._clock(), previous=self._previous(segment),
            heartbeat=of.heartbeat if of else self._reached(end), mark=of.mark if of else self._beats.marked(end),
        )  # fmt: skip

    def _pieces(self, segment: Segment) -> list[Piece]:
        if self._tail is None or self._tail[0] != segment:
            there = self.wal.tails(segment.timeline).get(segment.number, [])
            self._tail = (segment, list(there))
        return self._tail[1]

    def _previous(self, segment: Segment) -> str:
        """The digest of the record of the segment before, if that is there."""
        if segment.number == 0:
            return ""
        before = Segment(segment.timeline, segment.number - 1, segment.size)
        return self.wal.record(before).digest if self.wal.has(before) else ""

    def _reached(self, end: Lsn) -> Heartbeat | None:
        self._beat = self._beats.reached(end) or self._beat
        return self._beat

    def _moved(self, record: WalRecord) -> None:
        there = (record.segment.timeline, record.end)
        self.end = max(self.end, there) if self.end else there


def furthest(ends: Iterable[End | None]) -> End | None:
    return max((end for end in ends if end), default=None)


def shipped_by_all(received: Received, shippers: Sequence[Shipper]) -> bool:
    return all(one.has(received) for one in shippers)


def _cut(path: Path, piece: Piece, target: Path) -> None:
    with path.open("rb") as source, target.open("wb") as cut:
        source.seek(piece[0])
        left = piece[1] - piece[0]
        while left and (block := source.read(min(left, 1 << 20))):
            cut.write(block)
            left -= len(block)

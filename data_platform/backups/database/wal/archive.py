"""One source's WAL in one backup store: what is there, how far it reaches, and giving it back.

``adding.py`` adds to it, ``retention.py`` removes from it, ``keys.py`` names what it holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from data_platform.backups.archive import Archive
from data_platform.backups.database.lsn import Lsn, Segment
from data_platform.backups.database.wal import fetch, gaps
from data_platform.backups.database.wal.gaps import Coverage, Reach, Stored
from data_platform.backups.database.wal.keys import (
    RECORD,
    Piece,
    WalKeys,
    of_source,
    piece_of,
    segment_name,
)
from data_platform.backups.database.wal.records import (
    Heartbeat,
    Interruption,
    WalRecord,
    history_from_json,
)
from data_platform.errors import BackupDamaged, BackupError
from data_platform.private_files import make_private

KNOWN_MAX = 20_000


def wal_archives(archive: Archive, source: str) -> list[WalArchive]:
    """The WAL of every server that ``source`` has been, by its identifier: a second one after the server was replaced."""
    prefix = of_source(source)
    systems = {key.removeprefix(f"{prefix}/").partition("/")[0] for key in archive.reader.list(prefix)}
    return [WalArchive(archive, source, system) for system in sorted(systems)]


@dataclass
class WalArchive:
    """``system`` is the server's identifier (of ``IDENTIFY_SYSTEM``), in decimal digits."""

    archive: Archive
    source: str
    system: str
    _known: dict[str, WalRecord] = field(default_factory=dict, repr=False)
    """Records that were read, by key: they never change. Emptied when there are many."""
    _sizes: dict[int, int] = field(default_factory=dict, repr=False)
    """The segment size of each timeline."""

    @property
    def keys(self) -> WalKeys:
        return WalKeys(self.source, self.system)

    # ---- how far it reaches

    def coverage(self, timeline: int, start: Lsn) -> Coverage:
        """How far WAL reaches from ``start`` on ``timeline`` without a gap. Only names are compared: ``fetch`` proves the bytes."""
        return self._covered(timeline, start)[0]

    def fetch(self, timeline: int, start: Lsn, folder: Path, until: datetime | None = None) -> Coverage:
        """Write the WAL from ``start`` on into ``folder`` as files that PostgreSQL's ``restore_command`` copies.

        Complete segments, the newest one filled up with zeros, and the history files on the way; each object is proven
        by its SHA-256 (``BackupDamaged`` names one that is missing or altered). With ``until``, WAL behind the first
        heartbeat row after that instant is left out. Stops at a gap, which the returned ``Coverage`` names.
        """
        coverage, reached, histories = self._covered(timeline, start)
        make_private(folder)
        for number in coverage.history[1:]:
            (folder / f"{number:08X}.history").write_text(histories[number])
        found = fetch.needed(self.archive, reached.whole, self.record, until)
        fetch.whole(self.archive, found, folder)
        if found and fetch.enough(found[-1], until):
            return fetch.cut(coverage, reached, found[-1])
        if reached.tail_of is not None and reached.tail:
            records = [self.record(reached.tail_of, piece) for piece in reached.tail]
            fetch.tail(self.archive, reached.tail_of, records, folder)
        return coverage

    def newest_row(self, folder: Path, at: datetime) -> datetime | None:
        """The newest heartbeat row that the WAL in ``folder`` is known to hold and that was committed by ``at``: the last but one
        until then, since the last one may have been committed a moment later than the time it holds."""
        found = []
        for path in folder.iterdir():
            if path.suffix:
                continue
            segment = Segment.parse(path.name, path.stat().st_size)
            if self.has(segment):
                records = [self.record(segment)]
            else:
                pieces = self.tails(segment.timeline).get(segment.number, [])
                records = [self.record(segment, piece) for piece in pieces]
            found += [one.heartbeat.at for one in records if one.heartbeat and one.heartbeat.row]
        return next(iter(sorted((beat for beat in set(found) if beat <= at), reverse=True)[1:]), None)

    def heartbeats(self) -> Heartbeat | None:
        """The newest heartbeat in this store. ``coverage`` says whether it can be reached from a backup."""
        newest = self.newest()
        return newest.heartbeat if newest else None

    # ---- what is there

    def newest(self) -> WalRecord | None:
        """The record of the newest WAL on the newest timeline; None if there is none."""
        for timeline in reversed(self.timelines()):
            there = self.stored(timeline)
            if there.newest < 0:
                continue
            segment = Segment(timeline, there.newest, there.size)
            if there.newest in there.whole:
                return self.record(segment)
            if tail := gaps.contiguous(there.pieces[there.newest]):
                return self.record(segment, tail[-1])
        return None

    def timelines(self) -> list[int]:
        """Those of which there is WAL, the oldest first."""
        found = {self.keys.timeline_of(key) for key in self._list(self.keys.base)}
        return sorted(timeline for timeline in found if timeline is not None)

    def histories(self) -> dict[int, str]:
        """The content of each timeline's history file."""
        found = {}
        for key in self._list(self.keys.histories):
            timeline = int(segment_name(key), 16)
            found[timeline] = self.history(timeline)
        return found

    def history(self, timeline: int) -> str:
        key = self.keys.history(timeline)
        return history_from_json(self._read(key), f"{key} in {self.archive}", key, self.archive.signer)

    def interruptions(self) -> list[Interruption]:
        """The oldest first. A full backup that began before one does not reach past it."""
        signer = self.archive.signer
        return [
            Interruption.from_json(self._read(key), f"{key} in {self.archive}", key, signer)
            for key in sorted(self._list(self.keys.interruptions))
        ]

    def stored(self, timeline: int) -> Stored:
        """The complete segments with record and object, and the pieces of others."""
        size = self._size(timeline)
        if not size:
            return Stored(0)
        objects = {segment_name(key) for key in self._list(self.keys.segments(timeline))}
        records = {segment_name(key) for key in self._list(self.keys.records(timeline))}
        whole = frozenset(Segment.parse(name, size).number for name in records & objects)
        tails = {number: pieces for number, pieces in self.tails(timeline).items() if number not in whole}
        return Stored(size, whole, tails)

    def tails(self, timeline: int) -> dict[int, list[Piece]]:
        """The pieces there are, by the number of their segment, whether or not the complete segment is there too."""
        found: dict[int, list[Piece]] = {}
        size = self._size(timeline)
        for key in self._list(self.keys.tails(timeline)):
            if size and (named := piece_of(key)):
                found.setdefault(Segment.parse(named[0], size).number, []).append(named[1])
        return found

    def has(self, segment: Segment) -> bool:
        """Whether the complete segment was shipped."""
        try:
            return self.archive.reader.size(self.keys.record(segment)) >= 0
        except KeyError:
            return False

    def record(self, segment: Segment, piece: Piece | None = None) -> WalRecord:
        """The record of the complete segment, or of its bytes ``piece``. ``BackupDamaged`` if it is missing, altered, or of others."""
        key = self.keys.record(segment, piece)
        if key not in self._known:
            found = self._parsed(key)
            wanted = (self.source, self.system, segment, piece or (0, segment.size))
            if (found.source, found.system, found.segment, (found.start, found.to)) != wanted:
                raise BackupDamaged(
                    f"{key} in {self.archive} is the record of {found.segment.name} of {found.source} (server"
                    f" {found.system}): it was copied to the wrong place. Restore from another copy."
                )
            if found.object.key != self.keys.object(found):
                raise BackupDamaged(f"{key} in {self.archive} names an object that lies elsewhere.")
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[key] = found
            self._sizes[segment.timeline] = segment.size
        return self._known[key]

    @contextmanager
    def plain(self, record: WalRecord) -> Iterator[Path]:
        """The plain bytes of a record as a file, proven."""
        with self.archive.store.scratch() as folder:
            fetch.write(self.archive, record, folder / "plain")
            yield folder / "plain"

    def damage(self, *, deep: bool, since: datetime | None = None) -> list[str]:
        """A line for each complete segment whose record or object is missing or altered. ``deep`` reads and hashes; ``since``
        leaves out what was shipped before."""
        problems = []
        for timeline in self.timelines():
            size = self._size(timeline)
            for key in self._list(self.keys.records(timeline)):
                try:
                    record = self.record(Segment.parse(segment_name(key), size))
                    if since is None or record.shipped_at >= since:
                        self._examine(record, deep)
                except BackupError as error:
                    problems.append(str(error))
        return problems

    # ---- its own

    def _examine(self, record: WalRecord, deep: bool) -> None:
        if deep:
            with self.plain(record):
                return
        try:
            size = self.archive.reader.size(record.object.key)
        except KeyError:
            size = -1
        if size != record.object.bytes:
            what = "is missing" if size < 0 else f"has {size:,} bytes instead of {record.object.bytes:,}"
            raise BackupDamaged(f"{record.object.key} in {self.archive} {what}. Restore from another copy.")

    def _covered(self, timeline: int, start: Lsn) -> tuple[Coverage, Reach, Mapping[int, str]]:
        histories = self.histories()
        branches = gaps.way(timeline, start, histories)
        for _ in range(2):  # a listing has no checksum: one with a gap is asked for again
            stored = {branch.timeline: self.stored(branch.timeline) for branch in branches}
            size = next((there.size for there in stored.values() if there.size), 0)
            if not size:
                return Coverage(start, start, timeline), Reach(start, timeline), histories
            reached = gaps.reach(start, branches, stored, size)
            if not reached.gap:
                break
        newest = None
        if reached.tail and reached.tail_of:
            newest = self.record(reached.tail_of, reached.tail[-1])
        elif reached.whole:
            newest = self.record(reached.whole[-1])
        way = tuple(branch.timeline for branch in branches if branch.timeline <= reached.timeline)
        coverage = Coverage(
            start,
            reached.end,
            reached.timeline,
            reached.gap,
            newest.heartbeat if newest else None,
            len(reached.whole),
            way,
            newest.mark if newest else None,
        )
        return coverage, reached, histories

    def _size(self, timeline: int) -> int:
        """The segment size of a timeline, by any of its records; 0 if there are none."""
        if timeline in self._sizes:
            return self._sizes[timeline]
        for folder in (self.keys.records(timeline), self.keys.tails(timeline)):
            for key in self._list(folder):
                if not key.endswith(RECORD):
                    continue
                try:
                    self._sizes[timeline] = self._parsed(key).segment.size
                except BackupDamaged:
                    if key in self._list(folder):
                        raise
                    continue  # the first listing was altered on its way, or the record was pruned meanwhile
                return self._sizes[timeline]
        return 0

    def _parsed(self, key: str) -> WalRecord:
        return WalRecord.from_json(self._read(key), f"{key} in {self.archive}", self.archive.signer)

    def _list(self, folder: str) -> list[str]:
        return self.archive.reader.list(folder)

    def _read(self, key: str) -> bytes:
        try:
            return self.archive.reader.read(key)
        except KeyError:
            raise BackupDamaged(f"{key} in {self.archive} is missing. Restore from another copy.") from None

"""Which WAL may be removed: what no kept backup needs. Records are removed before their objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from data_platform.backups.archive import Archive
from data_platform.backups.database.lsn import Lsn, Segment
from data_platform.backups.database.wal.archive import WalArchive, wal_archives
from data_platform.backups.database.wal.keys import RECORD, Piece, segment_name
from data_platform.errors import ObjectLocked

Kept = Mapping[str, Sequence[tuple[int, Lsn]]]
"""By the server's identifier, the timeline and the first position that each kept backup needs."""


@dataclass(frozen=True, slots=True)
class Removable:
    """A segment that no kept backup needs, and its keys in the order of their removal."""

    segment: Segment
    keys: tuple[str, ...]


def needed_from(timeline: int, kept: Sequence[tuple[int, Lsn]]) -> Lsn | None:
    """WAL of ``timeline`` before this position is needed by no kept backup; None if none of it is needed. Pure.

    A backup needs its own timeline and those that descend from it, which have higher numbers.
    """
    return min((start for of, start in kept if of <= timeline), default=None)


def removable(archive: Archive, source: str, kept: Kept) -> list[Removable]:
    """The segments, complete or not, that no kept backup needs, the oldest first. Nothing if no backup is kept at all, and
    nothing that is locked."""
    if not any(kept.values()):
        return []
    return [
        one
        for wal in wal_archives(archive, source)
        for timeline in wal.timelines()
        for one in _of_timeline(wal, timeline, needed_from(timeline, kept.get(wal.system, ())))
        if not archive.locks_any(one.keys)
    ]


def remove(archive: Archive, gone: Removable) -> None:
    """What an interrupted removal leaves is no usable WAL, and the next one removes it."""
    for key in gone.keys:
        archive.store.delete(key)


def remove_tail(wal: WalArchive, segment: Segment, keep: Piece | None = None) -> None:
    """Remove the pieces of ``segment``, except ``keep``: the complete segment is there, or one piece holds them all."""
    kept = wal.keys.record(segment, keep).removesuffix(RECORD) if keep else None
    keys = wal.archive.store.list(wal.keys.tail(segment))
    for key in _records_first([key for key in keys if not (kept and key.startswith(kept))]):
        with suppress(ObjectLocked):  # pieces do no harm beside the whole; they go with the segment
            wal.archive.store.delete(key)


def _of_timeline(wal: WalArchive, timeline: int, needed: Lsn | None) -> list[Removable]:
    size = wal.stored(timeline).size
    keys: dict[str, list[str]] = {}
    for folder in (wal.keys.records(timeline), wal.keys.segments(timeline)):
        for key in wal.archive.store.list(folder):
            keys.setdefault(segment_name(key), []).append(key)
    for key in wal.archive.store.list(wal.keys.tails(timeline)):
        keys.setdefault(key.rsplit("/", 2)[1], []).append(key)
    if not size:  # no record says it: what an interrupted removal left
        return []
    found = [Removable(Segment.parse(name, size), _records_first(of)) for name, of in sorted(keys.items())]
    return [one for one in found if needed is None or one.segment.end <= needed]


def _records_first(keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(keys, key=lambda key: (not key.endswith(RECORD), key)))

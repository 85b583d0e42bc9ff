"""Gives stored WAL back as the files that PostgreSQL reads; every byte is proven."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from data_platform.backups.archive import Archive
from data_platform.backups.database.lsn import Segment
from data_platform.backups.database.wal.gaps import Coverage, Reach
from data_platform.backups.database.wal.records import WalRecord
from data_platform.backups.instance import PACKED, unpack
from data_platform.errors import BackupDamaged
from data_platform.landing.part import sha256_of

BATCH = 64
"""So many segments are asked for at once; the store decides how many of them side by side."""


def needed(
    archive: Archive,
    segments: Sequence[Segment],
    read: Callable[[Segment], WalRecord],
    until: datetime | None,
) -> list[WalRecord]:
    """The records of ``segments`` in their order; none behind the one that is enough for ``until``. ``BackupDamaged`` if one
    does not continue the one before."""
    found: list[WalRecord] = []
    for first in range(0, len(segments), BATCH):
        calls = [partial(read, segment) for segment in segments[first : first + BATCH]]
        for record in archive.reader.together(calls):
            _check_chain(archive, found[-1] if found else None, record)
            found.append(record)
            if enough(record, until):
                return found
    return found


def enough(record: WalRecord, until: datetime | None) -> bool:
    """Whether WAL up to the end of ``record`` holds a commit after ``until``: that of a heartbeat row."""
    beat = record.heartbeat
    return until is not None and beat is not None and beat.row and beat.at > until


def whole(archive: Archive, records: Sequence[WalRecord], folder: Path) -> None:
    """Write complete segments."""
    for first in range(0, len(records), BATCH):
        some = records[first : first + BATCH]
        archive.reader.together([partial(write, archive, one, folder / one.segment.name) for one in some])


def _check_chain(archive: Archive, before: WalRecord | None, record: WalRecord) -> None:
    if before and before.segment.next == record.segment and record.previous not in ("", before.digest):
        raise BackupDamaged(
            f"The record of {record.segment.name} in {archive} does not continue that of {before.segment.name}: one of the"
            " two was replaced. Restore from another copy, or to an instant before it."
        )


def tail(archive: Archive, segment: Segment, records: Sequence[WalRecord], folder: Path) -> None:
    """Write the beginning of a segment from its pieces, filled up with zeros, as the server would."""
    target, piece = folder / segment.name, folder / "piece"
    with target.open("wb") as file:
        file.truncate(segment.size)
        for record in records:
            write(archive, record, piece)
            file.seek(record.start)
            with piece.open("rb") as plain:
                shutil.copyfileobj(plain, file, 1 << 20)
            piece.unlink()


def write(archive: Archive, record: WalRecord, target: Path) -> None:
    """The plain bytes of ``record``. ``BackupDamaged`` names an object that is missing or altered."""
    with archive.fetched(record.object, record.segment.name) as path:
        target.unlink(missing_ok=True)
        unpack(path, target.with_name(target.name + PACKED), record.plain_bytes)
    if sha256_of(target) != record.sha256:
        target.unlink()
        raise BackupDamaged(
            f"{record.object.key} in {archive} does not unpack to the bytes of {record.segment.name} that were shipped."
            " Restore from another copy, or to an instant before it."
        )


def cut(coverage: Coverage, reached: Reach, at: WalRecord) -> Coverage:
    """``coverage`` as far as it was fetched: up to the segment of ``at``."""
    return replace(
        coverage,
        end=at.end,
        timeline=at.segment.timeline,
        gap="",
        heartbeat=at.heartbeat,
        mark=at.mark,
        segments=reached.whole.index(at.segment) + 1,
    )

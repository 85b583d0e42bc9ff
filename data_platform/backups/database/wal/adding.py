"""Adds to a source's WAL in one store: an object, read back, then its record. Adding the same again changes nothing."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from data_platform.backups.database.lsn import Segment
from data_platform.backups.database.wal.archive import WalArchive
from data_platform.backups.database.wal.keys import Piece
from data_platform.backups.database.wal.records import (
    Heartbeat,
    Interruption,
    WalRecord,
    history_to_json,
)
from data_platform.backups.instance import pack
from data_platform.backups.manifest import BackupObject
from data_platform.errors import BackupDamaged, BackupError
from data_platform.landing.part import sha256_of


def add(
    wal: WalArchive,
    path: Path,
    segment: Segment,
    piece: Piece,
    *,
    now: datetime,
    heartbeat: Heartbeat | None = None,
    mark: Heartbeat | None = None,
    previous: str = "",
) -> WalRecord:
    """Ship the bytes ``piece`` of ``segment``, which are the whole file ``path``.

    ``BackupError`` if other bytes are there under this name.
    """
    archive, key = wal.archive, wal.keys.record(segment, piece)
    plain = sha256_of(path)
    with archive.store.scratch() as folder:
        copied = folder / "wal"
        shutil.copyfile(path, copied)
        packed = pack(copied)
        record = WalRecord(
            wal.source,
            wal.system,
            segment,
            piece[0],
            piece[1] - piece[0],
            plain,
            BackupObject("", packed.stat().st_size, sha256_of(packed)),
            heartbeat,
            now,
            previous,
            mark=mark,
        )
        record = replace(record, object=replace(record.object, key=wal.keys.object(record)))
        archive.add(packed, record.object)
    data = record.to_json(archive.signer)
    if archive.store.put_new(key, data) and archive.reader.read(key) != data:
        raise BackupDamaged(f"{key} in {archive} does not read back as it was written.")
    there = wal.record(segment, piece)
    if there.sha256 != plain:
        raise BackupError(
            f"{key} in {archive} describes other bytes than the server {wal.system} sent: two servers with one"
            " identifier write there, or one was restored and went on with the same timeline. Give each its own source."
        )
    return there


def add_history(wal: WalArchive, timeline: int, content: str) -> None:
    """Keep a timeline's history file. Nothing happens if it is there."""
    key = wal.keys.history(timeline)
    data = history_to_json(content, key, wal.archive.signer)
    if not wal.archive.store.put_new(key, data) and wal.history(timeline) != content:
        raise BackupError(
            f"{key} in {wal.archive} is another history than that of the server {wal.system}: two servers with one"
            " identifier were promoted. Give each its own source."
        )


def interrupt(wal: WalArchive, interruption: Interruption) -> None:
    """Write down that WAL is missing, so that the next backup is a full one (``WalArchive.interruptions``)."""
    key = wal.keys.interruption(interruption.at)
    wal.archive.store.put_new(key, interruption.to_json(key, wal.archive.signer))

"""The names of a source's WAL in a store, and back. Pure.

Everything is below ``database/<source>/wal/<system>/``: ``<timeline>/records/<segment>.json`` and
``<timeline>/segments/<segment>-<sha>.zst`` for complete segments, ``<timeline>/tail/<segment>/<from>-<to>.json`` and
``<from>-<to>-<sha>.zst`` for pieces of a segment that still grows, ``history/<timeline>.json`` and
``interruptions/<instant>.json``. Positions within a segment are eight hexadecimal digits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from data_platform.backups.database.lsn import Segment
from data_platform.backups.database.wal.records import WalRecord
from data_platform.backups.instance import PACKED

Piece = tuple[int, int]
"""The bytes ``[from, to)`` of a segment."""

RECORD = ".json"
_TIMELINE = re.compile(r"[0-9A-F]{8}")
_PIECE = re.compile(r"([0-9A-F]{8})-([0-9A-F]{8})\.json")
_INSTANT = "%Y%m%dT%H%M%S.%fZ"
_SHA_SHOWN = 16


def of_source(source: str) -> str:
    return f"database/{source}/wal"


@dataclass(frozen=True, slots=True)
class WalKeys:
    source: str
    system: str

    @property
    def base(self) -> str:
        return f"{of_source(self.source)}/{self.system}"

    @property
    def histories(self) -> str:
        return f"{self.base}/history"

    @property
    def interruptions(self) -> str:
        return f"{self.base}/interruptions"

    def records(self, timeline: int) -> str:
        return f"{self.base}/{timeline:08X}/records"

    def segments(self, timeline: int) -> str:
        return f"{self.base}/{timeline:08X}/segments"

    def tails(self, timeline: int) -> str:
        return f"{self.base}/{timeline:08X}/tail"

    def tail(self, segment: Segment) -> str:
        return f"{self.tails(segment.timeline)}/{segment.name}"

    def record(self, segment: Segment, piece: Piece | None = None) -> str:
        """Of the complete segment, or of a piece of it."""
        if piece is None or piece == (0, segment.size):
            return f"{self.records(segment.timeline)}/{segment.name}{RECORD}"
        return f"{self.tail(segment)}/{piece[0]:08X}-{piece[1]:08X}{RECORD}"

    def object(self, record: WalRecord) -> str:
        segment, sha = record.segment, record.object.sha256[:_SHA_SHOWN]
        if record.whole:
            return f"{self.segments(segment.timeline)}/{segment.name}-{sha}{PACKED}"
        return f"{self.tail(segment)}/{record.start:08X}-{record.to:08X}-{sha}{PACKED}"

    def history(self, timeline: int) -> str:
        return f"{self.histories}/{timeline:08X}{RECORD}"

    def interruption(self, at: datetime) -> str:
        return f"{self.interruptions}/{at.astimezone(UTC).strftime(_INSTANT)}{RECORD}"

    def timeline_of(self, key: str) -> int | None:
        """The timeline that ``key`` is of; None if it is of none."""
        name = key.removeprefix(f"{self.base}/").partition("/")[0]
        return int(name, 16) if _TIMELINE.fullmatch(name) else None


def segment_name(key: str) -> str:
    """Of a key below ``records`` or ``segments``."""
    return key.rsplit("/", 1)[-1].removesuffix(RECORD).partition("-")[0]


def piece_of(key: str) -> tuple[str, Piece] | None:
    """The segment's name and the piece of a record's key below ``tail``; None for any other key."""
    *_, segment, name = key.rsplit("/", 2)
    match = _PIECE.fullmatch(name)
    return (segment, (int(match[1], 16), int(match[2], 16))) if match else None

"""A position in PostgreSQL's write-ahead log, and the segment files it is cut into. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")
_SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})")
_ID_BYTES = 1 << 32
"""A segment's name counts within units of so many bytes."""
SEGMENT_BYTES = frozenset(1 << power for power in range(20, 31))
"""Sizes that ``initdb --wal-segsize`` takes: 1 MB to 1 GB."""


@dataclass(frozen=True, order=True, slots=True)
class Lsn:
    """A byte position in the log. ``str`` gives PostgreSQL's spelling, such as ``0/16B3748``."""

    value: int

    @classmethod
    def parse(cls, text: str) -> Lsn:
        """``ValueError`` if ``text`` is no position."""
        found = _LSN.fullmatch(text)
        if not found:
            raise ValueError(f"{text[:40]!r} is not a WAL position such as 0/16B3748")
        return cls(int(found[1], 16) << 32 | int(found[2], 16))

    def __str__(self) -> str:
        return f"{self.value >> 32:X}/{self.value & (_ID_BYTES - 1):X}"

    def __add__(self, size: int) -> Lsn:
        return Lsn(self.value + size)

    def __sub__(self, other: Lsn) -> int:
        """The bytes from ``other`` to this position."""
        return self.value - other.value

    def segment(self, segment_bytes: int) -> int:
        """The number of the segment that holds the byte at this position."""
        return self.value // segment_bytes


@dataclass(frozen=True, order=True, slots=True)
class Segment:
    """One file of WAL: ``number`` counts files of ``size`` bytes from position 0."""

    timeline: int
    number: int
    size: int

    @classmethod
    def at(cls, timeline: int, lsn: Lsn, size: int) -> Segment:
        return cls(timeline, lsn.segment(size), size)

    @classmethod
    def parse(cls, name: str, size: int) -> Segment:
        """From a file's name, such as ``000000010000000000000002``; ``ValueError`` if it is none."""
        found = _SEGMENT.fullmatch(name)
        if not found or int(found[3], 16) >= _ID_BYTES // size:
            raise ValueError(f"{name[:40]!r} is not the name of a WAL segment of {size:,} bytes")
        return cls(int(found[1], 16), int(found[2], 16) * (_ID_BYTES // size) + int(found[3], 16), size)

    @property
    def name(self) -> str:
        upper, lower = divmod(self.number, _ID_BYTES // self.size)
        return f"{self.timeline:08X}{upper:08X}{lower:08X}"

    @property
    def start(self) -> Lsn:
        return Lsn(self.number * self.size)

    @property
    def end(self) -> Lsn:
        return Lsn((self.number + 1) * self.size)

    @property
    def next(self) -> Segment:
        return Segment(self.timeline, self.number + 1, self.size)

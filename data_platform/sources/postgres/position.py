"""Up to where a table of PostgreSQL was read, and under which snapshot: its own numbers and their JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from data_platform.errors import PositionLost
from data_platform.tables import Position, Snapshot, TableId

TEXT_LONGEST = 200
"""Of a position as people see it; a cursor may be any text."""


@dataclass(frozen=True, slots=True)
class Watermark:
    """How far a table has been read.

    Every row whose 32-bit ``xmin`` is not before ``xmin`` (modulo 2**32) may be
    new; ``xmin`` itself is 64 bits wide. ``horizon`` is the clock path's: rows
    whose cursor is at or after this ISO instant may be new; None where the clock
    path was not provably safe. ``cursor`` is the greatest declared cursor value
    seen, for relations that have no xmin (the weaker promise).
    """

    system_identifier: str
    timeline: int
    xmin: int | None
    horizon: str | None = None
    cursor: str | None = None

    def to_position(self) -> Position:
        value = {"xmin": self.xmin, "horizon": self.horizon, "cursor": self.cursor}
        return Position(system(self.system_identifier, self.timeline), value, self._text())

    def _text(self) -> str:
        pieces = [] if self.xmin is None else [f"xmin {self.xmin}"]
        if self.horizon is not None:
            pieces.append(f"clock {self.horizon[:19].replace('T', ' ')}")
        if self.cursor is not None:
            pieces.append(f"cursor {self.cursor}")
        return ", ".join(pieces)[:TEXT_LONGEST] or "nothing to go on from"


@dataclass(frozen=True, slots=True)
class Seen:
    """A snapshot of the source; ``taken_at`` is its clock, ISO UTC. Rows of versions from ``xmin`` on may be
    missing in it."""

    system_identifier: str
    timeline: int
    xmin: int | None
    text: str
    taken_at: str

    def to_snapshot(self) -> Snapshot:
        return Snapshot(system(self.system_identifier, self.timeline), self.text, self.taken_at)


def system(identifier: str, timeline: int) -> str:
    """The cluster and the database in it, at a timeline: after a failover the numbers of transactions that were
    lost with the old primary are given again."""
    return f"{identifier}@{timeline}"


def watermark(table: TableId, position: Position | None) -> Watermark | None:
    """What ``Watermark.to_position`` made a position of. It goes into questions: PositionLost where it is none."""
    if position is None:
        return None
    identifier, at, timeline = position.system.rpartition("@")
    xmin, horizon, cursor = (position.value.get(name) for name in ("xmin", "horizon", "cursor"))
    whole = at and timeline.isdecimal() and (xmin is None or (type(xmin) is int and 0 <= xmin < 2**64))
    if not whole or not _is_instant(horizon) or not isinstance(cursor, str | None):
        raise PositionLost(
            f"{table}: its last batch does not say, as PostgreSQL does, up to where it was read. Nothing was read, and"
            f" what has landed stays as it is. Read it anew with `data-platform sync --refresh {table}`."
        )
    return Watermark(identifier, int(timeline), xmin, horizon, cursor)  # type: ignore[arg-type]


def _is_instant(text: Any) -> bool:
    try:
        return text is None or datetime.fromisoformat(text).tzinfo is not None
    except (TypeError, ValueError):
        return False

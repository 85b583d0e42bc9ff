"""How far stored WAL reaches without a gap, through changes of timeline. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from data_platform.backups.database.lsn import Lsn, Segment
from data_platform.backups.database.wal.records import Heartbeat

_SWITCH = re.compile(r"\s*(\d+)\s+([0-9A-Fa-f]+/[0-9A-Fa-f]+)")


@dataclass(frozen=True, slots=True)
class Coverage:
    """WAL from ``start`` up to ``end``, which is on ``timeline``, is complete. ``gap`` names the first missing segment
    if there is more WAL behind it; empty otherwise. ``heartbeat`` is the newest one that this WAL recovers, ``mark`` the
    newest position of the server that it reaches, ``history`` the timelines on the way, the oldest first."""

    start: Lsn
    end: Lsn
    timeline: int
    gap: str = ""
    heartbeat: Heartbeat | None = None
    segments: int = 0
    history: tuple[int, ...] = ()
    mark: Heartbeat | None = None

    @property
    def bytes(self) -> int:
        return self.end - self.start

    @property
    def newest(self) -> Heartbeat | None:
        """The later of ``heartbeat`` and ``mark``: what was committed until then, by the server's clock, is in this WAL. None
        if nothing says it."""
        return max(filter(None, (self.heartbeat, self.mark)), key=lambda one: one.at, default=None)


@dataclass(frozen=True)
class Stored:
    """What a store holds of one timeline: ``whole`` segments by number, and of others the ``pieces`` as
    ``[from, to)`` within the segment."""

    size: int
    whole: frozenset[int] = frozenset()
    pieces: Mapping[int, Sequence[tuple[int, int]]] = field(default_factory=dict)

    @property
    def newest(self) -> int:
        """The number of the newest segment of which there is anything; -1 if there is none."""
        return max((*self.whole, *self.pieces), default=-1)


@dataclass(frozen=True, slots=True)
class Branch:
    """The part of the way on one timeline: up to the position ``until``, where the next timeline begins. None on the last."""

    timeline: int
    until: Lsn | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """``whole`` are the complete segments on the way, ``tail`` the pieces of the segment behind them, in their order."""

    end: Lsn
    timeline: int
    gap: str = ""
    whole: tuple[Segment, ...] = ()
    tail_of: Segment | None = None
    tail: tuple[tuple[int, int], ...] = ()


def switches(content: str) -> list[tuple[int, Lsn]]:
    """The ancestors that a timeline's history file names, each with the position where it was left, the oldest first.

    ``ValueError`` if a line is neither that nor a comment.
    """
    found = []
    for line in content.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _SWITCH.match(line)
        if not match:
            raise ValueError("a line of a timeline's history is none")
        found.append((int(match[1]), Lsn.parse(match[2])))
    return found


def way(timeline: int, start: Lsn, histories: Mapping[int, str]) -> list[Branch]:
    """From ``start`` on ``timeline`` to the newest timeline that descends from there.

    ``histories`` are the history files by timeline. A timeline that left ``timeline`` before ``start`` is another branch.
    """
    for newest in sorted((found for found in histories if found > timeline), reverse=True):
        steps = switches(histories[newest])
        after = next((n for n, (parent, at) in enumerate(steps) if parent == timeline and at >= start), None)
        if after is not None:
            return [*(Branch(parent, at) for parent, at in steps[after:]), Branch(newest)]
    return [Branch(timeline)]


def reach(start: Lsn, branches: Sequence[Branch], stored: Mapping[int, Stored], size: int) -> Reach:
    """How far WAL reaches from ``start`` along ``branches`` without a gap. ``stored`` is by timeline.

    A new timeline's first segment holds what the old one wrote of it too, so PostgreSQL reads it from the new one.
    """
    whole: list[Segment] = []
    number = start.segment(size)
    for branch in branches:
        there = stored.get(branch.timeline, Stored(size))
        last = branch.until.segment(size) if branch.until is not None else None
        while number in there.whole and (last is None or number < last):
            whole.append(Segment(branch.timeline, number, size))
            number += 1
        if last is not None and number >= last:
            continue
        missing = Segment(branch.timeline, number, size)
        pieces = there.pieces.get(number, ())
        tail = contiguous(pieces)
        reached = tail[-1][1] if tail else 0
        end = max(missing.start + reached, start)
        behind = branch.until is not None or there.newest > number or any(to > reached for _, to in pieces)
        return Reach(end, branch.timeline, missing.name if behind else "", tuple(whole), missing, tail)
    raise ValueError("the way ends on a timeline that was left")


def contiguous(pieces: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Pieces that make up the longest beginning of a segment, as few as possible, in their order."""
    chosen: list[tuple[int, int]] = []
    reached = 0
    while True:
        fitting = [piece for piece in pieces if piece[0] <= reached < piece[1]]
        if not fitting:
            return tuple(chosen)
        best = max(fitting, key=lambda piece: piece[1])
        chosen.append(best)
        reached = best[1]

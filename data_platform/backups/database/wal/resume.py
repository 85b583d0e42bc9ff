"""Where receiving goes on, by what the stores hold and what the server's history says. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data_platform.backups.database.lsn import Lsn
from data_platform.backups.database.wal.gaps import switches


@dataclass(frozen=True, slots=True)
class Start:
    """Receive from ``lsn`` of ``timeline`` on. ``lost`` says why WAL before it is missing from every store; empty if none is."""

    timeline: int
    lsn: Lsn
    lost: str = ""


def start(ends: Sequence[tuple[int, Lsn]], timeline: int, history: str, slot: Lsn) -> Start:
    """``ends`` is how far each store is, ``timeline`` and ``history`` are the server's, ``slot`` is what its slot keeps.

    WAL of a timeline behind the position where the server left it belongs to no future: a standby that lagged was promoted.
    """
    if not ends:
        return Start(timeline, slot)
    of, lsn = max(ends)
    if of == timeline:
        return Start(timeline, lsn)
    steps = switches(history)
    for number, (parent, left) in enumerate(steps):
        if parent != of:
            continue
        if lsn <= left:
            return Start(of, lsn)
        return Start(steps[number + 1][0] if number + 1 < len(steps) else timeline, left)
    return Start(
        timeline,
        slot,
        f"the server is on timeline {timeline}, which does not descend from timeline {of} of the stores: another"
        " server was promoted, or it was restored to an earlier instant",
    )

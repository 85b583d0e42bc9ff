"""The WAL that a server archives into the repository of another program: how far it reaches, and giving it back."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from data_platform.backups.database.commits import newest_commit
from data_platform.backups.database.external import External
from data_platform.backups.database.lsn import Lsn, Segment
from data_platform.backups.database.tools import Programs
from data_platform.backups.database.wal import Coverage, Heartbeat, gaps
from data_platform.backups.database.wal.gaps import Reach, Stored
from data_platform.errors import BackupDamaged
from data_platform.private_files import make_private

BATCH = 4
"""Segments that are fetched before their commits are looked at."""
LOOKED_AT = 4
"""Segments without a commit that are skipped in the search for the newest one."""
SURE_AFTER_SECONDS = 5
"""A heartbeat's row holds a time shortly before its commit."""


@dataclass
class ExternalWal:
    """The WAL of the server ``system``, of major version ``major``. ``marks`` are heartbeats whose WAL was seen to be archived."""

    external: External
    system: str
    major: int
    segment_bytes: int
    marks: Sequence[Heartbeat] = ()
    _names: frozenset[str] | None = None
    _beats: dict[Segment, Heartbeat | None] = field(default_factory=dict, repr=False)

    def coverage(self, timeline: int, start: Lsn) -> Coverage:
        """How far WAL reaches from ``start`` without a gap. Only names are compared, and the newest segments are read for
        their commits."""
        return self._covered(timeline, start)[0]

    def fetch(self, timeline: int, start: Lsn, folder: Path, until: datetime | None = None) -> Coverage:
        """Write the WAL from ``start`` on into ``folder``, up to the segment with a commit after ``until``."""
        coverage, reached, histories = self._covered(timeline, start)
        make_private(folder)
        for number in coverage.history[1:]:
            (folder / f"{number:08X}.history").write_text(histories[number])
        done: list[Segment] = []
        for first in range(0, len(reached.whole), BATCH):
            some = reached.whole[first : first + BATCH]
            for one in some:
                fetch_segment(self.external, self.system, one, folder / one.name)
            done += some
            newest = self._newest(folder, some) if until is not None else None
            if newest is not None and until is not None and newest.at > until:
                last = done[-1]
                return replace(
                    coverage,
                    end=last.end,
                    timeline=last.timeline,
                    gap="",
                    heartbeat=newest,
                    segments=len(done),
                )
        return coverage

    def newest_row(self, folder: Path, at: datetime) -> datetime | None:
        """The newest heartbeat row that must be there at ``at``. None where a timeline was left on the way: what was marked on
        the old one may have been lost with it."""
        if any(folder.glob("*.history")):
            return None
        rows = [
            one.at for one in self.marks if one.row and (at - one.at).total_seconds() > SURE_AFTER_SECONDS
        ]
        return max(rows, default=None)

    def _covered(self, timeline: int, start: Lsn) -> tuple[Coverage, Reach, Mapping[int, str]]:
        if self._names is None:
            self._names = self.external.wal(self.system)
        names = self._names
        histories = {int(name[:8], 16): self._history(name) for name in names if name.endswith(".history")}
        found: dict[int, set[int]] = {}
        for name in names:
            if len(name) == 24:
                one = Segment.parse(name, self.segment_bytes)
                found.setdefault(one.timeline, set()).add(one.number)
        stored = {number: Stored(self.segment_bytes, frozenset(whole)) for number, whole in found.items()}
        branches = gaps.way(timeline, start, histories)
        reached = gaps.reach(start, branches, stored, self.segment_bytes)
        way = tuple(branch.timeline for branch in branches if branch.timeline <= reached.timeline)
        beat = self._beat(reached, start)
        return (
            Coverage(start, reached.end, reached.timeline, reached.gap, beat, len(reached.whole), way),
            reached,
            histories,
        )

    def _beat(self, reached: Reach, start: Lsn) -> Heartbeat | None:
        """The newest instant that is known to be recovered: that of a mark, or of the newest commit. Its position is one up to
        which the WAL must be readable."""
        known = [one for one in self.marks if start <= one.lsn <= reached.end]
        for segment in reversed(reached.whole[-LOOKED_AT:]):
            if segment not in self._beats:
                with TemporaryDirectory(prefix="wal-") as folder:
                    fetch_segment(self.external, self.system, segment, Path(folder) / segment.name)
                    self._beats[segment] = self._newest(Path(folder), [segment])
            if beat := self._beats[segment]:
                known.append(replace(beat, lsn=reached.whole[-1].start))
                break
        if not known:
            return None
        return Heartbeat(max(one.at for one in known), max(one.lsn for one in known), row=False)

    def _newest(self, folder: Path, segments: Sequence[Segment]) -> Heartbeat | None:
        programs = Programs.find(self.major, self.external.programs)
        at = newest_commit(programs, folder, segments)
        return Heartbeat(at, segments[-1].start, row=False) if at else None

    def _history(self, name: str) -> str:
        with TemporaryDirectory(prefix="wal-") as folder:
            target = Path(folder) / name
            self.external.fetch(self.system, name, target)
            return target.read_text()


def fetch_segment(external: External, system: str, segment: Segment, target: Path) -> None:
    """One segment. BackupDamaged if it is another one, or not as long as one."""
    external.fetch(system, segment.name, target)
    size = target.stat().st_size
    with target.open("rb") as file:
        head = file.read(16)
    address = struct.unpack("=Q", head[8:16])[0] if len(head) == 16 else -1
    if size != segment.size or address != segment.start.value:
        raise BackupDamaged(
            f"The segment {segment.name} in {external.place} is not that segment of WAL ({size:,} bytes, which begin at"
            f" {Lsn(address) if address >= 0 else 'nothing'}). Restore to an instant before it, and make a full backup now."
        )

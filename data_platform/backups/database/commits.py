"""The commits in WAL files, by pg_waldump: where recovery can stop."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from data_platform.backups.database.lsn import Lsn, Segment
from data_platform.backups.database.shown import shown
from data_platform.backups.database.tools import Programs
from data_platform.backups.database.wal import Coverage
from data_platform.errors import BackupDamaged

_COMMIT = re.compile(
    r"tx:\s+(\d+),.*desc: (?:COMMIT|COMMIT_PREPARED (\d+):) (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC"
)
_END = re.compile(r"(?:error in WAL record at|could not find a valid record after) ([0-9A-F]+/[0-9A-F]+)")
"""WAL of a running server ends in the middle of a record."""
_ALLOWED = re.compile(_END.pattern + "|could not find file")
"""A record may go on in a segment that is only there on the next timeline."""
_SWITCH = re.compile(r"^\s*(\d+)\s+([0-9A-Fa-f]+/[0-9A-Fa-f]+)", re.MULTILINE)
_SEGMENT = re.compile(r"[0-9A-F]{24}")


@dataclass(frozen=True, slots=True)
class Commit:
    """``transaction`` is what ``recovery_target_xid`` takes."""

    transaction: str
    at: datetime


def commits(programs: Programs, folder: Path, start: Lsn, coverage: Coverage) -> list[Commit]:
    """Those from ``start`` on in the files of ``folder``, in their order, through every timeline of ``coverage``.

    BackupDamaged if the WAL cannot be read as far as the newest position of the server that it holds: what was committed behind that place would be
    missing.
    """
    found: list[Commit] = []
    for timeline, begin, end in _stretches(folder, start, coverage):
        said = programs.run(
            "pg_waldump", "--path", str(folder), "--timeline", str(timeline), "--start", str(begin), "--end", str(end),
            "--rmgr=Transaction", allowed=_ALLOWED,
        )  # fmt: skip
        newest = coverage.newest
        if (broken := _END.search(said)) and newest is not None and timeline == coverage.timeline:
            at = Lsn.parse(broken[1])
            if at < newest.lsn:
                size = next(path.stat().st_size for path in folder.iterdir() if _SEGMENT.fullmatch(path.name))
                raise BackupDamaged(
                    f"The WAL cannot be read behind {at}, in the segment {Segment.at(timeline, at, size).name}, though it should reach {newest.lsn}, of"
                    f" {shown(newest.at)}. Restore from another copy, or to an earlier instant."
                )
        found += _in(said)
    return found


def newest_commit(programs: Programs, folder: Path, segments: Sequence[Segment]) -> datetime | None:
    """When the newest transaction in the files of ``segments``, of one timeline or several, was committed; None if none was."""
    newest = None
    for one in segments:
        said = programs.run(
            "pg_waldump", "--path", str(folder), "--timeline", str(one.timeline), "--start", str(one.start),
            "--end", str(one.end), "--rmgr=Transaction", allowed=_ALLOWED,
        )  # fmt: skip
        newest = max((commit.at for commit in _in(said)), default=newest)
    return newest


def _in(said: str) -> list[Commit]:
    return [
        Commit(one[2] or one[1], datetime.fromisoformat(f"{one[3]}+00:00"))
        for line in said.splitlines()
        if (one := _COMMIT.search(line))
    ]


def _stretches(folder: Path, start: Lsn, coverage: Coverage) -> Iterator[tuple[int, Lsn, Lsn]]:
    """Each timeline with the positions between which its WAL counts."""
    names = sorted(path for path in folder.iterdir() if _SEGMENT.fullmatch(path.name))
    if not names or coverage.end <= start:
        return
    size = names[0].stat().st_size
    segments = [Segment.parse(path.name, size) for path in names]
    ends = {}
    history = folder / f"{coverage.timeline:08X}.history"
    if history.exists():
        ends = {int(one[1]): Lsn.parse(one[2]) for one in _SWITCH.finditer(history.read_text())}
    done = start
    for timeline in sorted({one.timeline for one in segments}):
        own = [one for one in segments if one.timeline == timeline]
        begin = max(min(own).start, done)
        end = min(ends.get(timeline, coverage.end), max(own).end, coverage.end)
        if begin < end:
            yield timeline, begin, end
            done = end

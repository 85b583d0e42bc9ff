"""Which runs a probe asks for. Pure: what was seen at the source, what runs, what failed, the time.

The sensor that looks and asks is ``probe_sensor.py``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from data_platform.sync import TableProbe
from data_platform.tables import WHOLE_TABLE, Slice, TableId, day_runs, is_day

BACKOFF_FIRST = timedelta(minutes=1)
BACKOFF_LONGEST = timedelta(hours=1)
RECHECK = timedelta(minutes=10)
SLICE_RUNS_MAX = 5
"""Runs for differing days a probe asks for at once; the next probe asks for the rest."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A finished run that failed without bringing the table anything."""

    table: TableId
    ended: datetime


@dataclass(frozen=True, slots=True)
class SliceRun:
    """Consecutive partitions to replace in ``tables``."""

    first: str
    last: str
    tables: tuple[TableId, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """``changes`` are read for what moved; ``others`` are slices that no partition stands for,
    ``refresh`` tables without slices that differ. ``waiting`` says why a table is left out."""

    changes: tuple[TableId, ...] = ()
    slice_runs: tuple[SliceRun, ...] = ()
    others: Mapping[TableId, tuple[Slice, ...]] | None = None
    refresh: tuple[TableId, ...] = ()
    waiting: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        return not (self.changes or self.slice_runs or self.others or self.refresh)


def decide(
    probes: Iterable[TableProbe],
    busy: Collection[TableId],
    failures: Iterable[Attempt],
    now: datetime,
    first: str | None,
    last: str | None,
) -> Wanted:
    """What to run. A table whose run is queued or active, or that failed lately, waits.

    A table that moved gets *changes* now and its differing days at a later probe:
    after the changes most of them are gone. So does one that could not be looked at. ``first`` and ``last`` are the source's
    partitions' ends, None for a source without any.
    """
    retry_at = retries(failures)
    changes: list[TableId] = []
    refresh: list[TableId] = []
    others: dict[TableId, tuple[Slice, ...]] = {}
    ranges: dict[tuple[date, date], list[TableId]] = {}
    waiting: list[str] = []
    for probe in probes:
        if probe.source_wide:  # told as a failing sensor
            continue
        # a table that cannot be looked at, or whose last run failed, is read: it succeeds, or fails with
        # a sentence that people are told
        unsettled = probe.error is not None or probe.table in retry_at
        if not (probe.moved or probe.differing or unsettled):
            continue
        if probe.table in busy:
            waiting.append(f"{probe.table}: a run of it is queued or active")
        elif now < retry_at.get(probe.table, now):
            waiting.append(f"{probe.table}: failed lately, again at {retry_at[probe.table]:%H:%M:%S}")
        elif probe.moved or unsettled:
            changes.append(probe.table)
        elif WHOLE_TABLE in probe.differing:
            refresh.append(probe.table)
        else:
            inside = [s for s in probe.differing if is_day(s) and first and last and first <= s <= last]
            rest = tuple(s for s in probe.differing if s not in inside)
            for run in day_runs(inside):
                ranges.setdefault(run, []).append(probe.table)
            if rest and not inside:
                others[probe.table] = rest
    runs = [
        SliceRun(start.isoformat(), end.isoformat(), tuple(tables))
        for (start, end), tables in sorted(ranges.items())
    ]
    return Wanted(
        tuple(changes), tuple(_apart(runs)[:SLICE_RUNS_MAX]), others or None, tuple(refresh), tuple(waiting)
    )


def retries(failures: Iterable[Attempt]) -> dict[TableId, datetime]:
    """When a table that failed may be tried again: 1 minute after the first failure, doubling to an hour."""
    by_table: dict[TableId, list[datetime]] = {}
    for attempt in failures:
        by_table.setdefault(attempt.table, []).append(attempt.ended)
    return {
        table: max(ends) + min(BACKOFF_FIRST * 2 ** min(len(ends) - 1, 10), BACKOFF_LONGEST)
        for table, ends in by_table.items()
    }


def measure_after(cursor: str | None) -> datetime | None:
    """From when the source is to be measured again, from the sensor's cursor; a hint, so
    rubbish is None: measure now."""
    try:
        instant = datetime.fromisoformat(json.loads(cursor or "")["measure_after"])
    except (ValueError, KeyError, TypeError):
        return None
    return instant if instant.tzinfo else None


def next_measure(now: datetime, probes: Iterable[TableProbe], hours: float) -> datetime:
    """After ``hours``; sooner when something differs or could not be looked at, to see it mended."""
    unsettled = any(probe.differing or probe.error is not None for probe in probes)
    return now + (RECHECK if unsettled else timedelta(hours=hours))


def to_cursor(measure_after: datetime | None) -> str:
    return json.dumps({"measure_after": measure_after.isoformat() if measure_after else None})


def _apart(runs: Sequence[SliceRun]) -> list[SliceRun]:
    """At most one run a table: the others come once it is done."""
    taken: set[TableId] = set()
    chosen: list[SliceRun] = []
    for run in runs:
        tables = tuple(t for t in run.tables if t not in taken)
        taken.update(tables)
        if tables:
            chosen.append(SliceRun(run.first, run.last, tables))
    return chosen

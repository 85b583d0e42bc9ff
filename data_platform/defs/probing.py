"""Decides which runs a probe requests. Pure: from the state of the source, active runs, failed runs and the time.

``probe_sensor.py`` checks the source and requests the runs.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from data_platform.sync import TableProbe
from data_platform.tables import TableId

BACKOFF_FIRST = timedelta(minutes=1)
BACKOFF_LONGEST = timedelta(hours=1)
RECHECK = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A finished run that failed without bringing the table anything."""

    table: TableId
    ended: datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """Of the ``changes`` tables, only changes are read. ``reconcile`` tables are also compared with the source,
    slice by slice, and differing slices are reread. ``waiting`` says why a table is left out."""

    changes: tuple[TableId, ...] = ()
    reconcile: tuple[TableId, ...] = ()
    waiting: tuple[str, ...] = ()


def decide(
    probes: Iterable[TableProbe],
    busy: Collection[TableId],
    failures: Iterable[Attempt],
    now: datetime,
    *,
    measured: bool = False,
) -> Wanted:
    """What to run. A table whose run is queued or active, or that failed lately, waits.

    A table that changed gets *changes*. So does a table that could not be checked or whose last run failed: the
    run succeeds, or fails with a message that is reported. If the slices were ``measured`` and some differ, rows
    were deleted. Then those tables and all changed ones (which only a reconcile counts) are reconciled in one
    run, under one snapshot, because a delete often affects several tables.
    """
    retry_at = retries(failures)
    changes: list[TableId] = []
    differing: list[TableId] = []
    waiting: list[str] = []
    for probe in probes:
        if probe.source_wide:  # told as a failing sensor
            continue
        unsettled = probe.error is not None or probe.table in retry_at
        due = probe.due is not None and probe.due <= now
        if probe.due is not None and not (due or unsettled):
            waiting.append(
                f"{probe.table}: the source does not show when it changes, so it is read at {probe.due:%H:%M}"
            )
        if not (probe.moved or probe.differing or unsettled or due):
            continue
        if probe.table in busy:
            waiting.append(f"{probe.table}: one of its runs is queued or active")
        elif now < retry_at.get(probe.table, now):
            waiting.append(
                f"{probe.table}: failed recently, next attempt at {retry_at[probe.table]:%H:%M:%S}"
            )
        elif probe.differing or (measured and probe.moved and probe.head_sequence and not unsettled):
            differing.append(probe.table)
        else:
            changes.append(probe.table)
    return Wanted(tuple(changes), tuple(differing), tuple(waiting))


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
    """When the source is due to be counted again, from the sensor's cursor. The cursor is a hint: if it is
    unreadable, the result is None, and the source is counted now."""
    try:
        instant = datetime.fromisoformat(json.loads(cursor or "")["measure_after"])
    except (ValueError, KeyError, TypeError):
        return None
    return instant if instant.tzinfo else None


def next_measure(now: datetime, probes: Iterable[TableProbe], hours: float) -> datetime:
    """After ``hours``; sooner if something differs, to verify that it was repaired."""
    return now + (RECHECK if any(probe.differing for probe in probes) else timedelta(hours=hours))


def to_cursor(measure_after: datetime | None) -> str:
    return json.dumps({"measure_after": measure_after.isoformat() if measure_after else None})

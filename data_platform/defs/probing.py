"""Which runs a probe asks for. Pure: what was seen at the source, what runs, what failed, the time.

The sensor that looks and asks is ``probe_sensor.py``.
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
    """``changes`` are read for what moved; ``reconcile`` tables are compared with the source slice by
    slice too, and mended. ``waiting`` says why a table is left out."""

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

    A table that moved gets *changes*, and so does one that could not be looked at or whose last run failed: it
    succeeds, or fails with a sentence that people are told. Where the slices were ``measured`` and some
    differ, rows were deleted: those tables and all that moved (which are measured only by a reconcile) are
    reconciled in one run, under one snapshot, for a delete often spans several of them.
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
                f"{probe.table}: nothing tells when it changes, so it is read at {probe.due:%H:%M}"
            )
        if not (probe.moved or probe.differing or unsettled or due):
            continue
        if probe.table in busy:
            waiting.append(f"{probe.table}: a run of it is queued or active")
        elif now < retry_at.get(probe.table, now):
            waiting.append(f"{probe.table}: failed lately, again at {retry_at[probe.table]:%H:%M:%S}")
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
    """From when the source is to be measured again, from the sensor's cursor; a hint, so
    rubbish is None: measure now."""
    try:
        instant = datetime.fromisoformat(json.loads(cursor or "")["measure_after"])
    except (ValueError, KeyError, TypeError):
        return None
    return instant if instant.tzinfo else None


def next_measure(now: datetime, probes: Iterable[TableProbe], hours: float) -> datetime:
    """After ``hours``; sooner when something differs, to see it mended."""
    return now + (RECHECK if any(probe.differing for probe in probes) else timedelta(hours=hours))


def to_cursor(measure_after: datetime | None) -> str:
    return json.dumps({"measure_after": measure_after.isoformat() if measure_after else None})

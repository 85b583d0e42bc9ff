"""The figures of a relation with their past, and what of them is recorded in ``quality.metrics``.

A figure of a day is computed from the rows, a figure of a load is recorded when the load is judged. Both are kept for a bounded time:
the last ``LOADS_KEPT`` loads, as many as the detector looks at, and the last ``DAYS_KEPT`` days, for people to see.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from data_platform.printable import printable_line
from data_platform.quality.anomalies import AnomaliesSettings
from data_platform.quality.anomaly.detector import Candidate
from data_platform.quality.anomaly.series import Answer, Kind, Point, Series
from data_platform.quality.checking import Arrived, Entry, Subject
from data_platform.quality.measures import Measure, Measured, measure_days, measure_groups, measure_whole
from data_platform.quality.verdicts import METRICS, id_of, recorded
from data_platform.warehouses import Warehouse
from data_platform.warehouses.journal import Row, Value

HISTORY_DAYS = 400
"""A year and a month, so that last year's holidays and the month's end are seen."""
DAYS_KEPT = 92
GROUP_NAME_MAX = 60
LOADS_KEPT = 400
AT_ONCE = 50
"""Loads are pruned this many together, so that not each load deletes rows."""
PRUNED_MAX = 1000
"""A table that an earlier version let grow is pruned in steps."""
_COUNTS = ("rows", "distinct", "batch_rows", "reread_rows")


@dataclass(frozen=True, slots=True)
class Figures:
    """What is judged, each with its id, and what is to be recorded of it."""

    candidates: Sequence[tuple[str, Candidate]]
    to_keep: tuple[Entry, ...]


def figures(
    warehouse: Warehouse,
    subject: Subject,
    settings: AnomaliesSettings,
    now: datetime,
    said: Mapping[str, str],
) -> Figures:
    """The newest figures of ``subject`` at ``now``; ``said`` is what people answered, by alarm's id."""
    kept = recorded(warehouse, subject.label)
    if settings.by is None:
        days, entry = [], _day_entry(kept, Measured(), subject.label, now)
        values = dict(measure_whole(warehouse, subject, settings.asked).whole)
    else:
        last = (now.astimezone(UTC) - timedelta(hours=settings.settle_hours)).date() - timedelta(1)
        first = last - timedelta(HISTORY_DAYS)
        measured = measure_days(warehouse, subject, settings.by, settings.asked, first, last)
        days = list(_of_days(measured, subject.label, settings.open_days, said))
        if settings.split_by is not None:
            groups = measure_groups(
                warehouse, subject, settings.by, settings.split_by, settings.asked, first, last
            )
            for group, of_group in groups.items():
                which = f", {settings.split_by} {printable_line(group)[:GROUP_NAME_MAX]}"
                days += _of_days(of_group, subject.label, settings.open_days, said, which)
        entry, values = _day_entry(kept, measured, subject.label, now), {}
    loads, load = _of_load(warehouse, subject, settings, kept, values, now, said)
    return Figures([*days, *loads], tuple(one for one in (entry, load) if one is not None))


def _of_days(
    measured: Measured, label: str, open_days: int, said: Mapping[str, str], which: str = ""
) -> Iterator[tuple[str, Candidate]]:
    """The days that ended lately, each with the days before it. ``which`` names a part of the rows."""
    for series in _daily(measured, label, said, which):
        for point in series.points[-open_days:]:
            id_ = id_of(label, series.name, point.at.isoformat())
            yield id_, Candidate(series, Point(point.at, point.value))


def _daily(measured: Measured, label: str, said: Mapping[str, str], which: str = "") -> Iterable[Series]:
    days = sorted(measured.days)
    for measure in measured.days[days[-1]] if days else ():
        name, values = measure.label + which, [measured.days[day].get(measure) for day in days]
        points = [_point(label, name, day, value, said) for day, value in zip(days, values, strict=True)]
        yield Series(name, kind_of(measure, values), points)


def _of_load(
    warehouse: Warehouse,
    subject: Subject,
    settings: AnomaliesSettings,
    kept: Sequence[Mapping[str, Value]],
    values: dict[Measure, float | None],
    now: datetime,
    said: Mapping[str, str],
) -> tuple[list[tuple[str, Candidate]], Entry | None]:
    """The newest load with those before it, and its figures if they are not recorded yet. ``values`` are its figures of the whole
    relation."""
    arrived = subject.arrived() if settings.batches else None
    batch = subject.version(warehouse) if values or arrived else None
    if not batch:
        return [], None
    before = [row for row in kept if row["batch_id"] not in ("", batch)]
    own = [row for row in kept if row["batch_id"] == batch]
    # evaluated again, maybe on a later day: it is the same load
    day = date.fromisoformat(str(own[0]["day"])) if own else now.astimezone(UTC).date()
    rows = [row for row in before if row["metric"] == "rows"]
    if rows and values:
        values[Measure("rows_added")] = (values[Measure("rows")] or 0.0) - _number(rows[-1]["figure"])
    if arrived is not None and arrived.batch_id == batch:
        values |= _of_batch(arrived)
    found = []
    for measure, value in values.items():
        series = _loads(subject.label, measure, value, before, said)
        found.append((id_of(subject.label, measure.label, f"{day} {batch}"), Candidate(series, Point(day, value))))  # fmt: skip
    entry = None if own else _load_entry(subject.label, batch, day, values, before, now)
    return found, entry


def _loads(
    label: str,
    measure: Measure,
    value: float | None,
    before: Sequence[Mapping[str, Value]],
    said: Mapping[str, str],
) -> Series:
    points = [
        _point(label, measure.label, date.fromisoformat(str(one["day"])), _figure(one), said, str(one["batch_id"]))
        for one in before
        if (one["metric"], one["column_name"] or "") == measure
    ]  # fmt: skip
    kind = kind_of(measure, [*(point.value for point in points), value])
    return Series(measure.label, kind, points, rhythm="load")


def _of_batch(arrived: Arrived) -> dict[Measure, float | None]:
    """A batch without rows says nothing of what usually comes. A table that is read whole is compared with its whole reads."""
    if not arrived.rows:
        return {}
    what, at = "reread" if arrived.whole else "batch", arrived.at.astimezone(UTC)
    return {
        Measure(f"{what}_rows"): float(arrived.rows),
        Measure(f"{what}_bytes"): float(arrived.bytes),
        Measure("arrival"): at.hour * 60 + at.minute + at.second / 60,
    }


def _load_entry(
    label: str,
    batch: str,
    day: date,
    values: Mapping[Measure, float | None],
    before: Sequence[Mapping[str, Value]],
    now: datetime,
) -> Entry:
    """The figures of a load, and in the same transaction the end of the oldest loads."""
    loads = list(dict.fromkeys(str(row["batch_id"]) for row in before))
    surplus = len(loads) + 1 - LOADS_KEPT
    pruned = loads[: min(surplus, PRUNED_MAX)] if surplus >= AT_ONCE else []
    rows = tuple(_row(label, measure, day, batch, value, now) for measure, value in values.items())
    return Entry(METRICS, rows, {"table_name": label, "batch_id": [*pruned, batch]})


def _day_entry(
    kept: Sequence[Mapping[str, Value]], measured: Measured, label: str, now: datetime
) -> Entry | None:
    """The figures of the days whose recorded ones are missing, other ones or too old."""
    first = max(measured.days, default=date.max) - timedelta(DAYS_KEPT - 1)
    wanted = {day.isoformat(): values for day, values in measured.days.items() if day >= first}
    held: dict[str, dict[Measure, float | None]] = {}
    for row in kept:
        if row["batch_id"] == "":
            measure = Measure(str(row["metric"]), str(row["column_name"] or ""))
            held.setdefault(str(row["day"]), {})[measure] = _figure(row)
    stale = [day for day in {**held, **wanted} if not _alike(held.get(day), wanted.get(day))]
    if not stale:
        return None
    rows = tuple(
        _row(label, measure, date.fromisoformat(day), "", value, now)
        for day in stale
        for measure, value in wanted.get(day, {}).items()
    )
    return Entry(METRICS, rows, {"table_name": label, "batch_id": "", "day": stale})


def _alike(held: Mapping[Measure, float | None] | None, found: Mapping[Measure, float | None] | None) -> bool:
    """Whether these are the same figures; an engine may add up doubles in another order."""
    if held is None or found is None or held.keys() != found.keys():
        return False
    pairs = [(held[one], found[one]) for one in found]
    return all(a == b or (a is not None and b is not None and math.isclose(a, b)) for a, b in pairs)


def _row(
    label: str, measure: Measure, day: date, batch: str, value: float | None, now: datetime
) -> Row:  # fmt: skip
    return {
        "table_name": label, "column_name": measure.column, "metric": measure.metric, "day": day.isoformat(),
        "batch_id": batch, "figure": value, "recorded_at": now,
    }  # fmt: skip


def _point(
    label: str, series: str, day: date, value: float | None, said: Mapping[str, str], batch: str = ""
) -> Point:
    known = said.get(id_of(label, series, f"{day} {batch}".strip()), "")
    answer: Answer = "accepted" if known == "accepted" else "incident" if known == "incident" else ""
    return Point(day, value, answer)


def kind_of(measure: Measure, values: Sequence[float | None]) -> Kind:
    if measure.metric in _COUNTS:
        return "count"
    if measure.metric == "null_rate":
        return "rate"
    if measure.metric == "arrival":
        return "minutes"
    return "signed" if any(value is not None and value < 0 for value in values) else "amount"


def _figure(row: Mapping[str, Value]) -> float | None:
    return None if row["figure"] is None else _number(row["figure"])


def _number(value: Value) -> float:
    return float(str(value))

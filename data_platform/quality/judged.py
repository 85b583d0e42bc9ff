"""Judges the newest figures of a table by its own past: ``anomaly/`` decides, this measures and remembers.

With ``by``, the figures are those of each day of the data, so the history is there at once and a backfill changes nothing of
another day. Without it they are those of the whole table at each load, kept in ``quality.metrics``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from data_platform.quality.anomalies import AnomaliesSettings
from data_platform.quality.anomaly.detector import Candidate, judge_many
from data_platform.quality.anomaly.seasons import NO_CALENDAR, Calendar
from data_platform.quality.anomaly.series import Answer, Kind, Point, Series
from data_platform.quality.anomaly.verdict import Verdict, spoken
from data_platform.quality.checking import CheckResult, Entry
from data_platform.quality.measures import Measure, Measured, measure_days, measure_whole
from data_platform.quality.verdicts import METRICS, VERDICTS, answers, id_of, recorded
from data_platform.tables import TableId
from data_platform.warehouses import Warehouse
from data_platform.warehouses.journal import Row, Value, read
from data_platform.words import plural

HISTORY_DAYS = 400
"""A year and a month, so that last year's holidays and the month's end are seen."""
PLOTS = 3
ALARMS_KEPT = 500


@dataclass(frozen=True, slots=True)
class _Judged:
    """A verdict with its id and what a person said about it."""

    id: str
    series: str
    verdict: Verdict
    answer: str

    @property
    def open(self) -> bool:
        return self.verdict.status == "alarm" and self.answer != "accepted"


def evaluate(warehouse: Warehouse, table: TableId, settings: AnomaliesSettings, now: datetime) -> CheckResult:
    label = table.raw_name
    said = {id_: str(row["answer"]) for id_, row in answers(warehouse, label).items()}
    kept: tuple[Entry, ...] = ()
    if settings.by is not None:
        candidates = _by_day(warehouse, table, settings, now, said)
    else:
        candidates, kept = _by_load(warehouse, table, settings, now, said)
    verdicts = judge_many([candidate for _, candidate in candidates], _calendar(settings))
    judged = [
        _Judged(id_, series.name, verdict, said.get(id_, ""))
        for (id_, series), verdict in zip(
            ((id_, candidate.history) for id_, candidate in candidates), verdicts, strict=True
        )
    ]
    return _result(judged, (*kept, _entry(warehouse, label, judged, now)))


def _calendar(settings: AnomaliesSettings) -> Calendar:
    if settings.holidays is None:
        return NO_CALENDAR
    country, _, region = settings.holidays.partition("-")
    return Calendar(country, region)


def _by_day(
    warehouse: Warehouse,
    table: TableId,
    settings: AnomaliesSettings,
    now: datetime,
    said: Mapping[str, str],
) -> list[tuple[str, Candidate]]:
    """The days that ended lately, each with the days before it."""
    assert settings.by is not None
    last = (now.astimezone(UTC) - timedelta(hours=settings.settle_hours)).date() - timedelta(1)
    measured = measure_days(
        warehouse, table, settings.by, settings.columns, last - timedelta(HISTORY_DAYS), last
    )
    label = table.raw_name
    found = []
    for series in _daily(measured, label, said):
        for point in series.points[-settings.open_days :]:
            id_ = id_of(label, series.name, point.at.isoformat())
            found.append((id_, Candidate(series, Point(point.at, point.value))))
    return found


def _daily(measured: Measured, label: str, said: Mapping[str, str]) -> Iterable[Series]:
    days = sorted(measured.days)
    for measure in measured.days[days[-1]] if days else ():
        values = [measured.days[day].get(measure) for day in days]
        points = [_point(label, measure.label, day, value, said) for day, value in zip(days, values, strict=True)]  # fmt: skip
        yield Series(measure.label, _kind(measure, values), points)


def _by_load(
    warehouse: Warehouse,
    table: TableId,
    settings: AnomaliesSettings,
    now: datetime,
    said: Mapping[str, str],
) -> tuple[list[tuple[str, Candidate]], tuple[Entry, ...]]:
    """The newest load with those before it, and its figures if they are not kept yet."""
    label, loaded = table.raw_name, warehouse.loaded(table)
    batch, day = (loaded.batch_id if loaded else ""), now.astimezone(UTC).date()
    kept = recorded(warehouse, label)
    before = [row for row in kept if row["batch_id"] != batch]
    known = next((row for row in kept if row["batch_id"] == batch), None)
    if known is not None:  # evaluated again, maybe on a later day: it is the same load
        day = date.fromisoformat(str(known["day"]))
    values = dict(measure_whole(warehouse, table, settings.columns).whole)
    rows = [row for row in before if row["metric"] == "rows"]
    if rows:
        values[Measure("rows_added")] = (values[Measure("rows")] or 0.0) - _number(rows[-1]["figure"])
    found = []
    for measure, value in values.items():
        past = [one for one in before if (one["metric"], one["column_name"] or "") == measure]
        points = [
            _point(
                label, measure.label, date.fromisoformat(str(one["day"])), _figure(one), said, str(one["batch_id"])
            )
            for one in past
        ]  # fmt: skip
        kind = _kind(measure, [*(point.value for point in points), value])
        series = Series(measure.label, kind, points, rhythm="load")
        found.append((id_of(label, measure.label, f"{day} {batch}"), Candidate(series, Point(day, value))))
    entries: list[Row] = [
        {
            "table_name": label, "column_name": measure.column, "metric": measure.metric, "day": day.isoformat(),
            "batch_id": batch, "figure": value, "recorded_at": now,
        }
        for measure, value in values.items()
    ]  # fmt: skip
    return found, () if known is not None else (Entry(METRICS, tuple(entries)),)


def _point(
    label: str, series: str, day: date, value: float | None, said: Mapping[str, str], batch: str = ""
) -> Point:
    known = said.get(id_of(label, series, f"{day} {batch}".strip()), "")
    answer: Answer = "accepted" if known == "accepted" else "incident" if known == "incident" else ""
    return Point(day, value, answer)


def _kind(measure: Measure, values: Sequence[float | None]) -> Kind:
    if measure.metric in ("rows", "distinct"):
        return "count"
    if measure.metric == "null_rate":
        return "rate"
    return "signed" if any(value is not None and value < 0 for value in values) else "amount"


def _entry(warehouse: Warehouse, label: str, judged: Sequence[_Judged], now: datetime) -> Entry:
    """The verdicts in the place of those that were kept, and the alarms of before."""
    new = {one.id for one in judged}
    before = read(warehouse, VERDICTS, {"table_name": label, "status": "alarm"}, order=["day"])
    old = [row for row in before if row["id"] not in new][-ALARMS_KEPT:]
    rows = [_row(label, one, now) for one in judged]
    return Entry(VERDICTS, (*old, *rows), {"table_name": label})


def _row(label: str, one: _Judged, now: datetime) -> Row:
    verdict = one.verdict
    return {
        "id": one.id, "table_name": label, "series": one.series, "day": verdict.at.isoformat(),
        "status": verdict.status, "observed": _finite(verdict.observed), "expected": _finite(verdict.expected),
        "lowest": _finite(verdict.low), "highest": _finite(verdict.high), "reason": verdict.reason, "judged_at": now,
    }  # fmt: skip


def _result(judged: Sequence[_Judged], entries: Sequence[Entry]) -> CheckResult:
    open_ = [one for one in judged if one.open]
    newest = {one.series: one for one in judged}.values()
    learning = sum(one.verdict.status == "learning" for one in newest)
    unknown = sum(one.verdict.status == "unknown" for one in newest)
    facts: dict[str, Any] = {
        "figures": len(newest),
        "figures_learning": learning,
        "figures_unknown": unknown,
        "alarms": len(open_),
        "alarms_confirmed": sum(one.answer == "incident" for one in open_),
    }
    if not open_:
        return CheckResult(True, _quiet(len(newest), learning), facts, to_keep=tuple(entries))
    shown = sorted(open_, key=lambda one: one.verdict.at, reverse=True)
    more = f" {plural(len(shown) - 1, 'other alarm')} too." if len(shown) > 1 else ""
    facts["newest_alarm"] = shown[0].id
    text = f"{_short(shown[0])}.{more} `data-platform anomaly list` says why; answer with `accept` or `incident`."
    plots = {
        f"plot_{number}": (f"{one.series} of {one.verdict.at}: {one.verdict.reason}", one.verdict.plot())
        for number, one in enumerate(shown[:PLOTS], 1)
    }
    return CheckResult(False, text, facts, plots=plots, to_keep=tuple(entries))


def _short(one: _Judged) -> str:
    """The alarm in few words; the metadata has the whole reason and a plot."""
    found = one.verdict
    assert found.observed is not None
    words = f"{one.series} of {found.at}: {spoken(found.kind, found.observed)}"
    if found.expected is None:
        return words
    expected = f"expected {spoken(found.kind, found.expected)}"
    if found.change is None or abs(found.change) >= 10:
        return f"{words}, {expected}"
    side = "below" if found.change < 0 else "above"
    slow = ", and so were the days before" if found.slow else ""
    return f"{words}, {abs(found.change):.0%} {side} the {expected}{slow}"


def _quiet(figures: int, learning: int) -> str:
    if not figures:
        return "Learning: no day is complete yet."
    if learning == figures:
        return f"Learning: no figure of {plural(figures, 'figure')} has enough history for a verdict."
    rest = f"; {learning} of them still learning" if learning else ""
    return f"{plural(figures, 'figure')} as the past lets expect{rest}."


def _figure(row: Mapping[str, Value]) -> float | None:
    return None if row["figure"] is None else _number(row["figure"])


def _number(value: Value) -> float:
    return float(str(value))


def _finite(value: float | None) -> float | None:
    return value if value is not None and abs(value) != float("inf") else None

"""The recorded figures of tables and models that the status page draws, with their alarms marked. Reads the warehouse's own tables alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from data_platform.errors import DataPlatformError
from data_platform.observability.trust import Tracked, TrackedPoint
from data_platform.quality.measures import Measure
from data_platform.quality.verdicts import METRICS, Alarm, alarms, id_of
from data_platform.warehouses import Warehouse
from data_platform.warehouses.journal import Row, read

ALARMED_MAX = 4
"""Series with an alarm that are drawn of one table."""
IN_ALL = 120
"""Series of the whole page, so that many tables make it no slow one."""
POINTS = 92


def tracked(warehouse: Warehouse) -> dict[str, tuple[Tracked, ...]]:
    """By relation in lower case: of each judged day the rows, and each figure that had an alarm. Empty where nothing is recorded, or what is cannot be
    read."""
    try:
        known = [one for one in alarms(warehouse) if one.answer != "accepted"]
        by_table: dict[str, list[Alarm]] = {}
        for one in known:
            by_table.setdefault(one.table, []).append(one)
        rows = list(read(warehouse, METRICS, {"metric": "rows", "batch_id": ""}, order=["day"]))
        alarmed = list(by_table)[:IN_ALL]
        recorded = read(warehouse, METRICS, {"table_name": alarmed}, order=["day", "recorded_at"]) if alarmed else []  # fmt: skip
    except DataPlatformError:
        return {}
    drawn: dict[str, list[Tracked]] = {}
    for label in alarmed:
        own = [row for row in recorded if row["table_name"] == label]
        drawn[label] = list(_alarmed(own, by_table[label]))
    for label in dict.fromkeys(str(row["table_name"]) for row in rows):
        if not any(one.name == "rows" for one in drawn.get(label, ())):
            drawn.setdefault(label, []).append(_drawn("rows", [row for row in rows if row["table_name"] == label], ()))  # fmt: skip
    found, left = {}, IN_ALL
    for label, some in drawn.items():
        if some[:left]:
            found[label.lower()] = tuple(some[:left])
        left -= len(some[:left])
    return found


def _alarmed(recorded: Sequence[Row], known: Sequence[Alarm]) -> Iterator[Tracked]:
    """The series with the newest alarms that are still recorded."""
    for name in list(dict.fromkeys(one.series for one in known))[:ALARMED_MAX]:
        own = [row for row in recorded if Measure(str(row["metric"]), str(row["column_name"] or "")).label == name]  # fmt: skip
        if own:
            yield _drawn(name, own, [one for one in known if one.series == name])


def _drawn(name: str, recorded: Sequence[Row], known: Sequence[Alarm]) -> Tracked:
    ids = {one.id for one in known}
    share, newest = name.startswith("null_rate"), recorded[-POINTS:]
    points = tuple(
        TrackedPoint(_at(row), _value(row, 100.0 if share else 1.0), _id(row, name) in ids) for row in newest
    )
    unit = "%" if share else "min" if name == "arrival" else ""
    return Tracked(name, points, unit, known[0].reason if any(one.alarm for one in points) else "")


def _id(row: Row, series: str) -> str:
    return id_of(str(row["table_name"]), series, f"{row['day']} {row['batch_id'] or ''}".strip())


def _at(row: Row) -> str:
    at = row["recorded_at"]
    return f"{at:%Y-%m-%d %H:%M}" if row["batch_id"] and isinstance(at, datetime) else str(row["day"])


def _value(row: Mapping[str, object], factor: float) -> float | None:
    return None if row["figure"] is None else float(str(row["figure"])) * factor

"""What is kept of anomalies in the schema ``quality``: figures of each load, verdicts, and what people answered."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from data_platform.errors import ConfigurationError
from data_platform.warehouses import Warehouse
from data_platform.warehouses.journal import JournalTable, Row, Value, keep, read

METRICS = JournalTable(
    "metrics",
    {
        "table_name": "text", "column_name": "text", "metric": "text", "day": "text", "batch_id": "text",
        "figure": "double", "recorded_at": "timestamp",
    },
)  # fmt: skip
"""The figures of each load; ``day`` is the UTC day of the load."""
VERDICTS = JournalTable(
    "verdicts",
    {
        "id": "text", "table_name": "text", "series": "text", "day": "text", "status": "text", "observed": "double",
        "expected": "double", "lowest": "double", "highest": "double", "reason": "text", "judged_at": "timestamp",
    },
)  # fmt: skip
"""The newest verdict about each figure of each day that is still looked at, and every alarm."""
ANSWERS = JournalTable(
    "answers",
    {
        "id": "text", "table_name": "text", "series": "text", "day": "text", "answer": "text", "remark": "text",
        "answered_at": "timestamp",
    },
)  # fmt: skip
"""What people answered, in their order; the last answer to an alarm counts."""

Said = Literal["accepted", "incident"]


@dataclass(frozen=True, slots=True)
class Alarm:
    """A value that was not as expected. ``answer`` is empty until a person gives one."""

    id: str
    table: str
    series: str
    day: str
    reason: str
    judged_at: datetime | None
    answer: str = ""
    remark: str = ""


def id_of(table: str, series: str, day: str) -> str:
    """The same for the same value, whenever it is judged."""
    return hashlib.sha256("\x1f".join((table, series, day)).encode()).hexdigest()[:10]


def answers(warehouse: Warehouse, table: str | None = None) -> dict[str, Mapping[str, Value]]:
    """By alarm's id, the last answer."""
    rows = read(warehouse, ANSWERS, {"table_name": table} if table else None, order=["answered_at"])
    return {str(row["id"]): row for row in rows}


def alarms(warehouse: Warehouse) -> list[Alarm]:
    """Every alarm that is kept, the newest first."""
    said = answers(warehouse)
    rows = read(warehouse, VERDICTS, {"status": "alarm"}, order=["day", "table_name", "series"])
    return [_alarm(row, said.get(str(row["id"]))) for row in reversed(rows)]


def answer(warehouse: Warehouse, id_: str, said: Said, remark: str, now: datetime) -> Alarm:
    """Keep a person's answer to an alarm. ``ConfigurationError`` if there is no alarm of this id."""
    known = {one.id: one for one in alarms(warehouse)}
    found = [one for one in known.values() if one.id.startswith(id_)] if len(id_) >= 4 else []
    if len(found) != 1:
        shown = ", ".join(list(known)[:5]) or "none"
        raise ConfigurationError(
            f"There is no alarm {id_!r}{' alone' if found else ''}. `data-platform anomaly list` shows them; the newest: {shown}."
        )
    (one,) = found
    row: Row = {
        "id": one.id, "table_name": one.table, "series": one.series, "day": one.day, "answer": said,
        "remark": remark, "answered_at": now,
    }  # fmt: skip
    keep(warehouse, ANSWERS, [row])
    return _alarm({"reason": one.reason, "judged_at": one.judged_at, **row}, row)


def _alarm(row: Mapping[str, Value], said: Mapping[str, Value] | None) -> Alarm:
    judged = row["judged_at"]
    return Alarm(
        str(row["id"]),
        str(row["table_name"]),
        str(row["series"]),
        str(row["day"]),
        str(row["reason"]),
        judged if isinstance(judged, datetime) else None,
        str(said["answer"]) if said else "",
        str(said["remark"] or "") if said else "",
    )


def recorded(warehouse: Warehouse, table: str) -> Sequence[Mapping[str, Value]]:
    """The figures of the loads of ``table``, the oldest first."""
    return read(warehouse, METRICS, {"table_name": table}, order=["recorded_at"])

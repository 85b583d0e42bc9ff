"""The age of a raw table's newest row, according to one of its columns. One query; the caller gives the time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from data_platform.tables import TableId
from data_platform.warehouses import Warehouse
from data_platform.warehouses.dialect import relation


@dataclass(frozen=True, slots=True)
class Newest:
    """``newest`` is an ISO instant in UTC, None if the column holds no value; ``age_hours``
    is negative for a row with a future time."""

    column: str
    newest: str | None
    age_hours: float | None
    age_hours_max: float

    @property
    def passed(self) -> bool:
        return self.age_hours is not None and self.age_hours <= self.age_hours_max

    @property
    def text(self) -> str:
        if self.age_hours is None:
            return f"No row has a value in `{self.column}`, so its age is unknown."
        return (
            f"The newest `{self.column}` is {self.age_hours:.1f} hours old;"
            f" at most {self.age_hours_max:g} are allowed."
        )


def newest_data(
    warehouse: Warehouse, table: TableId, column: str, age_hours_max: float, now: datetime
) -> Newest:
    """The age of the newest ``column`` (a date or a time) of the raw table at ``now`` (with a zone).

    A date counts as the end of its day: data of today is not old."""
    dialect = warehouse.dialect
    micros = dialect.micros(f"max({dialect.quote(column)})")
    raw = relation(dialect, table.raw_schema, table.table)
    found = warehouse.query(f"SELECT {micros} FROM {raw}").rows[0][0]
    if found is None:
        return Newest(column, None, None, age_hours_max)
    newest = datetime.fromtimestamp(found / 1_000_000, tz=now.tzinfo)
    if _holds_days(warehouse, table, column):
        age_hours = max((now - newest - timedelta(days=1)).total_seconds() / 3600, 0.0)
    else:
        age_hours = (now - newest).total_seconds() / 3600
    return Newest(column, newest.isoformat(), age_hours, age_hours_max)


def _holds_days(warehouse: Warehouse, table: TableId, column: str) -> bool:
    described = warehouse.describe(table.raw_schema, table.table)
    return any(dict(one.columns).get(column, "").upper().endswith("DATE") for one in described)

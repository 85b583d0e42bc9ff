"""How old a raw table's newest row is, by a column of its own. One query; no clock of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from data_platform.tables import TableId
from data_platform.warehouses import Warehouse


@dataclass(frozen=True, slots=True)
class Newest:
    """``newest`` is an ISO instant in UTC, None where the column holds no value; ``age_hours``
    is negative for a row of the future."""

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
    name = '"' + column.replace('"', '""') + '"'
    raw = '"' + table.raw_schema.replace('"', '""') + '"."' + table.table.replace('"', '""') + '"'
    row = warehouse.query(
        f"SELECT typeof(any_value({name})), epoch_us(CAST(max({name}) AS TIMESTAMPTZ)) FROM {raw}"
    ).rows[0]
    if row[1] is None:
        return Newest(column, None, None, age_hours_max)
    newest = datetime.fromtimestamp(row[1] / 1_000_000, tz=now.tzinfo)
    counted = newest + timedelta(days=1) if row[0] == "DATE" else newest
    age_hours = (
        max((now - counted).total_seconds() / 3600, 0.0)
        if row[0] == "DATE"
        else (now - newest).total_seconds() / 3600
    )
    return Newest(column, newest.isoformat(), age_hours, age_hours_max)

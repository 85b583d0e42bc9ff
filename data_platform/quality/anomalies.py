"""The check that the newest figures of a table are as its own past lets expect: its block in the catalog.

``judged.py`` evaluates it. It needs numpy, so it is imported when it is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Literal

from pydantic import Field

from data_platform.quality.calendars import Place
from data_platform.quality.checking import CheckResult
from data_platform.tables import TableId
from data_platform.warehouses import Warehouse
from data_platform.yaml_fields import ColumnName, Model


class AnomaliesSettings(Model):
    """A check that the newest figures of a table are as its past lets expect."""

    by: ColumnName | None = Field(
        default=None,
        description="The time or date column that says to which UTC day a row belongs: each day is then judged. Default: the whole"
        " table is judged at each load.",
    )
    columns: tuple[ColumnName, ...] = Field(
        default=(),
        max_length=50,
        description="Columns whose share of NULLs, number of different values and, of numbers, sum and mean are judged"
        " too. The number of rows always is.",
    )
    holidays: Place | None = Field(
        default=None,
        description="Country, or country and region, whose public holidays are known to differ: GB, or DE-BY.",
    )
    settle_hours: float = Field(
        default=3, ge=0, le=24 * 14, description="How long after its end a day counts as complete. Default 3."
    )
    open_days: int = Field(
        default=7,
        ge=1,
        le=31,
        description="How many days an alarm stays open if nobody answers it and the data stays as it is. Default 7.",
    )


class Anomalies:
    """``quality.checking.CheckKind``."""

    name = "anomalies"
    model = AnomaliesSettings
    description = (
        "A check that rows, NULLs, different values, sums and means are as the table's past lets expect."
    )
    severity: Literal["error", "warn"] = "warn"
    why_clear = "its values are counted and summed"

    def columns(self, settings: AnomaliesSettings) -> Mapping[str, str]:
        named = {"by": settings.by} if settings.by is not None else {}
        return named | {f"columns.{number}": column for number, column in enumerate(settings.columns)}

    def times(self, settings: AnomaliesSettings) -> Collection[str]:
        return (settings.by,) if settings.by is not None else ()

    def says(self, settings: AnomaliesSettings, code: Callable[[str], str]) -> str:
        of = f", and the values of {', '.join(map(code, settings.columns))}," if settings.columns else ""
        when = f"each day of {code(settings.by)}" if settings.by is not None else "each load"
        return f"The rows of {when}{of} are as its past lets expect."

    def evaluate(
        self, warehouse: Warehouse, table: TableId, settings: AnomaliesSettings, now: datetime
    ) -> CheckResult:
        from data_platform.quality.judged import evaluate

        return evaluate(warehouse, table, settings, now)

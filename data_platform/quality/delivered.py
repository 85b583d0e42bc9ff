"""Whether every event that is known was delivered: of a table with a row for each time that an event was seen.

One query over the last days. A row without a time of delivery says that the event is known otherwise, from a list of its sender.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Literal

from pydantic import Field

from data_platform.quality.checking import CheckResult, Subject
from data_platform.warehouses import Warehouse
from data_platform.warehouses.dialect import relation
from data_platform.words import plural
from data_platform.yaml_fields import ColumnName, Model

SHOWN = 5
_DAY, _MINUTE = 86_400_000_000, 60_000_000


class DeliveredSettings(Model):
    """A check that each event that is known was delivered by its sender."""

    event: ColumnName = Field(description="The column that holds the event's id.")
    created: ColumnName = Field(description="The time column that says when the event happened.")
    received: ColumnName = Field(
        description="The time column that says when it was delivered; NULL in a row that only says that there is the event."
    )
    within_minutes: float = Field(
        default=60,
        gt=0,
        le=60 * 24 * 30,
        description="How long a delivery may take until it is missed. Default 60.",
    )
    days: float = Field(
        default=3, gt=0, le=366, description="How many days back events are looked at. Default 3."
    )


class Delivered:
    """``quality.checking.CheckKind``."""

    name = "delivered"
    model = DeliveredSettings
    description = "A check that every event that is known was delivered."
    severity: Literal["error", "warn"] = "warn"
    of_models = False
    why_clear = "its values are compared"

    def columns(self, settings: DeliveredSettings) -> Mapping[str, str]:
        return {"event": settings.event, "created": settings.created, "received": settings.received}

    def times(self, settings: DeliveredSettings) -> Collection[str]:
        return (settings.created, settings.received)

    def says(self, settings: DeliveredSettings, code: Callable[[str], str]) -> str:
        return (
            f"Each {code(settings.event)} of the last {settings.days:g} days was delivered within"
            f" {settings.within_minutes:g} minutes."
        )

    def evaluate(
        self, warehouse: Warehouse, subject: Subject, settings: DeliveredSettings, now: datetime
    ) -> CheckResult:
        dialect = warehouse.dialect
        event, received = dialect.quote(settings.event), dialect.quote(settings.received)
        created = dialect.micros(f"min({dialect.quote(settings.created)})")
        first = dialect.micros(f"min({received})")
        at = int(now.timestamp() * 1_000_000)
        seen = (
            f"SELECT {event} AS event, {created} AS created, count({received}) AS times,"
            f" {first} AS first"
            f" FROM {relation(dialect, subject.schema, subject.name)} GROUP BY {event}"
            f" HAVING {created} >= {at - int(settings.days * _DAY)}"
        )
        allowed = int(settings.within_minutes * _MINUTE)
        missing = f"times = 0 AND created < {at - allowed}"
        counts = warehouse.query(
            "SELECT count(*), coalesce(sum(CASE WHEN times > 0 THEN 1 ELSE 0 END), 0),"
            " coalesce(sum(CASE WHEN times > 1 THEN 1 ELSE 0 END), 0),"
            f" coalesce(sum(CASE WHEN first - created > {allowed} THEN 1 ELSE 0 END), 0),"
            f" coalesce(sum(CASE WHEN {missing} THEN 1 ELSE 0 END), 0) FROM ({seen}) AS seen"
        ).rows[0]
        events, delivered, again, late, missed = map(int, counts)
        facts = {
            "events": events,
            "delivered": delivered,
            "delivered_again": again,
            "delivered_late": late,
            "missed": missed,
        }
        if not missed:
            return CheckResult(
                True, f"{plural(events, 'event')} of the last {settings.days:g} days: none is missed.", facts
            )
        named = warehouse.query(
            f"SELECT event FROM ({seen}) AS seen WHERE {missing} ORDER BY created DESC, event LIMIT {SHOWN}"
        )
        newest = ", ".join(str(row[0]) for row in named.rows)
        return CheckResult(
            False,
            f"{missed:,} of {plural(events, 'event')} of the last {settings.days:g} days were not delivered.",
            {**facts, "newest_missed": newest},
        )

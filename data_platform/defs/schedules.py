"""Schedules: read changes often, compare everything with the source once a day."""

from __future__ import annotations

from typing import Any

import dagster as dg

from data_platform.catalog import Source
from data_platform.defs import names
from data_platform.defs.checks import check_keys


def schedules(source: Source, target: Any, *, running: bool) -> list[dg.ScheduleDefinition]:
    """``<source>_changes`` and ``<source>_reconcile``, if the catalog schedules them. ``target`` is the
    job of the source's tables."""
    times = {"changes": source.schedule, "reconcile": source.reconcile}
    return [_schedule(source, target, operation, cron, running) for operation, cron in times.items() if cron]


def _schedule(source: Source, target: Any, operation: str, cron: str, running: bool) -> dg.ScheduleDefinition:
    tables = list(source.tables.values())
    keys = [names.raw_key(table.id) for table in tables]
    measured = operation == "reconcile"

    @dg.schedule(
        name=f"{source.name}_{operation}",
        cron_schedule=cron,
        execution_timezone="UTC",
        target=target,
        default_status=dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED,
        description="Reads what changed, compares every day with the source and rereads what differs."
        if measured
        else "Reads what changed.",
    )
    def tick() -> dg.RunRequest:
        return dg.RunRequest(
            asset_selection=keys,
            asset_check_keys=check_keys(tables, completeness=measured),
            tags={names.SOURCE_TAG: source.name, "data_platform/operation": operation},
        )

    return tick

"""Schedules: read changes often, compare everything with the source once a day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg

from data_platform.catalog import Source, Table
from data_platform.defs import names
from data_platform.defs.checks import check_keys
from data_platform.defs.scheduled import status_of

RECONCILE = (
    "Reads changes, compares every day with the source and rereads the days that differ. If only a read of the"
    " whole table shows deletes, the whole table is read."
)


def schedules(source: Source, target: Any, *, running: bool) -> list[dg.ScheduleDefinition]:
    """``<source>_changes`` and ``<source>_reconcile``, if the catalog schedules them, and a schedule for each other cron
    line that tables of the source have. ``target`` is the job of the source's tables."""
    made = []
    by_line: dict[str, list[Table]] = {}
    for table in source.tables.values():
        if table.schedule:
            by_line.setdefault(" ".join(table.schedule.split()), []).append(table)
    usual = source.schedule and " ".join(source.schedule.split())
    for line, tables in by_line.items():
        name = names.changes_schedule(source.name, None if line == usual else line)
        made.append(_schedule(source, tables, name, target, "changes", line, running))
    if source.reconcile:
        tables = [table for table in source.tables.values() if table.proved or table.can.deletes == "refresh"]
        name = f"{source.name}_reconcile"
        made.append(_schedule(source, tables, name, target, "reconcile", source.reconcile, running))
    return made


def _schedule(
    source: Source,
    tables: Sequence[Table],
    name: str,
    target: Any,
    operation: str,
    cron: str,
    running: bool,
) -> dg.ScheduleDefinition:
    keys = [names.raw_key(table.id) for table in tables]
    measured = operation == "reconcile"
    # without a check `complete` for every table, the run's configuration asks for it
    told = measured and not all(table.proved for table in tables)
    config = {"ops": {names.sync_op(source.name): {"config": {"reconcile": True}}}} if told else {}

    @dg.schedule(
        name=name,
        cron_schedule=cron,
        execution_timezone="UTC",
        target=target,
        default_status=status_of(running),
        description=RECONCILE if measured else "Reads changes.",
    )
    def tick() -> dg.RunRequest:
        return dg.RunRequest(
            asset_selection=keys,
            asset_check_keys=check_keys(tables, completeness=measured),
            run_config=config,
            tags={names.SOURCE_TAG: source.name, "data_platform/operation": operation},
        )

    return tick

"""A schedule that starts some assets or checks, by a cron line in UTC."""

from __future__ import annotations

import dagster as dg


def scheduled(
    name: str, target: dg.AssetSelection, cron: str, description: str, *, running: bool
) -> dg.ScheduleDefinition:
    """``running``: whether it is on where nobody has switched it."""
    return dg.ScheduleDefinition(
        name=name,
        target=target,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED,
        description=description,
    )

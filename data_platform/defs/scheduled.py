"""Schedules by a cron line in UTC: those that start some assets or checks, and those that start a job for the partition of the time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def scheduled(
    name: str, target: dg.AssetSelection, cron: str, description: str, *, running: bool
) -> dg.ScheduleDefinition:
    """``running``: whether it is on where nobody has switched it."""
    return dg.ScheduleDefinition(
        name=name,
        target=target,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=status_of(running),
        description=description,
    )


def by_partition(
    name: str,
    job: UnresolvedAssetJobDefinition,
    cron: str,
    key: Callable[[datetime], str],
    description: str,
    *,
    running: bool,
) -> dg.ScheduleDefinition:
    """``key`` gives the partition of a time, which is in UTC."""

    def request(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(partition_key=key(context.scheduled_execution_time.astimezone(UTC)))

    return dg.ScheduleDefinition(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        execution_fn=request,
        default_status=status_of(running),
        description=description,
    )


def status_of(running: bool) -> dg.DefaultScheduleStatus:
    """Of a schedule that nobody has switched."""
    return dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED

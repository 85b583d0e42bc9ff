"""Sensors and parts of the daemon that have stopped without an error: nothing else would report them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorType

from data_platform.alerts.problem import Problem
from data_platform.defs import links

DAEMON_SILENT_AFTER = timedelta(minutes=10)
"""Each part reports every 30 s, or later while it waits for a slow source."""
SENSOR_SILENT_AFTER = timedelta(minutes=15)
INTERVALS_MISSED = 10
ASLEEP_AFTER = timedelta(minutes=5)


@dataclass
class Awake:
    """Since when the asking sensor has been ticking without a pause. After a pause of the machine, or of the daemon as a
    whole, the others get their time before they count as silent."""

    began: datetime | None = None
    last: datetime | None = None

    def since(self, now: datetime) -> datetime:
        if self.began is None or self.last is None or now - self.last > ASLEEP_AFTER:
            self.began = now
        self.last = now
        return self.began


def silent_daemons(instance: dg.DagsterInstance, began: datetime, now: datetime) -> Iterator[Problem]:
    """The parts of the daemon that were alive once and have not been for minutes, though this sensor was asked to tick."""
    for name, status in instance.get_daemon_statuses().items():
        if not status.required or status.last_heartbeat is None:
            continue
        last = datetime.fromtimestamp(status.last_heartbeat.timestamp, tz=UTC)
        if now - max(last, began) > DAEMON_SILENT_AFTER:
            yield Problem(
                kind="daemon",
                object=f"{name.lower()} daemon",
                where="the daemon",
                summary="This part of the daemon gives no sign of life, though others do. Restart the daemon; its log says why.",
                numbers={},
                since=last,
                link="/deployment/daemons",
            )


def silent_sensors(
    instance: dg.DagsterInstance, intervals: Mapping[str, int], own: str, began: datetime, now: datetime
) -> Iterator[Problem]:
    """Running sensors that have not ticked for far longer than their interval (``intervals``, in seconds by name)."""
    for state in instance.all_instigator_state(instigator_type=InstigatorType.SENSOR):
        if not state.is_running or state.name == own or state.name not in intervals:
            continue
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        if not ticks:
            continue
        last = datetime.fromtimestamp(ticks[0].timestamp, tz=UTC)
        limit = max(SENSOR_SILENT_AFTER, timedelta(seconds=INTERVALS_MISSED * intervals[state.name]))
        if now - max(last, began) > limit:
            yield Problem(
                kind="sensor",
                object=state.name,
                where=state.name,
                summary="It is switched on and has not ticked: see its ticks in the UI, and the daemon's log.",
                numbers={"its interval in seconds": intervals[state.name]},
                since=last,
                link=links.instigator(state),
            )

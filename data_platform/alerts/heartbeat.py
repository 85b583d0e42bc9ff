"""A sign of life to a service that alarms when it stays away (a dead man's switch): it reports what cannot report itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import Field

from data_platform.alerts.problem import Problem
from data_platform.errors import AlertError
from data_platform.yaml_fields import VARIABLE, Model

ANSWER_SECONDS = 3.0
EARLY = timedelta(seconds=15)
"""Ticks come every half a minute: one a little early keeps the interval."""


class HeartbeatConfig(Model):
    """Where the sign of life goes, and how often."""

    url_env: str = Field(
        default="ALERTS_HEARTBEAT_URL",
        pattern=VARIABLE,
        description="Environment variable that holds the URL, a secret, which is asked for (GET). If it is not set, nothing is"
        " sent.",
    )
    every_minutes: int = Field(
        default=5, ge=1, le=1440, description="Minutes from one sign of life to the next. Default: 5."
    )


@dataclass
class Heart:
    """The beats of one process. ``problem`` is why the last one did not get through."""

    last: datetime | None = None
    problem: Problem | None = None

    def beat(self, config: HeartbeatConfig, environ: Mapping[str, str], now: datetime) -> bool:
        """Send a sign of life if it is time; whether one was sent."""
        from data_platform.alerts.delivery import Delivery

        url = environ.get(config.url_env, "").strip()
        if not url:
            self.problem = None
            return False
        if self.last is not None and now - self.last < timedelta(minutes=config.every_minutes) - EARLY:
            return False
        delivery = Delivery(
            url,
            "the service that waits for the heartbeat",
            config.url_env,
            "Check the URL in the service.",
            connect_seconds=ANSWER_SECONDS,
            answer_seconds=ANSWER_SECONDS,
            attempts=1,
        )
        try:
            delivery.get()
        except AlertError as error:
            since = self.problem.since if self.problem is not None else now
            self.problem = Problem(
                "heartbeat", config.url_env, "alerts", str(error), {}, since, "/deployment/daemons"
            )
            return False
        self.last, self.problem = now, None
        return True

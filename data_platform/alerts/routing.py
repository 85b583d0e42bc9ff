"""Which channels report a problem: the blocks ``routes`` and ``escalate`` of the catalog, and what follows from them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, field_validator

from data_platform.alerts.incidents import Incident
from data_platform.alerts.problem import Kind, Problem, Severity
from data_platform.yaml_fields import Frozen, Model

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
REFUSALS_TO_FALLBACK = 3
"""A channel that failed so often in a row for an incident leaves it to the fallback, too. A refusal counts as all of them."""


def _a_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is not a time zone; write one such as Europe/Berlin")
    return name


class Escalation(Model):
    """Whom an incident is reported to as well if it is still open after some time."""

    after_minutes: int = Field(ge=1, description="Minutes from when the incident was routed.")
    to: tuple[str, ...] = Field(min_length=1, description="The channels that report it then, by name.")


class Route(Model):
    """Which problems go to which channels. A condition that is not written always holds."""

    to: tuple[str, ...] = Field(
        description="The channels, by name. An empty list: none while the route holds."
    )
    kinds: tuple[Kind, ...] = Field(default=(), description="Kinds of problem, such as `run` or `freshness`.")
    severity: Severity | None = Field(default=None, description="`error` or `warn`.")
    owners: tuple[str, ...] = Field(default=(), description="Owners of the asset, as the catalog names them.")
    tags: Annotated[Mapping[str, str], Frozen] = Field(
        default_factory=dict, description="Tags that the asset has, all of them."
    )
    objects: tuple[str, ...] = Field(
        default=(),
        description="Patterns of the object's name, such as `marts/*` or `*null_rate*`; one of them must match.",
    )
    hours: str | None = Field(
        default=None,
        pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$",
        description="Time of day, such as `08:00-18:00`; `22:00-06:00` goes over midnight. The end is not part of it.",
    )
    days: tuple[Day, ...] = Field(
        default=(),
        description="Days of the week, such as `[mon, tue]`. Hours over midnight belong to the day they begin on.",
    )
    timezone: Annotated[str, AfterValidator(_a_zone)] = Field(
        default="UTC", description="Time zone of `hours` and `days`, such as `Europe/Berlin`."
    )
    escalate: tuple[Escalation, ...] = Field(
        default=(), description="To whom it goes as well if it is still open after some minutes."
    )
    go_on: bool = Field(
        default=False,
        alias="continue",
        description="Whether the routes below are looked at as well. Otherwise the first route that holds is the only one.",
    )

    @field_validator("escalate", mode="before")
    @classmethod
    def _one_or_more(cls, raw: Any) -> Any:
        return [raw] if isinstance(raw, dict) else raw

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.to, *(name for step in self.escalate for name in step.to))

    def takes(self, problem: Problem, at: datetime) -> bool:
        """Whether ``problem``, routed at the instant ``at``, goes this way."""
        return (
            (not self.kinds or problem.kind in self.kinds)
            and self.severity in (None, problem.severity)
            and (not self.owners or problem.owner in self.owners)
            and all(problem.tags.get(name) == value for name, value in self.tags.items())
            and (not self.objects or any(fnmatchcase(problem.object, one) for one in self.objects))
            and self._at(at)
        )

    def _at(self, at: datetime) -> bool:
        here = at.astimezone(ZoneInfo(self.timezone))
        day = here
        if self.hours is not None:
            begin, end = map(time.fromisoformat, self.hours.split("-"))
            now = here.time()
            if begin < end and not begin <= now < end:
                return False
            if begin >= end and end <= now < begin:
                return False
            if begin >= end and now < end:
                day = here - timedelta(days=1)
        return not self.days or DAYS[day.weekday()] in self.days


@dataclass(frozen=True)
class Routing:
    """``routes`` with what is there to send. ``instead`` gives, for a channel whose variables are not set, the channels
    that report in its place. ``fallback`` takes what a channel refuses. ``everything`` is where no routes are written."""

    routes: Sequence[Route]
    everything: tuple[str, ...] = ()
    fallback: tuple[str, ...] = ()
    instead: Mapping[str, tuple[str, ...]] | None = None

    def routed(self, incident: Incident, now: datetime) -> Incident:
        """``incident`` with its route; one that no route takes at present is looked at again next time."""
        if incident.routed_at is None and self.opening(incident.problem, now):
            return replace(incident, routed_at=now)
        return incident

    def opening(self, problem: Problem, at: datetime) -> tuple[str, ...]:
        """The channels that report ``problem`` when it opens."""
        if not self.routes:
            return self._present(self.everything)
        return self._present(name for route in self._ways(problem, at) for name in route.to)

    def steps(self, incident: Incident, now: datetime) -> dict[str, int]:
        """The channels that report ``incident`` now, each with how often it was escalated to anybody."""
        at = incident.routed_at
        if at is None:
            return {}
        found = dict.fromkeys(self.opening(incident.problem, at), 0)
        due = sorted(
            (step for route in self._ways(incident.problem, at) for step in route.escalate
             if now - at >= timedelta(minutes=step.after_minutes)),
            key=lambda step: step.after_minutes,
        )  # fmt: skip
        for number, step in enumerate(due, 1):
            found |= dict.fromkeys([*found, *self._present(step.to)], number)
        level = len(due)
        found |= {name: level for name, heard in incident.channels.items() if heard.state == "open"}
        failing = [name for name in found if incident.heard(name).failures >= REFUSALS_TO_FALLBACK]
        if failing:
            found |= dict.fromkeys(
                (name for name in self._present(self.fallback) if name not in found), level
            )
        return found

    def _ways(self, problem: Problem, at: datetime) -> list[Route]:
        found: list[Route] = []
        for route in self.routes:
            if route.takes(problem, at):
                found.append(route)
                if not route.go_on:
                    break
        return found

    def instead_of(self, name: str) -> tuple[str, ...]:
        """The channels that report in the place of ``name``; itself if it can."""
        return self._present([name])

    def _present(self, names: Iterable[str]) -> tuple[str, ...]:
        instead = self.instead or {}
        return tuple(dict.fromkeys(one for name in names for one in instead.get(name, (name,))))

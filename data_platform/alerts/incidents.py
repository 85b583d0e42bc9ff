"""Decides which incidents are open, from those of the last time and the problems of now. Pure.

Nothing here sends, reads a clock or knows where problems come from, or which channels there are. Each incident keeps what
every channel has reported of it (``Heard``). What a channel has yet to report follows from that (``outbox.py``), so that
nothing is lost and nothing is said twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from data_platform.alerts.problem import Healing, Problem, clipped

INCIDENTS_MAX = 2_000
"""Further problems are counted, not listed."""
OVERFLOW_KIND = "alerts"
GRACE = timedelta(minutes=30)
"""What failed because of something else gets so long to recover after it, before it is reported by itself."""
RECOVERED_KEPT = timedelta(days=7)
"""A channel that cannot be reached for so long does not learn of a recovery any more."""

State = Literal["", "open", "over"]


@dataclass(frozen=True, slots=True)
class Heard:
    """What one channel has reported of an incident.

    ``thread`` is the conversation that the incident belongs to, given before the first message is sent; ``reference`` is
    what the channel calls it. ``step`` is how often it was escalated there, ``quiet`` the snooze that was reported, and
    ``amount`` how much there was of it at that time.
    ``failures`` counts attempts in a row that did not get through.
    """

    state: State = ""
    thread: str = ""
    reference: str = ""
    step: int = 0
    quiet: str = ""
    amount: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Incident:
    """A problem from when it is first seen until every channel has reported its end.

    ``problem`` is its newest state, with the oldest ``since``. ``routed_at`` is when it was given its route. It is held
    back until ``held_until``. A person may have snoozed it until ``snoozed_until`` or taken it for resolved (``by`` whom):
    then it stays silent until the problem has gone once.
    """

    key: str
    problem: Problem
    opened_at: datetime
    routed_at: datetime | None = None
    recovered_at: datetime | None = None
    held_until: datetime | None = None
    snoozed_until: datetime | None = None
    resolved: bool = False
    by: str = ""
    channels: Mapping[str, Heard] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        return self.recovered_at is None and not self.resolved

    def heard(self, channel: str) -> Heard:
        return self.channels.get(channel, UNHEARD)

    def with_heard(self, channel: str, heard: Heard) -> Incident:
        return replace(self, channels={**self.channels, channel: heard})

    @property
    def told(self) -> bool:
        """Whether some channel has reported it as open."""
        return any(heard.state == "open" for heard in self.channels.values())


UNHEARD = Heard()


def decide(
    open_: Mapping[str, Incident],
    problems: Iterable[Problem],
    now: datetime,
    unknown_kinds: Collection[str] = (),
    healed: Mapping[str, Healing] | None = None,
) -> dict[str, Incident]:
    """The incidents of ``now``, given those before and the problems. ``healed`` says, by key, what ended a problem, if
    that is known; otherwise it ended at ``now``.

    A kind in ``unknown_kinds`` could not be checked: its incidents stay unchanged, since not knowing is not a recovery. A
    problem that comes back before its recovery could be reported continues its incident.
    """
    found: dict[str, Problem] = {}
    for problem in problems:
        found.setdefault(problem.key, problem)

    incidents: dict[str, Incident] = {}
    ended: set[str] = set()
    for key, incident in open_.items():
        if key in found:
            incidents[key] = _going_on(incident, found[key], now)
        elif incident.problem.kind in unknown_kinds or incident.problem.kind == OVERFLOW_KIND:
            incidents[key] = _woken(incident, now)
        else:
            incidents[key] = _recovered(incident, (healed or {}).get(key), now)
            ended |= {key} if incident.recovered_at is None else set()
    for key, incident in incidents.items():
        if incident.open and not incident.told and not ended.isdisjoint(open_[key].problem.causes):
            incidents[key] = replace(incident, held_until=now + GRACE)

    fresh = sorted(
        (problem for key, problem in found.items() if key not in open_), key=lambda p: (p.since, p.key)
    )
    listed = sum(incident.problem.kind != OVERFLOW_KIND for incident in incidents.values())
    room = max(0, INCIDENTS_MAX - listed)
    for problem in fresh[:room]:
        incidents[problem.key] = Incident(problem.key, clipped(problem), now)
    _count_overflow(incidents, fresh[room:], now)
    return incidents


def snoozed(incident: Incident, until: datetime, by: str) -> Incident:
    return replace(incident, snoozed_until=until, by=by)


def resolved(incident: Incident, by: str) -> Incident:
    return replace(incident, resolved=True, snoozed_until=None, by=by)


def _going_on(incident: Incident, problem: Problem, now: datetime) -> Incident:
    if incident.resolved and incident.recovered_at is not None:  # it had gone: this is another one
        incident = replace(incident, resolved=False, by="", opened_at=now)
    return _woken(replace(incident, problem=_continued(incident.problem, problem), recovered_at=None), now)


def _woken(incident: Incident, now: datetime) -> Incident:
    over = incident.snoozed_until is not None and incident.snoozed_until <= now
    return replace(incident, snoozed_until=None, by="") if over else incident


def _continued(before: Problem, now: Problem) -> Problem:
    return clipped(replace(now, since=min(before.since, now.since)))


def _recovered(incident: Incident, healing: Healing | None, now: datetime) -> Incident:
    if incident.recovered_at is not None:
        return incident
    incident = replace(incident, snoozed_until=None)
    problem = incident.problem
    if healing is None or healing.at < problem.since:  # it ended an earlier problem
        return replace(incident, recovered_at=now)
    return replace(incident, recovered_at=healing.at, problem=clipped(replace(problem, link=healing.link)))


def _count_overflow(incidents: dict[str, Incident], beyond: Sequence[Problem], now: datetime) -> None:
    """Update the one incident that represents all unlisted problems."""
    problem = Problem(
        kind=OVERFLOW_KIND,
        object="more problems than are listed",
        where="alerts",
        summary=f"At most {INCIDENTS_MAX:,} problems are reported one by one; open the UI to see the others.",
        numbers={"not listed": len(beyond)},
        since=min((p.since for p in beyond), default=now),
    )
    current = incidents.get(problem.key)
    if beyond and current:
        incidents[problem.key] = _going_on(current, problem, now)
    elif beyond:
        incidents[problem.key] = Incident(problem.key, problem, now)
    elif current:
        incidents[problem.key] = replace(current, recovered_at=current.recovered_at or now)

"""Decides which problems to report, each once, from the open incidents and the current problems. Pure.

Nothing here sends, reads a clock or knows where problems come from. The state is
a mapping of open incidents, kept as a small JSON text (a sensor's cursor).

An incident is reported once when it opens and once when it recovers. A message that
could not be delivered stays pending, so the next decision returns it again.
``delivered`` marks it as sent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

Number = int | float | str
"""A count, a share, or a short text such as an instant; never a value of a row."""

INCIDENTS_MAX = 100
"""With the limits below, the cursor stays under 256 KiB. Further problems are counted, not listed."""
OBJECT_CHARACTERS = 160
WHERE_CHARACTERS = 160
SUMMARY_CHARACTERS = 300
LINK_CHARACTERS = 300
NUMBERS_MAX = 8
NUMBER_NAME_CHARACTERS = 40
NUMBER_CHARACTERS = 60
OVERFLOW_KIND = "alerts"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong now.

    ``kind`` (check, run, freshness, sensor, schedule, ...) and ``object`` identify it:
    the same pair at a later time is the same incident. ``where`` is text for people, ``link``
    is a path in the UI. ``since`` has a time zone.
    """

    kind: str
    object: str
    where: str
    summary: str
    numbers: Mapping[str, Number]
    since: datetime
    link: str = "/"

    @property
    def key(self) -> str:
        return incident_key(self.kind, self.object)


def incident_key(kind: str, name: str) -> str:
    """The key of an incident: the kind of the problem and its object."""
    if len(name) > OBJECT_CHARACTERS:
        name = f"{name[:OBJECT_CHARACTERS]}#{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return f"{kind}:{name}"


@dataclass(frozen=True, slots=True)
class Healing:
    """What ended a problem: when, and the path in the UI that shows it."""

    at: datetime
    link: str


@dataclass(frozen=True, slots=True)
class Incident:
    """A problem from when it is first seen until its recovery is reported.

    ``problem`` is its newest state, with the oldest ``since``. ``announced``: every channel has reported it. Where only
    some have, ``heard`` names them, and ``relieved`` those that have reported its recovery.
    """

    key: str
    problem: Problem
    announced: bool = False
    recovered_at: datetime | None = None
    heard: tuple[str, ...] = ()
    relieved: tuple[str, ...] = ()

    def pending(self, channel: str) -> Message | None:
        """What ``channel`` has yet to report of it."""
        knows = channel not in self.relieved and (self.announced or channel in self.heard)
        if self.recovered_at is None:
            return None if knows else Opened(self.key, self.problem)
        if channel in self.relieved:
            return None
        return Recovered(self.key, self.problem, self.recovered_at, knows)


@dataclass(frozen=True, slots=True)
class Opened:
    key: str
    problem: Problem


@dataclass(frozen=True, slots=True)
class Recovered:
    """``announced`` is False if the problem could not be reported while it lasted."""

    key: str
    problem: Problem
    at: datetime
    announced: bool


Message = Opened | Recovered


@dataclass(frozen=True, slots=True)
class Decision:
    """``messages`` are to be sent by a channel that has not reported any of them; ``open`` already holds their
    incidents as pending. ``pending`` gives those of one channel."""

    open: Mapping[str, Incident]
    messages: tuple[Message, ...] = field(default=())


def decide(
    open_: Mapping[str, Incident],
    problems: Iterable[Problem],
    now: datetime,
    unknown_kinds: Collection[str] = (),
    healed: Mapping[str, Healing] | None = None,
) -> Decision:
    """What to report, given the open incidents and the problems at ``now``. ``healed`` says, by key, what
    ended a problem, if that is known; otherwise it ended at ``now``.

    A kind in ``unknown_kinds`` could not be checked: its incidents stay unchanged, since
    not knowing is not a recovery. A problem that comes back before its recovery could be
    reported continues its incident.
    """
    found: dict[str, Problem] = {}
    for problem in problems:
        found.setdefault(problem.key, problem)

    incidents: dict[str, Incident] = {}
    for key, incident in open_.items():
        if key in found:
            incidents[key] = replace(
                incident, problem=_continued(incident.problem, found[key]), recovered_at=None
            )
        elif incident.problem.kind in unknown_kinds or incident.problem.kind == OVERFLOW_KIND:
            incidents[key] = incident
        else:
            incidents[key] = _recovered(incident, (healed or {}).get(key), now)

    fresh = sorted(
        (problem for key, problem in found.items() if key not in open_), key=lambda p: (p.since, p.key)
    )
    listed = sum(incident.problem.kind != OVERFLOW_KIND for incident in incidents.values())
    room = max(0, INCIDENTS_MAX - listed)
    for problem in fresh[:room]:
        incidents[problem.key] = Incident(problem.key, clipped(problem))
    _count_overflow(incidents, fresh[room:], now)
    return Decision(incidents, tuple(pending(incidents, "")))


def pending(open_: Mapping[str, Incident], channel: str) -> list[Message]:
    """What ``channel`` has yet to report."""
    return [message for incident in open_.values() if (message := incident.pending(channel))]


def delivered(
    open_: Mapping[str, Incident], keys: Collection[str], channel: str = "", channels: Collection[str] = ("",)
) -> dict[str, Incident]:
    """``open_`` after ``channel``, one of ``channels``, delivered its pending messages of ``keys``. An incident whose
    recovery every channel has reported is gone."""
    left: dict[str, Incident] = {}
    for key, incident in open_.items():
        if key in keys:
            incident = _reported(incident, channel)
        done = _settled(incident, channels)
        if done is not None:
            left[key] = done
    return left


def _reported(incident: Incident, channel: str) -> Incident:
    if incident.recovered_at is not None:
        return replace(incident, relieved=(*incident.relieved, channel))
    relieved = tuple(name for name in incident.relieved if name != channel)
    heard = incident.heard if incident.announced else (*incident.heard, channel)
    return replace(incident, heard=heard, relieved=relieved)


def _settled(incident: Incident, channels: Collection[str]) -> Incident | None:
    """What is kept of ``incident``: names of channels only while some of them lag behind."""
    if all(incident.pending(channel) is None for channel in channels):
        if incident.recovered_at is not None:
            return None
        return replace(incident, announced=True, heard=(), relieved=())
    return incident


def to_cursor(open_: Mapping[str, Incident]) -> str:
    """The open incidents as JSON, at most about 256 KiB."""
    return json.dumps(
        {"format": FORMAT, "incidents": [_to_json(incident) for incident in open_.values()]},
        ensure_ascii=False,
        separators=(",", ":"),
    )


def from_cursor(text: str | None) -> dict[str, Incident]:
    """The incidents that ``to_cursor`` wrote. A cursor that is missing or unreadable counts as empty: every
    problem is then reported again, which is better than never."""
    if not text:
        return {}
    try:
        raw = json.loads(text)
        if raw["format"] != FORMAT:
            return {}
        incidents = [_from_json(item) for item in raw["incidents"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {incident.key: incident for incident in incidents}


def clipped(problem: Problem) -> Problem:
    """``problem`` shortened to the sizes that bound a cursor and a message."""
    numbers = {
        clip(name, NUMBER_NAME_CHARACTERS): clip(value, NUMBER_CHARACTERS)
        if isinstance(value, str)
        else value
        for name, value in list(problem.numbers.items())[:NUMBERS_MAX]
    }
    return replace(
        problem,
        object=clip(problem.object, OBJECT_CHARACTERS),
        where=clip(problem.where, WHERE_CHARACTERS),
        summary=clip(problem.summary, SUMMARY_CHARACTERS),
        numbers=numbers,
        link=problem.link if len(problem.link) <= LINK_CHARACTERS else "/",
    )


def clip(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"


def _continued(before: Problem, now: Problem) -> Problem:
    return clipped(replace(now, since=min(before.since, now.since)))


def _recovered(incident: Incident, healing: Healing | None, now: datetime) -> Incident:
    if incident.recovered_at is not None:
        return incident
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
        summary=f"At most {INCIDENTS_MAX} problems are reported one by one; open the UI to see the others.",
        numbers={"not listed": len(beyond)},
        since=min((p.since for p in beyond), default=now),
    )
    standing = incidents.get(problem.key)
    if beyond and standing:
        incidents[problem.key] = replace(
            standing, problem=_continued(standing.problem, problem), recovered_at=None
        )
    elif beyond:
        incidents[problem.key] = Incident(problem.key, problem)
    elif standing:
        incidents[problem.key] = replace(standing, recovered_at=standing.recovered_at or now)


def _to_json(incident: Incident) -> dict[str, Any]:
    problem = incident.problem
    return {
        "key": incident.key,
        "kind": problem.kind,
        "object": problem.object,
        "where": problem.where,
        "summary": problem.summary,
        "numbers": dict(problem.numbers),
        "since": problem.since.isoformat(),
        "link": problem.link,
        "announced": incident.announced,
        "recovered_at": incident.recovered_at and incident.recovered_at.isoformat(),
        **({"heard": list(incident.heard)} if incident.heard else {}),
        **({"relieved": list(incident.relieved)} if incident.relieved else {}),
    }


def _from_json(raw: Mapping[str, Any]) -> Incident:
    return Incident(
        key=raw["key"],
        problem=Problem(
            kind=raw["kind"],
            object=raw["object"],
            where=raw["where"],
            summary=raw["summary"],
            numbers=dict(raw["numbers"]),
            since=datetime.fromisoformat(raw["since"]),
            link=raw["link"],
        ),
        announced=raw["announced"],
        recovered_at=datetime.fromisoformat(raw["recovered_at"]) if raw["recovered_at"] else None,
        heard=tuple(raw.get("heard", ())),
        relieved=tuple(raw.get("relieved", ())),
    )

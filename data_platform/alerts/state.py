"""The open incidents as text: as the book keeps them, as a sensor's cursor keeps its copy, and as earlier versions wrote them. Pure."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from data_platform.alerts.incidents import Heard, Incident
from data_platform.alerts.problem import Problem

FORMAT = 2
CURSOR_BYTES_MAX = 256 * 1024
_PACKED = "z2:"


@dataclass(frozen=True, slots=True)
class Claim:
    """Who sends at present, until when at most."""

    by: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Before:
    """The channels that had reported an incident, None for all that there were, and those that had reported its end."""

    heard: tuple[str, ...] | None
    relieved: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BookState:
    """``number`` is the one under which the book keeps it; 0 before the first. ``ahead``: the book does not have it yet.
    ``before`` is what a cursor of an earlier version says of its incidents."""

    incidents: Mapping[str, Incident] = field(default_factory=dict)
    number: int = 0
    claim: Claim | None = None
    ahead: bool = False
    before: Mapping[str, Before] = field(default_factory=dict)


def to_text(state: BookState) -> str:
    claim = state.claim
    return json.dumps(
        {
            "format": FORMAT,
            "number": state.number,
            **({"ahead": True} if state.ahead else {}),
            **({"claim": {"by": claim.by, "until": claim.until.isoformat()}} if claim else {}),
            "incidents": [_incident_to_json(incident) for incident in state.incidents.values()],
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )


def from_text(text: str) -> BookState | None:
    """The state that ``to_text`` wrote, or an earlier version; None if it is neither."""
    try:
        raw = json.loads(text)
        if raw["format"] == 1:
            return _from_format_1(raw)
        if raw["format"] != FORMAT:
            return None
        claim = raw.get("claim")
        incidents = [_incident_from_json(item) for item in raw["incidents"]]
        return BookState(
            {incident.key: incident for incident in incidents},
            int(raw["number"]),
            Claim(claim["by"], datetime.fromisoformat(claim["until"])) if claim else None,
            bool(raw.get("ahead")),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def to_cursor(state: BookState) -> str:
    """The copy in a sensor's cursor, at most 256 KiB: of many incidents it is compressed, then without what only makes a
    message, and at last without the newest of them."""
    state = replace(state, claim=None)
    for shortened in (_as_it_is, _bare):
        short = shortened(state)
        text = to_text(short)
        if len(text) > 20_000:
            text = _PACKED + base64.b85encode(zlib.compress(text.encode(), 6)).decode()
        if len(text.encode()) <= CURSOR_BYTES_MAX:
            return text
    kept = sorted(short.incidents.items(), key=lambda item: (not item[1].told, item[1].opened_at))
    room = len(kept) * CURSOR_BYTES_MAX * 9 // (len(text) * 10)
    return to_cursor(replace(short, incidents=dict(kept[:room])))


def from_cursor(text: str | None) -> BookState:
    """The state that ``to_cursor`` wrote. A cursor that is missing or unreadable counts as empty: every problem is then
    reported again, which is better than never."""
    if text and text.startswith(_PACKED):
        try:
            text = zlib.decompress(base64.b85decode(text.removeprefix(_PACKED))).decode()
        except (ValueError, zlib.error):
            text = None
    return (from_text(text) if text else None) or BookState()


def caught_up(
    state: BookState,
    found: Mapping[str, Problem],
    names: Mapping[str, str],
    opening: Callable[[Problem], Collection[str]],
    now: datetime,
) -> BookState:
    """A state of an earlier version in the terms of this one, so that nothing open is reported again. ``names`` gives the
    name of today for each channel of then, ``opening`` the channels to which a problem goes today. What is of another kind
    now goes on under its new key, if ``found`` has it."""
    if not state.before:
        return state
    renamed = {problem.object: key for key, problem in found.items()}
    incidents: dict[str, Incident] = {}
    for key, incident in state.incidents.items():
        if key in state.before:
            incident = replace(
                incident, channels=_heard_before(state.before[key], incident, names, opening), routed_at=now
            )
            new = renamed.get(incident.problem.object)
            if key not in found and new is not None and new not in state.incidents:
                key, incident = new, replace(incident, key=new, problem=found[new])
        incidents[key] = incident
    return replace(state, incidents=incidents, before={})


def _heard_before(
    before: Before,
    incident: Incident,
    names: Mapping[str, str],
    opening: Callable[[Problem], Collection[str]],
) -> dict[str, Heard]:
    thread = hashlib.sha256(f"before {incident.key}".encode()).hexdigest()[:20]
    targets = opening(incident.problem)
    if before.heard is None:
        knowing = {*targets, *names.values()}
    else:
        knowing = {names[name] for name in before.heard if name in names}
    relieved = {names[name] for name in before.relieved if name in names}
    found = dict.fromkeys(targets, Heard("", thread)) if incident.recovered_at else {}
    found |= dict.fromkeys(sorted(knowing), Heard("open", thread))
    return found | dict.fromkeys(sorted(relieved), Heard("over", thread))


def merged(mine: BookState, theirs: BookState) -> BookState:
    """``mine``, which went on while the book could not be reached, with what people decided in ``theirs`` meanwhile."""
    incidents = dict(mine.incidents)
    for key, other in theirs.incidents.items():
        own = incidents.get(key)
        if own is not None and (other.snoozed_until, other.resolved) != (own.snoozed_until, own.resolved):
            incidents[key] = replace(
                own, snoozed_until=other.snoozed_until, resolved=other.resolved, by=other.by
            )
    return replace(mine, incidents=incidents, number=theirs.number)


def _as_it_is(state: BookState) -> BookState:
    return state


def _bare(state: BookState) -> BookState:
    bare: dict[str, Incident] = {}
    for key, one in state.incidents.items():
        problem = replace(one.problem, where="", summary="", numbers={}, tags={}, link="/")
        bare[key] = replace(one, problem=problem)
    return replace(state, incidents=bare)


def _incident_to_json(incident: Incident) -> dict[str, Any]:
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
        **({"severity": problem.severity} if problem.severity != "error" else {}),
        **({"owner": problem.owner} if problem.owner else {}),
        **({"tags": dict(problem.tags)} if problem.tags else {}),
        **({"causes": list(problem.causes)} if problem.causes else {}),
        **({"amount": problem.amount} if problem.amount else {}),
        **({"once": True} if problem.once else {}),
        "opened_at": incident.opened_at.isoformat(),
        **{name: at.isoformat() for name in _INSTANTS if (at := getattr(incident, name)) is not None},
        **({"resolved": True} if incident.resolved else {}),
        **({"by": incident.by} if incident.by else {}),
        "channels": {name: _heard_to_json(heard) for name, heard in incident.channels.items()},
    }


_INSTANTS = ("routed_at", "recovered_at", "held_until", "snoozed_until")
_HEARD = Heard()


def _heard_to_json(heard: Heard) -> dict[str, Any]:
    return {
        name: value
        for name in ("state", "thread", "reference", "step", "quiet", "amount", "failures")
        if (value := getattr(heard, name)) != getattr(_HEARD, name)
    }


def _incident_from_json(raw: Mapping[str, Any]) -> Incident:
    instants = {name: datetime.fromisoformat(raw[name]) for name in _INSTANTS if raw.get(name)}
    return Incident(
        key=raw["key"],
        problem=_problem_from_json(raw),
        opened_at=datetime.fromisoformat(raw["opened_at"]),
        resolved=bool(raw.get("resolved", False)),
        by=raw.get("by", ""),
        channels={name: Heard(**heard) for name, heard in raw["channels"].items()},
        **instants,
    )


def _problem_from_json(raw: Mapping[str, Any]) -> Problem:
    return Problem(
        kind=raw["kind"],
        object=raw["object"],
        where=raw["where"],
        summary=raw["summary"],
        numbers=dict(raw["numbers"]),
        since=datetime.fromisoformat(raw["since"]),
        link=raw["link"],
        severity=raw.get("severity", "error"),
        owner=raw.get("owner", ""),
        tags=dict(raw.get("tags", {})),
        causes=tuple(raw.get("causes", ())),
        amount=int(raw.get("amount", 0)),
        once=bool(raw.get("once", False)),
    )


def _from_format_1(raw: Mapping[str, Any]) -> BookState:
    """A cursor of an earlier version. There every incident went to every channel: ``announced`` says that all had reported
    it, otherwise ``heard`` names those that had, and ``relieved`` those that had reported its end."""
    incidents: dict[str, Incident] = {}
    before: dict[str, Before] = {}
    for item in raw["incidents"]:
        problem = _problem_from_json(item)
        over = item.get("recovered_at")
        incidents[item["key"]] = Incident(
            item["key"],
            problem,
            problem.since,
            recovered_at=datetime.fromisoformat(over) if over else None,
        )
        heard = None if item["announced"] else tuple(item.get("heard", ()))
        before[item["key"]] = Before(heard, tuple(item.get("relieved", ())))
    return BookState(incidents, before=before)

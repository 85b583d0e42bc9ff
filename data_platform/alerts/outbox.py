"""What each channel has yet to report, and what is kept once it has. Pure.

There is no list of messages: what is due follows from what a channel has reported so far and what is so now. A message that
was not sent stays due, and a problem that went meanwhile makes one message of two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from data_platform.alerts.grouping import Causes
from data_platform.alerts.incidents import RECOVERED_KEPT, Heard, Incident
from data_platform.alerts.routing import REFUSALS_TO_FALLBACK, Routing

Event = Literal["opened", "escalated", "grown", "reminded", "snoozed", "resolved", "recovered"]
ORDER: tuple[Event, ...] = ("opened", "escalated", "grown", "reminded", "snoozed", "resolved", "recovered")
BURST = 10
"""More than so many incidents that open together on one channel are one message, and one thread."""
THREAD_CHARACTERS = 20
GROWN = 2
"""What has become so many times as much is said again."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to say about an incident. ``step`` is how often it was escalated. ``listed`` names what is listed under it.
    ``unheard``: the channel has not reported the incident as open. ``instead_of`` names the channels that could not."""

    event: Event
    incident: Incident
    step: int = 0
    listed: tuple[str, ...] = ()
    unheard: bool = False
    instead_of: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return self.incident.key


@dataclass(frozen=True, slots=True)
class Parcel:
    """Entries of one event that are one message of one thread. ``over``: nothing of the thread is open after it."""

    channel: str
    thread: str
    reference: str
    event: Event
    entries: tuple[Entry, ...]
    over: bool = False


def due(incidents: Mapping[str, Incident], routing: Routing, now: datetime) -> dict[str, list[Entry]]:
    """What is to be said, for each channel."""
    steps = {key: routing.steps(incident, now) for key, incident in incidents.items()}
    concerned: dict[str, list[str]] = {}
    for key, incident in incidents.items():
        for name in dict.fromkeys(
            [*steps[key], *(n for n, heard in incident.channels.items() if heard.thread)]
        ):
            concerned.setdefault(name, []).append(key)
    causes = Causes(incidents)
    found: dict[str, list[Entry]] = {}
    for name, keys in concerned.items():
        roots = causes.roots([key for key in keys if incidents[key].open and name in steps[key]])
        listed: dict[str, list[str]] = {}
        for child, root in roots.items():
            listed.setdefault(root, []).append(incidents[child].problem.object)
        entries = []
        for key in keys:
            entry = _entry(incidents[key], name, steps[key].get(name), key in roots, now)
            if entry is not None:
                failing = tuple(
                    other
                    for other in steps[key]
                    if incidents[key].heard(other).failures >= REFUSALS_TO_FALLBACK
                )
                instead_of = failing if name in routing.fallback and name not in failing else ()
                entries.append(
                    replace(entry, listed=tuple(sorted(listed.get(key, ()))), instead_of=instead_of)
                )
        if entries:
            found[name] = entries
    return found


def _entry(incident: Incident, channel: str, step: int | None, child: bool, now: datetime) -> Entry | None:
    heard = incident.heard(channel)
    if not incident.open:
        event: Event = "resolved" if incident.resolved else "recovered"
        if heard.state == "open":
            return None if incident.problem.once and event == "recovered" else Entry(event, incident)
        missed = heard.state == "" and heard.thread and event == "recovered"
        return Entry(event, incident, unheard=True) if missed else None
    until = incident.snoozed_until
    if until is not None:
        said = heard.state != "open" or heard.quiet == until.isoformat()
        return None if said else Entry("snoozed", incident)
    if step is None:
        return None
    if heard.state != "open":
        held = incident.held_until is not None and now < incident.held_until
        return None if child or held else Entry("opened", incident, step=step, unheard=True)
    if heard.step < step:
        return Entry("escalated", incident, step=step)
    if heard.amount and incident.problem.amount >= GROWN * heard.amount:
        return Entry("grown", incident, step=step)
    return Entry("reminded", incident) if heard.quiet else None


def threaded(incidents: Mapping[str, Incident], found: Mapping[str, Iterable[Entry]]) -> dict[str, Incident]:
    """``incidents`` with a thread for each that is to be opened. It is kept before anything is sent, so that what is sent
    again after a crash is recognised as the same."""
    done = dict(incidents)
    for channel, entries in found.items():
        new = [e.key for e in entries if e.event == "opened" and not done[e.key].heard(channel).thread]
        together = _thread(channel, [done[key] for key in new]) if len(new) > BURST else None
        for key in new:
            thread = together or _thread(channel, [done[key]])
            done[key] = done[key].with_heard(channel, replace(done[key].heard(channel), thread=thread))
    return done


def _thread(channel: str, incidents: Iterable[Incident]) -> str:
    text = "\n".join(f"{one.key} {one.opened_at.isoformat()}" for one in incidents)
    return hashlib.sha256(f"{channel}\n{text}".encode()).hexdigest()[:THREAD_CHARACTERS]


def parcels(
    incidents: Mapping[str, Incident], channel: str, entries: Iterable[Entry], *, threads: bool
) -> list[Parcel]:
    """``entries`` of ``channel`` as messages: problems before recoveries, errors first. Where the channel has no
    ``threads``, many that say the same are one message."""
    made: dict[tuple[Event, str], list[Entry]] = {}
    for entry in entries:
        made.setdefault((entry.event, entry.incident.heard(channel).thread), []).append(entry)
    if not threads:
        for event in ORDER:
            alike = [key for key in made if key[0] == event]
            if len(alike) > BURST:
                made[event, ""] = [entry for key in alike for entry in made.pop(key)]
    keys = {entry.key for members in made.values() for entry in members}
    going_on = {
        one.heard(channel).thread
        for one in incidents.values()
        if one.open or (one.heard(channel).state == "open" and one.key not in keys)
    }
    found = [
        Parcel(
            channel,
            thread,
            next(
                (e.incident.heard(channel).reference for e in members if e.incident.heard(channel).reference),
                "",
            ),
            event,
            tuple(sorted(members, key=_urgency)),
            over=event in ("recovered", "resolved") and thread not in going_on,
        )
        for (event, thread), members in made.items()
    ]
    # what failed before comes last: a message that the receiver refuses keeps no other one back
    return sorted(found, key=lambda one: (_failures(one), ORDER.index(one.event), _urgency(one.entries[0])))


def _failures(parcel: Parcel) -> int:
    return max(entry.incident.heard(parcel.channel).failures for entry in parcel.entries)


def _urgency(entry: Entry) -> tuple[bool, datetime, str]:
    problem = entry.incident.problem
    return problem.severity != "error", problem.since, entry.key


def sent(incidents: Mapping[str, Incident], parcel: Parcel, reference: str) -> dict[str, Incident]:
    """``incidents`` after a channel has sent ``parcel``, to which it refers as ``reference``."""
    done = dict(incidents)
    for entry in parcel.entries:
        incident = done.get(entry.key)
        if incident is not None:
            heard = incident.heard(parcel.channel)
            kept = replace(
                _after(entry, heard),
                reference=heard.reference or reference,
                thread=heard.thread or parcel.thread,
            )
            done[entry.key] = incident.with_heard(parcel.channel, kept)
    return done


def _after(entry: Entry, heard: Heard) -> Heard:
    heard = replace(heard, failures=0)
    if entry.event in ("recovered", "resolved"):
        return replace(heard, state="over", quiet="")
    if entry.event == "snoozed":
        until = entry.incident.snoozed_until
        return replace(heard, quiet=until.isoformat() if until else "")
    amount = entry.incident.problem.amount
    return replace(heard, state="open", step=max(entry.step, heard.step), quiet="", amount=amount)


def failed(incidents: Mapping[str, Incident], parcel: Parcel, refused: bool) -> dict[str, Incident]:
    """``incidents`` after a channel could not send ``parcel``; ``refused`` if it never will as it is."""
    done = dict(incidents)
    for entry in parcel.entries:
        incident = done.get(entry.key)
        if incident is not None:
            heard = incident.heard(parcel.channel)
            failures = REFUSALS_TO_FALLBACK if refused else min(heard.failures + 1, REFUSALS_TO_FALLBACK)
            done[entry.key] = incident.with_heard(parcel.channel, replace(heard, failures=failures))
    return done


def settled(
    incidents: Mapping[str, Incident], found: Mapping[str, Collection[Entry]], now: datetime
) -> dict[str, Incident]:
    """``incidents`` without those that are over and of which ``found`` says nothing more."""
    due_keys = {entry.key for entries in found.values() for entry in entries}
    return {
        key: incident
        for key, incident in incidents.items()
        if incident.recovered_at is None or (key in due_keys and now - incident.recovered_at < RECOVERED_KEPT)
    }

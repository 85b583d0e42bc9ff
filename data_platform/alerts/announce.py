"""One check of the problems: decides, keeps what is decided in the book, sends, and keeps what was sent.

The caller finds the problems, and keeps ``cursor`` for the next check.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from uuid import uuid4

from data_platform.alerts import outbox
from data_platform.alerts.book import Book
from data_platform.alerts.channels import PRINT, Channel, open_channels
from data_platform.alerts.config import AlertsConfig
from data_platform.alerts.incidents import Incident, decide
from data_platform.alerts.messages import post
from data_platform.alerts.outbox import Entry, Parcel
from data_platform.alerts.problem import Healing, Problem
from data_platform.alerts.routing import Routing
from data_platform.alerts.state import BookState, Claim, caught_up
from data_platform.errors import AlertError, AlertRefused

SENDS_FOR = timedelta(seconds=90)
"""Nobody else sends while one does, at most so long: a process that ended holds the others up no longer. The orchestrator
ends a tick after 60 s."""
STARTS_WITHIN_SECONDS = 20.0
"""No message is begun later than so long after the first one of a check. The others go with the next check."""
POSTS_MAX = 20
"""Messages of one channel in one check: more would run into the channel's own limits."""


@dataclass(frozen=True)
class Outward:
    """The channels of an environment, and which problem goes where."""

    channels: Mapping[str, Channel]
    routing: Routing
    before: Mapping[str, str] = field(default_factory=dict)
    """Today's name for each channel of earlier versions."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """The caller keeps ``cursor`` for the next check. ``sent`` messages were delivered. ``pending`` ones were not, because
    of ``error`` or because there were too many for one check; the next one sends them. ``undelivered``: some did not
    even reach the fallback. ``trouble`` is why the book could not be kept in the store."""

    cursor: str
    open: int
    sent: int
    pending: int
    error: AlertError | None
    trouble: str | None = None
    undelivered: bool = False


def outward(
    config: AlertsConfig, environ: Mapping[str, str], *, echo: Callable[[str], None] = print
) -> Outward:
    """The channels and routes of ``config``."""
    used = config.used
    opened = open_channels(used, environ, fallback=config.fallback, echo=echo)
    routing = Routing(
        config.routes if used else (),
        everything=tuple(used) or (PRINT,),
        fallback=tuple(name for name in config.fallback if name in opened.channels),
        instead=opened.instead,
    )
    before = {
        old: name
        for name, one in used.items()
        if (old := getattr(one, "name_before", None)) and name in opened.channels
    }
    return Outward(opened.channels, routing, {**before, "print": PRINT})


def announce(
    book: Book,
    problems: Iterable[Problem],
    now: datetime,
    out: Outward,
    *,
    environment: str,
    ui_url: str,
    unknown_kinds: Collection[str] = (),
    healed: Mapping[str, Healing] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Announcement:
    """Report what opened, recovered or changed since the state in ``book``. A failed delivery is returned, not raised."""
    found = {problem.key: problem for problem in problems}
    me = uuid4().hex

    def decided(state: BookState) -> BookState:
        state = caught_up(state, found, out.before, lambda one: out.routing.opening(one, now), now)
        incidents = decide(state.incidents, found.values(), now, unknown_kinds, healed)
        incidents = {key: out.routing.routed(one, now) for key, one in incidents.items()}
        entries = _due(incidents, out, now)
        incidents = outbox.settled(outbox.threaded(incidents, entries), entries, now)
        free = state.claim is None or state.claim.until <= now or state.claim.by == me
        claim = Claim(me, now + SENDS_FOR) if entries and free else state.claim if not free else None
        return replace(state, incidents=incidents, claim=claim)

    state = book.update(decided)
    outcomes: list[Outcome] = []
    if state.claim is not None and state.claim.by == me:
        until = clock() + STARTS_WITHIN_SECONDS
        for last in (False, True):  # what is refused goes to the fallback at once
            failed = {one.parcel.channel for one in outcomes if one.error is not None}
            new = _sent(state, out, now, environment, ui_url, failed, lambda: clock() < until)
            outcomes += new
            done = last or not any(isinstance(one.error, AlertRefused) for one in new)
            state = book.update(partial(_reported, new, out, now, me, done))
            if done:
                break
    left = _due(state.incidents, out, now)
    errors = list(dict.fromkeys(str(one.error) for one in outcomes if one.error is not None))
    waiting = [state.incidents[entry.key] for entries in left.values() for entry in entries]
    return Announcement(
        book.cursor(),
        open=sum(incident.open for incident in state.incidents.values()),
        sent=sum(one.error is None for one in outcomes),
        pending=sum(map(len, left.values())),
        error=AlertError(" ".join(errors)) if errors else None,
        trouble=book.trouble,
        undelivered=bool(errors) and any(incident.open and not incident.told for incident in waiting),
    )


def _reported(
    outcomes: Sequence[Outcome], out: Outward, now: datetime, me: str, done: bool, state: BookState
) -> BookState:
    """``state`` after ``outcomes``, ready for what is due next."""
    incidents = state.incidents
    for outcome in outcomes:
        incidents = outcome.kept(incidents)
    entries = _due(incidents, out, now)
    incidents = outbox.settled(outbox.threaded(incidents, entries), entries, now)
    mine = done and state.claim is not None and state.claim.by == me
    return replace(state, incidents=incidents, claim=None if mine else state.claim)


def _due(incidents: Mapping[str, Incident], out: Outward, now: datetime) -> dict[str, list[Entry]]:
    """What is due to channels that are there."""
    found = outbox.due(incidents, out.routing, now)
    return {name: entries for name, entries in found.items() if name in out.channels}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one message."""

    parcel: Parcel
    reference: str = ""
    error: AlertError | None = None

    def kept(self, incidents: Mapping[str, Incident]) -> dict[str, Incident]:
        if self.error is None:
            return outbox.sent(incidents, self.parcel, self.reference)
        return outbox.failed(incidents, self.parcel, isinstance(self.error, AlertRefused))


def _sent(
    state: BookState,
    out: Outward,
    now: datetime,
    environment: str,
    ui_url: str,
    without: Collection[str],
    more: Callable[[], bool],
) -> list[Outcome]:
    """Each channel sends what is due. Several do so side by side: one that does not answer keeps no other waiting."""
    entries = {name: some for name, some in _due(state.incidents, out, now).items() if name not in without}
    made = {
        name: outbox.parcels(state.incidents, name, found, threads=out.channels[name].threads)[:POSTS_MAX]
        for name, found in entries.items()
    }

    def send(name: str) -> list[Outcome]:
        return _send(out.channels[name], made[name], now, environment, ui_url, more)

    if len(made) == 1:
        return send(next(iter(made)))
    with ThreadPoolExecutor(max(1, len(made))) as threads:
        return [outcome for outcomes in threads.map(send, made) for outcome in outcomes]


def _send(
    channel: Channel,
    parcels: Sequence[Parcel],
    now: datetime,
    environment: str,
    ui_url: str,
    more: Callable[[], bool],
) -> list[Outcome]:
    """Where a channel cannot be reached, its other messages are not tried: it would fail as slowly for each of them."""
    outcomes: list[Outcome] = []
    failure: AlertError | None = None
    for parcel in parcels:
        if failure is not None:
            outcomes.append(Outcome(parcel, error=failure))
            continue
        if not more():
            break
        try:
            reference = channel.send(post(parcel, environment=environment, ui_url=ui_url, now=now))
            outcomes.append(Outcome(parcel, reference))
        except AlertError as error:
            failure = None if isinstance(error, AlertRefused) else error
            outcomes.append(Outcome(parcel, error=error))
    return outcomes

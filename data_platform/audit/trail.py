"""Records events in a chained log, and finds them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from data_platform.audit.event import Detail, Event, Outcome, Recorded
from data_platform.chained.block import Block
from data_platform.chained.log import Log
from data_platform.errors import DataPlatformError, LedgerBroken
from data_platform.stores import Store

NAME = "audit"
SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class Filter:
    """Which events are wanted; what is empty counts for all. ``object_`` is a whole name, or one up to a ``/``: ``shop`` finds
    ``shop/orders``. ``since`` is the first instant, ``until`` the first one no longer wanted."""

    action: str | None = None
    object_: str | None = None
    who: str | None = None
    subject: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def takes(self, event: Recorded) -> bool:
        body = event.body
        objects = [str(one) for one in body.get("objects", ())]
        return (
            all(
                wanted is None or body.get(name) == wanted
                for name, wanted in (("action", self.action), ("who", self.who), ("outcome", self.outcome))
            )
            and (self.object_ is None or any(_within(one, self.object_) for one in objects))
            and (self.subject is None or self.subject in body.get("subjects", ()))
            and (self.since is None or event.at >= self.since)
            and (self.until is None or event.at < self.until)
        )


@dataclass
class Act:
    """What is being done; ``details``, ``objects`` and ``subjects`` are those of its outcome."""

    details: dict[str, Detail] = field(default_factory=dict)
    objects: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()


class Trail:
    """The events of an environment. ``second`` are the stores of its signed heads and copies, ``who`` acts. Threads may share it."""

    def __init__(self, log: Log, who: str, second: Sequence[Store] = ()) -> None:
        self.log, self.who, self.second = log, who, tuple(second)

    def record(self, *events: Event) -> None:
        """Record ``events`` in one object, durably. DataPlatformError where that did not succeed."""
        self.log.append([event.body(self.who, secrets.token_hex(8)) for event in events])

    @contextmanager
    def audited(self, event: Event) -> Iterator[Act]:
        """Record that ``event`` is begun, let it be done, and record its outcome. If the first cannot be recorded, nothing is
        done; if the last cannot, that is raised: the event stays as begun."""
        id_ = secrets.token_hex(8)
        act = Act(objects=event.objects, subjects=event.subjects)
        self._outcome(event, id_, "started", act)
        try:
            yield act
        except BaseException as error:
            act.details["error"] = type(error).__name__
            try:
                self._outcome(event, id_, "failed", act)
            except DataPlatformError as second:
                error.add_note(f"The audit trail could not record that: {second}")
            raise
        self._outcome(event, id_, "done", act)

    def search(self, wanted: Filter, problems: list[str], *, newest_first: bool = True) -> Iterator[Recorded]:
        """The events that ``wanted`` takes. What is damaged is left out, and said in ``problems``."""
        known = self.log.recall("tail", "was appended")
        last = self.log.last()
        if known.number > last:
            problems.append(self.log.lost(last, known))
        before: Block | None = None
        for number, data in self.log.fetch(range(last, 0, -1) if newest_first else range(1, last + 1)):
            try:
                block = self.log.checked(number, data)
            except LedgerBroken as error:
                problems.append(str(error))
                before = None
                continue
            if before is not None or number == 1:
                older, newer = (block, before) if newest_first else (before, block)
                if newer is not None and (problem := self.log.link_problem(older, newer)):
                    problems.append(problem)
            before = block
            entries = block.entries[::-1] if newest_first else block.entries
            yield from filter(wanted.takes, (Recorded(one.number, one.at, one.body) for one in entries))
            if newest_first and wanted.since and block.at < wanted.since - SKEW:
                return

    def _outcome(self, event: Event, id_: str, outcome: Outcome, act: Act) -> None:
        details: Mapping[str, Detail] = {**event.details, **act.details}
        made = replace(event, outcome=outcome, objects=act.objects, subjects=act.subjects, details=details)
        self.log.append([made.body(self.who, id_)])


def _within(name: str, wanted: str) -> bool:
    return name == wanted or name.startswith(f"{wanted}/")

"""``sources.records.feed.Feed`` over Stripe.

The state of a stream is, while its list is walked, ``{"walk": {"began": <second>, "from": <second>, "after": <id>, "created":
<second>}}``, and then ``{"since": <second>}``: what happened from then on is still to be read. ``seen`` are the ids of events (of
an object without events: of objects) from the look-back before it. ``reread`` is when what no event tells of was last reread.
All seconds are by Stripe's clock.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from data_platform.errors import DataPlatformError
from data_platform.findings import Finding
from data_platform.sources.http.waiting import Clock
from data_platform.sources.inbox.delivery import Inbox
from data_platform.sources.inbox.secrets import secrets_of
from data_platform.sources.inbox.walk import advanced, reached_of
from data_platform.sources.inbox.whole import not_again
from data_platform.sources.reading import Ask, Described, Drift, Opening, Plan, Prior, SourceTable
from data_platform.sources.records.feed import Known, Page, State, UsualFeed, Wanted
from data_platform.sources.records.keys import settings_of
from data_platform.sources.records.reading import RecordsReading, reading_of
from data_platform.sources.stripe import deliveries, events
from data_platform.sources.stripe.api import StripeApi
from data_platform.sources.stripe.config import connection_of
from data_platform.sources.stripe.keys import object_of, stripe_settings
from data_platform.sources.stripe.lists import Place, one_page, pages, whole
from data_platform.sources.stripe.objects import DELIVERIES, EVENTS_DAYS, StripeObject

DAY = 86_400
KEPT = EVENTS_DAYS * DAY - 3_600
"""Seconds after which events are taken for lost: an hour before they are."""
ADVANCE = 2 * DAY
"""A state this old is told anew though nothing changed, so that it stays within ``KEPT``."""


def open_reading(opening: Opening) -> AbstractContextManager[RecordsReading]:
    return reading_of(StripeFeed(opening), StripeReading)


class StripeReading(RecordsReading):
    def plan(self, table: SourceTable, prior: Prior, now: Described, drift: Drift, ask: Ask) -> Plan:
        plan = super().plan(table, prior, now, drift, ask)
        if object_of(table) is DELIVERIES:
            not_again(plan)
        return plan


class StripeFeed(UsualFeed):
    """``Feed``. ``clock`` is a test's."""

    def __init__(self, opening: Opening, clock: Clock | None = None) -> None:
        self._opening = opening
        self._connection = connection_of(opening.connection)
        self._api = StripeApi(opening, clock)
        self._system: str | None = None
        day = self._connection.start
        self._start = (
            None if day is None else int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
        )

    @property
    def system(self) -> str:
        """The account, which is another one in test mode. Without the permission to ask for it, the base URL."""
        if self._system is None:
            account = self._connection.account or self._api.account() or self._api.base
            self._system = f"{account} ({self._api.mode} mode)"
        return self._system

    def known(self, table: SourceTable) -> Known:
        what, version = object_of(table), self._connection.api_version
        if what is DELIVERIES:
            return Known(settings_of(table).place, {}, what.types)
        return Known(
            f"{what.path} at {version}",
            {"path": what.path, "version": version, "start": str(self._connection.start or "")},
            stripe_settings(table).known or {},
        )

    def stream(self, table: SourceTable) -> Hashable:
        return settings_of(table).parent or table.id.table

    def incremental(self, table: SourceTable) -> bool:
        return True

    def lost(self, table: SourceTable, state: State) -> str | None:
        """What no event tells of is listed for ever; events of 30 days ago are no more."""
        since = _since(state)
        if not object_of(table).events or since is None:
            return None
        if since < self._now() - KEPT:
            return f"it was read last more than {EVENTS_DAYS} days ago, and Stripe keeps events no longer"
        return None

    def clock_now(self) -> float:
        """By this machine's clock, without asking."""
        return self._api.http.clock.now().timestamp()

    def _now(self) -> int:
        """By Stripe's clock: with ours some minutes or days wrong, lost events would be missed in silence."""
        return self._api.latest or one_page(self._api, events.PATH, {"limit": 1}).at

    def pages(self, wanted: Wanted) -> Iterator[Page]:
        table = wanted.tables[0]
        what, state = object_of(table), dict(wanted.start or {})
        if what is DELIVERIES:
            yield from self._deliveries(state)
            return
        if "since" not in state or "walk" in state:
            for page in self._walk(what, state):
                state = dict(page.state)
                yield page
        if what.events:
            yield from self._changes(what, state)
        else:
            yield from self._created(what, state, stripe_settings(table).reread_days)

    # ---------------------------------------------------------------- deliveries

    @property
    def _inbox(self) -> Inbox:
        return deliveries.needed_inbox(self._opening.inbox, self._opening.source, self._connection)

    def _deliveries(self, state: State) -> Iterator[Page]:
        for page in deliveries.delivered(self._inbox, state):
            state = page.state
            yield page
        yield from deliveries.listed(self._api, state, self._connection.look_back_seconds, self._now())

    # ---------------------------------------------------------------- lists

    def _walk(self, what: StripeObject, state: Mapping[str, Any]) -> Iterator[Page]:
        """The rest of the list that ``state`` is in, then ``since`` when the walk began. What changed meanwhile is found
        by the read of changes that follows."""
        walk = dict(state.get("walk") or {})
        begun = int(walk["began"]) if "began" in walk else None
        after = Place(walk["after"], walk["created"]) if "after" in walk else None
        start = walk.get("from", self._start)
        created = {} if start is None else {"gte": int(start)}
        number = 0
        for page in pages(self._api, what.path, what.params, created, after):
            begun, number = page.at if begun is None else begun, number + 1
            place = f"{what.path}, page {number}"
            records = [whole(self._api, record, what.path) for record in page.records]
            if page.more:
                last = page.heads[-1]
                lower = {} if start is None else {"from": int(start)}
                now: dict[str, Any] = {"began": begun, "after": last.id, "created": last.created, **lower}
                yield Page(
                    records, {**state, "walk": now}, f"back to {self._api.at_text(last.created)}", place
                )
            else:
                kept = {name: value for name, value in state.items() if name != "walk"}
                text = f"up to {self._api.at_text(begun)}"
                yield Page(records, {**kept, "since": begun}, text, place)

    def _created(self, what: StripeObject, state: Mapping[str, Any], reread_days: int) -> Iterator[Page]:
        """Objects without events: those created since, and once a day those of the last days."""
        since, seen = int(state["since"]), frozenset(state.get("seen", ()))
        notes: tuple[str, ...] = ()
        look_back = self._connection.look_back_seconds
        reread = int(state.get("reread", since))
        lower = max(since - look_back, self._start or 0)
        began: int | None = None
        recent: list[str] = []
        again = False
        for number, page in enumerate(self._newest(what, lower), 1):
            if began is None:
                began = page.at
                again = reread_days > 0 and began - reread >= DAY
                if what.kept_days and since < began - what.kept_days * DAY:
                    notes = (
                        f"Stripe lists them for {what.kept_days} days only: those from before that are missing",
                    )
            recent += [head.id for head in page.heads if head.created >= began - look_back]
            new = [
                whole(self._api, record, what.path)
                for record, head in zip(page.records, page.heads, strict=True)
                if head.id not in seen
            ]
            now: Mapping[str, Any] = state
            if page.more:  # a cut goes on as a walk down to the same second
                last = page.heads[-1]
                walk = {"began": began, "from": lower, "after": last.id, "created": last.created}
                now = {**state, "walk": walk}
            yield Page(
                new, now, f"up to {self._api.at_text(since)}", f"{what.path}, page {number}", notes=notes
            )
            notes = ()
        assert began is not None  # a list has one page at least
        kept: dict[str, Any] = {"seen": recent} if len(recent) <= events.SEEN_MAX else {}
        after = {"since": began, "reread": began if again else reread, **kept}
        text = f"up to {self._api.at_text(began)}"
        if again:
            for number, page in enumerate(self._newest(what, began - reread_days * DAY), 1):
                records = [whole(self._api, record, what.path) for record in page.records]
                yield Page(records, state, f"up to {self._api.at_text(since)}", f"{what.path}, page {number}")
        yield Page((), after, text, what.path, more=False)

    def _newest(self, what: StripeObject, lower: int) -> Iterator[Any]:
        lower = lower if self._start is None else max(lower, self._start)
        return pages(self._api, what.path, what.params, {"gte": lower}, None)

    # ---------------------------------------------------------------- events

    def _changes(self, what: StripeObject, state: Mapping[str, Any]) -> Iterator[Page]:
        look_back = self._connection.look_back_seconds
        since, seen = int(state["since"]), frozenset(state.get("seen", ()))
        found = events.changes(self._api, what, since, look_back, seen)

        def done() -> State:
            recent = list(found.recent)
            return {"since": found.at, **({"seen": recent} if len(recent) <= events.SEEN_MAX else {})}

        for number, some in enumerate(events.fetch(self._api, what, found, look_back, self._start), 1):
            yield Page(
                some.records,
                {"since": max(since, some.since)} if some.more else done(),
                f"up to {self._api.at_text(some.since)}",
                f"{what.path}/..., changed objects {number}",
                some.gone,
                some.notes,
            )
        yield Page((), done(), f"up to {self._api.at_text(found.at)}", events.PATH, more=False)

    # ---------------------------------------------------------------- the rest of the protocol

    def must_advance(self, before: State, after: State) -> bool:
        if "listed" in after:
            return advanced(before, after) or before.get("listed") != after["listed"]
        old, new = _since(before), _since(after)
        return "walk" in before or old is None or (new is not None and new - old >= ADVANCE)

    def acknowledge(self, table: SourceTable, state: State) -> None:
        """Stripe keeps nothing for us; the inbox does."""
        if object_of(table) is DELIVERIES:
            self._inbox.release(table.id.table, reached_of(state), [table.id.table])

    def interrupt(self) -> None:
        self._api.http.interrupt()

    def check(self, tables: Collection[SourceTable]) -> Iterator[str]:
        """Lists are asked for next, events are not."""
        if any(object_of(table).events for table in tables):
            try:
                one_page(self._api, events.PATH, {"limit": 1})
            except DataPlatformError as error:
                yield str(error)
        if any(object_of(table) is DELIVERIES for table in tables):
            hook = deliveries.hook(self._connection)
            try:
                if hook is not None:
                    secrets_of(self._opening.source, hook, self._opening.environ)
            except DataPlatformError as error:
                yield str(error)

    def findings(self, head: str, now: datetime) -> Iterator[Finding]:
        name = f"{head}: answers"
        try:
            system = self.system
        except DataPlatformError as error:
            yield Finding(name, "fail", str(error))
        else:
            yield Finding(name, "ok", f"Stripe answered for {system}.")
        if self._connection.webhook_secret_env is not None:
            waiting = len(self._inbox.places())
            yield Finding(f"{head}: inbox", "ok", f"{waiting:,} objects of deliveries wait.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._api.http.close()


def _since(state: State) -> int | None:
    """From when on changes are still to be read."""
    walk: Any = state.get("walk")
    found = walk.get("began") if isinstance(walk, Mapping) else state.get("since")
    return found if isinstance(found, int) else None

"""The table ``deliveries``: how each event of Stripe's came to us. One row says that one event was delivered, or listed.

What a delivery shows of an object is not used: it is in the account's version, and as it was then. It says that something happened, and
to which object. Once an hour the events that the API lists are added, so that one that was not delivered is seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from data_platform.errors import ConfigurationError
from data_platform.sources.inbox.delivery import Delivery, Inbox, Place
from data_platform.sources.inbox.hook import Hook
from data_platform.sources.inbox.schemes import STRIPE
from data_platform.sources.inbox.walk import origin_of, reached_of, time_of, waiting, walk
from data_platform.sources.kind import Connection
from data_platform.sources.records.feed import Page, State
from data_platform.sources.rejected import Rejected
from data_platform.sources.stripe.api import StripeApi, broken
from data_platform.sources.stripe.config import connection_of
from data_platform.sources.stripe.events import PATH
from data_platform.sources.stripe.lists import pages
from data_platform.sources.stripe.objects import DELIVERIES

TABLE = DELIVERIES.name
LISTED, DELIVERED = "listed", "webhook"
RECONCILE_SECONDS = 3_600
PEEKED = 32
"""Objects of the inbox that are opened to see which tables they are about; where more wait, it is all of them."""


class _Named(msgspec.Struct):
    id: str | None = None
    object: str = ""
    type: str = ""


class _Data(msgspec.Struct):
    object: _Named


class _Sent(msgspec.Struct):
    """An event as it is sent: whole (``data``), or thin (``related_object``, and ``snapshot_event`` where there is a whole one)."""

    id: str
    type: str
    created: int | str
    api_version: str | None = None
    livemode: bool | None = None
    data: _Data | None = None
    related_object: _Named | None = None
    snapshot_event: str | None = None

    @property
    def about(self) -> tuple[str | None, str]:
        """The id of the object that changed, and what it is."""
        if self.data is not None:
            return self.data.object.id, self.data.object.object
        related = self.related_object
        return (related.id, related.type) if related is not None else (None, "")


_SENT = msgspec.json.Decoder(_Sent)


def hook(connection: Connection) -> Hook | None:
    """By what a receiver knows this account; None where the catalog names no secret."""
    secret = connection_of(connection).webhook_secret_env
    return None if secret is None else Hook(secret, STRIPE)


def delivered(inbox: Inbox, start: State | None) -> Iterator[Page]:
    """What waits in the inbox. The last page has ``more`` too: the events that are listed follow."""
    kept = {name: value for name, value in (start or {}).items() if name != "read"}
    for some in walk(inbox, TABLE, [TABLE], start):
        records, rejected = [], []
        for place, n, delivery in some.deliveries:
            try:
                records.append(_row(_SENT.decode(delivery.body), place, n, delivery))
            except msgspec.MsgspecError:
                rejected.append(
                    Rejected("it is no event of Stripe's", origin_of(place, n), b"[%b]" % delivery.body)
                )
        yield Page(records, {**kept, **some.state}, some.text, "the inbox", rejected=rejected)


def _row(event: _Sent, place: Place, n: int, delivery: Delivery) -> bytes:
    id_ = f"{place.receiver}/{place.number}/{n}"
    return _encoded(id_, event, DELIVERED, thin=event.data is None, received_at=time_of(delivery.at))


def _encoded(id_: str, event: _Sent, via: str, **more: Any) -> bytes:
    object_id, object_type = event.about
    created = event.created
    return msgspec.json.encode(
        {
            "id": id_,
            "event_id": event.snapshot_event or event.id,
            "type": event.type.removeprefix("v1."),
            "created": time_of(created * 1000) if isinstance(created, int) else created,
            "object_id": object_id,
            "object_type": object_type,
            "api_version": event.api_version,
            "livemode": event.livemode,
            "via": via,
            **more,
        }
    )


def listed(api: StripeApi, state: State, look_back: int, now: int) -> Iterator[Page]:
    """Once an hour the events that were created since the last time, and those of them that Stripe could not deliver."""
    since: Any = state.get("listed")
    if not isinstance(since, int):  # nothing from before the first read is missing
        yield Page((), {**state, "listed": now}, f"up to {api.at_text(now)}", PATH, more=False)
        return
    if now - since < RECONCILE_SECONDS:
        yield Page((), state, f"up to {api.at_text(since)}", PATH, more=False)
        return
    created = {"gte": since - look_back - RECONCILE_SECONDS}
    failed = {
        head.id
        for page in pages(api, PATH, {"delivery_success": "false"}, created, None)
        for head in page.heads
    }
    for number, page in enumerate(pages(api, PATH, {}, created, None), 1):
        records = []
        for record in page.records:
            try:
                event = _SENT.decode(record)
            except msgspec.MsgspecError:
                raise broken(api.source, PATH) from None
            records.append(_encoded(event.id, event, LISTED, thin=False, failed=event.id in failed))
        yield Page(records, state, f"up to {api.at_text(since)}", f"{PATH}, page {number}")
    yield Page((), {**state, "listed": now}, f"up to {api.at_text(now)}", PATH, more=False)


def due(state: State, now: float) -> bool:
    """Whether events are to be listed again."""
    since: Any = state.get("listed")
    return isinstance(since, int) and now - since >= RECONCILE_SECONDS


def named(inbox: Inbox, state: State | None) -> frozenset[str] | None:
    """What the objects are that waiting deliveries name, as Stripe calls them; None where many wait, or who knows what."""
    places = waiting(inbox, reached_of(state))
    if len(places) > PEEKED:
        return None
    found: set[str] = set()
    for delivery in (one for place in places for one in inbox.read(place)):
        try:
            found.add(_SENT.decode(delivery.body).about[1])
        except msgspec.MsgspecError:
            found.add("")
    return frozenset(found)


def needed_inbox(inbox: Inbox | None, source: str, connection: Connection) -> Inbox:
    if inbox is None or connection_of(connection).webhook_secret_env is None:
        raise ConfigurationError(
            f"{source}: the table `{TABLE}` holds what Stripe delivers, and `connection.webhook_secret_env` is missing."
        )
    return inbox

"""Events say which objects changed; nothing else of them is used, since they show an object in the account's version of the
API and as it was then. The object itself is fetched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from data_platform.sources.stripe.api import NoSuchObject, StripeApi, broken
from data_platform.sources.stripe.lists import head_of, pages, whole
from data_platform.sources.stripe.objects import StripeObject

PATH = "/v1/events"
AT_ONCE = 100
"""Objects of one page."""
SEEN_MAX = 1_000
"""Events that the next read finds again; more are not kept, and their objects are fetched twice."""


class _Object(msgspec.Struct):
    object: str = ""
    id: str | None = None


class _Data(msgspec.Struct):
    object: _Object


class _Event(msgspec.Struct):
    id: str
    created: int
    type: str
    data: _Data


_EVENT = msgspec.json.Decoder(_Event)


@dataclass(slots=True)
class Change:
    """An object that events name: when the ``first`` and the ``last`` of them came. ``deleted`` is what the last one says."""

    first: int
    last: int
    deleted: bool


@dataclass(slots=True)
class Changes:
    """What changed ``since``, up to ``at`` (both by Stripe's clock). ``recent`` are the events of the look-back before ``at``, with
    the object that each names."""

    since: int
    at: int
    objects: dict[str, Change] = field(default_factory=dict)
    recent: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fetched:
    """Objects as they are now. Those at the positions of ``gone`` are no more. ``since``: every event before it is done.
    ``more`` of them follow."""

    records: Sequence[bytes]
    gone: frozenset[int]
    since: int
    notes: tuple[str, ...]
    more: bool


def changes(api: StripeApi, what: StripeObject, since: int, look_back: int, seen: frozenset[str]) -> Changes:
    """The objects that events since then name, but for the events already ``seen``."""
    created = {"gte": since - look_back}
    found: Changes | None = None
    for page in pages(api, PATH, _types(what), created, None):
        found = found or Changes(since, page.at)
        for record in page.records:
            try:
                event = _EVENT.decode(record)
            except msgspec.MsgspecError:
                raise broken(api.source, PATH) from None
            _note(found, event, what, look_back, seen)
    assert found is not None  # a list has one page at least
    return found


def _types(what: StripeObject) -> Mapping[str, Any]:
    if len(what.events) == 1:
        return {"type": what.events[0]}
    return {"types": list(what.events)}


def _note(found: Changes, event: _Event, what: StripeObject, look_back: int, seen: frozenset[str]) -> None:
    named = event.data.object
    if named.object != what.object or not named.id:  # a preview of an invoice has no id
        return
    if event.created >= found.at - look_back:
        found.recent[event.id] = named.id
    if event.id in seen:
        return
    known = found.objects.get(named.id)
    if known is None:  # the newest one comes first
        deleted = event.type == f"{what.object}.deleted"
        found.objects[named.id] = Change(event.created, event.created, deleted)
    else:
        known.first = min(known.first, event.created)


def fetch(
    api: StripeApi, what: StripeObject, found: Changes, look_back: int, start: int | None
) -> Iterator[Fetched]:
    """The changed objects, each once, in the order in which they first changed, so that a read that is cut goes on."""
    order = sorted(found.objects.items(), key=lambda one: one[1].first)
    for n in range(0, len(order), AT_ONCE):
        records: list[bytes] = []
        gone: set[int] = set()
        notes: dict[str, None] = {}
        for id_, change in order[n : n + AT_ONCE]:
            record = _now(api, what, id_)
            if record is None and not change.deleted and change.last >= found.at - look_back:
                notes["an event names an object that Stripe does not show yet; the next sync asks again"] = (
                    None
                )
                found.recent = {event: named for event, named in found.recent.items() if named != id_}
                continue
            if record is None:
                gone.add(len(records))
                record = msgspec.json.encode({"id": id_})
            elif start is not None and head_of(api, record, what.path).created < start:
                continue
            records.append(record)
        more = n + AT_ONCE < len(order)
        since = order[n + AT_ONCE][1].first if more else found.at
        yield Fetched(records, frozenset(gone), since, tuple(notes), more)


def _now(api: StripeApi, what: StripeObject, id_: str) -> bytes | None:
    """The object as it is; None where it is no more. A canceled subscription is not gone."""
    endpoint = f"{what.path}/..."
    try:
        record = api.get(f"{what.path}/{_segment(api, id_)}", {}, endpoint).body
    except NoSuchObject:
        return None
    return None if head_of(api, record, endpoint).deleted else whole(api, record, endpoint)


def _segment(api: StripeApi, id_: str) -> str:
    """SourceError for an id that would lead elsewhere in a path."""
    if not id_.replace("_", "").replace("-", "").isalnum() or not id_.isascii():
        raise broken(api.source, PATH)
    return id_

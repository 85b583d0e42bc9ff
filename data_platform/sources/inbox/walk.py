"""An inbox read as a log: where a table goes on, which objects come next, and what it is done with.

The state is ``{"read": {<receiver>: <number>}}``. A receiver of which nothing that was read is left leaves it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from data_platform.errors import ConfigurationError
from data_platform.sources.inbox.delivery import Delivery, Inbox, Place, Reached
from data_platform.tables import Json

READ = "read"
READERS = 8
AT_ONCE = 64
"""Objects that are read side by side, and make a page."""


@dataclass(frozen=True, slots=True)
class Some:
    """What some objects hold, each delivery with its place and its position in it. ``state`` is where one goes on after them."""

    deliveries: Sequence[tuple[Place, int, Delivery]]
    state: Mapping[str, Json]
    text: str
    more: bool


def needed(inbox: Inbox | None, source: str) -> Inbox:
    if inbox is None:
        raise ConfigurationError(
            f"{source}: its deliveries wait in a landing store, and this was opened without one."
        )
    return inbox


def reached_of(state: Mapping[str, Json] | None) -> dict[str, int]:
    found = (state or {}).get(READ)
    if not isinstance(found, Mapping):
        return {}
    return {receiver: number for receiver, number in found.items() if isinstance(number, int)}


def waiting(inbox: Inbox, reached: Reached) -> list[Place]:
    return [place for place in inbox.places() if place.number > reached.get(place.receiver, 0)]


def walk(
    inbox: Inbox, table: str, readers: Sequence[str], start: Mapping[str, Json] | None
) -> Iterator[Some]:
    """All that waits for ``table`` now, at least one page of it. What a sync that was killed has committed is let go of first."""
    reached = reached_of(start)
    there = inbox.places()
    if any(place.number <= reached.get(place.receiver, 0) for place in there):
        inbox.release(table, reached, readers)
        there = inbox.places()
    left = {place.receiver for place in there if place.number <= reached.get(place.receiver, 0)}
    unread = [place for place in there if place.number > reached.get(place.receiver, 0)]
    reached = {receiver: number for receiver, number in reached.items() if receiver in left}
    if not unread:
        yield Some((), {READ: dict(reached)}, "nothing waits", more=False)
        return
    with ThreadPoolExecutor(READERS, thread_name_prefix="inbox") as threads:
        for first in range(0, len(unread), AT_ONCE):
            places = unread[first : first + AT_ONCE]
            reached |= {place.receiver: place.number for place in places}
            found = [
                (place, n, delivery)
                for place, deliveries in zip(places, threads.map(inbox.read, places), strict=True)
                for n, delivery in enumerate(deliveries)
            ]
            text = f"up to {time_of(max((one.at for _, _, one in found), default=0))}"
            yield Some(found, {READ: dict(reached)}, text, more=first + AT_ONCE < len(unread))


def advanced(before: Mapping[str, Json], after: Mapping[str, Json]) -> bool:
    """Whether objects were read between two states."""
    old = reached_of(before)
    return any(number > old.get(receiver, 0) for receiver, number in reached_of(after).items())


def time_of(at: int) -> str:
    """ISO 8601 in UTC, with milliseconds."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def origin_of(place: Place, n: int) -> str:
    """Where a delivery waited, for people."""
    return f"delivery {n + 1} of object {place.number} of receiver {place.receiver}"

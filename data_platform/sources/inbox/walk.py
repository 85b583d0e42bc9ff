"""An inbox read as a log: where a table goes on, which objects come next, and what it is done with.

The state is ``{"read": {<receiver>: <number>}}``. A receiver of which nothing that was read is left leaves it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from data_platform.errors import ConfigurationError
from data_platform.sources.inbox.delivery import Delivery, Inbox, Place, Reached
from data_platform.tables import Json

READ = "read"
READERS = 4
"""Objects that are read side by side; one holds some megabytes at most."""
PAGE_OBJECTS, PAGE_BYTES = 64, 4 * 2**20


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
    left_over = len(unread)
    found: list[tuple[Place, int, Delivery]] = []
    size = objects = 0
    for place, deliveries in _read(inbox, unread):
        left_over -= 1
        reached[place.receiver] = place.number
        found += ((place, n, delivery) for n, delivery in enumerate(deliveries))
        size, objects = size + sum(len(one.body) for one in deliveries), objects + 1
        if not left_over or size >= PAGE_BYTES or objects >= PAGE_OBJECTS:
            text = f"up to {time_of(max((one.at for _, _, one in found), default=0))}"
            yield Some(found, {READ: dict(reached)}, text, more=left_over > 0)
            found, size, objects = [], 0, 0


def _read(inbox: Inbox, places: Iterable[Place]) -> Iterator[tuple[Place, Sequence[Delivery]]]:
    """Each object in its turn, while the next ones are read."""
    coming = iter(places)
    with ThreadPoolExecutor(READERS, thread_name_prefix="inbox") as threads:
        ahead = deque((place, threads.submit(inbox.read, place)) for place in islice(coming, READERS))
        while ahead:
            place, read = ahead.popleft()
            deliveries = read.result()
            if (after := next(coming, None)) is not None:
                ahead.append((after, threads.submit(inbox.read, after)))
            yield place, deliveries


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

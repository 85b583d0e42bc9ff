"""``Looking`` over an inbox: whether something waits is seen by listing it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from data_platform.errors import DataPlatformError
from data_platform.sources.inbox.walk import reached_of
from data_platform.sources.looking import Accept, LookAt, Looked
from data_platform.sources.reading import Opening
from data_platform.sources.records.looking import RecordsLooking
from data_platform.sources.records.reading import state_of
from data_platform.sources.webhook.feed import WebhookFeed
from data_platform.tables import TableId


@contextmanager
def open_looking(opening: Opening) -> Iterator[WebhookLooking]:
    with WebhookFeed(opening) as feed:
        yield WebhookLooking(feed, opening)


class WebhookLooking(RecordsLooking):
    """One listing of the inbox answers for all tables."""

    def __init__(self, feed: WebhookFeed, opening: Opening) -> None:
        super().__init__(feed, opening)
        self._inbox = feed.inbox

    def look(self, looks: Sequence[LookAt], accept: Accept) -> Mapping[TableId, Looked | DataPlatformError]:
        places = self._inbox.places()
        found: dict[TableId, Looked | DataPlatformError] = {}
        for one in looks:
            if one.prior.position is None:
                found[one.table.id] = Looked(bool(places))
                continue
            try:
                reached = reached_of(state_of(one.table, one.prior))
            except DataPlatformError as error:
                found[one.table.id] = error
                continue
            moved = any(place.number > reached.get(place.receiver, 0) for place in places)
            found[one.table.id] = Looked(moved)
        return found

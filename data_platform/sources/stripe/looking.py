"""``Looking`` over Stripe: what was delivered tells which tables changed; without deliveries only reading tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from data_platform.errors import DataPlatformError
from data_platform.sources.inbox.walk import reached_of, waiting
from data_platform.sources.looking import Accept, LookAt, Looked
from data_platform.sources.reading import Opening, Prior
from data_platform.sources.records.feed import State
from data_platform.sources.records.looking import RecordsLooking
from data_platform.sources.records.reading import state_of
from data_platform.sources.stripe import deliveries
from data_platform.sources.stripe.config import connection_of
from data_platform.sources.stripe.feed import StripeFeed
from data_platform.sources.stripe.keys import object_of
from data_platform.sources.stripe.objects import DELIVERIES
from data_platform.tables import TableId


@contextmanager
def open_looking(opening: Opening) -> Iterator[StripeLooking]:
    with StripeFeed(opening) as feed:
        try:
            yield StripeLooking(feed, opening)
        finally:
            feed.interrupt()


class StripeLooking(RecordsLooking):
    """A table moved where something waits that names one of its objects."""

    def __init__(self, feed: StripeFeed, opening: Opening) -> None:
        super().__init__(feed, opening)
        self._opening, self._stripe = opening, feed

    def look(self, looks: Sequence[LookAt], accept: Accept) -> Mapping[TableId, Looked | DataPlatformError]:
        found = dict(super().look(looks, accept))
        inbox = self._opening.inbox
        if inbox is None or connection_of(self._opening.connection).webhook_secret_env is None:
            return found
        table = next((one for one in looks if object_of(one.table) is DELIVERIES), None)
        state = _state(table) if table is not None else {}
        try:
            some = bool(waiting(inbox, reached_of(state)))
            about = deliveries.named(inbox, state) if some else frozenset()
        except DataPlatformError as error:
            return {**found, **({table.table.id: error} if table is not None else {})}
        for one in looks:
            what, moved = object_of(one.table), False
            if what is DELIVERIES:
                moved = some or not one.prior.position or deliveries.due(state, self._stripe.clock_now())
                found[one.table.id] = Looked(moved)
            elif what.events and some and (about is None or what.object in about):
                found[one.table.id] = Looked(True)
        return found


def _state(one: LookAt) -> State:
    prior: Prior = one.prior
    return state_of(one.table, prior) if prior.position else {}

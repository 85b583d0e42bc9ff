"""``sources.records.feed.Feed`` over an inbox: what each table takes of the deliveries that wait."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Sequence
from datetime import datetime
from types import TracebackType

from data_platform.errors import DataPlatformError
from data_platform.findings import Finding
from data_platform.sources.inbox.delivery import Delivery, Place
from data_platform.sources.inbox.secrets import secrets_of
from data_platform.sources.inbox.walk import advanced, needed, origin_of, reached_of, walk
from data_platform.sources.reading import Opening, SourceTable
from data_platform.sources.records.feed import Known, Page, State, UsualFeed, Wanted
from data_platform.sources.rejected import Rejected
from data_platform.sources.webhook.config import connection_of, hook
from data_platform.sources.webhook.event import KNOWN, PAYLOAD, Unreadable, event_of
from data_platform.sources.webhook.keys import settings_of


class WebhookFeed(UsualFeed):
    """``Feed``. The state is that of ``sources.inbox.walk``."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._connection = connection_of(opening.connection)
        self._scheme = self._connection.scheme_of()
        self.inbox = needed(opening.inbox, opening.source)
        self._readers = [table.id.table for table in self.inbox.tables]

    @property
    def system(self) -> str:
        return f"deliveries to {self._opening.source}"

    def known(self, table: SourceTable) -> Known:
        settings = settings_of(table)
        if settings.parent is not None:
            return Known(settings.place, {})
        body = {PAYLOAD: "json"} if settings.record is None else {}
        return Known(settings.place, {}, {**KNOWN, **body})

    def stream(self, table: SourceTable) -> Hashable:
        return settings_of(table).parent or table.id.table

    def incremental(self, table: SourceTable) -> bool:
        return True

    def pages(self, wanted: Wanted) -> Iterator[Page]:
        table = wanted.tables[0]
        for some in walk(self.inbox, table.id.table, self._readers, wanted.start):
            records, rejected = self._taken(table, some.deliveries)
            place = some.deliveries[0][0] if some.deliveries else None
            origin = f"object {place.number} of receiver {place.receiver} on" if place else "the inbox"
            yield Page(records, some.state, some.text, origin, more=some.more, rejected=rejected)

    def _taken(
        self, table: SourceTable, deliveries: Sequence[tuple[Place, int, Delivery]]
    ) -> tuple[list[bytes], list[Rejected]]:
        settings = settings_of(table)
        records, rejected = [], []
        for place, n, delivery in deliveries:
            origin = origin_of(place, n)
            try:
                event = event_of(delivery, self._scheme)
            except Unreadable as error:
                if settings.events is None:  # a table of all events; there is one
                    rejected.append(Rejected(str(error), origin, delivery.body))
                continue
            if settings.events is not None and not settings.events.fullmatch(event.type):
                continue
            try:
                records.append(event.whole() if settings.record is None else event.record(settings.record))
            except Unreadable as error:  # as a list, so that nothing takes the body for the record later
                rejected.append(Rejected(str(error), origin, b"[%b]" % delivery.body))
        return records, rejected

    def must_advance(self, before: State, after: State) -> bool:
        return advanced(before, after)

    def acknowledge(self, table: SourceTable, state: State) -> None:
        self.inbox.release(table.id.table, reached_of(state), self._readers)

    def interrupt(self) -> None:
        """Nothing is waited for."""

    def check(self, tables: Collection[SourceTable]) -> Iterator[str]:
        try:
            self._secrets()
        except DataPlatformError as error:
            yield str(error)

    def _secrets(self) -> list[bytes]:
        return secrets_of(self._opening.source, hook(self._connection), self._opening.environ)

    def findings(self, head: str, now: datetime) -> Iterator[Finding]:
        try:
            secrets = len(self._secrets())
        except DataPlatformError as error:
            yield Finding(f"{head}: secret", "fail", str(error))
        else:
            yield Finding(f"{head}: secret", "ok", f"{self._connection.secret_env} holds {secrets}.")
        waiting = len(self.inbox.places())
        yield Finding(f"{head}: inbox", "ok", f"{waiting:,} objects of deliveries wait.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open."""

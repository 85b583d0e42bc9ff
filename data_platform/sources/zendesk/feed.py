"""``sources.records.feed.Feed`` over an account of Zendesk's."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, time
from types import TracebackType

import msgspec

from data_platform.errors import DataPlatformError, SourceError
from data_platform.findings import Finding
from data_platform.sources.http.waiting import Clock
from data_platform.sources.reading import Opening, SourceTable
from data_platform.sources.records.feed import Known, Page, State, UsualFeed, Wanted
from data_platform.sources.records.looking import RecordsLooking, looking_of
from data_platform.sources.records.reading import RecordsReading, reading_of
from data_platform.sources.zendesk.api import Api, PlaceRefused
from data_platform.sources.zendesk.config import connection_of
from data_platform.sources.zendesk.keys import object_of, zendesk_settings
from data_platform.sources.zendesk.objects import OBJECTS, ZendeskObject
from data_platform.sources.zendesk.walk import Fetched, Walk

BEGUN_ANEW = (
    "Zendesk does not take the cursor of the last read any more: everything was read again from the start"
)
_RECORD = msgspec.json.Decoder(dict[str, msgspec.Raw])


def open_reading(opening: Opening) -> AbstractContextManager[RecordsReading]:
    return reading_of(ZendeskFeed(opening))


def open_looking(opening: Opening) -> AbstractContextManager[RecordsLooking]:
    return looking_of(ZendeskFeed(opening), opening)


class ZendeskFeed(UsualFeed):
    """``Feed``. ``clock`` is a test's."""

    def __init__(self, opening: Opening, clock: Clock | None = None) -> None:
        connection = connection_of(opening.connection)
        self._api = Api(opening.source, connection, opening.environ, clock)
        self._tables = opening.tables
        begin = connection.start
        self._start = int(datetime.combine(begin, time(), UTC).timestamp()) if begin else 0
        self.system = self._api.url

    def known(self, table: SourceTable) -> Known:
        settings, found = zendesk_settings(table), object_of(table)
        asks = {"endpoint": found.endpoint, "records": found.records, "include": list(settings.include)}
        return Known(found.endpoint, asks, settings.known or {})

    def stream(self, table: SourceTable) -> Hashable:
        return zendesk_settings(table).parent or table.id.table

    def incremental(self, table: SourceTable) -> bool:
        return object_of(table).walked != "list"

    def pages(self, wanted: Wanted) -> Iterator[Page]:
        table = wanted.tables[0]
        found, settings = object_of(table), zendesk_settings(table)
        for fetched, notes in self._fetched(table, wanted.start):
            records, gone = list(fetched.records), frozenset[int]()
            if settings.removes:
                records, gone = _removed(table, found, records, fetched)
            yield Page(
                records,
                fetched.state,
                fetched.text,
                fetched.origin,
                gone=gone,
                notes=notes,
                more=fetched.more,
            )

    def _fetched(self, table: SourceTable, start: State | None) -> Iterator[tuple[Fetched, tuple[str, ...]]]:
        """The pages from ``start`` on; where Zendesk does not take its cursor any more, all of them, with a note."""
        walk, begun = self._walk(table), False
        try:
            for fetched in walk.pages(start):
                begun = True
                yield fetched, ()
            return
        except PlaceRefused:
            if begun or "cursor" not in (start or {}):
                raise
        notes: tuple[str, ...] = (BEGUN_ANEW,)
        for fetched in walk.pages(None):
            yield fetched, notes
            notes = ()

    def _walk(self, table: SourceTable) -> Walk:
        settings = zendesk_settings(table)
        params = {"include": ",".join(settings.include)} if settings.include else {}
        return Walk(self._api, str(table.id), object_of(table), params, self._start)

    def interrupt(self) -> None:
        self._api.interrupt()

    def findings(self, head: str, now: datetime) -> Iterator[Finding]:
        if not self._tables:
            return
        table = self._tables[0]
        try:
            next(iter(self._walk(table).pages(None, per_page=1)), None)
        except DataPlatformError as error:
            yield Finding(f"{head}: answers", "fail", str(error))
        else:
            yield Finding(f"{head}: answers", "ok", f"{object_of(table).endpoint} gave a first page.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._api.close()


def _removed(
    table: SourceTable, found: ZendeskObject, records: Sequence[bytes], fetched: Fetched
) -> tuple[list[bytes], frozenset[int]]:
    """The records and which of them name what is gone, each of those cut down to its key."""
    if found.name == "metric_sets":  # the tickets of the same page say which
        tickets = OBJECTS["tickets"]
        names = [
            b'{"ticket_id":%s}' % bytes(fields["id"])
            for fields in map(_RECORD.decode, fetched.body.records("tickets"))
            if _is_deleted(tickets, fields) and "id" in fields
        ]
        return [*records, *names], frozenset(range(len(records), len(records) + len(names)))
    kept, gone = list(records), set[int]()
    for n, record in enumerate(records):
        try:
            fields = _RECORD.decode(record)
        except msgspec.MsgspecError:
            raise SourceError(f"{table.id}: a record of {fetched.origin} is no object.") from None
        if _is_deleted(found, fields) and found.key in fields:
            kept[n] = b'{"%s":%s}' % (found.key.encode(), bytes(fields[found.key]))
            gone.add(n)
    return kept, frozenset(gone)


def _is_deleted(found: ZendeskObject, fields: dict[str, msgspec.Raw]) -> bool:
    if found.deleted is None or (raw := fields.get(found.deleted[0])) is None:
        return False
    value = msgspec.json.decode(raw)
    return value is not None if found.deleted[1] is None else value == found.deleted[1]

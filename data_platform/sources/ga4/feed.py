"""``sources.records.feed.Feed`` over a property: each page is one whole day of a report.

A day is asked for by itself: its sampling, thresholds and ``(other)`` rows are then its own, and fewer.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime
from types import TracebackType
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from data_platform.errors import ConfigurationError, DataPlatformError, SourceError
from data_platform.findings import Finding, failed
from data_platform.sources.ga4.client import Client
from data_platform.sources.ga4.config import connection_of, property_of
from data_platform.sources.ga4.days import Days, days_of
from data_platform.sources.ga4.keys import DATE, Report, column_of, ga4_settings
from data_platform.sources.ga4.names import types_of, unknown
from data_platform.sources.ga4.quality import columns_of, notes_of
from data_platform.sources.reading import Opening, SourceTable
from data_platform.sources.records.feed import Known, Page, UsualFeed, Wanted
from data_platform.sources.records.looking import RecordsLooking, looking_of
from data_platform.sources.records.reading import RecordsReading, reading_of
from data_platform.tables import Json

LIMIT = 250_000
"""Rows of one answer: the most that the API gives."""
TRIES = 3
"""Of a day whose rows change between its pages."""
NOTED_DAYS = 20
_NUMBER = re.compile(rb"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")


def now() -> datetime:
    """This machine's clock."""
    return datetime.now(UTC)


def open_reading(opening: Opening) -> AbstractContextManager[RecordsReading]:
    return reading_of(Ga4Feed(opening))


def open_looking(opening: Opening) -> AbstractContextManager[RecordsLooking]:
    return looking_of(Ga4Feed(opening), opening)


class Ga4Feed(UsualFeed):
    """``Feed``."""

    def __init__(self, opening: Opening) -> None:
        self._source = opening.source
        connection = connection_of(opening.connection)
        property_ = property_of(opening.source, connection, opening.environ)
        self._client = Client(opening.source, connection, property_, opening.environ)
        self._zone: ZoneInfo | None = None

    @property
    def system(self) -> str:
        return self._client.system

    def known(self, table: SourceTable) -> Known:
        settings, fields = ga4_settings(table), self._client.fields()
        report = settings.report
        if wrong := list(unknown(fields, report)):
            raise SourceError(f"{table.id}: {' '.join(wrong)}")
        identity: dict[str, Json] = {
            "dimensions": list(report.dimensions),
            "metrics": sorted(report.metrics),
        }
        return Known(settings.place, identity, types_of(fields, report))

    def stream(self, table: SourceTable) -> Hashable:
        return table.id.table

    def incremental(self, table: SourceTable) -> bool:
        return True

    def pages(self, wanted: Wanted) -> Iterator[Page]:
        table = wanted.tables[0]
        settings = ga4_settings(table)
        zone = self._time_zone(table, settings.report)
        today = now().astimezone(zone).date()
        if wanted.ask.what == "slices":
            days = [_day(table, text) for text in wanted.ask.slices]
            for n, day in enumerate(days, 1):
                records, notes = self._read(table, day)
                yield Page(
                    records,
                    wanted.start or {},
                    day.isoformat(),
                    self._origin(day),
                    notes=tuple(notes),
                    more=n < len(days),
                )
            return
        read = days_of(settings, _start(table, settings.start), wanted.start, today)
        yield from self._days(table, read)

    def _days(self, table: SourceTable, read: Days) -> Iterator[Page]:
        """A page a day. A day without rows is a mark that there are none any more."""
        noted = 0
        for day in read:
            records, notes = self._read(table, day)
            noted += bool(notes)
            if noted == NOTED_DAYS and notes:
                notes = [*notes, "further days with notes: see the columns whose names begin with _"]
            elif noted > NOTED_DAYS and day != read.last:
                notes = []
            last = day == read.last
            if last and (quota := self._client.quota.text()):
                notes = [*notes, quota]
            mark = not records
            yield Page(
                records or [msgspec.json.encode({DATE: day.isoformat()})],
                read.after(day),
                f"{day.isoformat()} in the time zone {self._zone}",
                self._origin(day),
                gone=frozenset((0,)) if mark else frozenset(),
                notes=tuple(notes),
                more=not last,
            )

    def _origin(self, day: date) -> str:
        return f"runReport of {day.isoformat()}"

    def _time_zone(self, table: SourceTable, report: Report) -> ZoneInfo:
        """The property's. Only a report's answer tells it."""
        if self._zone is None:
            request = {
                "metrics": [{"name": report.metrics[0]}],
                "date_ranges": [{"start_date": "yesterday", "end_date": "yesterday"}],
                "limit": 1,
            }
            name = self._client.report(
                f"the time zone of the property for {table.id}", request
            ).metadata.time_zone
            try:
                self._zone = ZoneInfo(name)
            except (ValueError, OSError, KeyError):
                raise SourceError(
                    f"{self._source}: the property's time zone {name!r} is not known here. Install the package tzdata."
                ) from None
        return self._zone

    def _read(self, table: SourceTable, day: date) -> tuple[list[bytes], list[str]]:
        """The records of a day, all of them or none: what changed between pages is read again."""
        what = f"{table.id} of {day.isoformat()}"
        for _ in range(TRIES):
            found = self._all_pages(table, day, what)
            if found is not None:
                return found
        raise SourceError(
            f"{what}: its rows changed between two pages {TRIES} times, so that no whole day was read. Sync again later; use"
            " fewer dimensions, so that a day fits into a page."
        )

    def _all_pages(self, table: SourceTable, day: date, what: str) -> tuple[list[bytes], list[str]] | None:
        """None where the pages do not fit together."""
        report = ga4_settings(table).report
        assert self._zone is not None
        partial = day >= now().astimezone(self._zone).date()
        records: list[bytes] = []
        keys: set[tuple[str, ...]] = set()
        count, read = -1, 0
        columns: dict[str, Json] = {}
        notes: dict[str, None] = {}
        while count < 0 or read < count:
            answer = self._client.report(what, _request(report, day, read))
            if count not in (-1, answer.row_count) or (not answer.rows and read < answer.row_count):
                return None
            count = answer.row_count
            now_columns = columns_of(answer.metadata, partial=partial)
            if columns and now_columns != columns:
                return None
            columns = now_columns
            notes |= dict.fromkeys(notes_of(day.isoformat(), answer.metadata, columns))
            for row in answer.rows:
                names = tuple(value.value for value in row.dimension_values)
                _check_day(what, names[0], day)
                keys.add(names[1:])
                records.append(_record(report, day, names[1:], row.metric_values, columns))
            read += len(answer.rows)
        if read != count or len(keys) != read:
            return None
        return records, list(notes)

    def interrupt(self) -> None:
        self._client.interrupt()

    def check(self, tables: Collection[SourceTable]) -> Iterator[str]:
        fields = self._client.fields()
        for table in tables:
            settings = ga4_settings(table)
            wrong = list(unknown(fields, settings.report))
            if wrong:
                yield f"{table.id}: {' '.join(wrong)}"
                continue
            try:
                _start(table, settings.start)
                self._client.check_compatible(
                    f"the dimensions and metrics of {table.id}", _fields(settings.report)
                )
            except (ConfigurationError, SourceError) as error:
                yield str(error)

    def findings(self, head: str, now: datetime) -> Iterator[Finding]:
        name = f"{head}: answers"
        try:
            fields = self._client.fields()
        except DataPlatformError as error:
            yield failed(name, error)
        else:
            known = f"{len(fields.dimensions):,} dimensions and {len(fields.metrics):,} metrics"
            yield Finding(name, "ok", f"The property {self._client.property} answered; it knows {known}.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.interrupt()


def _start(table: SourceTable, start: str | None) -> date:
    if start is None:
        raise ConfigurationError(
            f"{table.id}: the file of its source has no `start`. Write the first day to read, such as start: 2025-01-01."
        )
    return date.fromisoformat(start)


def _day(table: SourceTable, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SourceError(
            f"{table.id}: {text!r} is no day of a report. Give days, such as 2025-01-31."
        ) from None


def _fields(report: Report) -> dict[str, Any]:
    return {
        "dimensions": [{"name": name} for name in (DATE, *report.dimensions)],
        "metrics": [{"name": name} for name in report.metrics],
    }


def _request(report: Report, day: date, offset: int) -> dict[str, Any]:
    """Ordered by all dimensions: without a complete order pages may repeat rows."""
    return {
        **_fields(report),
        "date_ranges": [{"start_date": day.isoformat(), "end_date": day.isoformat()}],
        "order_bys": [{"dimension": {"dimension_name": name}} for name in (DATE, *report.dimensions)],
        "offset": offset,
        "limit": LIMIT,
    }


def _check_day(what: str, told: str, day: date) -> None:
    if told not in (day.strftime("%Y%m%d"), "(other)"):
        raise SourceError(
            f"{what}: Google Analytics answered with a row of {told[:20]!r}. Nothing of the day was taken."
        )


def _record(
    report: Report, day: date, dimensions: tuple[str, ...], metrics: Any, quality: dict[str, Json]
) -> bytes:
    """A row as JSON. Numbers keep the text in which they came."""
    values: dict[str, Any] = {DATE: day.isoformat()}
    values |= zip(map(column_of, report.dimensions), dimensions, strict=True)
    for name, metric in zip(report.metrics, metrics, strict=True):
        text = metric.value.encode()
        values[column_of(name)] = msgspec.Raw(text) if _NUMBER.fullmatch(text) else metric.value
    return msgspec.json.encode({**values, **quality})

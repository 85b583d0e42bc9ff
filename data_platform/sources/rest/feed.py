"""``sources.records.feed.Feed`` over a REST API.

The state of a table between two reads is ``{"cursors": {<parent's mark>: <value>}}``: the greatest value that was read of
each parent's records ("" where there is no parent), and ``edge``, digests of the records that the next read finds again.
Within a read it also has the ``trail`` to the next page, and what was ``seen`` of the parent that is under way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any

from data_platform.errors import DataPlatformError, SourceError
from data_platform.findings import Finding
from data_platform.sources.http.client import Answer
from data_platform.sources.http.waiting import Clock
from data_platform.sources.reading import Opening, SourceTable
from data_platform.sources.records.feed import Known, Page, State, UsualFeed, Wanted
from data_platform.sources.records.keys import settings_of
from data_platform.sources.records.looking import RecordsLooking, looking_of
from data_platform.sources.records.reading import RecordsReading, reading_of
from data_platform.sources.rest.bind import Bounds
from data_platform.sources.rest.config import connection_of, reader
from data_platform.sources.rest.connect import open_client
from data_platform.sources.rest.cursor import (
    Value,
    at_most,
    before,
    day_bounds,
    greater,
    greatest,
    in_day,
    plain,
    value_of,
)
from data_platform.sources.rest.edge import Edge
from data_platform.sources.rest.endpoint import Incremental
from data_platform.sources.rest.json_path import find_one, finder
from data_platform.sources.rest.keys import Level, level_of
from data_platform.sources.rest.walk import Fetched, Forgotten, Trail, Walk

PARENTS_MAX = 10_000
"""Of so many parents a cursor each is kept with every batch."""
_BEGUN_ANEW = "the API no longer knows the page at which the last read was interrupted; this read began with the first page again"


def open_reading(opening: Opening) -> AbstractContextManager[RecordsReading]:
    return reading_of(RestFeed(opening))


def open_looking(opening: Opening) -> AbstractContextManager[RecordsLooking]:
    return looking_of(RestFeed(opening), opening)


class RestFeed(UsualFeed):
    """``Feed``. ``clock`` is a test's."""

    def __init__(self, opening: Opening, clock: Clock | None = None) -> None:
        connection = connection_of(opening.connection)
        get = reader(opening.source, opening.environ)
        self._tables = opening.tables
        self.system = connection.url(get)
        if not self.system.startswith(("http://", "https://")):
            raise SourceError(
                f"{opening.source}: the base URL does not begin with http:// or https://. Correct it."
            )
        self._secret = json.dumps([get(variable) for variable in connection.secrets()]).encode()
        self._client = open_client(opening.source, connection, get, clock)
        self._walk = Walk(self._client, self.system, connection.paginator)

    def known(self, table: SourceTable) -> Known:
        level = level_of(table)
        return Known(level.path, {"path": level.path, "asks": _asks(level)})

    def stream(self, table: SourceTable) -> Hashable:
        return settings_of(table).parent or table.id.table

    def incremental(self, table: SourceTable) -> bool:
        return level_of(table).endpoint.incremental is not None

    def pages(self, wanted: Wanted) -> Iterator[Page]:
        table = wanted.tables[0]
        if wanted.ask.what == "slices":
            yield from self._days(table, wanted)
            return
        state = wanted.start or {}
        run = _Run(table, state, self._client.clock, self._secret)
        trail = _trail(state, run.level)
        try:
            yield from self._read(run, trail)
        except Forgotten:
            run.notes.append(_BEGUN_ANEW)
            run.seen = None
            yield from self._read(run, ())

    def _read(self, run: _Run, trail: Trail) -> Iterator[Page]:
        ended = False
        for fetched in self._walk.pages(run.level, trail, run.bounds):
            records = run.take(fetched)
            ended = fetched.after is None
            yield Page(
                records,
                run.state(fetched.after, whole=not trail),
                run.text() if ended else fetched.origin,
                fetched.origin,
                notes=(*run.new_notes(), *fetched.notes),
                more=not ended,
                resumable=not ended,
            )
        if not ended:  # the last parent's page held no record
            yield Page((), run.state(None, whole=not trail), run.text(), run.level.path, more=False)

    def _days(self, table: SourceTable, wanted: Wanted) -> Iterator[Page]:
        """The records of each day, asked for by its bounds. What an API gives beyond them is left out."""
        level, partition = level_of(table), table.partition or ""
        unit = settings_of(table).types.get(partition, "timestamp")
        for n, day_text in enumerate(wanted.ask.slices, 1):
            try:
                day = date.fromisoformat(day_text)
            except ValueError:
                raise SourceError(
                    f"{table.id}: the records without a `{partition}` cannot be asked for by themselves. Read the"
                    f" table whole: `data-platform sync --refresh {table.id}`."
                ) from None
            start, end = day_bounds(day, table.timezone, unit)
            bounds = Bounds(start, end)
            path = level.endpoint.incremental.cursor_path if level.endpoint.incremental else ()
            for fetched in self._walk.pages(level, (), lambda _, bounds=bounds: bounds):  # type: ignore[misc]
                records = [
                    record
                    for record in fetched.records
                    if (value := find_one(record, path)) is not None
                    and in_day(value.decode(), day, table.timezone, unit)
                ]
                more = fetched.after is not None or n < len(wanted.ask.slices)
                yield Page(
                    records, wanted.start or {}, day_text, fetched.origin, notes=fetched.notes, more=more
                )

    def interrupt(self) -> None:
        self._client.interrupt()

    def findings(self, head: str, now: datetime) -> Iterator[Finding]:
        name = f"{head}: answers"
        if not self._tables:
            return
        level = level_of(self._tables[0])
        while level.parent is not None:
            level = level.parent
        run = _Run(self._tables[0], {}, self._client.clock, self._secret)
        try:
            next(iter(self._walk.pages(level, (), lambda _: run.first())), None)
        except DataPlatformError as error:
            yield Finding(name, "fail", str(error))
        else:
            yield Finding(name, "ok", f"{level.path} gave a first page.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()


class _Run:
    """One read of a table: what it asks for, and how far it came."""

    def __init__(self, table: SourceTable, state: State, clock: Clock, secret: bytes) -> None:
        self.level = level_of(table)
        self._id, self._clock = table.id, clock
        self._incremental: Incremental | None = self.level.endpoint.incremental
        held: Any = state.get("cursors")
        self._cursors: dict[str, Value] = dict(held) if isinstance(held, Mapping) else {}
        seen = state.get("seen")
        self.seen: Value | None = seen if isinstance(seen, str) else None
        self._visited: set[str] = set()
        self.notes: list[str] = []
        self._missing = 0
        path: tuple[Any, ...] = self._incremental.cursor_path if self._incremental else ()
        word = settings_of(table).types.get(str(path[0]), "") if len(path) == 1 else ""
        self._find = finder(path)
        self._unit = word if word.startswith("epoch") else None
        known: Any = state.get("edge")
        lag = self._incremental.lag if self._incremental else 0
        self._edge = Edge(known if isinstance(known, list) else (), secret, lag)

    def first(self) -> Bounds:
        given = self._incremental.initial_value if self._incremental else None
        return Bounds(None if given is None else value_of(given), self._end())

    def _end(self) -> Value | None:
        given = self._incremental.end_value if self._incremental else None
        return None if given is None else value_of(given)

    def bounds(self, parent: str) -> Bounds:
        cursor = self._cursors.get(parent)
        if self._incremental is None or cursor is None:
            return self.first()
        try:
            return Bounds(before(cursor, self._incremental.lag), self._end())
        except ValueError:
            raise SourceError(
                f"{self._id}: the values at `{self._incremental.cursor_path.written}` are neither times nor numbers, so"
                " `lag` cannot be subtracted. Remove it, or name another cursor_path."
            ) from None

    def take(self, fetched: Fetched) -> Sequence[bytes]:
        """Note what a page held; its records that the last read did not find just so."""
        if self._incremental is None:
            return fetched.records
        values = self._values(fetched)
        if present := [value for value in values if value is not None]:
            self.seen = greater(self.seen, greatest(present))
        records = fetched.records
        if fetched.parent == "":
            records = self._edge.new(records)
            if self.seen is not None:
                self._edge.take(fetched.records, values, self.seen)
        if fetched.last_of_parent:
            self._end_parent(fetched)
        return records

    def _end_parent(self, fetched: Fetched) -> None:
        self._visited.add(fetched.parent)
        if self.seen is not None:
            seen = at_most(self.seen, _now(fetched.answer, self._clock), self._unit)
            self._cursors[fetched.parent] = greater(self._cursors.get(fetched.parent), seen) or seen
        self.seen = None
        if len(self._cursors) > PARENTS_MAX:
            raise SourceError(
                f"{self._id}: it has more than {PARENTS_MAX:,} parents, and a cursor each would be kept with every batch."
                " Leave `incremental` out, so that it is read whole."
            )

    def _values(self, fetched: Fetched) -> list[Value | None]:
        """Of each record; None where it has none."""
        assert self._incremental is not None
        path = self._incremental.cursor_path
        found = [self._find(record) for record in fetched.records]
        values = [
            value.decode() if value is not None and value[:1] not in (b"{", b"[") else None for value in found
        ]
        if (missing := values.count(None)) and self._incremental.on_cursor_value_missing == "raise":
            raise SourceError(
                f"{self._id}: {missing:,} record(s) of {fetched.origin} have no value at `{path.written}`,"
                " which `cursor_path` names, so that a change of them would not be seen. Correct it, or write"
                " on_cursor_value_missing: include."
            )
        return values

    def state(self, after: Trail | None, *, whole: bool) -> State:
        if self._incremental is None:
            return {} if after is None else {"trail": list(after)}
        if after is None:
            gone = set(self._cursors) - self._visited if whole else set()
            kept = {mark: value for mark, value in self._cursors.items() if mark not in gone}
            edge = self._edge.kept(self._cursors.get(""))
            return {"cursors": kept, **({"edge": edge} if edge else {})}
        edge = list(self._edge.known)
        seen = {} if self.seen is None else {"seen": self.seen}
        more = {"edge": edge} if edge else {}
        return {"cursors": dict(self._cursors), "trail": list(after), **seen, **more}

    def text(self) -> str:
        if self._incremental is None:
            return "all there was"
        if set(self._cursors) == {""}:
            return f"up to {plain(self._cursors[''])}"
        return f"up to the last of {len(self._cursors):,} parents" if self._cursors else "nothing yet"

    def new_notes(self) -> tuple[str, ...]:
        notes, self.notes = tuple(self.notes), []
        return notes


def _trail(state: State, level: Level) -> Trail:
    """The trail of an interrupted read; () without one, or if the endpoint has changed its parents since."""
    found: Any = state.get("trail")
    depth = 1
    while level.parent is not None:
        level, depth = level.parent, depth + 1
    if (
        not isinstance(found, list)
        or len(found) != depth
        or not all(isinstance(one, Mapping) for one in found)
    ):
        return ()
    return tuple(found)


def _asks(level: Level) -> str:
    """What is asked of the API, in short: another question is another table."""
    asked = []
    while True:
        endpoint = level.endpoint
        selector = getattr(endpoint.data_selector, "written", None)
        params = {name: str(value) for name, value in sorted(endpoint.params.items())}
        asked.append([level.path, endpoint.method, params, endpoint.json_, dict(endpoint.headers), selector])
        if level.parent is None:
            text = json.dumps(asked, sort_keys=True, default=str)
            return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        level = level.parent


def _now(answer: Answer, clock: Clock) -> datetime:
    """The server's clock, where it tells it."""
    try:
        return parsedate_to_datetime(answer.headers["Date"])
    except (KeyError, ValueError, TypeError):
        return clock.now()

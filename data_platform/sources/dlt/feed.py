"""``sources.records.feed.Feed`` over the resources of a dlt source.

The state of a table is what dlt keeps of the source that feeds it: ``{"dlt": {"resources": {<name>: ...}, ...}}``. Each table
has its own copy, which covers the rows that landed with it. Only the end of a read is sure to be such a moment; pages between are
one where the resource's rows come in the order of its cursor, or where the catalog says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec

from data_platform.errors import ConfigurationError, SourceError
from data_platform.findings import Finding
from data_platform.sources.dlt.config import called, connection_of
from data_platform.sources.dlt.keys import Keeps, dlt_settings
from data_platform.sources.dlt.values import NOT_JSON, NoRecord, Types, Unfit, encoded
from data_platform.sources.reading import Opening, SourceTable
from data_platform.sources.records.feed import Known, Page, State, UsualFeed, Wanted
from data_platform.sources.records.looking import RecordsLooking, looking_of
from data_platform.sources.records.reading import RecordsReading, reading_of
from data_platform.sources.rejected import Rejected

if TYPE_CHECKING:
    from dlt.extract.resource import DltResource

    from data_platform.sources.dlt.hints import Hints
    from data_platform.sources.dlt.run import Run

_RECORD = msgspec.json.Decoder(dict[str, msgspec.Raw])


def open_reading(opening: Opening) -> AbstractContextManager[RecordsReading]:
    return reading_of(DltFeed(opening))


def open_looking(opening: Opening) -> AbstractContextManager[RecordsLooking]:
    return looking_of(DltFeed(opening), opening)


class DltFeed(UsualFeed):
    """``Feed``."""

    def __init__(self, opening: Opening) -> None:
        connection = connection_of(opening.connection)
        self._called = called(opening.source, connection, opening.environ)
        self._stop = Event()
        self._types: dict[str, Types] = {}
        self._hints: dict[str, Hints] = {}
        self.system = f"dlt {connection.function}"
        self._asks = _digest([connection.function, connection.arguments, connection.config])
        needs_dlt(opening.source)
        from data_platform.sources.dlt.run import made

        self._source = made(self._called)

    def _resource(self, table: SourceTable) -> DltResource:
        from data_platform.sources.dlt.run import resource_of

        return resource_of(self._called, self._source, str(table.id), dlt_settings(table).resource)

    def hints(self, table: SourceTable) -> Hints:
        from data_platform.sources.dlt.hints import hints_of

        name = dlt_settings(table).resource
        if name not in self._hints:
            self._hints[name] = hints_of(self._resource(table))
        return self._hints[name]

    def known(self, table: SourceTable) -> Known:
        settings, hints = dlt_settings(table), self.hints(table)
        identity = {"resource": settings.resource, "table": settings.of_table, "asks": self._asks}
        types = {} if settings.parent else {**self._types.get(_stream(table), Types())(), **hints.types}
        return Known(f"resource {settings.place}", identity, types)

    def stream(self, table: SourceTable) -> Hashable:
        return _stream(table)

    def incremental(self, table: SourceTable) -> bool:
        return self._keeps(table) != "none" and self.hints(table).disposition != "replace"

    def _keeps(self, table: SourceTable) -> Keeps:
        from data_platform.sources.dlt.hints import incrementals

        found = dlt_settings(table).state
        if found is None:
            return "read" if any(incrementals(self._resource(table))) else "none"
        return found

    def pages(self, wanted: Wanted) -> Iterator[Page]:
        from data_platform.sources.dlt.run import Run
        from data_platform.sources.dlt.state import kept, restored

        table, settings = wanted.tables[0], dlt_settings(wanted.tables[0])
        name = str(table.id)
        if unmet := self.hints(table).unmet:
            raise SourceError(f"{name}: the dlt resource {settings.resource} has the hint {unmet[0]}.")
        keeps = self.incremental(table)
        state = restored(table, wanted.start) if keeps else {}
        run = Run(self._called, name, settings.resource, settings.of_table, state, self._stop)
        types = self._types.setdefault(_stream(table), Types())
        written = _Written(settings.resource, types, _key_of(wanted), self.hints(table).deleted)
        covered = kept(state)
        with closing(run.rows()) as found:
            for rows in found:
                try:
                    written.add(rows.rows, rows.notes)
                except NoRecord as error:
                    raise SourceError(
                        f"{name}: the dlt resource {settings.resource} gave a row with a value of the type {error}, which no record can"
                        " hold exactly. Let the resource give text, a number, a time or bytes instead (`add_map` does it)."
                    ) from None
                if (
                    rows.true
                    and keeps
                    and (settings.state == "page" or (settings.state is None and run.ordered()))
                ):
                    covered = self._kept(table, run)
                if written.holds:
                    yield written.page(covered, _text(covered), more=True)
        final = self._kept(table, run) if keeps else kept({})
        notes = _unused(settings.resource, run) if not keeps and run.keeps_more() else ()
        yield written.page(final, _text(final), more=False, notes=notes)

    def _kept(self, table: SourceTable, run: Run) -> State:
        from data_platform.sources.dlt.run import secrets_in
        from data_platform.sources.dlt.state import kept

        state = kept(run.state)
        if self._called.secrets and secrets_in(self._called, json.dumps(state, ensure_ascii=False)):
            raise SourceError(
                f"{table.id}: the dlt resource {dlt_settings(table).resource} keeps the value of an environment variable in its state,"
                " which lands beside its rows. Let it keep something else."
            )
        return state

    def interrupt(self) -> None:
        self._stop.set()

    def check(self, tables: Collection[SourceTable]) -> Iterator[str]:
        for table in tables:
            settings = dlt_settings(table)
            try:
                hints = self.hints(table)
            except SourceError as error:
                yield str(error)
                continue
            where = f"{table.id}: the dlt resource {settings.resource}"
            yield from (f"{where} has the hint {unmet}." for unmet in hints.unmet)
            if hints.key and table.key and not settings.parent and set(hints.key) != set(table.key):
                yield (
                    f"{where} has the primary_key {', '.join(hints.key)}, and the block the key {', '.join(table.key)}. Write"
                    f" `key: [{', '.join(hints.key)}]`, or change the hint with apply_hints."
                )

    def findings(self, head: str, now: datetime) -> Iterator[Finding]:
        names = ", ".join(map(str, self._source.resources))
        yield Finding(f"{head}: gives resources", "ok", f"{self._called.function} gives {names}.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open between two walks."""


@dataclass
class _Written:
    """Records on their way into a page. Rows that ``deleted`` marks become their key."""

    resource: str
    types: Types
    key: Sequence[str]
    deleted: Sequence[str]
    records: list[bytes] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    gone: set[int] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    pages: int = 0

    @property
    def holds(self) -> bool:
        return bool(self.records or self.rejected)

    def add(self, rows: Sequence[Any], notes: Sequence[str]) -> None:
        self.types.learn(rows)
        records = encoded(rows)
        self.notes += notes
        if not self.deleted and not any(isinstance(record, Unfit) for record in records):
            self.records += records
            return
        for row, record in zip(rows, records, strict=True):
            if isinstance(record, Unfit):
                self.rejected.append(Rejected(NOT_JSON, self._origin, record))
                continue
            if isinstance(row, Mapping) and any(_marks(row.get(name)) for name in self.deleted):
                self.gone.add(len(self.records))
                fields = _RECORD.decode(record)
                record = msgspec.json.encode({name: fields[name] for name in self.key if name in fields})
            self.records.append(record)

    @property
    def _origin(self) -> str:
        return f"resource {self.resource}, page {self.pages + 1}"

    def page(self, state: State, text: str, *, more: bool, notes: Sequence[str] = ()) -> Page:
        page = Page(
            self.records,
            state,
            text,
            self._origin,
            frozenset(self.gone),
            (*self.notes, *notes),
            more,
            self.rejected,
        )
        self.records, self.rejected, self.gone, self.notes = [], [], set(), []
        self.pages += 1
        return page


def _marks(value: Any) -> bool:
    """Whether dlt takes it for a row that is gone: true, or anything in a column that is no boolean."""
    return value is not None and value is not False


def _stream(table: SourceTable) -> str:
    settings = dlt_settings(table)
    return settings.parent or table.id.table


def _key_of(wanted: Wanted) -> Sequence[str]:
    table = wanted.tables[0]
    return dlt_settings(table).parent_key or table.key


def _text(state: State) -> str:
    from data_platform.sources.dlt.state import cursors

    held: Any = state["dlt"]
    found = list(cursors(held))
    return f"up to {found[0]}" if len(found) == 1 else "all there was"


def _unused(resource: str, run: Run) -> Sequence[str]:
    return (
        f"the dlt resource {resource} keeps state, and every read begins without it. `state: read` in the table's block hands it on"
        " from one read to the next",
    )


def _digest(values: Any) -> str:
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def needs_dlt(source: str) -> None:
    try:
        import dlt  # noqa: F401
    except ModuleNotFoundError:
        raise ConfigurationError(
            f"{source}: a source of the kind dlt needs dlt, which is not installed. Install the extra: pip install"
            " 'data-platform[dlt]'."
        ) from None

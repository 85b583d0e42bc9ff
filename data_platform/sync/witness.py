"""Whether a recovered database holds the values that the warehouse has of the same rows in the same versions.

Both came from one source by different ways: pages and WAL into the one, rows and batches into the other. A version of a row has
one value, whatever the two instants are, so a value that differs is damage on one of the ways. Rows that only one of both
has, or has in another version, say nothing: they changed between the instants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from data_platform.catalog import Source, Table
from data_platform.errors import DataPlatformError
from data_platform.quality.completeness import due, readable
from data_platform.sources.kinds import open_reading, server_access
from data_platform.sync.opening import opening_of
from data_platform.sync.platform import Platform
from data_platform.sync.work import Request, Work, prepare
from data_platform.tables import Layout, Slice, TableId
from data_platform.warehouses import Warehouse

ROWS_WHOLE = 1_000_000
"""A table of more rows is compared in a seventh of its slices each day, as `complete` compares it with the source."""
LOOK_SECONDS = 0.2
KEYLESS = "without a key its rows cannot be told apart"
SEALED = "its rows are of persons, and reading one who was erased since would make a key again"
NOTHING = "the warehouse holds nothing of it to compare today"


@dataclass(frozen=True)
class Witnessed:
    """``rows`` of the recovered database, in so many ``slices``, were held against the warehouse; ``differing`` are the slices with
    rows whose version is there with other values, and how many. ``why_not`` says why nothing was compared: then it is not
    known."""

    table: TableId
    rows: int = 0
    slices: int = 0
    differing: Mapping[Slice, int] = field(default_factory=dict)
    why_not: str = ""

    @property
    def problems(self) -> list[str]:
        return [
            f"{self.table}, {slice_}: {rows:,} row(s) of the recovered database have other values than the warehouse has of the"
            " same versions. Either the database was damaged before or in its backups, or the warehouse was altered."
            for slice_, rows in sorted(self.differing.items())
        ]


def led_to(platform: Platform, urls: Mapping[str, str]) -> dict[str, str]:
    """The environment in which the sources' variables lead to ``urls``, by source."""
    environ = dict(platform.environ)
    for name, url in urls.items():
        source = platform.catalog.source(name)
        access = server_access(source.kind, source.connection, platform.environ, source=name, url_env=None)
        environ[access.variable] = url
    return environ


def witnessed(platform: Platform, at_server: Platform, source: str) -> list[Witnessed]:
    """Every table of ``source``, whose server ``at_server`` takes for the recovered one. What cannot be compared says why; nothing
    is written."""
    declared = platform.catalog.source(source)
    tables = [one for one in declared.tables.values() if one.proved]
    found: dict[TableId, Witnessed] = {}
    try:
        with platform.warehouse(read_only=True) as warehouse:
            works = [
                Work(table, platform.ledger.state(table.id), Request(slices=slices))
                for table in tables
                if (slices := _slices(platform, table, warehouse))
            ]
        for table in tables:
            if table not in [work.table for work in works]:
                found[table.id] = Witnessed(table.id, why_not=_why_not(table))
        with ExitStack() as stack:  # nobody who loads waits while the server is read
            scratch = stack.enter_context(platform.store.scratch())
            _read(at_server, declared, works, scratch, stack)
            warehouse = stack.enter_context(platform.warehouse(read_only=True, landed=True))
            found |= {work.table.id: _compared(work, warehouse) for work in works}
    except DataPlatformError as error:
        for table in tables:
            found.setdefault(table.id, Witnessed(table.id, why_not=str(error)))
    return [found[table.id] for table in tables]


def _read(
    at_server: Platform, source: Source, works: Sequence[Work], scratch: Path, stack: ExitStack
) -> None:
    """The rows of ``works``, into their ``parts``; what fails is a work's ``error``."""
    if not works:
        return
    opening = opening_of(at_server, source, [work.table for work in works])
    reading = stack.enter_context(open_reading(source.kind, opening))
    prepare(works, reading, scratch, secrets=at_server, progress=None)
    for work in works:
        if work.error is None and work.plan is not None:
            try:
                while not reading.ready(work.plan, LOOK_SECONDS):
                    pass
                work.parts = reading.finish(work.plan, work.landed)
            except DataPlatformError as error:
                work.error = error


def _why_not(table: Table) -> str:
    if table.subject is not None:
        return SEALED
    return NOTHING if table.key else KEYLESS


def _slices(platform: Platform, table: Table, warehouse: Warehouse) -> tuple[Slice, ...]:
    """Those that the warehouse holds and that are compared today."""
    loaded = warehouse.loaded(table.id) if table.key and table.subject is None else None
    if loaded is None:
        return ()
    head = platform.ledger.read(table.id, loaded.sequence)
    held = warehouse.tallies(table.id, head.layout)
    if sum(tally.rows for tally in held.values()) <= ROWS_WHOLE:
        return readable(held)
    return due(table.id, held, platform.clock().date())


def _compared(work: Work, warehouse: Warehouse) -> Witnessed:
    table, plan = work.table, work.plan
    try:
        if work.error is not None:
            raise work.error
        assert plan is not None
        if plan.now.version is None:
            return Witnessed(table.id, why_not="its rows have no version at the source")
        layout = Layout(table.key, table.partition, table.timezone, plan.now.version)
        slices = plan.slices or work.request.slices or ()
        altered = warehouse.altered(table.id, layout, work.shape.columns, work.parts.paths, slices)
    except DataPlatformError as error:
        return Witnessed(table.id, why_not=str(error))
    return Witnessed(
        table.id, work.parts.rows, len(slices), {name: rows for name, rows in altered.items() if rows}
    )

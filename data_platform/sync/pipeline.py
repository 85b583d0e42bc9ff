"""One pass over some tables of a source: heads, one snapshot, parallel reads, commits, loads.

A failure of the whole source is a failure of each table; a failure of one table does not stop the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack

from data_platform.errors import DataPlatformError
from data_platform.landing.state import TableState
from data_platform.sources.kinds import open_reading
from data_platform.sources.reading import Progress
from data_platform.sync.erasing.door import door_of
from data_platform.sync.finish import Finish, reported
from data_platform.sync.opening import opening_of
from data_platform.sync.platform import Platform
from data_platform.sync.report import TableReport
from data_platform.sync.summarize import Engine
from data_platform.sync.work import Request, Work, prepare
from data_platform.tables import TableId
from data_platform.tracing import Span


def one_pass(
    platform: Platform, asked: Mapping[TableId, Request], progress: Progress | None
) -> Iterator[TableReport]:
    """A report for each table of ``asked``, which are of one source, in that order."""
    if not asked:
        return
    name = next(iter(asked)).source
    with platform.traces.piece("sync", source=name, tables=len(asked)) as span:
        yield from _one_pass(platform, asked, progress, span)


def _one_pass(
    platform: Platform, asked: Mapping[TableId, Request], progress: Progress | None, span: Span
) -> Iterator[TableReport]:
    works = _read_heads(platform, asked)
    if not works:
        return
    source = platform.catalog.source(works[0].table.id.source)
    tables = [work.table for work in works if work.error is None]
    opening = opening_of(platform, source, tables)
    try:
        with ExitStack() as stack:
            scratch = stack.enter_context(platform.store.scratch())
            reading = stack.enter_context(open_reading(source.kind, opening))
            with span.piece("plan"):
                prepare(works, reading, scratch, secrets=platform, progress=progress)
            yield from Finish(platform, reading, stack.enter_context(Engine()), span).reports(works)
    except DataPlatformError as error:
        span.failed(error)
        for work in works:
            if not work.reported:
                yield reported(work, error=work.error or error)


def _read_heads(platform: Platform, asked: Mapping[TableId, Request]) -> list[Work]:
    """Each chain's head is read before the snapshot, so that sequence order is snapshot order."""
    works, door = [], door_of(platform)
    for ledger, table in platform.ledger.ahead_of(list(asked), states=True):
        work = Work(platform.catalog.table(table), TableState(), asked[table], door=door)
        try:
            work.state = ledger.state(table)
        except DataPlatformError as error:
            work.error = error
        works.append(work)
    return works

"""One sync of one source: read the heads, take one snapshot, read side by side, commit, load.

The two operations share this path: *changes* reads what changed across each
table and advances its watermark; *slice* replaces slices and carries the
watermark forward unchanged. What a read calls for (``follow_up.py``) is read in rounds,
each for all tables under one snapshot: tables that belong together are mended together.
A table that fails is reported and keeps no other from being done. A kill at any instant
leaves nothing to repair: what has no manifest does not exist, and what is landed is loaded
by the next sync.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace

from data_platform.catalog import Table
from data_platform.errors import BatchConflict, DataPlatformError
from data_platform.landing.state import TableState
from data_platform.privacy.treatments import session_setup
from data_platform.sources.postgres.config import connection_of, settings_of
from data_platform.sources.postgres.connection import target
from data_platform.sources.postgres.extract import Readers
from data_platform.sources.postgres.session import SourceSession
from data_platform.sync.finish import Finish, reported
from data_platform.sync.follow_up import MAX_ATTEMPTS, FollowUp, follow_up, joined
from data_platform.sync.load import remember_failure
from data_platform.sync.platform import Platform
from data_platform.sync.report import TableReport
from data_platform.sync.summarize import Engine
from data_platform.sync.work import Request, Work, prepare
from data_platform.tables import Slice, TableId

Progress = Callable[[str, int, int], None]
"""Called with a table, its rows read so far and the estimate of all (0: not known)."""


def sync_changes(
    platform: Platform,
    source: str,
    tables: Sequence[str] | None = None,
    *,
    refresh: Collection[str] = (),
    verify: bool = False,
    audit: bool = False,
    progress: Progress | None = None,
) -> Iterator[TableReport]:
    """Read what changed in ``tables`` (all of ``source`` by default) and merge it; one report a table.

    ``refresh`` names tables to read anew; ``verify`` also counts every slice at
    the source in the same snapshot, compares the warehouse with it and reads the
    slices that differ again; ``audit`` does that and then compares the whole rows
    of a seventh of the slices. A table's failure is in its report, never raised.
    """
    request = Request(frozenset(refresh), verify or audit, audit=audit)
    reports = _rounds(platform, request, _choose(platform, source, tables), progress)
    yield from _verified_together(platform, reports) if request.verify else reports


def sync_slices(
    platform: Platform,
    source: str,
    tables: Sequence[str] | None,
    slices: Sequence[Slice],
    *,
    progress: Progress | None = None,
) -> Iterator[TableReport]:
    """Replace ``slices`` of ``tables`` by what the source holds now, deletes included.

    The watermark stays. A table without a partition column is read whole.
    """
    request = Request(slices=tuple(slices))
    yield from _rounds(platform, request, _choose(platform, source, tables), progress)


def _choose(platform: Platform, source: str, tables: Sequence[str] | None) -> list[Table]:
    names = list(platform.catalog.source(source).tables) if tables is None else dict.fromkeys(tables)
    return [platform.catalog.table(TableId(source, name)) for name in names]


def _rounds(
    platform: Platform, request: Request, tables: Sequence[Table], progress: Progress | None
) -> Iterator[TableReport]:
    """One pass over ``tables``, and then, round by round, what each of them still calls for."""
    courses: dict[TableId, FollowUp] = {}
    asked: dict[TableId, Request] = {}
    answers = _attempt(platform, {table.id: request for table in tables}, progress)
    while True:
        for report in answers:
            table = report.table
            try:
                if table in courses:
                    asked[table] = courses[table].send(report)
                else:
                    courses[table] = follow_up(platform, request, platform.catalog.table(table), report)
                    asked[table] = next(courses[table])
            except StopIteration as done:
                _remember(platform, done.value)
                yield done.value
        if not asked:
            return
        answers = _attempt(platform, asked, None)
        asked = {}


def _verified_together(platform: Platform, reports: Iterator[TableReport]) -> Iterator[TableReport]:
    """``reports``; where some tables were mended, the others are looked at once more after that.

    A parent's row is taken out under a later snapshot than the one in which its children were counted:
    only another look tells that none of these went with it. What such a look finds is the next reconcile's.
    """
    held: list[TableReport] = []
    mended = False
    for report in reports:
        found = report.completeness
        if found is not None and found.passed and not found.mended and report.error is None:
            held.append(report)
        else:
            mended |= found is not None and bool(found.mended)
            yield report
    again = {report.table: Request(verify=True, mend=False) for report in held if mended}
    looks = {look.table: look for look in _attempt(platform, again, None)}
    for report in held:
        look = looks.get(report.table)
        if look is not None and look.error is None:
            report = replace(joined(report, look), completeness=report.completeness)
        yield report


def _remember(platform: Platform, report: TableReport) -> None:
    """What became of a table, as hints: that it failed, or that nothing stands there that is gone."""
    if report.error is not None:
        remember_failure(platform, report.table, report.error)
    elif report.reconciled:
        with suppress(DataPlatformError):
            platform.ledger.reconciled(report.table, platform.clock().isoformat(timespec="microseconds"))


def _attempt(
    platform: Platform, asked: Mapping[TableId, Request], progress: Progress | None, attempt: int = 1
) -> Iterator[TableReport]:
    """One pass over the tables; those that lost the race for their sequence are extracted again."""
    again = {}
    for report in _pass(platform, asked, progress):
        if isinstance(report.error, BatchConflict) and attempt < MAX_ATTEMPTS:
            again[report.table] = asked[report.table]
        else:
            yield report
    if again:
        yield from _attempt(platform, again, progress, attempt + 1)


def _pass(
    platform: Platform, asked: Mapping[TableId, Request], progress: Progress | None
) -> Iterator[TableReport]:
    works = _read_heads(platform, asked)
    if not works:
        return
    try:
        with ExitStack() as stack:
            session = _open(platform, works, stack)
            readers = _start_reading(platform, session, works, stack, progress)
            yield from Finish(platform, session, stack.enter_context(Engine())).reports(works)
            readers.join()
    except DataPlatformError as error:  # what hits the whole source hits each of its tables
        for work in works:
            if not work.reported:
                yield reported(work, error=work.error or error)


def _read_heads(platform: Platform, asked: Mapping[TableId, Request]) -> list[Work]:
    """Each chain's head is read before the snapshot, so that sequence order is snapshot order."""
    works = []
    for table, request in asked.items():
        work = Work(platform.catalog.table(table), TableState(), request)
        try:
            work.state = platform.ledger.state(table)
        except DataPlatformError as error:
            work.error = error
        works.append(work)
    return works


def _open(platform: Platform, works: Sequence[Work], stack: ExitStack) -> SourceSession:
    source = platform.catalog.source(works[0].table.id.source)
    where = target(connection_of(source.connection), platform.environ, source=source.name)
    session = stack.enter_context(SourceSession(where))
    session.begin(
        [(w.table.id.table, *settings_of(w.table).relation) for w in works if w.error is None],
        observe_activity=any(
            settings_of(w.table).cursor_clock == "database" and w.request.slices is None for w in works
        ),
    )
    return session


def _start_reading(
    platform: Platform,
    session: SourceSession,
    works: Sequence[Work],
    stack: ExitStack,
    progress: Progress | None,
) -> Readers:
    scratch = stack.enter_context(platform.store.scratch())
    prepare(works, session, scratch, hash_key=platform.hash_key)
    reads = [w.plan.read for w in works if w.plan is not None]
    hashes = any(w.plan and "hash" in w.table.personal.values() for w in works)
    readers = Readers(
        session,
        connections=connection_of(platform.catalog.source(works[0].table.id.source).connection).connections,
        setup=session_setup(platform.hash_key()) if hashes else (),
        on_progress=progress and _advance(progress, {r.label: r.rows_estimate for r in reads}),
    )
    stack.callback(readers.stop)
    readers.start(reads)
    if session.server.standby:
        session.reader = readers.ask
    return readers


def _advance(progress: Progress, estimates: dict[str, int]) -> Callable[[str, int], None]:
    return lambda label, rows: progress(label, rows, estimates[label])

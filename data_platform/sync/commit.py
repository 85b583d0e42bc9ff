"""From the parts of one read to one manifest in the ledger, with the proof that the read is whole.

Nothing is visible before the manifest: parts are put first, the manifest last.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace

from data_platform.errors import SourceError
from data_platform.landing.keys import part_key
from data_platform.landing.manifest import Manifest, Part
from data_platform.landing.part import sha256_of
from data_platform.sources.postgres.fingerprint import measure, tally
from data_platform.sources.postgres.introspect import Relation
from data_platform.sources.postgres.position import Watermark
from data_platform.sources.postgres.session import SourceSession, changed_since
from data_platform.sources.postgres.steadiness import unsteady
from data_platform.sources.postgres.types import from_clause
from data_platform.sync.decide import ADVANCE_XID_DISTANCE
from data_platform.sync.platform import Platform
from data_platform.sync.projection import checksum_key, key_enforced
from data_platform.sync.summarize import Engine, Summary, summarize
from data_platform.sync.work import Plan, Work
from data_platform.tables import NULL_SLICE, SOURCE_XMIN, WHOLE_TABLE, Fingerprint, Slice, Tally, is_day

MAX_SLICES = 50_000
"""Days of one table: 2.5 MB of each checkpoint, and some twenty seconds of the graph."""
MAX_MEASURED_DAYS = 7
"""A changes batch that touched at most this many days of an indexed partition column
measures them on the way: the common case of today and yesterday, for milliseconds."""

LARGE_BYTES = 16 * 2**20
"""What is so large is landed alone: on its way to a remote store, 64 MB of it may stand in memory."""


def commit(
    platform: Platform,
    session: SourceSession,
    work: Work,
    plan: Plan,
    engine: Engine,
    turn: AbstractContextManager[None],
) -> Manifest | None:
    """Commit what ``plan`` read; None where nothing changed and there is nothing to say. ``engine`` reads the parts.

    Several threads may commit a table each: ``session`` and ``engine`` are used, and what is large is landed, in ``turn``.
    Raises BatchConflict when another writer took the sequence, DuplicateKey,
    and SourceError when the parts are not what the snapshot holds.
    """
    with ExitStack() as in_turn:
        in_turn.enter_context(turn)
        proved = _proved(session, work, plan, engine)
        if proved is None:
            return None
        if sum(path.stat().st_size for path, _ in plan.read.parts) < LARGE_BYTES:
            in_turn.close()
        return _landed(platform, proved, plan)


def _proved(session: SourceSession, work: Work, plan: Plan, engine: Engine) -> Manifest | None:
    """The manifest of what was read, once it is known to be what the snapshot holds; its parts are still to be put."""
    table, state, decision, relation = work.table, work.state, plan.decision, plan.relation
    enforced = key_enforced(table, relation)
    key = checksum_key(table, relation)
    whole = decision.load == "replace"
    summary = summarize(
        table.id,
        [path for path, _ in plan.read.parts],
        plan.shape,
        checksum_key=key,
        with_checksum=whole or decision.load == "slice",
        check_key=not enforced,
        cursor=_landed_cursor(work, plan),
        with_content=_compares_content(work, plan),
        engine=engine,
    )
    _refuse_too_many_days(work, summary.slices, whole=whole)
    after = _watermark_after(session, work, plan, summary.cursor)
    measured = _measure(session, work, plan, key, summary.slices)
    if (
        not plan.read.rows
        and decision.operation == "changes"
        and not measured
        and not _must_advance(work.watermark, after)
        and not _relation_changed(work, plan)
    ):
        return None
    if _as_landed(session, work, plan, summary, measured, after):
        return None
    assert session.snapshot is not None
    return Manifest(
        table=table.id,
        sequence=state.next_sequence,
        operation=decision.operation,
        load=decision.load,
        key=plan.shape.key,
        partition=plan.shape.partition,
        timezone=plan.shape.timezone,
        slices=plan.slices,
        snapshot=session.snapshot.to_snapshot(),
        position_before=state.position,
        position_after=after.to_position() if after else None,
        columns=plan.shape.columns,
        parts=(),
        rows=plan.read.rows,
        touched={slice_: fingerprint.rows for slice_, fingerprint in summary.slices.items()},
        fingerprints=measured,
        measured_whole=whole,
        committed_at="",
        nonce=uuid.uuid4().hex,
        previous=state.digest,
        key_enforced=enforced,
        identity=plan.shape.identity.to_json() if plan.shape.identity else None,
        version=SOURCE_XMIN,
        content=summary.content if whole else None,
        boundary=summary.boundary,
        notes=tuple(dict.fromkeys(work.notes)),
    )


def _landed(platform: Platform, proved: Manifest, plan: Plan) -> Manifest:
    """Put the parts, and then commit the manifest that speaks of them."""
    parts = []
    for index, (path, rows) in enumerate(plan.read.parts):
        key = part_key(proved.table, proved.sequence, proved.nonce, index)
        part = Part(key, rows, path.stat().st_size, sha256_of(path))
        platform.store.put_file(part.key, path, sha256=part.sha256)
        parts.append(part)
    at = platform.clock().isoformat(timespec="microseconds")
    return platform.ledger.commit(replace(proved, parts=tuple(parts), committed_at=at))


def _refuse_too_many_days(work: Work, landed: Mapping[Slice, Fingerprint], *, whole: bool) -> None:
    """A manifest and the graph list a table's days: what holds more than anybody's history is no partition."""
    table = work.table
    days = len(landed.keys() if whole else landed.keys() | work.state.measured.keys())
    if days > MAX_SLICES:
        raise SourceError(
            f"{table.id}: its partition column {table.partition} holds {days:,} different days, and at most"
            f" {MAX_SLICES:,} (137 years of them) are kept apart. Nothing was committed. Choose a column as `partition`"
            " that says when a row came to be, or leave `partition` out; then read the table with"
            f" `sync --refresh {table.id}`."
        )


def _landed_cursor(work: Work, plan: Plan) -> str | None:
    """The cursor whose greatest value must be kept: only where there is no xmin to go by."""
    cursor = work.table.cursor
    if plan.relation.has_xmin or cursor is None or work.table.personal.get(cursor, "keep") != "keep":
        return None
    return cursor


def _watermark_after(session: SourceSession, work: Work, plan: Plan, cursor: str | None) -> Watermark | None:
    before, snapshot = work.watermark, session.snapshot
    assert snapshot is not None
    if plan.decision.operation == "slice":
        if before and before.xmin is not None and snapshot.xmin is not None and snapshot.xmin < before.xmin:
            # a replica that lags behind what was read before: what it does not show yet must be found again
            return replace(before, xmin=snapshot.xmin, horizon=None)
        return before
    return Watermark(
        snapshot.system_identifier,
        snapshot.timeline,
        snapshot.xmin if plan.relation.has_xmin else None,
        plan.horizon,
        cursor or (before.cursor if before else None),
    )


def _compares_content(work: Work, plan: Plan) -> bool:
    """Whether only the rows themselves tell that nothing changed: of what is read whole each time, or by a
    cursor that finds its last rows again."""
    return plan.decision.load != "slice" and (work.table.strategy == "replace" or not plan.relation.has_xmin)


def _as_landed(
    session: SourceSession,
    work: Work,
    plan: Plan,
    summary: Summary,
    measured: Mapping[Slice, Fingerprint],
    after: Watermark | None,
) -> bool:
    """Whether every row that was read stands in the head's batch as it is."""
    head, before = work.state.head, work.watermark
    if head is None or before is None or after is None or work.table.id.table in work.request.refresh:
        return False
    shape = plan.shape
    same = (head.columns, head.key, head.partition, head.timezone, work.known) == (
        shape.columns,
        shape.key,
        shape.partition,
        shape.timezone,
        shape.identity,
    )
    database = (after.system_identifier, after.timeline) == (before.system_identifier, before.timeline)
    if not same or not database or summary.content is None or _must_advance(before, after):
        return False
    if plan.decision.path == "cursor":
        return summary.content == head.boundary and not measured
    if plan.decision.load != "replace" or summary.content != head.content:
        return False
    if before.xmin is None:
        return not plan.relation.has_xmin
    # a row that the next look would find again: its batch carries the watermark past it
    return not session.execute(
        f"select 1 from {from_clause(plan.relation)} where {changed_since(before.xmin)} limit 1",
        what=f"Looking for changes in {plan.relation.schema}.{plan.relation.name}",
    )


def _relation_changed(work: Work, plan: Plan) -> bool:
    """Whether the source's relation is not what the ledger says: told once, with or without rows."""
    return work.known is not None and work.known != plan.shape.identity


def _must_advance(before: Watermark | None, after: Watermark | None) -> bool:
    """No manifest for nothing, except to keep transaction numbers comparable."""
    if before is None or after is None or before.xmin is None or after.xmin is None:
        return False
    return after.xmin - before.xmin >= ADVANCE_XID_DISTANCE


def _measure(
    session: SourceSession, work: Work, plan: Plan, key: Sequence[str], landed: dict[Slice, Fingerprint]
) -> dict[Slice, Fingerprint]:
    """The source's fingerprints in this snapshot, after checking the parts against the server's count."""
    table, decision, relation = work.table, plan.decision, plan.relation
    what = f"Counting {relation.schema}.{relation.name}"
    if work.compare:
        work.tallies = _tallies(session, work, plan, what)
    if decision.load == "replace":
        counted = session.execute(f"select count(*) from {from_clause(relation)}", what=what)
        if counted[0][0] != plan.read.rows:
            raise SourceError(_miscounted(session, work, relation, plan.read.rows, counted[0][0]))
        return dict(landed)
    wanted: Sequence[Slice]
    if work.tallies is not None:
        # a checksum costs four times a tally: only for the slices of which the ledger has none that holds
        wanted = [s for s in work.tallies if (s not in work.state.measured or s in landed) and _countable(s)]
    elif decision.load == "slice":
        wanted = plan.slices
    elif _cheap_to_measure(work, plan, landed):
        wanted = list(landed)
    else:
        return {}
    if not wanted:
        return {}
    measured = measure(session.under_snapshot(what), relation, key, table.partition, table.timezone, wanted)
    if decision.load == "slice":
        wrong = sorted(s for s, f in measured.items() if landed.get(s, Fingerprint(0, 0)) != f)
        if wrong:
            raise SourceError(
                f"{table.id}: {len(wrong)} slice(s) were not read as the snapshot holds them"
                f" ({', '.join(wrong[:3])}). Nothing was committed. Run the sync again."
            )
    return measured


def _miscounted(session: SourceSession, work: Work, relation: Relation, read: int, counted: int) -> str:
    """What to say of a read whose rows are not as many as the snapshot holds, and of a relation that gives
    other rows each time it is read, which no snapshot can hold still."""
    where = f"{relation.schema}.{relation.name}"
    head = f"{work.table.id}: {read:,} rows were read and {counted:,} counted in one snapshot. Nothing was committed."
    if relation.has_xmin:
        return f"{head} Run the sync again; if it repeats, the read is not exact: report it."
    what = f"Looking for what makes {where} unsteady"
    causes = unsteady(session.under_snapshot(what), relation)
    if not causes:
        again = session.execute(f"select count(*) from {from_clause(relation)}", what=what)
        if again[0][0] == counted:
            return f"{head} Run the sync again; if it repeats, the read is not exact: report it."
    why = f": {' and '.join(causes)}" if causes else ""
    return (
        f"{head} {where} gives other rows each time it is read{why}. Keep its rows still at the source: make it a"
        " materialized view, or write its rows to a table, and read that; or take what changes by itself out of it."
    )


def _tallies(session: SourceSession, work: Work, plan: Plan, what: str) -> dict[Slice, Tally]:
    table = work.table
    return tally(
        session.under_snapshot(what),
        plan.relation,
        table.partition,
        table.timezone,
        server_version=session.server.version,
    )


def _countable(slice_: Slice) -> bool:
    """Whether the source can be asked for this slice alone (not for an infinite day)."""
    return is_day(slice_) or slice_ in (NULL_SLICE, WHOLE_TABLE)


def _cheap_to_measure(work: Work, plan: Plan, landed: dict[Slice, Fingerprint]) -> bool:
    return (
        0 < len(landed) <= MAX_MEASURED_DAYS
        and work.table.partition in plan.relation.indexed
        and all(is_day(slice_) for slice_ in landed)
    )

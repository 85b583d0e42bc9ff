"""From the parts of one read to one manifest in the ledger, with the proof that the read is whole.

Nothing is visible before the manifest: parts are put first, the manifest last.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace

from data_platform.alerts.changes import Change, appeared, note
from data_platform.errors import BatchConflict, SourceError
from data_platform.landing.keys import part_key
from data_platform.landing.manifest import Manifest, Part
from data_platform.landing.part import sha256_of
from data_platform.sources.reading import Plan, Reading
from data_platform.sync.columns import key_enforced, layout
from data_platform.sync.platform import Platform
from data_platform.sync.quarantine import put_rejected, rejected_notes
from data_platform.sync.summarize import Engine, Summary, summarize
from data_platform.sync.work import Work
from data_platform.tables import (
    NULL_SLICE,
    WHOLE_TABLE,
    Fingerprint,
    Layout,
    Position,
    Slice,
    Snapshot,
    is_day,
)

MAX_SLICES = 50_000
"""Days of one table: 2.5 MB of each checkpoint, and some twenty seconds of the graph."""
MAX_MEASURED_DAYS = 7
"""A changes batch that touched at most this many days of an indexed partition column
measures them on the way: the common case of today and yesterday, for milliseconds."""

LARGE_BYTES = 16 * 2**20
"""What is so large is landed alone: on its way to a remote store, 64 MB of it may stand in memory."""


def commit(
    platform: Platform,
    reading: Reading,
    work: Work,
    engine: Engine,
    turn: AbstractContextManager[None],
) -> Manifest | None:
    """Commit the step that was read of ``work``; None where nothing changed and there is nothing to say. ``engine``
    reads the parts.

    Several threads may commit a table each: ``reading`` and ``engine`` are used, and what is large is landed, in ``turn``.
    Raises BatchConflict when another writer took the sequence, DuplicateKey,
    and SourceError when the parts are not what the snapshot holds.
    """
    with ExitStack() as in_turn:
        in_turn.enter_context(turn)
        work.door.remember(platform, work.table.id)
        proved = _proved(reading, work, engine)
        if proved is None:
            return None
        if sum(path.stat().st_size for path in work.parts.paths) < LARGE_BYTES:
            in_turn.close()
        return _landed(platform, proved, work)


def _proved(reading: Reading, work: Work, engine: Engine) -> Manifest | None:
    """The manifest of what was read, once it is known to be what the snapshot holds; its parts are still to be put."""
    table, state, plan, load = work.table, work.state, work.plan, work.load
    assert plan is not None
    if state.head is None and plan.now.from_rows and not (plan.now.columns or work.parts.rejected):
        return None  # no row showed a column yet: the next read is the first one
    work.notes += rejected_notes(work)
    enforced = key_enforced(table, plan.now)
    told_apart = layout(table, plan.now)
    whole, counted = load == "replace", work.counted
    summary = summarize(
        table.id,
        work.parts.paths,
        work.shape,
        checksum_key=told_apart.key,
        with_checksum=counted and (whole or load == "slice"),
        check_key=not enforced,
        deleted=plan.now.deleted,
        replaces=plan.now.replaces,
        cursor=_landed_cursor(work, plan),
        with_content=_compares_content(work, plan),
        engine=engine,
    )
    _refuse_too_many_days(work, summary.slices, whole=whole)
    after = reading.position(plan, summary.cursor)
    measured = _measure(reading, work, plan, told_apart, summary.slices) if counted else {}
    if (
        not work.parts.rows
        and not work.parts.rejected
        and work.settled is None
        and load != "replace"
        and plan.operation != "slice"
        and not measured
        and not reading.must_advance(state.position, after)
        and not _identity_changed(work, plan)
    ):
        return None
    if _as_landed(reading, work, plan, summary, measured, after):
        return None
    return Manifest(
        table=table.id,
        sequence=state.next_sequence,
        operation="changes" if work.steps else plan.operation,
        load=load,
        key=table.key,
        partition=table.partition,
        timezone=table.timezone,
        slices=plan.slices,
        snapshot=_snapshot(reading, work),
        position_before=state.position,
        position_after=after,
        columns=work.landed.columns,
        parts=(),
        rows=work.parts.rows,
        touched={slice_: fingerprint.rows for slice_, fingerprint in summary.slices.items()},
        fingerprints=measured,
        measured_whole=whole and counted,
        committed_at="",
        nonce=uuid.uuid4().hex,
        previous=state.digest,
        key_enforced=enforced,
        identity=plan.identity,
        version=plan.now.version,
        deleted=plan.now.deleted,
        replaces=plan.now.replaces,
        content=summary.content if whole else None,
        boundary=summary.boundary,
        notes=tuple(dict.fromkeys(work.notes)),
        settled=work.settled,
    )


def _snapshot(reading: Reading, work: Work) -> Snapshot:
    """Of what came out of quarantine that of the batch before: nobody looked at the source."""
    head = work.state.head
    return head.snapshot if head is not None and work.settled is not None else reading.snapshot


def _landed(platform: Platform, proved: Manifest, work: Work) -> Manifest:
    """Put the parts and what they could not take, and then commit the manifest that speaks of them."""
    quarantined = put_rejected(platform, proved, work)
    parts = []
    for index, (path, rows) in enumerate(work.parts.files):
        key = part_key(proved.table, proved.sequence, proved.nonce, index)
        part = Part(key, rows, path.stat().st_size, sha256_of(path))
        platform.store.put_file(part.key, path, sha256=part.sha256)
        parts.append(part)
    now = platform.clock()
    at = now.isoformat(timespec="microseconds")
    made = replace(proved, parts=tuple(parts), quarantined=quarantined, committed_at=at)
    if new := _new_columns(work):
        note(platform.store, platform.signer, Change(made.table, made.sequence, new, now))
    try:
        work.door.check(made.table)
    except BatchConflict:
        for part in parts:  # it may hold rows of whoever is being erased
            platform.store.delete(part.key)
        raise
    return platform.ledger.commit(made)


def _new_columns(work: Work) -> tuple[str, ...]:
    """Those that appeared at the source and flow. Whoever asked for a refresh knows of them, and steps of one read find columns
    as they come."""
    head = work.state.head
    if head is None or work.steps or work.refreshed:
        return ()
    return appeared(head.columns, work.landed.columns)


def _refuse_too_many_days(work: Work, landed: Mapping[Slice, Fingerprint], *, whole: bool) -> None:
    """A manifest and the graph list a table's days: what holds more than anybody's history is no partition."""
    table = work.table
    days = len(landed.keys() if whole else landed.keys() | work.state.measured.keys())
    if days > MAX_SLICES:
        raise SourceError(
            f"{table.id}: its partition column {table.partition} holds {days:,} different days, and at most"
            f" {MAX_SLICES:,} (137 years) are supported. Nothing was committed. Choose a column as `partition`"
            " that says when a row was created, or omit `partition`; then read the table with"
            f" `sync --refresh {table.id}`."
        )


def _landed_cursor(work: Work, plan: Plan) -> str | None:
    """The cursor whose greatest value must be kept: only where changes are found by nothing else."""
    cursor = work.table.cursor
    if plan.now.changes != "cursor" or cursor is None or work.table.treatment(cursor) != "keep":
        return None
    return cursor


def _compares_content(work: Work, plan: Plan) -> bool:
    """Whether only the rows themselves tell that nothing changed: of what is read whole each time, or by a
    cursor that finds its last rows again."""
    if work.load == "slice" or work.steps or work.parts.more:
        return False
    return work.table.strategy == "replace" or plan.now.changes in ("none", "cursor")


def _as_landed(
    reading: Reading,
    work: Work,
    plan: Plan,
    summary: Summary,
    measured: Mapping[Slice, Fingerprint],
    after: Position | None,
) -> bool:
    """Whether every row that was read stands in the head's batch as it is."""
    head, before = work.state.head, work.state.position
    if head is None or before is None or after is None or work.refreshed or summary.content is None:
        return False
    if work.parts.rejected:
        return False
    shape = work.shape
    same = (head.columns, head.key, head.partition, head.timezone, head.identity, before.system) == (
        shape.columns,
        shape.key,
        shape.partition,
        shape.timezone,
        plan.identity,
        after.system,
    )
    if not same or reading.must_advance(before, after):
        return False
    if plan.by_cursor:
        return summary.content == head.boundary and not measured
    if work.load != "replace" or summary.content != head.content:
        return False
    # a row that the next look would find again: its batch carries the position past it
    return not reading.moved_since(plan, before)


def _identity_changed(work: Work, plan: Plan) -> bool:
    """Whether the source's table is not what the ledger says: told once, with or without rows."""
    known = work.state.head.identity if work.state.head else None
    return known is not None and known != plan.identity


def _measure(
    reading: Reading, work: Work, plan: Plan, told_apart: Layout, landed: dict[Slice, Fingerprint]
) -> dict[Slice, Fingerprint]:
    """The source's fingerprints in this snapshot, after checking the parts against the server's count."""
    table, load = work.table, work.load
    if work.compare:
        work.tallies = reading.tally(plan, told_apart)
    if load == "replace":
        counted = reading.count(plan)
        if counted != work.parts.rows:
            raise SourceError(reading.explain_miscount(plan, work.parts.rows, counted))
        return dict(landed)
    wanted: Sequence[Slice]
    if work.tallies is not None:
        # a checksum costs four times a tally: only for the slices of which the ledger has none that holds
        wanted = [s for s in work.tallies if (s not in work.state.measured or s in landed) and _countable(s)]
    elif load == "slice":
        wanted = plan.slices
    elif _cheap_to_measure(work, plan, landed):
        wanted = list(landed)
    else:
        return {}
    if not wanted:
        return {}
    measured = dict(reading.measure(plan, told_apart, wanted))
    if load == "slice":
        wrong = sorted(s for s, f in measured.items() if landed.get(s, Fingerprint(0, 0)) != f)
        if wrong:
            raise SourceError(
                f"{table.id}: {len(wrong)} slice(s) differ from the snapshot that they were read from"
                f" ({', '.join(wrong[:3])}). Nothing was committed. Run the sync again."
            )
    return measured


def _countable(slice_: Slice) -> bool:
    """Whether the source can be asked for this slice alone (not for an infinite day)."""
    return is_day(slice_) or slice_ in (NULL_SLICE, WHOLE_TABLE)


def _cheap_to_measure(work: Work, plan: Plan, landed: dict[Slice, Fingerprint]) -> bool:
    return (
        0 < len(landed) <= MAX_MEASURED_DAYS
        and work.table.partition in plan.now.indexed
        and all(is_day(slice_) for slice_ in landed)
    )

"""Records in quarantine, taken again: what parses by now lands as a batch, the rest waits with the reason of today.

One manifest says both, so that a kill leaves everything as it was, or done. A record never takes the place of a later
version of its key: one that landed in a later batch, or came later in its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from data_platform.audit.event import Event
from data_platform.errors import ConfigurationError
from data_platform.landing import quarantine
from data_platform.landing.chain import with_parts
from data_platform.landing.manifest import Manifest
from data_platform.landing.settled import runs, settled
from data_platform.landing.stored_parts import again_if_replaced, open_parts
from data_platform.sources import rejected
from data_platform.sources.kinds import open_reading
from data_platform.sources.parquet import PARQUET
from data_platform.sources.reading import Again, PlannedRead
from data_platform.sources.rejected import Rejected
from data_platform.sql import literal, quoted
from data_platform.sync.columns import land
from data_platform.sync.commit import commit
from data_platform.sync.erasing.door import door_of
from data_platform.sync.from_rows import with_landed
from data_platform.sync.load import load_pending
from data_platform.sync.opening import opening_of
from data_platform.sync.platform import Platform
from data_platform.sync.quarantine import still_open
from data_platform.sync.shape import compare_shapes
from data_platform.sync.summarize import Engine
from data_platform.sync.work import Request, Work, describe_step, prior_of
from data_platform.tables import Shape, TableId
from data_platform.words import plural

REPLAYED = "taken again"
_BATCH = "_data_platform_batch"
_WAIT_SECONDS = 1.0


@dataclass(frozen=True)
class Replayed:
    """How many records landed, were old versions of rows that are there, and wait still. ``manifest`` is None where
    nothing is otherwise than before."""

    landed: int
    superseded: int
    left: int
    manifest: Manifest | None


def replay(platform: Platform, table: TableId) -> Replayed:
    """Take again what waits of ``table``. Raises what a sync of the table would, and ConfigurationError where its
    records cannot be taken by themselves. Where a redaction replaces what it reads, it begins again."""
    return again_if_replaced(lambda: _replay(platform, table))


def _replay(platform: Platform, table: TableId) -> Replayed:
    work = Work(
        platform.catalog.table(table), platform.ledger.state(table), Request(), door=door_of(platform)
    )
    waits = quarantine.unresolved(platform.ledger, table)[::-1]
    if not waits:
        return Replayed(0, 0, 0, None)
    source = platform.catalog.source(table.source)
    if not work.table.can.replays:
        raise ConfigurationError(
            f"{table}: a record of a source of the kind {source.kind} cannot be taken by itself. Correct the block in the"
            f" catalog, then run `data-platform sync --refresh {table}`."
        )
    opening = opening_of(platform, source, [work.table])
    with ExitStack() as stack:
        scratch = stack.enter_context(platform.store.scratch())
        reading = cast(Again, stack.enter_context(open_reading(source.kind, opening)))
        engine = stack.enter_context(Engine())
        before = _read(platform, work, reading, waits, scratch)
        landed = _without_old(platform, work, engine)
        left = sum(rows for _, rows in work.parts.rejected)
        taken = sum(len(one.open) for one in waits)
        found = Replayed(landed, taken - landed - left, left, None)
        if left == taken and before == _reasons(work):
            return found
        at = platform.clock().isoformat(timespec="microseconds")
        closed = {one.manifest.sequence: runs(one.open) for one in waits}
        work.settled = settled(closed, REPLAYED, "data-platform quarantine replay", at)
        work.notes.append(
            f"{plural(taken, 'record')} from quarantine {'was' if taken == 1 else 'were'} {REPLAYED}"
        )
        event = Event("quarantine_replay", (str(table),), details={"records": taken, "landed": landed})
        with platform.trail.audited(event) as act:
            made = commit(platform, reading, work, engine, nullcontext())
            act.details["batch"] = made.sequence if made else None
    load_pending(platform, table, fresh=None)
    return replace(found, manifest=made)


def _read(
    platform: Platform, work: Work, reading: Again, waits: Sequence[quarantine.Waits], scratch: Path
) -> Counter[str]:
    """Read what waits into ``work.parts``; returns the reasons of those that were read."""
    _plan(platform, work, reading)
    assert work.plan is not None
    before: Counter[str] = Counter()

    def kept(one: quarantine.Waits) -> Iterator[Rejected]:
        for found in still_open(platform, one):
            before[found.record.reason] += 1
            if not found.record.superseded:
                yield found.record

    reading.start_again(
        PlannedRead(work.plan, work.landed, scratch / work.table.id.table),
        {one.manifest.sequence: lambda one=one: kept(one) for one in waits},  # type: ignore[misc]
    )
    while not reading.ready(work.plan, _WAIT_SECONDS):
        pass
    if (now := reading.found(work.plan)) is not None:
        describe_step(work, now, reading.snapshot, platform)
    work.parts = reading.finish(work.plan, work.landed)
    return before


def _plan(platform: Platform, work: Work, reading: Again) -> None:
    """As a sync of changes plans; what would make it read the table whole keeps a record from being added."""
    table, head = work.table, work.state.head
    prior = prior_of(head, work.state, work.door.unwanted(table.id))
    now = with_landed(reading.describe(table, prior), prior.columns, table.only)
    lands = land(table, now, reading.snapshot.taken_at[:10], platform)
    work.landed = work.door.without(lands, table)
    plan = reading.plan_again(table, prior, now)
    assert head is not None
    drift = reading.drift(table, prior, now)
    landed = Shape(head.columns, head.key, head.partition, head.timezone)
    notes, reasons = compare_shapes(
        table.id, landed, work.shape, drift, (), now.type_base, from_rows=now.from_rows
    )
    if reasons := (*reasons, *drift.replaced):
        raise ConfigurationError(
            f"{table.id}: the next sync reads the table whole ({'; '.join(reasons)}), and takes again what waits. Run"
            f" `data-platform sync {table.id}`."
        )
    work.notes += notes
    work.plan = plan


def _without_old(platform: Platform, work: Work, engine: Engine) -> int:
    """Make one part of those that were read, without rows whose key landed in a later batch; returns its rows."""
    files = {int(path.stem.removeprefix("of-")): path for path in work.parts.paths}
    if not files:
        return 0
    folder = next(iter(files.values())).parent
    made = folder / "replayed.parquet"
    with engine.connected(folder) as connection:
        listed = " UNION ALL ".join(
            f"SELECT *, {batch} AS {_BATCH} FROM read_parquet({literal(str(path))})"
            for batch, path in files.items()
        )
        connection.execute(f"CREATE TEMP TABLE replayed AS {listed}")
        for manifest in _later(platform, work, min(files)):
            with open_parts(platform.ledger, manifest) as parts:
                if parts:
                    connection.execute(_delete_old(manifest, parts, work.table.key))
        copied = connection.execute(
            f"COPY (SELECT * EXCLUDE ({_BATCH}) FROM replayed) TO {literal(str(made))} ({PARQUET})"
        ).fetchall()
        connection.execute("DROP TABLE replayed")
    rows = int(copied[0][0])
    work.parts = replace(work.parts, files=((made, rows),) if rows else ())
    return rows


def _later(platform: Platform, work: Work, sequence: int) -> Iterator[Manifest]:
    """The batches after ``sequence`` with the parts that stand now; none where nothing tells rows apart."""
    if work.table.key:
        rewrites = platform.ledger.rewrites(work.table.id)
        yield from (with_parts(one, rewrites) for one in platform.ledger.since(work.table.id, sequence))


def _delete_old(manifest: Manifest, parts: Sequence[Path], key: Sequence[str]) -> str:
    names = ", ".join(map(quoted, key))
    same = " AND ".join(f"replayed.{quoted(name)} = later.{quoted(name)}" for name in key)
    listed = ", ".join(literal(str(path)) for path in parts)
    later = f"SELECT DISTINCT {names} FROM read_parquet([{listed}])"
    return f"DELETE FROM replayed USING ({later}) later WHERE {_BATCH} < {manifest.sequence} AND {same}"


def _reasons(work: Work) -> Counter[str]:
    return Counter(record.reason for path, _ in work.parts.rejected for record in rejected.read(path))

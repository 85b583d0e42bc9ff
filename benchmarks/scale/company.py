"""The simulated company: its tables in the ledger, and what becomes of them while the clock runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from benchmarks.scale.store import SimulatedStore
from data_platform.landing.ledger import Ledger
from data_platform.landing.manifest import Manifest
from data_platform.tables import Column, Position, Snapshot, TableId

SYSTEM = "7000000000000000001/5@1"
COLUMNS = tuple(Column(f"column_{n:02d}", "VARCHAR", "text") for n in range(20))


@dataclass
class Company:
    """``changed_at``: of each table with rows that the ledger lacks, when the first of them came."""

    ledger: Ledger
    store: SimulatedStore
    sources: dict[str, list[TableId]]
    changed_at: dict[TableId, float] = field(default_factory=dict)
    waited: list[float] = field(default_factory=list)
    """Of each change that landed, the seconds from then until its manifest stood."""

    def change(self, tables: Sequence[TableId], at: float) -> None:
        for table in tables:
            self.changed_at.setdefault(table, at)

    def commit(self, manifest_before: Manifest | None, table: TableId, *, whole: bool = False) -> Manifest:
        """A batch as a sync commits one: its part, then its manifest."""
        sequence = manifest_before.sequence + 1 if manifest_before else 1
        made = _batch(table, sequence, manifest_before.digest if manifest_before else None, whole)
        self.store.put_part(f"{table}/batches/{sequence}")
        return self.ledger.commit(made)

    def landed(self, table: TableId, seen_at: float, at: float) -> None:
        """Rows that came after the snapshot of ``seen_at`` wait for the next."""
        came = self.changed_at.get(table)
        if came is not None and came <= seen_at:
            del self.changed_at[table]
            self.waited.append(at - came)


def found(store: SimulatedStore, tables: int, sources: int, batches: int, random: Random) -> Company:
    """A company whose tables have landed up to ``batches`` times, at no cost on the clock."""
    of_source: dict[str, list[TableId]] = defaultdict(list)
    for number in range(tables):
        source = f"source_{number % sources:03d}"
        of_source[source].append(TableId(source, f"table_{number:05d}"))
    company = Company(Ledger(store), store, dict(of_source))
    for table in (table for some in of_source.values() for table in some):
        head: Manifest | None = None
        for _ in range(random.randint(1, batches)):
            head = company.commit(head, table)
    store.clock.now = 0.0
    store.requests.clear()
    return company


def _batch(table: TableId, sequence: int, previous: str | None, whole: bool) -> Manifest:
    at = f"2026-01-01T{sequence // 3600 % 24:02d}:{sequence // 60 % 60:02d}:{sequence % 60:02d}+00:00"
    return Manifest(
        table=table,
        sequence=sequence,
        operation="changes",
        load="merge",
        key=("column_00",),
        partition=None,
        timezone="UTC",
        slices=(),
        snapshot=Snapshot(SYSTEM, f"{700 + sequence}:", at),
        position_before=_position(sequence - 1),
        position_after=_position(sequence),
        columns=COLUMNS,
        parts=(),
        rows=0,
        touched={},
        fingerprints={},
        measured_whole=whole,
        committed_at=at,
        nonce=f"{sequence:032x}",
        previous=previous,
    )


def _position(number: int) -> Position:
    return Position(SYSTEM, {"xmin": 700 + number}, f"xmin {700 + number}")

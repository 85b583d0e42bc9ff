"""A ledger of many batches on this machine's disk, and how long its state takes to read."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median

from benchmarks.case import Wanted, new_result
from benchmarks.measure import Figures
from benchmarks.report import Limit, Result
from data_platform.landing.keys import FOLDER_MAX, manifest_key
from data_platform.landing.ledger import Ledger
from data_platform.landing.manifest import Manifest, Measured
from data_platform.landing.state import CHECKPOINT_EVERY
from data_platform.stores.local import LocalStore
from data_platform.tables import Column, Fingerprint, Position, Slice, Snapshot, TableId, days_between

CASES = {
    "ledger": ("the state of a table read from 100,000 batches", (Limit("wall_seconds", 0.1),)),
}
BATCHES = 100_007
"""As far behind the last checkpoint as a head can be."""
REPEAT_MIN = 21
"""A reading takes milliseconds: its median wants more of them than that of a sync."""
TABLE = TableId("bench", "orders")
DAYS = 730
SYSTEM = "7000000000000000001/5@1"
COLUMNS = tuple(Column(f"column_{n:02d}", "VARCHAR", "text") for n in range(20))


def results(wanted: Wanted) -> Iterator[Result]:
    """In this process: a start would hide the figure."""
    if not wanted.of(CASES):
        return
    result = new_result(CASES, "ledger")
    wanted.say(f"Making a ledger of {BATCHES:,} batches.")
    with tempfile.TemporaryDirectory(prefix="data-platform-bench-ledger-") as name:
        store = build_chain(Path(name), BATCHES)
        for _ in range(max(wanted.repeat, REPEAT_MIN)):
            result.repetitions.append(read_state(store, BATCHES))
    milliseconds = [1000 * figures.wall_seconds for figures in result.repetitions]
    result.notes.append(
        f"{median(milliseconds):.1f} ms of at most 100 ms, the slowest of {len(milliseconds)}"
        f" {max(milliseconds):.1f} ms"
    )
    wanted.say(f"{result.title}: {median(milliseconds):.1f} ms")
    yield result


def build_chain(root: Path, batches: int) -> LocalStore:
    """A store at ``root`` with a table of ``batches`` manifests, each sealed and linked as a sync does.

    The files are written directly, for a durable commit each would take minutes. Of two years of
    days only the checkpoints of the last thousand batches tell, which are all that is read.
    """
    start = datetime(2024, 1, 1, tzinfo=UTC)
    days = days_between(date(2024, 1, 1), date(2024, 1, 1) + timedelta(days=DAYS - 1))
    whole = {day: Measured(Fingerprint(10_000, 2**63 + n), 1) for n, day in enumerate(days)}
    previous: str | None = None
    for sequence in range(1, batches + 1):
        at = (start + timedelta(minutes=10 * sequence)).isoformat()
        checkpoint: Mapping[Slice, Measured] | None = None
        if sequence % CHECKPOINT_EVERY == 0:
            checkpoint = whole if sequence > batches - FOLDER_MAX else {}
        made = _batch(sequence, at, previous, days[sequence % DAYS], checkpoint).sealed()
        previous = made.digest
        file = root / manifest_key(TABLE, sequence)
        if sequence % FOLDER_MAX in (0, 1):
            file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(made.to_json())
    return LocalStore(root)


def read_state(store: LocalStore, batches: int) -> Figures:
    """One reading of the state, in this process; imports are not counted."""
    wall, cpu = time.perf_counter(), time.process_time()
    state = Ledger(store).state(TABLE)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert state.next_sequence == batches + 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Figures(wall, cpu, peak / (1e6 if sys.platform == "darwin" else 1e3))


def _position(xmin: int) -> Position:
    return Position(SYSTEM, {"xmin": xmin, "horizon": None, "cursor": None}, f"xmin {xmin}")


def _batch(
    sequence: int, at: str, previous: str | None, day: Slice, checkpoint: Mapping[Slice, Measured] | None
) -> Manifest:
    return Manifest(
        table=TABLE,
        sequence=sequence,
        operation="changes",
        load="merge",
        key=("column_00",),
        partition="column_01",
        timezone="UTC",
        slices=(),
        snapshot=Snapshot(SYSTEM, f"{700 + sequence}:", at),
        position_before=_position(699 + sequence),
        position_after=_position(700 + sequence),
        columns=COLUMNS,
        parts=(),
        rows=0,
        touched={day: 100},
        fingerprints={day: Fingerprint(10_000, sequence)},
        measured_whole=False,
        committed_at=at,
        nonce=f"{sequence:032x}",
        previous=previous,
        checkpoint=checkpoint,
    )

"""What must cost what is new, and not what there is: a chain of 100,000 batches that was looked at before."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from benchmarks.case import Wanted, new_result
from benchmarks.cases.ledger import BATCHES, REPEAT_MIN, TABLE, build_chain
from benchmarks.measure import Figures
from benchmarks.report import Limit, Result
from data_platform.landing import replaced
from data_platform.landing.ledger import Ledger
from data_platform.landing.verify import verify

LIMIT = (Limit("wall_seconds", 0.1),)
"""As for reading the state: a dozen objects are read and one is written, whatever the chain's length."""
CASES = {
    "growth-verify": ("100,000 batches verified again, without a sample", LIMIT),
    "growth-replaced": ("what was replaced in 100,000 batches, asked again", LIMIT),
}
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def results(wanted: Wanted) -> Iterator[Result]:
    """In this process. Only where they are named: looking for the first time takes a minute."""
    names = wanted.of(CASES, on_demand=tuple(CASES))
    if not names:
        return
    wanted.say(f"Making a ledger of {BATCHES:,} batches.")
    with tempfile.TemporaryDirectory(prefix="data-platform-bench-growth-") as folder:
        ledger = Ledger(build_chain(Path(folder), BATCHES))
        acts: dict[str, Callable[[], object]] = {
            "growth-verify": lambda: verify(ledger, TABLE, NOW, sample=0),
            "growth-replaced": lambda: replaced.collect(ledger, TABLE, NOW, timedelta(days=30), remove=False),
        }
        for name in names:
            result = new_result(CASES, name)
            first = _measure(acts[name])
            result.repetitions += [_measure(acts[name]) for _ in range(max(wanted.repeat, REPEAT_MIN))]
            again = median(figures.wall_seconds for figures in result.repetitions)
            result.notes.append(
                f"{1000 * again:.1f} ms of at most 100 ms; the first time {first.wall_seconds:.0f} s"
            )
            wanted.say(f"{result.title}: {1000 * again:.1f} ms")
            yield result


def _measure(act: Callable[[], object]) -> Figures:
    wall, cpu = time.perf_counter(), time.process_time()
    act()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Figures(wall, cpu, peak / (1e6 if sys.platform == "darwin" else 1e3))

"""The figures against their limits, as text and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from benchmarks.recovery.cases import FOLDER_STEPS, Ages, Round, Run

RECOVERIES = {
    "full": ("recovery to a second, from a full backup and WAL", 10),
    "chain": ("recovery to a second, from two backups and WAL", 10),
    "bucket": ("the same from an S3 server", 15),
}
"""By where from, its title and the most seconds it may take."""
STREAMED_SECONDS = 1
"""WAL that is shipped so often is streamed."""


@dataclass(frozen=True)
class Line:
    """One figure. It may be at most ``limit``, or must be at least that where ``higher`` is better."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    higher: bool = False
    note: str = ""

    @property
    def met(self) -> bool:
        return self.limit is None or (self.value >= self.limit if self.higher else self.value <= self.limit)


def lines(rounds: Sequence[Round], loads: Sequence[Ages], database_bytes: int) -> list[Line]:
    """The median of each figure over ``rounds``. Ratios are taken within each round."""
    return [
        Line("database", database_bytes / 1e6, "MB"),
        *_backups(rounds, database_bytes),
        *_recoveries(rounds),
        *(line for load in loads for line in _ages(load)),
        _verified(rounds),
    ]


def _backups(rounds: Sequence[Round], database_bytes: int) -> list[Line]:
    full, next_ = _each(rounds, lambda one: one.full), _each(rounds, lambda one: one.incremental)
    stored = [run.found["bytes"] / 1e6 for run in next_]
    plain = [run.found["plain"] / 1e6 for run in next_]
    of_full = [100 * a.found["bytes"] / b.found["bytes"] for a, b in zip(next_, full, strict=True)]
    return [
        Line(
            "copy of its files with SHA-256, as `cp` does it",
            median(one.copied / 1e6 / one.copy.seconds for one in rounds),
            "MB/s",
            note=f"{median(one.copy.seconds for one in rounds):.1f} s",
        ),
        Line(
            "full backup, stored and read back",
            median(run.found["plain"] / 1e6 / run.seconds for run in full),
            "MB/s",
            60,
            higher=True,
            note=f"{median(run.found['bytes'] for run in full) / 1e6:.1f} MB stored, {_beside(rounds, [r.seconds for r in full])}",
        ),
        Line(
            "incremental backup after a small change",
            median(run.seconds for run in next_),
            "s",
            5,
            note=f"{median(stored):.1f} MB stored, {median(plain):.1f} MB before compression",
        ),
        Line("its bytes, of the full backup's", median(of_full), "%", 6),
        Line("its bytes, of the database's", 100e6 * median(stored) / database_bytes, "%", 6),
    ]


def _recoveries(rounds: Sequence[Round]) -> list[Line]:
    whole = _each(rounds, lambda one: one.recovered["full"])
    took = [run.steps(*FOLDER_STEPS) for run in whole]
    plain = [one.full.found["plain"] / 1e6 for one in rounds]
    found = [
        Line(
            "restore: from objects to a proven data folder",
            median(size / seconds for size, seconds in zip(plain, took, strict=True)),
            "MB/s",
            125,
            higher=True,
            note=_beside(rounds, took),
        )
    ]
    for name, (title, limit) in RECOVERIES.items():
        if name in rounds[0].recovered:
            runs = [one.recovered[name] for one in rounds]
            found.append(Line(title, median(run.seconds for run in runs), "s", limit, note=_steps(runs)))
    return found


def _verified(rounds: Sequence[Round]) -> Line:
    runs = _each(rounds, lambda one: one.verified_again)
    read = median(run.found["read"] for run in runs) / 1e6
    note = f"a sample of {read:.1f} MB read"
    return Line("all copies looked at, nothing new", median(run.seconds for run in runs), "s", note=note)


def _ages(load: Ages) -> list[Line]:
    found = []
    for archive, ages in load.ages.items():
        ordered = sorted(ages)
        p50, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.99))
        limit = 2 if load.ship_seconds <= STREAMED_SECONDS else 60
        title = f"RPO under load, p99, {archive}, shipped every {load.ship_seconds:g} s"
        note = f"p50 {p50:.1f} s; {len(ordered)} samples, {load.transactions:,} transactions"
        found.append(Line(title, p99, "s", limit, note=note))
    return found


def _each(rounds: Sequence[Round], which: Callable[[Round], Run]) -> list[Run]:
    return [which(one) for one in rounds]


def _beside(rounds: Sequence[Round], seconds: Sequence[float]) -> str:
    ratios = [took / one.copy.seconds for one, took in zip(rounds, seconds, strict=True)]
    return f"{median(seconds):.1f} s, {median(ratios):.1f} x the copy"


def _steps(runs: Sequence[Run]) -> str:
    steps = (f"{name} {median(run.steps(name) for run in runs):.1f}" for name in runs[0].found["steps"])
    return f"{', '.join(steps)}; {median(run.figures.cpu_seconds for run in runs):.1f} CPU-s"


def text(found: Sequence[Line]) -> str:
    """A table in Markdown."""
    rows = ["| figure | median | limit | |", "|---|---|---|---|"]
    for line in found:
        limit = "" if line.limit is None else f"{line.limit:g} {line.unit}: {'met' if line.met else 'missed'}"
        rows.append(f"| {line.name} | {line.value:,.1f} {line.unit} | {limit} | {line.note} |")
    return "\n".join(rows)


def document(
    machine: dict[str, Any], rounds: Sequence[Round], loads: Sequence[Ages], found: Sequence[Line]
) -> dict[str, Any]:
    return {
        "machine": machine,
        "lines": [{**asdict(line), "met": line.met} for line in found],
        "rounds": [asdict(one) for one in rounds],
        "loads": [asdict(one) for one in loads],
    }

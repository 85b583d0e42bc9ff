"""Decides which failed runs are still a problem. Pure.

A failed run is resolved if all its targets have been made since it began, by any run, or if
the same run succeeded later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RunFact:
    """A finished run. ``targets`` are the assets that it was meant to make. ``line`` identifies the request: two
    runs of the same line are attempts at the same work. ``retried``: Dagster says of a failed one that it starts another."""

    run_id: str
    job: str
    line: str
    targets: frozenset[str]
    failed: bool
    started: datetime
    ended: datetime
    retried: bool = False


def standing_failures(newest_first: Sequence[RunFact], made: Mapping[str, datetime]) -> list[RunFact]:
    """The unresolved failures, only the newest of each line; ``made`` is when each asset was
    last made."""
    standing: dict[str, RunFact] = {}
    settled: set[str] = set()
    for run in newest_first:
        if run.line in settled:
            continue
        settled.add(run.line)
        if run.failed and not _made_since(run.targets, run.started, made):
            standing[run.line] = run
    return list(standing.values())


def failed_in_a_row(newest_first: Sequence[RunFact], line: str) -> list[RunFact]:
    """The newest runs of ``line`` up to its last success, newest first."""
    found: list[RunFact] = []
    for run in newest_first:
        if run.line == line and not run.failed:
            break
        if run.line == line:
            found.append(run)
    return found


def first_failure(newest_first: Sequence[RunFact], line: str, since: datetime | None = None) -> datetime:
    """When ``line`` began to fail: the end of its first failed run that began after ``since``."""
    row = failed_in_a_row(newest_first, line)
    after = [run for run in row if since is None or run.started >= since]
    return (after or row)[-1].ended


def healing_run(newest_first: Sequence[RunFact], line: str) -> RunFact | None:
    """The first success of ``line`` after its last failure; None while it has none."""
    found: RunFact | None = None
    for run in newest_first:
        if run.line == line:
            if run.failed:
                return found
            found = run
    return None


def _made_since(targets: Iterable[str], when: datetime, made: Mapping[str, datetime]) -> bool:
    targets = list(targets)
    return bool(targets) and all(target in made and made[target] >= when for target in targets)

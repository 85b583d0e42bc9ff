"""Which failed runs are still a problem. Pure.

A run failed; is it mended? It is once everything it was to make has been made
since it began, by whichever run, or once the same run succeeded later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RunFact:
    """A finished run. ``targets`` are the assets it was to make, ``line`` names what was
    asked for: two runs of the same line are tries of the same thing."""

    run_id: str
    job: str
    line: str
    targets: frozenset[str]
    failed: bool
    started: datetime
    ended: datetime


def standing_failures(newest_first: Sequence[RunFact], made: Mapping[str, datetime]) -> list[RunFact]:
    """The failures that nothing has mended, the newest of each line only; ``made`` is when
    each asset was last made."""
    standing: dict[str, RunFact] = {}
    settled: set[str] = set()
    for run in newest_first:
        if run.line in settled:
            continue
        settled.add(run.line)
        if run.failed and not _made_since(run.targets, run.started, made):
            standing[run.line] = run
    return list(standing.values())


def _made_since(targets: Iterable[str], when: datetime, made: Mapping[str, datetime]) -> bool:
    targets = list(targets)
    return bool(targets) and all(target in made and made[target] >= when for target in targets)

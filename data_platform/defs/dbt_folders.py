"""The folders that dbt's invocations leave in ``dbt/target``: some 3 MB each, and nobody else removes them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Iterable
from pathlib import Path

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

PREFIX = "dbt_build-"
KEPT = 10
"""The newest, to look into: dbt's log, its results and what it compiled."""
DAYS_KEPT = 7
STRANGER_DAYS = 1
"""One of a run that this Dagster does not know may be another's, and at work."""
RUNS_LOOKED_AT = 100
RUN_CHARACTERS = 7
"""So much of a run's id stands in a folder's name, as dagster-dbt names it."""


def folder_of(run_id: str, what: str) -> Path:
    """A name like those that dagster-dbt gives, under dbt's target folder."""
    return Path("target") / f"{PREFIX}{run_id[:RUN_CHARACTERS]}-{what}"


def sweep(instance: dg.DagsterInstance, target: Path) -> list[Path]:
    """Remove what is old or beyond the newest few, never of a run that is not over."""
    folders = {folder: folder.stat().st_mtime for folder in target.glob(f"{PREFIX}*") if folder.is_dir()}
    if not folders:
        return []
    active = instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES))
    recent = instance.get_runs(limit=RUNS_LOOKED_AT)
    removed = removable(folders, _starts(active), _starts(recent), time.time())
    for folder in removed:
        shutil.rmtree(folder, ignore_errors=True)
    return removed


def removable(
    folders: dict[Path, float], active: Collection[str], known: Collection[str], now: float
) -> list[Path]:
    """Which of ``folders`` (and when each changed last) may go; ``active`` and ``known`` are starts of run ids."""
    newest_first = sorted(folders, key=lambda folder: folders[folder], reverse=True)
    found = []
    for place, folder in enumerate(newest_first):
        run = folder.name.removeprefix(PREFIX)[:RUN_CHARACTERS]
        days = (now - folders[folder]) / 86_400
        if run in active or (run not in known and days < STRANGER_DAYS):
            continue
        if place >= KEPT or days > DAYS_KEPT:
            found.append(folder)
    return found


def _starts(runs: Iterable[dg.DagsterRun]) -> set[str]:
    return {run.run_id[:RUN_CHARACTERS] for run in runs}

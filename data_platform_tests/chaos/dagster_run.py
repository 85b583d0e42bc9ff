"""The syncs as a Dagster run in this process, recorded in a SQLite home, as `make dev` does it; and what
the daemon does for a run whose process is gone. Only the fork server's children and the tests use it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from data_platform.catalog import load_catalog
from data_platform.defs.raw import raw_assets
from data_platform.defs.resources import resources

SETTINGS = Path(__file__).parents[2] / "dagster.yaml"


def home(root: Path) -> Path:
    """DAGSTER_HOME of the project at ``root``, with the operator's own settings."""
    folder = root / "dagster"
    if not folder.exists():
        folder.mkdir()
        shutil.copy(SETTINGS, folder)
    return folder


@contextmanager
def opened(root: Path) -> Iterator[dg.DagsterInstance]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home(root)))
        with dg.DagsterInstance.get() as instance:
            yield instance


def run_job(root: Path) -> dict[str, str | None]:
    """Every table and check in one run; the tables that failed with their steps' errors."""
    catalog = load_catalog(root)
    definitions = dg.Definitions(
        assets=raw_assets(
            catalog.source("shop"),
            catalog.environment("local").warehouse,
            catalog.environment("local").runs,
        ),
        resources=resources(root, "local"),
        executor=dg.in_process_executor,
    )
    with opened(root) as instance:
        result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        return {
            event.step_key or "run": str(event.message)
            for event in result.all_events
            if event.is_failure or event.event_type_value == "RUN_FAILURE"
        }


def after_the_daemon(root: Path) -> Mapping[str, dg.DagsterRunStatus]:
    """The runs, once those whose process is gone have failed and hold no slot: `run_monitoring` does both
    (data_platform_tests/deploy shows that it does)."""
    with opened(root) as instance:
        for run in instance.get_runs():
            if not run.is_finished:
                instance.report_run_failed(run)
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        return {run.run_id: run.status for run in instance.get_runs()}


def damaged_databases(root: Path) -> list[str]:
    """Dagster's SQLite files that are not whole."""
    found = []
    for path in sorted(home(root).rglob("*.db")):
        with sqlite3.connect(path) as connection:
            if connection.execute("pragma integrity_check").fetchall() != [("ok",)]:
                found.append(path.name)
        connection.close()
    return found

"""What has landed is copied between backups, and damage of the landing store is named."""

from __future__ import annotations

import dagster as dg
import pytest

from data_platform.defs.names import LANDING_COPIES
from data_platform_tests.defs.conftest import Project
from data_platform_tests.defs.test_backup import metadata
from data_platform_tests.defs.test_runs import failures

pytestmark = pytest.mark.slow


def copied(project: Project) -> dg.ExecuteInProcessResult:
    job = project.definitions.resolve_implicit_global_asset_job_def()
    subset = job.get_subset(asset_selection={LANDING_COPIES})
    return subset.execute_in_process(instance=project.instance, raise_on_error=False)


def test_what_landed_is_copied_once_and_damage_is_named(project: Project) -> None:
    assert project.sync("orders", checks=False).success
    result = copied(project)
    assert result.success, failures(result)
    (part, *_) = (project.root / ".data/landing").rglob("*.parquet")
    (copy,) = (project.root / ".data/backups/ledger").rglob(part.name)
    assert copy.read_bytes() == part.read_bytes()
    assert metadata(project, LANDING_COPIES)["parts"] >= 1
    assert copied(project).success
    assert metadata(project, LANDING_COPIES)["parts"] == 0  # nothing new
    assert project.sync("users", checks=False).success
    assert copied(project).success
    assert metadata(project, LANDING_COPIES)["parts"] >= 1


def test_a_part_that_was_lost_before_it_was_copied_is_named(project: Project) -> None:
    assert project.sync("orders", checks=False).success
    (part, *_) = (project.root / ".data/landing").rglob("*.parquet")
    part.chmod(0o600)
    part.unlink()
    result = copied(project)
    assert not result.success
    assert part.name in failures(result) and "verify --heal" in failures(result)

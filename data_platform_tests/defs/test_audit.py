"""The asset of the audit trail: its head is signed and copied each day, and damage fails its check."""

from __future__ import annotations

import dagster as dg
import pytest

from data_platform.audit.event import Event
from data_platform.audit.trail import Filter
from data_platform.defs.audit import CHAIN
from data_platform.defs.names import AUDIT_HEAD
from data_platform_tests.defs.conftest import Project
from data_platform_tests.defs.test_backup import metadata

pytestmark = pytest.mark.slow


def headed(project: Project) -> dg.AssetCheckEvaluation:
    job = project.definitions.resolve_implicit_global_asset_job_def()
    subset = job.get_subset(asset_selection={AUDIT_HEAD}, asset_check_selection={CHAIN})
    result = subset.execute_in_process(instance=project.instance, raise_on_error=False)
    assert result.success
    (evaluation,) = result.get_asset_check_evaluations()
    return evaluation


def test_the_head_is_copied_and_damage_is_named(project: Project) -> None:
    trail = project.platform().trail
    trail.record(Event("query", ("marts.orders",)))
    assert project.sync("orders", checks=False).success
    assert headed(project).passed
    found = metadata(project, AUDIT_HEAD)
    assert found["events"] == found["blocks_copied"] == 2, (
        "the query, and the catalog that the sync began with"
    )
    (configuration,) = trail.search(Filter(action="configuration"), [])
    assert configuration.body["objects"] == ["local"]
    second = project.root / ".data/backups/_audit"
    assert (
        len(list((second / "blocks").rglob("*.json"))) == 2 and len(list((second / "heads").iterdir())) == 1
    )
    assert headed(project).passed and metadata(project, AUDIT_HEAD)["blocks_copied"] == 0

    trail.record(Event("query", ("marts.users",)))
    assert headed(project).passed
    for path in (project.root / ".data/landing/_audit").iterdir():
        if path.suffix == ".json":
            path.unlink()
    (project.root / ".data/landing" / trail.log.key(3)).unlink()
    evaluation = headed(project)
    assert not evaluation.passed and evaluation.severity is dg.AssetCheckSeverity.ERROR
    assert "was truncated: it ends at block 2, though block 3" in str(evaluation.description)

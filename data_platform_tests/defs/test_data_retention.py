"""The asset of retention: it shows what is beyond the rules, and takes it out only where the environment says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import dagster as dg
import pytest

from data_platform.defs.build import build
from data_platform.defs.data_retention import FINISHED, KEPT
from data_platform.defs.names import RETENTION
from data_platform.sync.retention.apply import ask, plan
from data_platform_tests.defs.conftest import Project
from data_platform_tests.defs.test_backup import metadata

pytestmark = pytest.mark.slow
APPLY = "environments:\n  local:\n    retention: {apply: true}\n"


def judged(project: Project) -> dict[str, tuple[bool, dg.AssetCheckSeverity]]:
    job = project.definitions.resolve_implicit_global_asset_job_def()
    subset = job.get_subset(asset_selection={RETENTION}, asset_check_selection={KEPT, FINISHED})
    result = subset.execute_in_process(instance=project.instance, raise_on_error=False)
    assert result.success
    return {one.check_name: (one.passed, one.severity) for one in result.get_asset_check_evaluations()}


def changed(project: Project, file: str, old: str, new: str) -> Project:
    path = project.root / "catalog" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return replace(project, definitions=build(project.platform().catalog, "local"))


def rows(project: Project) -> int:
    with project.platform().warehouse(read_only=True) as warehouse:
        return int(warehouse.query("select count(*) from raw_shop.events").rows[0][0])


def days_to_the_middle(project: Project) -> int:
    with project.platform().warehouse(read_only=True) as warehouse:
        ((middle,),) = warehouse.query("select median(occurred_at)::date::varchar from raw_shop.events").rows
    return (datetime.now(UTC).date() - date.fromisoformat(middle)).days


def test_what_is_too_old_is_shown_and_leaves_only_where_that_is_said(
    project: Project, redaction_key: str
) -> None:
    assert project.sync("events", checks=False).success
    before = rows(project)
    assert judged(project)[KEPT.name][0], "the rule of the catalog keeps all of them"
    assert metadata(project, RETENTION)["rows_older"] == 0
    project = changed(project, "sources/shop.yaml", "days: 1830", f"days: {days_to_the_middle(project)}")
    assert judged(project) == {
        KEPT.name: (False, dg.AssetCheckSeverity.WARN),
        FINISHED.name: (True, dg.AssetCheckSeverity.ERROR),
    }
    shown = metadata(project, RETENTION)
    old = shown["rows_older"]
    assert 0 < old < before
    assert shown["rows_removed"] == 0
    assert rows(project) == before, "nothing is removed where the environment does not say so"

    platform = project.platform()
    asked = ask(platform, plan(platform), "the DPO")
    assert asked is not None
    assert judged(project)[FINISHED.name] == (False, dg.AssetCheckSeverity.ERROR)

    project = changed(project, "platform.yaml", "environments:\n  local:\n", APPLY)
    assert judged(project) == {
        KEPT.name: (True, dg.AssetCheckSeverity.ERROR),
        FINISHED.name: (True, dg.AssetCheckSeverity.ERROR),
    }, "what had stopped went on"
    shown = metadata(project, RETENTION)
    assert (shown["rows_older"], shown["rows_removed"], shown["records_in_quarantine"]) == (0, old, 0)
    assert shown["applications_in_backups"] == 0 and "in_backups_until" not in shown
    assert rows(project) == before - old
    assert project.sync("events", checks=False).success
    assert rows(project) == before - old, "the source still has them"
    assert (
        dg.AssetKey(["raw", "shop", "events"])
        in project.definitions.resolve_asset_graph().get(RETENTION).parent_keys
    )

"""The count of copies in the graph: what it says, and which check fails for what."""

from __future__ import annotations

import dagster as dg
import pytest

from data_platform.defs.copies import copies_definitions
from data_platform.defs.names import BACKUP, COPIES
from data_platform.sync.healing import heal_table
from data_platform.tables import TableId
from data_platform_tests.defs.conftest import Project
from data_platform_tests.defs.test_backup import TODAY, metadata
from data_platform_tests.defs.test_runs import failures

pytestmark = pytest.mark.slow


def count(project: Project) -> dg.ExecuteInProcessResult:
    job = project.definitions.resolve_implicit_global_asset_job_def()
    subset = job.get_subset(asset_selection={COPIES})
    return subset.execute_in_process(instance=project.instance, raise_on_error=False)


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {one.check_name: one for one in result.get_asset_check_evaluations()}


def test_copies_are_counted_and_what_is_wrong_fails_its_check(project: Project) -> None:
    assert project.sync("orders", "users", checks=False).success
    result = project.run("backup", partition_key=TODAY)
    assert result.success, failures(result)
    assert metadata(project, BACKUP)["landing_parts"] >= 2
    result = count(project)
    assert result.success
    found = checks(result)
    assert {name: one.passed for name, one in found.items()} == {
        "verified": True,
        "three_two_one": True,  # only said where it is not demanded
        "locked": True,
        "nothing_healed": True,
    }
    assert "no copy is offsite" in (found["three_two_one"].description or "")
    said = metadata(project, COPIES)
    assert said["verified_copies"]["landing"] == ["primary"] and said["errors"] == 0
    assert said["read_again"] > 0 and said["bytes_read"] > 0 and 0 <= said["seed"] < 10**6

    part = next((project.root / ".data/backups/warehouse").rglob("raw_shop.orders/part-00000.parquet"))
    part.unlink()
    config = project.platform().environment.backups
    assert config is not None
    demanding = copies_definitions(
        config.model_copy(update={"demand_copies": True}), "local", running=False
    ).assets
    result = dg.materialize(
        list(demanding or ()),  # type: ignore[arg-type]
        instance=project.instance,
        resources={"platform": dict(project.definitions.resources or {})["platform"]},
        raise_on_error=False,
    )
    found = checks(result)
    assert not found["verified"].passed and part.name in (found["verified"].description or "")
    assert "warehouse in primary: " in (found["verified"].description or "")
    assert not found["three_two_one"].passed, "now it is demanded"


def test_what_was_healed_fails_its_check_a_minute_later(project: Project) -> None:
    assert project.sync("orders", "users", checks=False).success
    assert project.run("backup", partition_key=TODAY).success
    assert count(project).success
    sensor = project.definitions.resolve_sensor_def("report_healed")
    resources = {"platform": dict(project.definitions.resources or {})["platform"]}

    def tick(cursor: str | None) -> dg.SensorResult | dg.SkipReason:
        with dg.build_sensor_context(
            instance=project.instance, cursor=cursor, resources=resources
        ) as context:
            found = sensor(context)
            assert isinstance(found, dg.SensorResult | dg.SkipReason)
            return found

    assert isinstance(tick(None), dg.SkipReason)
    (part, *_) = (project.root / ".data/landing/shop/orders").rglob("*.parquet")
    part.chmod(0o600)
    part.unlink()
    platform = project.platform()
    assert heal_table(platform, TableId("shop", "orders"), [1]).objects
    told = tick(None)
    assert isinstance(told, dg.SensorResult)
    (event,) = told.asset_events
    assert isinstance(event, dg.AssetCheckEvaluation)
    assert (event.asset_key, event.check_name, event.passed) == (COPIES, "nothing_healed", False)
    assert event.severity == dg.AssetCheckSeverity.WARN and part.name in (event.description or "")
    project.instance.report_runless_asset_event(event)
    latest = project.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(COPIES, "nothing_healed"), limit=1
    )
    assert latest[0].status.value == "FAILED"
    assert isinstance(tick(told.cursor), dg.SkipReason), "once"

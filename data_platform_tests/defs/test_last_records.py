"""A look moves the time of the last materialization; a check goes on for the newest one. In both storages."""

import asyncio
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from dagster._core.loader import LoadingContextForTest

from data_platform.defs import last_records
from data_platform.defs.check_results import CheckResult
from data_platform.defs.last_records import (
    LastMaterializations,
    carry_checks,
    last_materializations,
    touch,
)

KEY = dg.AssetKey(["raw", "shop", "table"])
CHECKS = [dg.AssetCheckKey(KEY, name) for name in ("good", "complete")]


@dg.multi_asset(
    specs=[dg.AssetSpec(KEY)],
    check_specs=[dg.AssetCheckSpec(check.name, asset=KEY) for check in CHECKS],
    can_subset=True,
)
def sync(context: dg.AssetExecutionContext) -> Iterator[Any]:
    yield dg.MaterializeResult(asset_key=KEY, metadata={"rows": 1})
    carry_checks(context.instance, last_materializations(context.instance, [KEY]))
    for check in sorted(context.selected_asset_check_keys):
        yield dg.AssetCheckResult(asset_key=KEY, check_name=check.name, passed=check.name == "good")


def current(instance: dg.DagsterInstance) -> dict[str, tuple[bool, str, float]]:
    """Whether the UI shows each check, its result, and when it was evaluated."""
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(CHECKS)
    return {
        key.name: (
            asyncio.run(record.targets_latest_materialization(LoadingContextForTest(instance))),
            record.status.value,
            record.create_timestamp,
        )
        for key, record in records.items()
    }


@dg.multi_asset(
    specs=[dg.AssetSpec(KEY, skippable=True)],
    check_specs=[dg.AssetCheckSpec(check.name, asset=KEY) for check in CHECKS],
    can_subset=True,
)
def ours(context: dg.AssetExecutionContext) -> Iterator[Any]:
    if KEY in context.selected_asset_keys:
        context.instance.report_runless_asset_event(dg.AssetMaterialization(KEY))
        yield dg.MaterializeResult(asset_key=KEY)
    for check in sorted(context.selected_asset_check_keys):
        yield CheckResult(asset_key=KEY, check_name=check.name, passed=True)


def test_a_result_of_ours_belongs_to_the_newest_materialization(instance: dg.DagsterInstance) -> None:
    job = dg.Definitions(assets=[ours]).resolve_implicit_global_asset_job_def()
    checks_alone = job.get_subset(asset_selection=set(), asset_check_selection=set(CHECKS))
    result = checks_alone.execute_in_process(instance=instance)
    assert [e.target_materialization_data for e in result.get_asset_check_evaluations()] == [None, None]
    of_the_run = job.execute_in_process(instance=instance)
    last = last_materializations(instance, [KEY])[KEY]
    assert last.run_id == of_the_run.run_id
    for result in (of_the_run, checks_alone.execute_in_process(instance=instance)):
        for evaluation in result.get_asset_check_evaluations():
            target = evaluation.target_materialization_data
            assert target is not None
            assert (target.storage_id, target.run_id) == (last.storage_id, last.run_id)
            assert target.timestamp == pytest.approx(last.timestamp, abs=1e-5)
        assert all(shown for shown, _, _ in current(instance).values())
    instance.report_runless_asset_event(dg.AssetMaterialization(KEY))
    checks_alone.execute_in_process(instance=instance)
    assert all(shown for shown, _, _ in current(instance).values()), "of the newest, whoever made it"


def test_what_nothing_evaluates_stays_and_a_look_is_no_event(instance: dg.DagsterInstance) -> None:
    job = dg.Definitions(assets=[sync]).resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(instance=instance).success
    first = current(instance)
    assert {name: (shown, status) for name, (shown, status, _) in first.items()} == {
        "good": (True, "SUCCEEDED"),
        "complete": (True, "FAILED"),
    }
    some = job.get_subset(asset_selection={KEY}, asset_check_selection={CHECKS[0]})
    assert some.execute_in_process(instance=instance).success
    assert current(instance)["complete"] == first["complete"], "its result, and its time"

    stale = last_materializations(instance, [KEY])
    instance.report_runless_asset_event(dg.AssetMaterialization(KEY))
    assert not any(shown for shown, _, _ in current(instance).values())
    assert carry_checks(instance, stale) == 0, "never back to an older one"
    assert carry_checks(instance, last_materializations(instance, [KEY])) == 2
    assert all(shown for shown, _, _ in current(instance).values())
    assert carry_checks(instance, last_materializations(instance, [KEY])) == 0

    last = last_materializations(instance, [KEY])[KEY]
    events = len(instance.fetch_materializations(KEY, limit=50).records)
    before = current(instance)
    assert touch(instance, last, last.timestamp + 500)
    moved = last_materializations(instance, [KEY])[KEY]
    assert (moved.storage_id, moved.timestamp) == (last.storage_id, last.timestamp + 500)
    assert moved.asset_materialization == last.asset_materialization
    assert current(instance) == before
    assert len(instance.fetch_materializations(KEY, limit=50).records) == events
    assert not touch(instance, moved, last.timestamp), "never back in time"
    instance.report_runless_asset_event(dg.AssetMaterialization(KEY))
    assert not touch(instance, moved, last.timestamp + 900), "another has come since"


def test_only_what_has_moved_is_read_anew(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is what a look without a memory reads."""
    read: list[list[dg.AssetKey]] = []

    def counted(instance: dg.DagsterInstance, keys: list[dg.AssetKey]) -> dict[dg.AssetKey, Any]:
        read.append(keys)
        return last_materializations(instance, keys)

    monkeypatch.setattr(last_records, "last_materializations", counted)
    other, never = dg.AssetKey(["raw", "shop", "other"]), dg.AssetKey(["raw", "shop", "never"])
    known = LastMaterializations()

    def look() -> list[dg.AssetKey]:
        assert known.of(instance, [KEY, other, never]) == last_materializations(instance, [KEY, other, never])
        return read.pop()

    for key in (KEY, other, dg.AssetKey("of nobody")):
        instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata={"rows": 1}))
    assert sorted(look()) == [other, KEY]
    assert look() == []
    instance.report_runless_asset_event(dg.AssetMaterialization(other))
    assert look() == [other]
    last = last_materializations(instance, [KEY])[KEY]
    assert touch(instance, last, last.timestamp + 500)
    assert look() == [KEY]
    instance.wipe_assets([other])
    look()
    instance.report_runless_asset_event(dg.AssetMaterialization(other))
    assert look() == [other]

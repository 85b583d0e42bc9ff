"""The weekly archive and its drill as assets, and the checks that watch them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import boto3
import dagster as dg
import pytest
from moto import mock_aws

from data_platform.backups.shelf import ARCHIVE as SHELF
from data_platform.defs import backup as defs_backup
from data_platform.defs.archive import ARCHIVE, ARCHIVE_DRILL, LAST_GOOD_DRILL, NEWEST_ARCHIVE, week_of
from data_platform.defs.build import build
from data_platform.defs.cold import COLD, NEWEST_COLD, TIERS
from data_platform.stores.s3.tiering import S3Tiering
from data_platform.sync import backup, tiers
from data_platform_tests.defs.conftest import Project
from data_platform_tests.defs.test_backup import checked, materialize, metadata
from data_platform_tests.defs.test_runs import failures

pytestmark = pytest.mark.slow


def test_the_week_is_archived_drilled_and_watched(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for check in (NEWEST_ARCHIVE, LAST_GOOD_DRILL):
        found = checked(project, check)
        assert found.passed and "The first one is due by" in (found.description or "")
    with monkeypatch.context() as later:
        later.setattr(defs_backup, "FIRST_MAY_TAKE", timedelta(days=-60))
        assert not checked(project, NEWEST_ARCHIVE).passed, "no archive is no pass"
        assert not checked(project, LAST_GOOD_DRILL).passed
    assert project.sync("orders", "users", checks=False).success
    week = week_of(datetime.now(UTC))
    result = project.run("archive", partition_key=week)
    assert result.success, failures(result)
    made = metadata(project, ARCHIVE)
    (archive,) = backup.archives(project.platform(), SHELF)
    manifest = archive.chosen("latest")
    assert made["archive"] == manifest.id and made["rows"] == manifest.rows > 0
    assert made["bytes"] == manifest.bytes and made["would_be_removed"] == {}
    assert checked(project, NEWEST_ARCHIVE).passed
    assert backup.archives(project.platform())[0].ids() == [], "an archive is no daily backup"

    assert materialize(project, ARCHIVE_DRILL).success
    drilled = metadata(project, ARCHIVE_DRILL)
    assert drilled["mismatches"] == 0 and drilled["rows"] == manifest.rows
    assert checked(project, LAST_GOOD_DRILL).passed

    last = (datetime.fromisoformat(week) - timedelta(days=7)).date().isoformat()
    refused = project.run("archive", partition_key=last)
    assert not refused.success and f"An archive of the week of {last} cannot be made" in failures(refused)
    assert len(archive.ids()) == 1

    part = next((project.root / ".data/backups/archive").rglob("raw_shop.orders/part-00000.parquet"))
    data = bytearray(part.read_bytes())
    data[100] ^= 4
    part.write_bytes(bytes(data))
    result = materialize(project, ARCHIVE_DRILL)
    assert not result.success and "raw_shop.orders/part-00000.parquet" in failures(result)
    assert metadata(project, ARCHIVE_DRILL)["mismatches"] == 1
    assert checked(project, LAST_GOOD_DRILL).passed
    part.unlink()
    assert not checked(project, NEWEST_ARCHIVE).passed, "an archive with a missing object is none"


def test_the_schedules_run_what_they_are_for(project: Project) -> None:
    at = datetime(2026, 11, 26, 5, 0, tzinfo=UTC)
    targets = {}
    for name in ("archive_weekly", "archive_drill", "archive_ages"):
        schedule = project.repository.get_schedule_def(name)
        context = dg.build_schedule_context(scheduled_execution_time=at, repository_def=project.repository)
        (request,) = schedule.evaluate_tick(context).run_requests or []
        job = project.repository.get_job(schedule.job_name)
        targets[name] = set(job.asset_layer.selected_asset_keys)
        if name == "archive_weekly":
            assert request.partition_key == "2026-11-22"
    assert targets == {"archive_weekly": {ARCHIVE}, "archive_drill": {ARCHIVE_DRILL}, "archive_ages": set()}


@pytest.mark.parametrize(
    ("at", "week"),
    [("2026-11-22", "2026-11-22"), ("2026-11-28T23:59:59", "2026-11-22"), ("2026-11-29", "2026-11-29")],
)
def test_a_week_begins_on_sunday(at: str, week: str) -> None:
    assert week_of(datetime.fromisoformat(at).replace(tzinfo=UTC)) == week


def test_the_cold_copy_and_the_storage_classes_are_assets(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project.root / "catalog" / "platform.yaml"
    usual = build(project.platform().catalog, "local").get_repository_def().asset_graph
    assert not usual.has(COLD) and not usual.has(TIERS)
    file.write_text(
        file.read_text().replace(
            "      start: 2026-11-01\n",
            "      start: 2026-11-01\n      tiers: {warm_after_days: 7}\n"
            "      copies: {off: {kind: s3, bucket: acme-off, region: us-east-1}}\n"
            "      archive: {cold: {store: {kind: local, path: .data/cold}}}\n",
            1,
        )
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-the-tests")
    with mock_aws():
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="acme-off")
        cold = replace(project, definitions=build(project.platform().catalog, "local"))
        schedules = {schedule.name: schedule.cron_schedule for schedule in cold.repository.schedule_defs}
        assert schedules["cold_copy"] == "0 8 1 * *" and schedules["storage_classes"] == "0 9 * * *"
        assert checked(cold, NEWEST_COLD).passed, "just switched on: the first is waited for"
        assert cold.sync("orders", checks=False).success
        assert cold.run("archive", partition_key=week_of(datetime.now(UTC))).success
        result = materialize(cold, COLD)
        assert result.success, failures(result)
        made = metadata(cold, COLD)
        assert made["copied"] is True and made["rows"] == metadata(cold, ARCHIVE)["rows"]
        assert made["storage_class"] == "none", "a folder has no classes"
        assert checked(cold, NEWEST_COLD).passed
        assert materialize(cold, TIERS).success
        listed = metadata(cold, TIERS)
        assert (listed["would_be_moved"], listed["problems"]) == (0, 0)
        warm = S3Tiering.classes[1]
        monkeypatch.setattr(
            tiers, "due", lambda _: [tiers.Move("off", "x", warm, (), 0, "orders is damaged")]
        )
        failed = materialize(cold, TIERS)
        assert not failed.success and "orders is damaged" in failures(failed)
    next((project.root / ".data/cold/archive").rglob("raw_shop.orders/part-00000.parquet")).unlink()
    assert not checked(cold, NEWEST_COLD).passed

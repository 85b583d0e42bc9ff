"""A source's database in the graph: backed up by the hour, drilled, and watched, over a real server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from data_platform.backups.database.config import DatabaseBackups
from data_platform.defs import backup as defs_backup
from data_platform.defs.database_backup import (
    LAST_GOOD_DRILL,
    NEWEST_BACKUP,
    backup_key,
    database_definitions,
    drill_key,
)
from data_platform.defs.resources import resources
from data_platform.sync import Platform
from data_platform.sync.wal import receiver
from data_platform_tests.backups.database.conftest import Company, company, kept_server

__all__ = ["company", "kept_server"]
pytestmark = pytest.mark.slow
BACKUP, DRILL = backup_key("shop"), drill_key("shop")


class Graph:
    def __init__(self, company: Company, platform: Platform) -> None:
        self.company, self.platform = company, platform
        parts = database_definitions(platform.catalog.sources.values(), date(2026, 11, 1), running=True)
        self.definitions = dg.Definitions.merge(
            parts, dg.Definitions(resources=resources(company.root, "local"))
        )
        self.instance = dg.DagsterInstance.ephemeral()

    def make(self, key: dg.AssetKey, hour: datetime | None = None) -> dg.ExecuteInProcessResult:
        subset = self.definitions.resolve_implicit_global_asset_job_def().get_subset(
            asset_selection={key}, asset_check_selection=set()
        )
        partition = hour.strftime("%Y-%m-%d-%H:00") if hour else None
        return subset.execute_in_process(
            instance=self.instance, raise_on_error=False, partition_key=partition
        )

    def checked(self, key: dg.AssetKey, name: str) -> tuple[bool, str]:
        subset = self.definitions.resolve_implicit_global_asset_job_def().get_subset(
            asset_selection=set(), asset_check_selection={dg.AssetCheckKey(key, name)}
        )
        result = subset.execute_in_process(instance=self.instance, raise_on_error=False)
        (found,) = result.get_asset_check_evaluations()
        return found.passed, found.description or ""

    def metadata(self, key: dg.AssetKey) -> dict[str, object]:
        event = self.instance.get_latest_materialization_event(key)
        assert event is not None and event.asset_materialization is not None
        return {name: value.value for name, value in event.asset_materialization.metadata.items()}


@pytest.fixture
def graph(company: Company, monkeypatch: pytest.MonkeyPatch) -> Iterator[Graph]:
    platform = company.platform("{engine: native}", "{offsite: {kind: local, path: offsite}}")
    for name, value in platform.environ.items():
        monkeypatch.setenv(name, value)
    yield Graph(company, platform)


def test_it_is_backed_up_drilled_and_watched(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, name in ((BACKUP, NEWEST_BACKUP), (DRILL, LAST_GOOD_DRILL)):
        passed, words = graph.checked(key, name)
        assert passed and "The first one is due by" in words, "it is waited for, and not for ever"
        with monkeypatch.context() as later:
            later.setattr(defs_backup, "FIRST_MAY_TAKE", timedelta(days=-30))
            assert not graph.checked(key, name)[0]
    receiver(graph.platform, "shop", lambda _: None).once()
    now = datetime.now(UTC)
    assert graph.make(BACKUP, now).success
    made = graph.metadata(BACKUP)
    assert (made["kind"], made["chain_length"], made["stored"]) == ("full", 1, "primary, offsite")
    assert isinstance(made["bytes"], int) and made["bytes"] > 0
    graph.company.execute("delete from orders where id > 10")
    receiver(graph.platform, "shop", lambda _: None).once()
    assert graph.checked(BACKUP, NEWEST_BACKUP)[0]
    assert graph.make(DRILL).success
    drilled = graph.metadata(DRILL)
    assert drilled["mismatches"] == 0 and isinstance(drilled["rows"], int) and drilled["rows"] > 0
    assert len(str(drilled["evidence_sha256"])) == 64 and isinstance(drilled["seed"], int)
    assert graph.checked(DRILL, LAST_GOOD_DRILL)[0]

    victim = next((graph.company.root / "offsite/database/shop/objects").rglob("base-00000.zst"))
    victim.write_bytes(victim.read_bytes()[:-1])
    passed, words = graph.checked(BACKUP, NEWEST_BACKUP)
    assert not passed and "offsite: no backup" in words
    assert not graph.make(DRILL).success
    bad = graph.metadata(DRILL)
    assert bad["mismatches"] == 1 and "base-00000.zst" in str(bad["damage"])


def test_another_hour_is_refused(graph: Graph) -> None:
    result = graph.make(BACKUP, datetime.now(UTC) - timedelta(hours=3))
    assert not result.success and graph.instance.get_latest_materialization_event(BACKUP) is None
    failed = [event for event in result.all_events if event.is_step_failure]
    assert "can only be backed up as it is now" in str(failed[0].event_specific_data)


def test_it_runs_by_the_block_s_hours(company: Company) -> None:
    platform = company.platform("{engine: native, every_hours: 6, drill_schedule: '0 4 * * *'}")
    found = database_definitions(platform.catalog.sources.values(), date(2026, 11, 1), running=True)
    lines = {one.name: one.cron_schedule for one in found.schedules or ()}  # type: ignore[union-attr]
    assert lines == {
        "backup_database_shop": "7 */6 * * *",
        "restore_drill_database_shop": "0 4 * * *",
        "backup_database_shop_checks": "35 * * * *",
    }
    crons = [DatabaseBackups(every_hours=hours).cron for hours in (0.5, 1, 48)]
    assert crons == ["*/30 * * * *", "7 */1 * * *", "7 2 */2 * *"]


def test_a_source_without_the_block_has_nothing(company: Company, tmp_path: Path) -> None:
    platform = company.platform("null")
    assert not database_definitions(platform.catalog.sources.values(), date(2026, 11, 1), running=True).assets

"""The daily backup and the restore drill as assets, and the checks that watch them."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from data_platform.audit.trail import Filter
from data_platform.defs import backup as defs_backup
from data_platform.defs.backup import BACKUP, DRILL, LAST_GOOD_DRILL, NEWEST_COPY, instance_files
from data_platform.sync import backup
from data_platform.warehouses.snapshots import name_of, take
from data_platform_tests.defs.conftest import Project
from data_platform_tests.defs.test_runs import failures
from data_platform_tests.warehouses.listed_snapshots import WEEK, Lists, given_to_duckdb

pytestmark = pytest.mark.slow
TODAY = datetime.now(UTC).date().isoformat()


def materialize(project: Project, key: dg.AssetKey, **arguments: object) -> dg.ExecuteInProcessResult:
    job = project.definitions.resolve_implicit_global_asset_job_def()
    subset = job.get_subset(asset_selection={key}, asset_check_selection=set())
    return subset.execute_in_process(instance=project.instance, raise_on_error=False, **arguments)  # type: ignore[arg-type]


def metadata(project: Project, key: dg.AssetKey) -> dict[str, object]:
    event = project.instance.get_latest_materialization_event(key)
    assert event is not None and event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def checked(project: Project, key: dg.AssetCheckKey) -> dg.AssetCheckEvaluation:
    (evaluation,) = project.check(key).get_asset_check_evaluations()
    return evaluation


def test_the_day_is_backed_up_drilled_and_watched(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for check in (
        NEWEST_COPY,
        LAST_GOOD_DRILL,
    ):  # just switched on: the first is waited for, and not for ever
        found = checked(project, check)
        assert found.passed and "The first one is due by" in (found.description or "")
    with monkeypatch.context() as later:
        later.setattr(defs_backup, "FIRST_MAY_TAKE", timedelta(days=-30))
        assert not checked(project, NEWEST_COPY).passed, "no copy is no pass"
        assert not checked(project, LAST_GOOD_DRILL).passed
    assert project.sync("orders", "users", checks=False).success
    result = project.run("backup", partition_key=TODAY)
    assert result.success, failures(result)
    made = metadata(project, BACKUP)
    names = project.rows(
        "select schema_name || '.' || table_name from duckdb_tables() where schema_name in ('raw_shop', '_data_platform')"
    )
    assert len(names) > 4
    counted = " union all ".join(f"select count(*) as rows from {name}" for (name,) in names)
    assert made["rows"] == project.rows(f"select sum(rows) from ({counted})")[0][0]
    platform = project.platform()
    (archive,) = backup.archives(platform)
    manifest = archive.chosen("latest")
    assert made["backup"] == manifest.id
    assert {head.table: head.sequence for head in manifest.ledger} == {"shop/orders": 1, "shop/users": 1}
    assert any(file.path.startswith("instance/") for file in manifest.files), "Dagster's own storage too"
    assert checked(project, NEWEST_COPY).passed

    assert materialize(project, DRILL).success
    assert metadata(project, DRILL)["mismatches"] == 0
    assert checked(project, LAST_GOOD_DRILL).passed

    # A file restored from it goes on where the ledger stands.
    backup.restore_warehouse(platform, TODAY, project.root / ".data/warehouse.duckdb", replace=True)
    assert project.sync("orders", "users", checks=False).success
    ledger = project.root / "restored"
    _, restored = backup.restore_beside(platform, "latest", ledger)
    assert restored.parts == made["landing_parts"] >= 2 and restored.damaged == ()
    assert sorted(p.name for p in ledger.iterdir()) == ["instance", "ledger"]
    runs = next((ledger / "instance").rglob("runs.db"))
    with sqlite3.connect(runs) as connection:
        assert connection.execute("select count(*) from runs").fetchone()[0] > 0

    # Damage: the drill fails by name, the last good one still counts until it is too old.
    part = next((project.root / ".data/backups").rglob("raw_shop.orders/part-00000.parquet"))
    data = bytearray(part.read_bytes())
    data[100] ^= 4
    part.write_bytes(bytes(data))
    result = materialize(project, DRILL)
    assert not result.success and "raw_shop.orders" in failures(result)
    assert metadata(project, DRILL)["mismatches"] == 1
    assert checked(project, LAST_GOOD_DRILL).passed
    part.unlink()
    assert not checked(project, NEWEST_COPY).passed, "a backup with a missing object is none"


def test_another_day_is_refused_with_the_reason(project: Project) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    result = project.run("backup", partition_key=yesterday)
    assert not result.success
    assert f"A backup of {yesterday} cannot be made" in failures(result)
    assert backup.archives(project.platform())[0].ids() == []


def test_a_snapshot_is_made_before_the_backup_and_never_in_its_way(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project.root / "catalog" / "platform.yaml"
    text = file.read_text().replace(
        "      start: 2026-11-01\n", "      start: 2026-11-01\n      snapshots: {keep_days: 7}\n", 1
    )
    engine = Lists(now=datetime.now(UTC) - timedelta(days=8))
    given_to_duckdb(monkeypatch, engine)
    file.write_text(text)
    take(engine, WEEK)
    engine.now = datetime.now(UTC)
    assert project.sync("orders", checks=False).success
    order: list[str] = []
    make, export = engine.make, backup.make_backup
    monkeypatch.setattr(engine, "make", lambda *given: (order.append("snapshot"), make(*given)))
    monkeypatch.setattr(backup, "make_backup", lambda *given: (order.append("backup"), export(*given))[1])
    assert project.run("backup", partition_key=TODAY).success
    assert order == ["snapshot", "backup"]
    made = metadata(project, BACKUP)
    assert (made["snapshot"], made["snapshots_removed"]) == (name_of(engine.now), 1)
    assert "snapshot_problem" not in made and {name for name, _ in engine.there} == {made["snapshot"]}
    gone, _ = project.platform().trail.search(Filter(action="backup_deletion"), [])
    assert gone.body["objects"][0] == "snapshots" and gone.body["details"]["deleted"] == 1

    engine.failing, engine.now = "raw_shop.a", datetime.now(UTC)
    assert project.run("backup", partition_key=TODAY).success, "the backup is made all the same"
    second = metadata(project, BACKUP)
    assert second["snapshot"] == "not made" and second["snapshot_problem"] == "raw_shop.a is not made"
    assert len(backup.archive(project.platform(), "primary").ids()) == 2

    def broken() -> datetime:
        raise ValueError("a value of a row")

    monkeypatch.setattr(engine, "instant", broken)
    assert project.run("backup", partition_key=TODAY).success
    assert metadata(project, BACKUP)["snapshot_problem"] == "a defect (ValueError)"


def test_a_copy_that_fails_fails_the_asset_and_keeps_the_backup(project: Project) -> None:
    file = project.root / "catalog" / "platform.yaml"
    (project.root / "occupied").write_text("no folder")
    text = file.read_text().replace(
        "      start: 2026-11-01\n",
        "      start: 2026-11-01\n      copies: {off: {kind: local, path: occupied}}\n",
        1,
    )
    file.write_text(text)
    assert project.sync("orders", checks=False).success
    result = project.run("backup", partition_key=TODAY)
    assert not result.success and "these copies failed: off" in failures(result)
    assert len(backup.archive(project.platform(), "primary").ids()) == 1
    ages = {age.archive: age for age in backup.newest(project.platform())}
    assert ages["primary"].id and ages["off"].id is None and ages["off"].problem
    assert not checked(project, NEWEST_COPY).passed


def test_the_schedules_run_what_they_are_for(project: Project) -> None:
    at = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
    targets = {}
    for name in ("backup_daily", "restore_drill", "backup_ages"):
        schedule = project.repository.get_schedule_def(name)
        context = dg.build_schedule_context(scheduled_execution_time=at, repository_def=project.repository)
        (request,) = schedule.evaluate_tick(context).run_requests or []
        job = project.repository.get_job(schedule.job_name)
        targets[name] = (
            set(job.asset_layer.selected_asset_keys),
            set(job.asset_layer.asset_graph.asset_check_keys),
        )
        if name == "backup_daily":
            assert request.partition_key == "2026-11-22"
    assert targets["backup_daily"] == ({BACKUP}, {NEWEST_COPY})
    assert targets["restore_drill"][0] == {DRILL}
    assert targets["backup_ages"] == (set(), {NEWEST_COPY, LAST_GOOD_DRILL})
    ages = project.repository.get_job(project.repository.get_schedule_def("backup_ages").job_name)
    result = ages.execute_in_process(instance=project.instance, raise_on_error=False)
    assert result.success and len(result.get_asset_check_evaluations()) == 2


@pytest.mark.parametrize(
    "scheme", ["postgresql", "postgresql+psycopg2"], ids=["plain", "of deploy/dagster.yaml"]
)
def test_dagsters_storage_in_postgresql_is_backed_up(database: str, scheme: str, tmp_path: Path) -> None:
    import psycopg

    from data_platform.backups.instance import unpack

    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create table runs (id int, body text, at timestamp)")
        connection.execute("insert into runs values (1, E'a\\nb,\"c\"', '2026-11-12'), (2, null, null)")
        connection.execute(f"alter database {connection.info.dbname} set datestyle = 'SQL, DMY'")  # type: ignore[arg-type]

    class Storage:
        postgres_url = database.replace("postgresql", scheme, 1)

    class Instance:
        event_log_storage = Storage()

    (file,) = instance_files(Instance(), tmp_path)  # type: ignore[arg-type]
    assert file.path == "instance/public.runs.csv.zst"
    unpack(file.content, tmp_path / "runs.csv.zst", file.plain_bytes)
    assert (tmp_path / "runs.csv").read_text() == 'id,body,at\n1,"a\nb,""c""",2026-11-12 00:00:00\n2,,\n'


@pytest.mark.slow
def test_an_event_of_no_run_is_backed_up_and_comes_back(tmp_path: Path) -> None:
    """Dagster keeps events that belong to no run in a file called `.db`: no key may begin so."""
    import sqlite3

    from data_platform.backups.archive import Archive
    from data_platform.backups.export import Exported, store
    from data_platform.backups.restore import restore_files
    from data_platform.stores.local import LocalStore
    from data_platform.warehouses.archive import Inventory

    packed = tmp_path / "packed"
    packed.mkdir()
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("reported"))
        files = instance_files(instance, packed)
        names = {path.name for path in (tmp_path / "home").rglob("*.db")}
    assert ".db" in names
    archive = Archive("primary", lambda: LocalStore(tmp_path / "archive"))
    nothing = Exported(Inventory("duckdb", (), (), ()), (), {})
    now = datetime(2026, 11, 22, tzinfo=UTC)
    id_ = "20261122T000000.000000Z-00000000"
    manifest = store(nothing, files, [archive], id_=id_, environment="local", created_at=now).manifest
    assert restore_files(archive, archive.manifest(manifest.id), tmp_path / "back") == len(files)
    for database in (tmp_path / "home").rglob("*.db"):
        again = tmp_path / "back/instance" / database.relative_to(tmp_path / "home")
        with sqlite3.connect(database) as one, sqlite3.connect(again) as other:
            assert list(one.iterdump()) == list(other.iterdump())

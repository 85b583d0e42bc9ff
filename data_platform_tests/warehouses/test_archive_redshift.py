"""A backup of Redshift whose connection breaks, or whose role may not write: nothing is kept, and the words say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from data_platform.backups.archive import Archive
from data_platform.backups.export import export, store
from data_platform.backups.manifest import backup_id
from data_platform.backups.restore import restore
from data_platform.errors import WarehouseError
from data_platform.stores.local import LocalStore
from data_platform.tables import TableId
from data_platform.warehouses.kinds import in_file
from data_platform.warehouses.remote.engine import Transient
from data_platform_tests.backups.conftest import NOW
from data_platform_tests.contracts.batches import Chain
from data_platform_tests.contracts.conftest import served
from data_platform_tests.contracts.engines import ENGINES
from data_platform_tests.engines.redshift.server import Broken, RedshiftServer


@pytest.fixture
def server(
    redshift_server: RedshiftServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RedshiftServer]:
    for name, value in redshift_server.environ.items():
        monkeypatch.setenv(name, value)
    chain = Chain(tmp_path / "parts", table=TableId("shop", "orders"))
    with redshift_server.config(tmp_path).open(tmp_path) as warehouse:
        warehouse.load(*chain.next("merge", [(1, "2026-01-01", "a", 1), (2, None, None, 2)]))
    yield redshift_server
    redshift_server.fault = None
    redshift_server.refused_roles.clear()
    redshift_server.emptied(tmp_path)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("statement", ["BEGIN", "SELECT count(*)", "UNLOAD"])
def test_a_connection_that_breaks_ends_the_backup_for_its_instant_is_lost(
    server: RedshiftServer, tmp_path: Path, statement: str, when: str
) -> None:
    """It is not connected again in the middle: tables of two instants would be one backup."""
    broken: list[str] = []

    def fault(sql: str, now: str) -> None:
        if sql.startswith(statement) and now == when and not broken:
            broken.append(sql)
            raise Broken

    (tmp_path / "written").mkdir()
    server.fault = fault
    with (
        server.config(tmp_path).open(tmp_path, read_only=True) as warehouse,
        pytest.raises(Transient, match=r"[Rr]un again"),
    ):
        export(warehouse, tmp_path / "written", backup_id(NOW, "0" * 8))
    assert broken
    server.fault = None
    (tmp_path / "again").mkdir()
    with server.config(tmp_path).open(tmp_path, read_only=True) as warehouse:
        assert export(warehouse, tmp_path / "again", backup_id(NOW, "1" * 8)).tables


def test_a_role_that_may_not_be_taken_is_named(server: RedshiftServer, tmp_path: Path) -> None:
    role = "arn:aws:iam::123456789012:role/nobody"
    server.refused_roles.add(role)
    (tmp_path / "written").mkdir()
    with (
        server.config(tmp_path, iam_role=role).open(tmp_path, read_only=True) as warehouse,
        pytest.raises(
            WarehouseError, match=r"could not unload a table for a backup by UNLOAD: .* `iam_role`"
        ),
    ):
        export(warehouse, tmp_path / "written", backup_id(NOW, "0" * 8))


@pytest.mark.slow
def test_a_lake_is_restored_into_a_file_too(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = served(ENGINES["ducklake"], request, monkeypatch)
    config = engine.config(tmp_path)
    chain = Chain(tmp_path / "parts", table=TableId("shop", "orders"))
    (tmp_path / "written").mkdir()
    id_ = backup_id(NOW, "0" * 8)
    with config.open(tmp_path, files=[engine.reach(tmp_path)]) as lake:
        lake.load(*chain.next("merge", [(1, "2026-01-01", "a", 1), (2, None, None, 2)]))
        exported = export(lake, tmp_path / "written", id_)  # type: ignore[arg-type]
    archive = Archive("primary", lambda: LocalStore(tmp_path / "primary"))
    store(exported, (), [archive], id_=id_, environment="local", created_at=NOW)
    file = in_file(tmp_path / "copy.duckdb")
    assert not restore(archive, archive.chosen("latest"), file, tmp_path).mismatches
    with file.open(tmp_path, read_only=True) as copy:
        assert copy.query("SELECT id, note FROM raw_shop.orders ORDER BY id").rows == [(1, "a"), (2, None)]
    if engine.emptied is not None:
        engine.emptied(tmp_path)

"""One instant of the whole company comes back from an archive alone, and its parts agree; where they do not, it says so."""

from __future__ import annotations

import json
import shutil
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from data_platform.cli.app import run
from data_platform.errors import BackupError, ConfigurationError
from data_platform.sync import Platform, everything, sync_changes
from data_platform.sync.backup import make_backup
from data_platform.sync.database_backup import back_up_database
from data_platform.sync.everything import recover_everything
from data_platform.sync.recovery import windows
from data_platform.sync.wal import receiver
from data_platform_tests.backups.database.conftest import Company

pytestmark = pytest.mark.slow
BLOCK = "{engine: native}"


class Whole:
    """A company whose database, landing store and warehouse are backed up. ``folder`` is one that the server's account
    can reach."""

    def __init__(self, company: Company, folder: Path) -> None:
        self.company, self.folder = company, folder
        self.platform = company.platform(BLOCK)

    def sync(self) -> None:
        for report in sync_changes(self.platform, "shop"):
            assert report.error is None, report.error

    def ship(self) -> None:
        receiver(self.platform, "shop", lambda _: None).once()

    def now(self) -> datetime:
        at: datetime = self.company.row("select clock_timestamp()")[0]
        time.sleep(0.002)
        return at

    def lose_everything(self) -> None:
        """All but the backup store, and the catalog, which is in git."""
        shutil.rmtree(self.company.root / "landing")
        (self.company.root / "warehouse.duckdb").unlink()
        self.company.execute("drop table orders")


@pytest.fixture
def whole(company: Company, server_folder: Path) -> Whole:
    folder = server_folder / f"everything-{company.database}"
    folder.mkdir(mode=0o711)
    made = Whole(company, folder)
    made.ship()
    back_up_database(made.platform, "shop")
    made.sync()
    return made


def warehouse_of(whole: Whole, name: str, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(whole.folder / name / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_a_second_of_everything_after_all_was_lost(whole: Whole) -> None:
    make_backup(whole.platform)
    whole.company.execute("update orders set note = 'changed' where id <= 10")
    whole.sync()
    make_backup(whole.platform)  # its ledger is mirrored; its warehouse is later than the instant
    whole.company.execute("delete from orders where id > 19990", "insert into orders values (20001, 'late')")
    at = whole.now()
    whole.company.execute("truncate orders")
    whole.ship()
    whole.lose_everything()
    found = recover_everything(whole.platform, at, whole.folder / "all")
    assert found.problems == []
    assert found.proven
    assert found.rows == 19_991
    assert found.read["shop"] >= 1  # `late` had not landed by then
    assert warehouse_of(whole, "all", "select count(*) from raw_shop.orders where note = 'changed'") == [
        (10,)
    ]
    assert warehouse_of(whole, "all", "select count(*) from raw_shop.orders where id > 19990") == [(1,)]
    evidence = json.loads((whole.folder / "all/evidence.json").read_text())
    assert evidence["compared"] == {"shop/orders": 19_991}
    assert evidence["seal"] and evidence["problems"] == []


def test_before_any_backup_of_the_warehouse_the_ledger_makes_it(whole: Whole) -> None:
    at = whole.now()
    whole.ship()
    make_backup(whole.platform)
    found = recover_everything(whole.platform, at, whole.folder / "all")
    assert (found.backup, found.problems, found.rows) == (None, [], 20_000)


def test_what_disagrees_is_named(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that the recovered warehouse loses after all was read."""
    make_backup(whole.platform)
    at = whole.now()
    whole.ship()
    catch_up = everything._catch_up

    def lossy(recovered: Platform, *given: Any) -> Any:
        found = catch_up(recovered, *given)
        with recovered.warehouse() as warehouse:
            warehouse.query("delete from raw_shop.orders where id = 7")
        return found

    monkeypatch.setattr(everything, "_catch_up", lossy)
    found = recover_everything(whole.platform, at, whole.folder / "all")
    assert not found.proven
    (line,) = found.problems
    assert (
        line.startswith("shop/orders differs")
        and "19,999 rows in the warehouse, 20,000 at the source" in line
    )


def test_a_lost_part_of_the_landing_store_is_named(whole: Whole) -> None:
    make_backup(whole.platform)
    at = whole.now()
    whole.ship()
    (part,) = (whole.company.root / "backups/ledger/shop/orders").rglob("*.parquet")
    part.unlink()
    found = recover_everything(whole.platform, at, whole.folder / "all")
    assert not found.proven
    assert any(part.name in line or "shop/orders" in line for line in found.problems)


def test_a_drill_recovers_a_random_second_and_leaves_nothing(whole: Whole) -> None:
    make_backup(whole.platform)
    whole.now()
    whole.ship()
    (drill,) = everything.drill_everything(whole.platform, 7)
    assert drill.problems == ()
    assert drill.found is not None and drill.found.proven
    assert not any((whole.company.root / ".data/drills").rglob("*.duckdb"))
    assert everything.random_instant(whole.platform, "primary", 7) == drill.found.at


def test_a_drill_asks_for_no_second_before_anything_landed(whole: Whole) -> None:
    make_backup(whole.platform)
    whole.ship()
    (table,) = whole.platform.catalog.table_ids()
    landed = whole.platform.ledger.read(table, 1).landed_at
    assert all(everything.random_instant(whole.platform, "primary", seed) >= landed for seed in range(50))
    shutil.rmtree(whole.company.root / "backups/ledger")
    with pytest.raises(BackupError, match="nothing yet that landed of shop"):
        everything.random_instant(whole.platform, "primary", 1)


def test_a_second_before_anything_landed_proves_nothing(whole: Whole) -> None:
    make_backup(whole.platform)
    before = windows(whole.platform, "shop")[0].first
    whole.ship()
    found = recover_everything(whole.platform, before, whole.folder / "all")
    assert (found.agreed, found.proven) == ((), False)


def test_a_drill_names_the_object_that_is_damaged(whole: Whole) -> None:
    make_backup(whole.platform)
    whole.ship()
    base = next((whole.company.root / "backups/database/shop/objects").rglob("base-*"))
    data = bytearray(base.read_bytes())
    data[len(data) // 2] ^= 1
    base.write_bytes(data)
    (drill,) = everything.drill_everything(whole.platform, 7)
    assert drill.found is None
    assert base.name in drill.problems[0]


def test_what_cannot_be_had_is_refused_before_anything_is_written(whole: Whole) -> None:
    make_backup(whole.platform)
    whole.ship()
    with pytest.raises(ConfigurationError, match="in the future"):
        recover_everything(whole.platform, whole.now() + timedelta(hours=1), whole.folder / "all")
    with pytest.raises(BackupError, match="can be recovered"):
        recover_everything(whole.platform, whole.now() - timedelta(days=1), whole.folder / "all")
    (whole.folder / "full").mkdir()
    (whole.folder / "full" / "mine").touch()
    with pytest.raises(BackupError, match="is not empty"):
        recover_everything(whole.platform, whole.now(), whole.folder / "full")
    assert [path.name for path in (whole.folder / "full").iterdir()] == ["mine"]


def test_from_the_command_line(
    whole: Whole, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_backup(whole.platform)
    at = whole.now()
    whole.ship()
    monkeypatch.setenv("SHOP_URL", whole.platform.environ["SHOP_URL"])
    root, into = str(whole.company.root), str(whole.folder / "all")
    assert (
        run(["recover", "everything", "--at", at.isoformat(), "--into", into, "--root", root, "--json"]) == 0
    )
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] and said["compared"] == {"shop/orders": 20_000}

"""A warehouse that comes from a backup of before appears without the people who were erased since."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from data_platform.cli.app import run
from data_platform.errors import BackupError, ConfigurationError
from data_platform.landing.redaction import KEY_VARIABLE
from data_platform.privacy.subjects.place import Place
from data_platform.quality.failures import TABLE as FAILURES
from data_platform.sync.backup import archives, make_backup, restore_warehouse
from data_platform.sync.erasing import restored
from data_platform.sync.erasing.derived import Derived
from data_platform.sync.load import check_completeness
from data_platform.tables import TableId
from data_platform.warehouses.duckdb import config as duckdb_config
from data_platform.warehouses.journal import keep
from data_platform_tests.sync.conftest import Project
from data_platform_tests.sync.erasing.people import TABLES, USERS, WITHOUT, erase, totals

MODELS = """
create schema marts;
create table marts.people as select user_id as person, name from raw_shop.users;
create table marts.greetings as select 1 as n, 'Dear ' || email as text from raw_shop.users;
create table marts.names as select name from raw_shop.users;
create table marts.history as select count(*) as n from raw_shop.users;
create table marts.addresses as select 'to person' || user_id || '@company.example' as text from raw_shop.users;
"""
DERIVED = [
    Derived(Place(USERS, "user_id"), "marts", "people", "person"),
    Derived(Place(USERS, "user_id"), "marts", "names", None),
    Derived(Place(USERS, "user_id"), "marts", "history", None, lasting=True),
]


@pytest.fixture
def backed_up(shop: Project) -> Project:
    """Backed up with models and samples in it, then one person is erased."""
    platform = shop.platform()
    shop.build(MODELS)
    with platform.warehouse() as warehouse:
        keep(warehouse, FAILURES, [{"table_name": "shop/users", "rule": "r", "row_values": "Needle7"}])
    make_backup(platform)
    shop.build("drop schema marts cascade")
    erase(shop)
    return shop


def test_the_erased_are_in_no_byte_of_what_is_restored(backed_up: Project) -> None:
    platform, into = backed_up.platform(), backed_up.root / "restored.duckdb"
    report = restore_warehouse(platform, "latest", into, then=restored.forgetting(platform, lambda: DERIVED))
    assert report.removed == {
        "raw_shop.users": 1,
        "raw_shop.orders": 10,
        "raw_shop.visits": 5,
        "marts.people": 1,
        "marts.names": 40,
        "marts.greetings": 1,
        "marts.addresses": 1,
        "quality.failures": 1,
    }
    data = into.read_bytes()
    assert b"person8@company.example" in data, "the search would find somebody"
    assert b"person7@company.example" not in data
    assert b"Needle7" not in data.replace(b"Needle7\x00", b"Needle7")
    with platform.environment.warehouse.elsewhere(into).open(backed_up.root, read_only=True) as warehouse:
        for name, rows in WITHOUT.items():
            assert warehouse.query(f"select count(*) from raw_shop.{name}").rows == [(rows,)]
        assert warehouse.query("select count(*) from marts.people").rows == [(39,)]
        assert warehouse.query("select n from marts.history").rows == [(40,)], "no build brings it back"


def test_what_is_restored_in_the_place_of_the_warehouse_goes_on(backed_up: Project) -> None:
    """The next sync loads the redactions into it, and the source's counts agree."""
    platform = backed_up.platform()
    then = restored.forgetting(platform, list)
    restore_warehouse(platform, "latest", backed_up.root / "warehouse.duckdb", replace=True, then=then)
    assert totals(backed_up) == WITHOUT
    backed_up.execute("update orders set amount = amount + 1 where order_id % 3 = 0")
    backed_up.verified()
    assert totals(backed_up) == WITHOUT
    for name in TABLES:
        assert check_completeness(platform, platform.catalog.table(TableId("shop", name))).passed


def test_a_restore_that_ends_early_leaves_nobody(backed_up: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    platform, into = backed_up.platform(), backed_up.root / "restored.duckdb"

    def killed(self: object, root: Path) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(duckdb_config.DuckDBConfig, "forget", killed)
    with pytest.raises(KeyboardInterrupt):
        restore_warehouse(platform, "latest", into, then=restored.forgetting(platform, lambda: DERIVED))
    assert not [path for path in backed_up.root.iterdir() if "restored" in path.name]


def test_without_the_log_nothing_is_restored(backed_up: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE)
    with pytest.raises(ConfigurationError, match=KEY_VARIABLE):
        restored.forgetting(backed_up.platform(), list)


def test_the_command_says_what_it_took_out_or_left(
    backed_up: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    root, whole = ["--root", str(backed_up.root)], backed_up.root / "whole.duckdb"
    capsys.readouterr()
    into = str(backed_up.root / "restored.duckdb")
    assert run(["restore", "warehouse", "--into", into, "--json", *root]) == 0
    assert json.loads(capsys.readouterr().out)["removed"]["raw_shop.orders"] == 10
    assert run(["restore", "warehouse", "--into", str(whole), "--as-backed-up", *root]) == 0
    assert b"person7@company.example" in whole.read_bytes()
    capsys.readouterr()
    assert run(["audit", "search", "--action", "restore", "--json", *root]) == 0
    assert "as_backed_up" in capsys.readouterr().out


def test_the_archive_knows_whom_where_the_landing_store_is_lost(backed_up: Project) -> None:
    shutil.rmtree(backed_up.root / "landing")
    platform, into = backed_up.platform(), backed_up.root / "restored.duckdb"
    then = restored.forgetting(platform, list, archive=archives(platform)[0])
    assert restore_warehouse(platform, "latest", into, then=then).removed["raw_shop.users"] == 1


def test_nobody_was_erased(shop: Project) -> None:
    platform = shop.platform()
    assert restored.forgetting(platform, list) is None
    with pytest.raises(BackupError):
        restore_warehouse(platform, "latest", shop.root / "restored.duckdb")

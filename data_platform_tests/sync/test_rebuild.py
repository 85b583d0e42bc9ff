"""The raw tables made from the ledger alone are those of the warehouse, at any instant of its history;
deleted rows leave the warehouse and stay in that history; a key that comes back is one row."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random

import duckdb
import pytest

from data_platform.errors import (
    ConfigurationError,
    LedgerBroken,
    PartDamaged,
    PartExpired,
    WarehouseBusy,
    WarehouseError,
)
from data_platform.landing import replaced
from data_platform.landing.keys import manifest_key
from data_platform.landing.redaction import KEY_VARIABLE
from data_platform.sandbox.server import PostgresServer
from data_platform.sync import Platform, TableReport, open_platform
from data_platform.sync.rebuild import rebuild
from data_platform.tables import TableId
from data_platform_tests.landing.test_redaction_in_a_sync import erase
from data_platform_tests.sync.conftest import COLUMNS, ORDERS_SQL, Project
from data_platform_tests.sync.conftest import ORDERS as ORDERS_YAML
from data_platform_tests.sync.history import SYNCS, History, Rows, rows_of

pytestmark = pytest.mark.slow

ORDERS = TableId("shop", "orders")
INSTANTS = 6
INSTANTS_OF_A_HISTORY = 25


@pytest.fixture(scope="module")
def history(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer
) -> Iterator[Callable[[int], History]]:
    """Histories by their seed, one kept at a time."""
    kept: dict[int, History] = {}

    def make(seed: int) -> History:
        if seed not in kept:
            kept.clear()
            url = postgres.create_database(f"test_rebuild_{os.getpid()}_{seed}")
            kept[seed] = History(Project(tmp_path_factory.mktemp("history"), url), seed).run(SYNCS)
            # the source is down, and so is the warehouse
            postgres.drop_database(f"test_rebuild_{os.getpid()}_{seed}")
            (kept[seed].project.root / "warehouse.duckdb").write_bytes(b"no warehouse any more")
        return kept[seed]

    yield make


def alone(project: Project) -> Platform:
    """The platform without the source's URL and the key of personal columns."""
    return open_platform(project.root, "local", {})


@pytest.mark.timeout(3600)  # of as many instants as are asked for
def test_the_tables_of_any_instant_come_back_row_for_row(
    history: Callable[[int], History], seeds: Callable[[int], Sequence[int]], tmp_path: Path
) -> None:
    shown = 0
    for seed in seeds(INSTANTS):
        past = history(seed // INSTANTS_OF_A_HISTORY)
        at, expected = past.instant(Random(seed))
        file = tmp_path / f"{seed}.duckdb"
        made = rebuild(alone(past.project), file, at=at)
        found = rows_of(file)
        assert found.keys() == expected.keys(), f"--seed {seed}"
        for table, rows in expected.items():
            assert found[table] == rows, f"{table} at {at} differs: repeat with --seed {seed}"
        assert {one.table.table: one.rows for one in made if one.batches} == {
            table: len(rows) for table, (_, rows) in expected.items()
        }
        shown += bool(expected)
        file.unlink()
    assert shown


def test_the_history_that_is_rebuilt_is_a_busy_one(history: Callable[[int], History]) -> None:
    past = history(0)
    shapes = {rows[table][0] for rows in (m.rows for m in past.moments) for table in rows}
    assert len(shapes) >= 6, "columns came and changed their type"
    gone, back = set[str](), set[str]()
    for one, then in pairwise(past.moments):
        back |= gone & _keys(then.rows)
        gone |= _keys(one.rows) - _keys(then.rows)
    assert gone and back, "rows were deleted, and keys came back"
    assert "moved@example.com" not in str(past.moments[-1].rows)


def _keys(rows: Rows) -> set[str]:
    return {row.partition(",")[0] for row in rows["orders"][1]} if "orders" in rows else set()


@pytest.fixture
def shop(project: Project) -> Project:
    """400 orders, then one changed, then one gone, found by reading its day: three batches and a fourth."""
    project.execute(ORDERS_SQL)
    project.catalog({"orders": ORDERS_YAML, "users": {"key": "user_id"}})
    project.execute("create table users (user_id int primary key)")
    project.good(tables=["orders"])
    project.execute("update orders set status = 'paid' where order_id = 7")
    project.good(tables=["orders"])
    project.execute("delete from orders where order_id = 7")
    assert project.slices(["orders"], "2026-01-08")["orders"].error is None
    return project


def landed_at(project: Project, sequence: int) -> datetime:
    return project.platform().ledger.read(ORDERS, sequence).landed_at


def statuses(file: Path, order: int) -> list[str]:
    with duckdb.connect(str(file), read_only=True) as connection:
        rows = connection.execute(f"select status from raw_shop.orders where order_id = {order}").fetchall()
    return [row[0] for row in rows]


def test_a_batch_counts_from_the_instant_it_landed(shop: Project, tmp_path: Path) -> None:
    file = tmp_path / "past.duckdb"
    tick = timedelta(microseconds=1)
    for at, expected in {
        landed_at(shop, 1) - tick: None,
        landed_at(shop, 1): ["new"],
        landed_at(shop, 2) - tick: ["new"],
        landed_at(shop, 2): ["paid"],
        landed_at(shop, 3): [],
        datetime.now(UTC): [],
    }.items():
        orders, users = rebuild(alone(shop), file, at=at, replace=True)
        assert (users.batches, users.last, users.begins_at) == (0, None, None)
        if expected is None:
            assert (orders.batches, orders.rows, orders.begins_at) == (0, 0, landed_at(shop, 1))
            assert rows_of(file) == {}
        else:
            assert statuses(file, 7) == expected
            assert orders.last is not None and orders.last_at == landed_at(shop, orders.last)
    with pytest.raises(ConfigurationError, match="is in the future"):
        rebuild(alone(shop), tmp_path / "future.duckdb", at=datetime.now(UTC) + timedelta(hours=1))
    with pytest.raises(ConfigurationError, match="no batch of shop/users"):
        rebuild(alone(shop), tmp_path / "other.duckdb", tables=[TableId("shop", "users")])


def test_a_table_that_left_the_catalog_is_still_there(shop: Project, tmp_path: Path) -> None:
    shop.catalog({"users": {"key": "user_id"}})
    (made,) = rebuild(alone(shop), tmp_path / "old.duckdb", tables=[ORDERS])
    assert (made.batches, made.first, made.rows) == (3, 1, 399)


def test_what_came_before_the_table_was_replaced_is_not_read(shop: Project, tmp_path: Path) -> None:
    whole = rows_of(shop.root / "warehouse.duckdb")
    shop.good(tables=["orders"], refresh=["orders"])
    for sequence in (1, 2):
        for part in shop.platform().ledger.read(ORDERS, sequence).parts:
            shop.platform().store.delete(part.key)
    (made, _) = rebuild(alone(shop), tmp_path / "now.duckdb")
    assert (made.batches, made.first, made.last) == (1, 4, 4)
    assert rows_of(tmp_path / "now.duckdb") == rows_of(shop.root / "warehouse.duckdb") != whole
    with pytest.raises(PartDamaged, match="of batch 1 of shop/orders is missing"):
        rebuild(alone(shop), tmp_path / "past.duckdb", at=landed_at(shop, 3))


def test_what_a_rule_gave_up_is_refused_by_name_and_the_days_it_keeps_are_not(
    project: Project, tmp_path: Path
) -> None:
    project.execute("create table t (id int)", "insert into t values (1)")
    project.catalog({"t": {"strategy": "replace", "keep_replaced_days": 1}}).good()
    table, landed = TableId("shop", "t"), []
    for value in (2, 3):
        landed.append(datetime.now(UTC))
        project.execute(f"insert into t values ({value})")
        project.good()
    platform = project.platform()
    later = landed[1] + timedelta(days=1)
    assert replaced.collect(platform.ledger, table, later, timedelta(days=1), remove=True).kept_from == 2
    rebuild(platform, tmp_path / "then.duckdb", at=landed[1])
    assert len(rows_of(tmp_path / "then.duckdb")["t"][1]) == 2
    with pytest.raises(PartExpired, match="keep_replaced_days"):
        rebuild(platform, tmp_path / "before.duckdb", at=landed[0])
    assert not (tmp_path / "before.duckdb").exists()
    rebuild(platform, tmp_path / "now.duckdb")
    assert rows_of(tmp_path / "now.duckdb") == rows_of(tmp_path / "warehouse.duckdb")
    project.execute("insert into t values (4)")
    assert project.good(verify=True)["t"].manifest is not None


def test_damage_is_named_and_leaves_no_file(shop: Project, tmp_path: Path) -> None:
    store = shop.platform().store
    part = shop.platform().ledger.read(ORDERS, 2).parts[0].key
    with store.local(part) as path:
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + b"!")
        with pytest.raises(PartDamaged, match=f"{part} of batch 2 of shop/orders"):
            rebuild(alone(shop), tmp_path / "into" / "new.duckdb")
        path.write_bytes(whole)
    store.delete(manifest_key(ORDERS, 3))
    with pytest.raises(LedgerBroken, match=r"shop/orders .* ends at batch 2, though batch 3 was committed"):
        rebuild(alone(shop), tmp_path / "into" / "new.duckdb")
    assert list((tmp_path / "into").iterdir()) == []


def test_an_existing_file_is_replaced_only_when_told_and_when_nobody_holds_it(
    shop: Project, tmp_path: Path
) -> None:
    file = tmp_path / "mine.duckdb"
    file.write_bytes(b"somebody's")
    with pytest.raises(WarehouseError, match="--replace"):
        rebuild(alone(shop), file)
    assert file.read_bytes() == b"somebody's"
    rebuild(alone(shop), file, replace=True)
    with duckdb.connect(str(file), read_only=True), pytest.raises(WarehouseBusy):
        platform = alone(shop)
        impatient = platform.environment.warehouse.waiting(0)
        environment = platform.environment.model_copy(update={"warehouse": impatient})
        rebuild(replace(platform, environment=environment), file, replace=True)
    assert len(rows_of(file)["orders"][1]) == 399
    assert [path.name for path in tmp_path.iterdir() if "rebuilding" in path.name] == []


def test_a_sync_goes_on_from_a_rebuilt_past(shop: Project) -> None:
    file = shop.root / "warehouse.duckdb"
    now = rows_of(file)
    rebuild(alone(shop), file, at=landed_at(shop, 1), replace=True)
    assert statuses(file, 7) == ["new"]
    report = shop.good(tables=["orders"])["orders"]
    assert [load.sequence for load in report.loaded] == [2, 3]
    assert rows_of(file) == now
    assert shop.difference("orders", COLUMNS) == ([], [])


def test_a_sync_gives_no_lost_number_away(shop: Project) -> None:
    """Not even where the warehouse, which would have known, is lost too."""
    platform = shop.platform()
    key = manifest_key(ORDERS, 3)
    newest = platform.store.read(key)
    platform.store.delete(key)
    (shop.root / "warehouse.duckdb").unlink()
    shop.execute("update orders set status = 'sent' where order_id = 9", "insert into users values (1)")
    reports = shop.sync()
    assert "shop/orders" in str(reports["orders"].error)
    assert "ends at batch 2, though batch 3 was committed" in str(reports["orders"].error)
    assert reports["users"].error is None and reports["users"].rows == 1
    assert platform.ledger.last(ORDERS) == 2
    platform.store.put_new(key, newest)
    shop.good()
    assert shop.difference("orders", COLUMNS) == ([], [])
    assert shop.ledger_sequences("orders") == [1, 2, 3, 4]


def test_what_was_erased_is_gone_from_the_past_too(shop: Project, tmp_path: Path, redaction_key: str) -> None:
    erase(shop.platform(), 9, tmp_path)
    for at, order in ((landed_at(shop, 1), ["new"]), (None, [])):
        file = tmp_path / "erased.duckdb"
        platform = open_platform(shop.root, "local", {KEY_VARIABLE: redaction_key})
        rebuild(platform, file, at=at, tables=[ORDERS], replace=True)
        assert (statuses(file, 9), statuses(file, 7)) == ([], order)
    with pytest.raises(ConfigurationError, match=KEY_VARIABLE):
        rebuild(alone(shop), tmp_path / "without.duckdb", tables=[ORDERS])


@pytest.mark.parametrize("orders", ["application"], ids=["xmin"], indirect=True)
@pytest.mark.parametrize("found_by", ["slice", "verify", "refresh"])
def test_a_deleted_row_leaves_the_raw_table_and_stays_in_history(
    orders: Project, tmp_path: Path, found_by: str
) -> None:
    there = datetime.now(UTC)
    orders.execute("delete from orders where order_id in (3, 4, 5)")
    assert orders.good()["orders"].manifest is None, "a read of changes sees no deletes"
    found: dict[str, Callable[[], Mapping[str, TableReport]]] = {
        "slice": lambda: orders.slices(["orders"], "2026-01-04", "2026-01-05", "2026-01-06"),
        "verify": lambda: orders.sync(verify=True),
        "refresh": lambda: orders.sync(refresh=["orders"]),
    }
    assert found[found_by]()["orders"].error is None
    assert orders.difference("orders", COLUMNS) == ([], [])
    for at, rows in ((there, 400), (None, 397)):
        (made,) = rebuild(alone(orders), tmp_path / "history.duckdb", at=at, replace=True)
        assert made.rows == rows
    assert rows_of(tmp_path / "history.duckdb") == rows_of(orders.root / "warehouse.duckdb")


@pytest.mark.parametrize("read_by", ["changes", "old days", "new days", "verify"])
def test_a_key_that_comes_back_is_one_row_with_its_new_values(orders: Project, read_by: str) -> None:
    """Orders 7 and 8 come back after their deletion was noticed, 27 and 28 before."""
    orders.execute("delete from orders where order_id in (7, 8)")
    assert orders.sync(verify=True)["orders"].error is None
    orders.execute(
        "delete from orders where order_id in (27, 28)",
        "insert into orders (order_id, status, amount, created_at) values"
        " (7, 'again', 1, '2026-01-15 12:00+00'), (27, 'again', 1, '2026-01-15 12:00+00'),"
        " (8, 'again', 2, null), (28, 'again', 2, null)",
    )
    if read_by in ("changes", "verify"):
        orders.good(verify=read_by == "verify")
    else:
        days = ("2026-01-08", "2026-01-09") if read_by == "old days" else ("2026-01-15", "null")
        assert orders.slices(["orders"], *days)["orders"].error is None
    back = orders.rows(
        "select order_id, status, amount::int from raw_shop.orders where order_id in (7, 8, 27, 28) order by 1"
    )
    assert back == [(7, "again", 1), (8, "again", 2), (27, "again", 1), (28, "again", 2)]
    assert orders.difference("orders", COLUMNS) == ([], [])

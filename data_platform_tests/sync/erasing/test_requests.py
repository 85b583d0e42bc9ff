"""A person is taken out of what landed, the warehouse and the copies, and stays out, whatever is read, rebuilt or restored."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from data_platform.backups.mirror import place_in
from data_platform.errors import ConfigurationError
from data_platform.landing.verify import verify
from data_platform.sync.backup import archives, copy_landing, make_backup, restore_beside
from data_platform.sync.erasing import certificate
from data_platform.sync.erasing.book import Book
from data_platform.sync.load import check_completeness
from data_platform.sync.rebuild import rebuild
from data_platform.tables import TableId
from data_platform_tests import people
from data_platform_tests.sync.conftest import Project
from data_platform_tests.sync.erasing.people import (
    HIS,
    ORDERS,
    TABLES,
    USERS,
    VISITS,
    WITHOUT,
    ask,
    counts,
    erase,
    person,
    totals,
)

NONE = dict.fromkeys(TABLES, 0)


def test_a_person_is_gone_everywhere_and_nobody_else_lost_a_row(shop: Project) -> None:
    platform = shop.platform()
    make_backup(platform)
    done = erase(shop)
    assert dict(done.rows) == {f"shop/{name}": rows for name, rows in HIS.items()}
    assert done.next_step is None
    assert totals(shop) == WITHOUT
    for table in (USERS, ORDERS, VISITS):
        assert verify(platform.ledger, table, platform.clock(), sample=1).problems == ()
    copied = place_in(archives(platform)[0]).reader
    landed = {key for key in platform.store.list("shop") if key.endswith(".parquet")}
    assert {key for key in copied.list("shop") if key.endswith(".parquet")} == landed
    told = certificate.certify(platform, done)
    assert told.open, "the backup that was made before still holds the person"
    assert [one.name for one in told.remains] == ["warehouse"]
    assert told.remains[0].until is not None
    later = replace(platform, clock=lambda: told.remains[0].until)  # type: ignore[arg-type, return-value]
    assert certificate.certify(later, done).at == told.remains[0].until


def test_what_is_read_again_does_not_bring_the_person_back(shop: Project) -> None:
    """The source still has all of the rows: reads of changes, of all, of a day, and checks that count both sides."""
    erase(shop)
    shop.execute(
        "update users set name = name || '!'", "update orders set amount = amount + 1 where user_id = 7"
    )
    shop.execute("insert into orders values (1000, 7, 1, '2026-01-02', clock_timestamp())")
    shop.good()
    assert totals(shop) == WITHOUT
    shop.good(refresh=[USERS.table, ORDERS.table, VISITS.table])
    assert totals(shop) == WITHOUT
    assert shop.slices(["orders"], "2026-01-02")["orders"].error is None
    shop.verified()
    assert totals(shop) == WITHOUT
    platform = shop.platform()
    for name in TABLES:
        assert check_completeness(platform, platform.catalog.table(TableId("shop", name))).passed
    assert counts(platform) == NONE


def test_whoever_comes_back_with_the_address_is_somebody_new(shop: Project) -> None:
    erase(shop)
    shop.execute("update users set email = 'gone' where user_id = 7")
    shop.execute(
        "insert into users values (700, 'person7@company.example', 'Again')",
        "insert into orders values (1000, 700, 1, now(), now())",
    )
    shop.good()
    assert counts(shop.platform(), 700) == {"users": 1, "orders": 1, "visits": 0}
    assert totals(shop) == {"users": 40, "orders": 391, "visits": 195}


def test_rows_that_the_warehouse_lost_before_are_taken_out_of_what_landed(shop: Project) -> None:
    """The application deleted the person first, so that the raw tables have no row by which to find what landed."""
    shop.execute("delete from orders where user_id = 7", "delete from users where user_id = 7")
    shop.good(verify=True)
    platform = shop.platform()
    with pytest.raises(ConfigurationError, match="by their key"):
        person(platform)
    done = people.erased(platform, user_id="7")
    assert done.done["landing"]["shop/users"] == {"parts": 1, "rows": 1}
    assert done.done["landing"]["shop/orders"]["rows"] == 10
    assert totals(shop) == WITHOUT


def test_a_warehouse_that_is_rebuilt_or_restored_lacks_the_person(shop: Project) -> None:
    platform = shop.platform()
    kept = (shop.root / "warehouse.duckdb").read_bytes()
    erase(shop)
    rebuild(platform, shop.root / "rebuilt.duckdb")
    config = platform.environment.warehouse.elsewhere(shop.root / "rebuilt.duckdb")
    with config.open(shop.root, read_only=True) as warehouse:
        assert warehouse.query("select count(*) from raw_shop.orders").rows == [(390,)]
    (shop.root / "rebuilt.duckdb").replace(shop.root / "warehouse.duckdb")
    for name in TABLES:  # what the source counted before the redaction holds no more
        assert check_completeness(platform, platform.catalog.table(TableId("shop", name))).passed
    (shop.root / "warehouse.duckdb").write_bytes(kept)  # a backup of before
    assert counts(shop.platform()) == HIS
    shop.good()
    assert totals(shop) == WITHOUT


def test_the_log_outlives_the_landing_store(shop: Project) -> None:
    """Restored from an archive alone, the platform still knows whom to keep out."""
    make_backup(shop.platform())
    request = erase(shop)
    platform = shop.platform()
    copy_landing(platform)
    shutil.rmtree(shop.root / "landing")
    restore_beside(platform, "latest", shop.root / "back")
    (shop.root / "back/ledger").rename(shop.root / "landing")
    (shop.root / "warehouse.duckdb").unlink()
    platform = shop.platform()
    assert Book(platform).request(request.id).done["landing"] == request.done["landing"]
    shop.good()
    shop.good(refresh=["users", "orders", "visits"])
    assert totals(shop) == WITHOUT


def test_asked_twice_and_of_nobody(shop: Project) -> None:
    erase(shop)
    platform = shop.platform()
    with pytest.raises(ConfigurationError, match="No row of such a customer"):
        person(platform)
    with pytest.raises(ConfigurationError, match="No row of such a customer"):
        person(platform, 999)
    again = people.erased(platform, user_id="7")
    assert set(again.done["landing"]) == {"at"}, "nothing was left to take out"
    assert totals(shop) == WITHOUT


def test_two_accounts_go_together_and_a_second_request_follows_the_first(shop: Project) -> None:
    shop.execute("update users set email = 'person7@company.example' where user_id = 8")
    shop.good()
    done = erase(shop)
    assert dict(done.rows) == {"shop/users": 2, "shop/orders": 20, "shop/visits": 10}
    erase(shop, 9)
    assert totals(shop) == {"users": 37, "orders": 370, "visits": 185}
    shop.good(verify=True)
    assert totals(shop) == {"users": 37, "orders": 370, "visits": 185}


def test_a_hold_stops_it_by_name_until_it_is_released(shop: Project) -> None:
    platform = shop.platform()
    people.held(platform, user_id="7")
    with pytest.raises(ConfigurationError, match="hold case-77 is about this customer"):
        ask(platform)
    with pytest.raises(ConfigurationError, match="already"):
        people.held(platform, user_id="8")
    assert erase(shop, 8).next_step is None, "a hold is about its person alone"
    Book(platform).release("case-77", "it is over", "counsel")
    assert erase(shop).next_step is None
    assert totals(shop) == {"users": 38, "orders": 380, "visits": 190}

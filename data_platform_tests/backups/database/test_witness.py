"""A database's drill compares rows with the warehouse: a value that was swapped on the way turns it red, by table and slice."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data_platform.sandbox.server import BUILTIN_LOCALE, PostgresServer
from data_platform.sync import Platform, open_platform, sync_changes, witness
from data_platform.sync.database_backup import back_up_database
from data_platform.sync.recovery import Drill, drill_database
from data_platform.sync.wal import receiver
from data_platform.tables import Slice, TableId
from data_platform_tests.backups.database.conftest import SETTINGS, Company

pytestmark = pytest.mark.slow
ROWS = 3000
WAS, IS = b"value-00000777", b"value-00000778"


@pytest.fixture(scope="module")
def unchecked(server_folder: Path) -> Iterator[PostgresServer]:
    """A server without page checksums: it does not see what its disk does to its pages."""
    home = server_folder / "unchecked"
    with PostgresServer(home, settings=SETTINGS, locale=(*BUILTIN_LOCALE, "--no-data-checksums")) as server:
        yield server


class Shop:
    """Its orders of three days are loaded into the warehouse."""

    def __init__(self, root: Path, server: PostgresServer) -> None:
        name = f"shop_{uuid.uuid4().hex[:12]}"
        server.create_database(name)
        self.company = Company(root, server, name)
        self.company.execute(
            "create table orders (id bigint primary key, day date, note text, mail text)",
            f"insert into orders select n, date '2026-11-01' + (n / 1000)::int, 'value-' || lpad(n::text, 8, '0'), 'a@b.c'"
            f" from generate_series(1, {ROWS - 1}) n",
            "create table log (text text)",
            "insert into log values ('without a key')",
        )
        given = self.company.platform("{engine: native}")
        file = root / "catalog/sources/shop.yaml"
        tables = "{key: id, partition: day, personal: {note: keep, mail: hash}}\n  log: {strategy: replace, personal: {text: keep}}"
        text = file.read_text().replace("{key: id, personal: {note: keep}}", tables)
        file.write_text(text.replace("kind: postgres\n", "kind: postgres\nstart: 2026-11-01\n"))
        self.platform: Platform = open_platform(
            root, "local", {**given.environ, "DATA_PLATFORM_HASH_KEY": "k" * 40}
        )

    def sync(self) -> None:
        assert [one.error for one in sync_changes(self.platform, "shop")] == [None, None]

    def back_up(self) -> None:
        receiver(self.platform, "shop", lambda _: None).once()
        back_up_database(self.platform, "shop", full=True)
        receiver(self.platform, "shop", lambda _: None).once()

    def drill(self) -> Drill:
        (found,) = drill_database(self.platform, "shop", seed=1)
        return found


@pytest.fixture
def shop(unchecked: PostgresServer, tmp_path: Path) -> Shop:
    return Shop(tmp_path, unchecked)


def test_rows_are_the_warehouse_s_whatever_changed_in_between(shop: Shop) -> None:
    shop.sync()
    shop.company.execute("update orders set note = 'later' where id < 10", "delete from orders where id = 20")
    shop.back_up()
    shop.company.execute("update orders set note = 'later still' where id < 30")
    shop.sync()
    found = shop.drill()
    assert found.problem == "" and found.report is not None and "compare" in found.report.seconds
    assert found.rows_compared == ROWS - 2
    assert found.notes == ["shop/log: without a key its rows cannot be told apart"]


def test_pages_that_the_server_s_own_disk_swapped_turn_it_red(shop: Shop) -> None:
    """The backup is what the server gave, and the server's word for it holds: only another copy of the rows knows better."""
    shop.sync()
    server = shop.company.server
    (path,) = shop.company.row("select pg_relation_filepath('orders')")
    shop.company.execute("checkpoint")
    server.stop()
    file = server.data_dir / str(path)
    pages = file.read_bytes()
    assert pages.count(WAS) == pages.count(IS) == 1
    file.write_bytes(pages.replace(WAS, b"?" * len(WAS)).replace(IS, WAS).replace(b"?" * len(WAS), IS))
    server.start()
    shop.back_up()
    found = shop.drill()
    assert "shop/orders, 2026-11-01: 2 row(s) of the recovered database have other values" in found.problem
    assert "2026-11-02" not in found.problem and found.report is not None


def test_a_warehouse_that_somebody_altered_turns_it_red(shop: Shop) -> None:
    shop.sync()
    shop.back_up()
    with shop.platform.warehouse() as warehouse:
        warehouse.connection.execute(  # type: ignore[attr-defined]
            "update raw_shop.orders set note = 'x' where id in (1500, 2500)"
        )
    problem = shop.drill().problem
    assert "shop/orders, 2026-11-02: 1 row(s)" in problem and "shop/orders, 2026-11-03: 1 row(s)" in problem


def test_of_a_large_table_each_slice_is_compared_once_a_week(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.sync()
    monkeypatch.setattr(witness, "ROWS_WHOLE", 100)
    orders = shop.platform.catalog.table(TableId("shop", "orders"))
    compared: list[Slice] = []
    with shop.platform.warehouse(read_only=True) as warehouse:
        for day in range(1, 8):
            there = replace(shop.platform, clock=lambda day=day: datetime(2026, 12, day, tzinfo=UTC))
            compared += witness._slices(there, orders, warehouse)
    assert sorted(compared) == ["2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04"][: len(compared)]
    assert len(compared) >= 3


def test_without_a_warehouse_nothing_is_compared_and_the_drill_says_so(shop: Shop) -> None:
    shop.back_up()
    found = shop.drill()
    assert found.problem == "" and found.rows_compared == 0
    assert "There is no warehouse" in found.notes[0]

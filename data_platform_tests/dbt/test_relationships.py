"""Foreign keys between tables that were read at different moments: only what lasts is told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from data_platform.sync import Platform, open_platform, sync_changes, sync_slices
from data_platform.tables import Slice
from data_platform_tests.dbt.runner import Dbt
from data_platform_tests.repository import copy_catalog

pytestmark = pytest.mark.slow
NEW_ORDER = (
    "insert into users (user_id, email, created_at, updated_at)"
    " overriding system value values ({id}, 'u{id}@example.com', now(), now())",
    "insert into orders (order_id, user_id, status, order_date, revenue, created_at, updated_at)"
    " overriding system value values ({id}, {id}, 'paid', current_date, 5, now(), now())",
    "insert into payments (payment_id, order_id, user_id, amount, method, status, paid_at, created_at, updated_at)"
    " values (gen_random_uuid(), {id}, {id}, 5, 'card', 'succeeded', now(), now(), now())",
)


OTHERS = ("path:models/**/stripe", "path:models/**/zendesk")
"""Systems that this company has not: of their models, which are empty, a build tells that nothing dangles."""


class Shop:
    """A shop, its platform, and dbt over its warehouse; ``dangling`` are the foreign keys that a build tells."""

    def __init__(self, url: str, platform: Platform, dbt: Dbt) -> None:
        self.url, self.platform, self.dbt = url, platform, dbt

    def transaction(self, *statements: str) -> None:
        with psycopg.connect(self.url) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]

    def sync(self, *tables: str, verify: bool = False) -> None:
        for report in sync_changes(self.platform, "shop", tables or None, verify=verify):
            assert report.error is None, report.error

    def slices(self, table: str, *slices: str) -> None:
        for report in sync_slices(self.platform, "shop", [table], [Slice(s) for s in slices]):
            assert report.error is None, report.error

    def dangling(self, *, build: bool = False) -> dict[str, int]:
        """Each foreign key that a value dangles from, and how many; ``build`` makes what they are of anew, too.

        The staging models are views.
        """
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.cli.main import dbtRunner

        command = ["build", "--indirect-selection", "empty", "--select", "+test_name:relationships"]
        if not build:
            command = ["test", "--select", "test_name:relationships", "--exclude", *OTHERS]
        result = dbtRunner(manifest=self.dbt.manifest).invoke([*command, *self.dbt.options, "--quiet"])
        DuckDBConnectionManager.close_all_connections()  # which a process of its own would do by its end
        assert result.exception is None
        results = result.result.results  # type: ignore[union-attr]
        tests = [r for r in results if r.node.name.startswith("relationships_")]
        assert len(tests) > 9
        assert not [r.node.name for r in results if r.status in ("error", "skipped")]
        return {
            r.node.name.removeprefix("relationships_").split("__ref")[0]: r.failures
            for r in tests
            if r.failures
        }


@contextmanager
def opened(root: Path, url: str) -> Iterator[Shop]:
    copy_catalog(root, models=False)
    own = {"SHOP_DATABASE_URL": url, "DATA_PLATFORM_HASH_KEY": "a key that only tests use"}
    platform = open_platform(root, "local", {**os.environ, **own})
    dbt = Dbt(root)
    dbt.path = Path(platform.environment.warehouse.place(root))
    before = dict(os.environ)
    os.environ["DATA_PLATFORM_DUCKDB_PATH"] = str(dbt.path)
    try:
        dbt.parse()
        yield Shop(url, platform, dbt)
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_only_a_row_that_lasts_without_its_parent_is_told(tmp_path: Path, shop_copy: str) -> None:
    with opened(tmp_path, shop_copy) as shop:
        shop.sync()

        # a user and what they bought in one transaction; the probe had seen orders move, not users
        shop.transaction(*(s.format(id=900_001) for s in NEW_ORDER))
        shop.sync("orders", "payments")
        assert shop.dangling(build=True) == {}
        shop.sync("users")
        assert shop.dangling() == {}, "user_dim is built when its turn comes"

        # one transaction deletes an order and its payment; a slice takes the order out, and nothing else
        shop.transaction("delete from orders where order_id = 900_001")
        today = str(shop.dbt.rows("select max(created_at)::date as day from raw_shop.orders")[0]["day"])
        shop.slices("orders", today)
        assert shop.dbt.rows("select count(*) as n from raw_shop.orders where order_id = 900001") == [
            {"n": 0}
        ]
        assert shop.dbt.rows("select count(*) as n from raw_shop.payments where order_id = 900001") == [
            {"n": 1}
        ]
        assert shop.dangling() == {}
        shop.sync(verify=True)
        assert shop.dbt.rows("select count(*) as n from raw_shop.payments where order_id = 900001") == [
            {"n": 0}
        ]
        assert shop.dangling() == {}

        # an order of nobody: told as soon as both tables were read, and for as long as it stands
        shop.transaction(
            "alter table orders drop constraint orders_user_id_fkey", NEW_ORDER[1].format(id=900_002)
        )
        shop.sync("orders")
        assert shop.dangling() == {}, "users may have it already"
        shop.sync("users")
        told = shop.dangling(build=True)
        assert told["stg_shop__orders_user_id__user_id"] == 1
        assert any(name.startswith(("order_totals", "order_facts")) for name in told), told
        shop.transaction(*(s.format(id=900_003) for s in NEW_ORDER))
        shop.sync("orders", "payments")
        assert shop.dangling()["stg_shop__orders_user_id__user_id"] == 1, "the one that lasts alone"

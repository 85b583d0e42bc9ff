"""The figures of the dbt project, against a computation in Python over the same rows."""

from __future__ import annotations

import copy
import random
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from data_platform_tests.dbt import raw_shop
from data_platform_tests.dbt.company_figures import CompanyFigures
from data_platform_tests.dbt.expected import (
    CENT,
    cents,
    counted_refunds,
    expected_lines,
    expected_revenue,
    is_paid,
    is_refund,
    refunded_by_order,
)
from data_platform_tests.dbt.raw_shop import RawShop, Row, utc_day
from data_platform_tests.dbt.runner import PROJECT, Dbt, built
from data_platform_tests.sources.spark import conftest as spark

SESSION_COUNTS = ("event_count", "page_view_count", "purchase_count")
ADDED_UP = ("line_amount", "discount_amount", "revenue", "refunded_amount", "net_revenue", "cost_amount")


@pytest.fixture(scope="module")
def dbt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dbt]:
    with built(tmp_path_factory.mktemp("dbt")) as dbt:
        yield dbt


def actual_revenue(dbt: Dbt) -> dict[date, Row]:
    rows = dbt.rows("select * from marts.daily_revenue")
    figures = {row.pop("revenue_date"): row for row in rows}
    assert len(figures) == len(rows)
    for row in rows:
        average = row.pop("average_order_value")
        assert average == (cents(row["gross_revenue"] / row["order_count"]) if row["order_count"] else None)
        row.pop("_orders_sequence"), row.pop("_payments_sequence")
    assert all(row.pop("date") == day for day, row in figures.items())
    return figures


def lines_are_exact(dbt: Dbt, shop: RawShop) -> None:
    """Every line is what Python makes of the rows, and all of them add up to the orders and the days."""
    expected = expected_lines(shop)
    names = ", ".join(expected[0])
    assert dbt.rows(f"select {names} from marts.order_facts order by order_id, line_number") == expected
    sums = ", ".join(f"sum({name}) as {name}" for name in ADDED_UP)
    by_order = dbt.rows(f"select order_id, {sums} from marts.order_facts group by 1 order by 1")
    assert by_order == dbt.rows(
        "select order_id, items_amount as line_amount, discount_amount, gross_revenue as revenue,"
        " refunded_amount, net_revenue, cost_amount from marts.order_totals order by 1"
    )
    by_day = dbt.rows(
        "select created_date as date, sum(revenue) as total from marts.order_facts group by 1 order by 1"
    )
    assert by_day == dbt.rows(
        "select date, total_revenue as total from marts.daily_revenue"
        " where order_count + cancelled_order_count > 0 order by 1"
    )


@pytest.mark.slow
class TestFigures:
    shop = raw_shop.shop()

    def test_dbt_warns_of_nothing(self, dbt: Dbt) -> None:
        assert dbt.warnings == []

    def test_the_queries_that_the_documents_show_run(self, dbt: Dbt) -> None:
        texts = [path.read_text() for path in (PROJECT.parent / "README.md", PROJECT.parent / "docs/cli.md")]
        queries = {sql for text in texts for sql in re.findall(r'data-platform query "([^"]+)"', text)}
        # neither the reader's own database nor what they look up by a value
        shown = {sql for sql in queries if not any(word in sql for word in ("raw_billing", "$(", "?"))}
        assert len(shown) >= 3
        assert all(dbt.rows(sql) for sql in shown)

    def test_daily_revenue(self, dbt: Dbt) -> None:
        assert actual_revenue(dbt) == expected_revenue(self.shop)

    def test_order_facts(self, dbt: Dbt) -> None:
        lines_are_exact(dbt, self.shop)

    def test_order_totals(self, dbt: Dbt) -> None:
        refunds = refunded_by_order(self.shop)
        returned: Counter[int] = Counter()
        for payment in self.shop.payments.values():
            returned[payment["order_id"]] += -payment["amount"] if is_refund(payment) else 0
        numbers: Counter[int] = Counter()
        expected = []
        for order in sorted(self.shop.orders.values(), key=lambda o: (o["created_at"], o["order_id"])):
            lines = [i for i in self.shop.order_items.values() if i["order_id"] == order["order_id"]]
            cancelled = order["status"] == "cancelled"
            numbers[order["user_id"]] += not cancelled
            expected.append(
                {
                    "order_id": order["order_id"],
                    "user_order_number": None if cancelled else numbers[order["user_id"]],
                    "unit_count": sum(i["quantity"] for i in lines),
                    "cost_amount": sum(
                        i["quantity"] * self.shop.products[i["product_id"]]["cost"] for i in lines
                    ),
                    "items_amount": sum(i["quantity"] * i["unit_price"] for i in lines),
                    "net_revenue": Decimal(0) if cancelled else order["revenue"] - refunds[order["order_id"]],
                    "returned_amount": returned[order["order_id"]],
                }
            )
        actual = dbt.rows(
            f"select {', '.join(expected[0])} from marts.order_totals order by created_at, order_id"
        )
        assert actual == expected

    def test_user_metrics_fact(self, dbt: Dbt) -> None:
        expected: dict[tuple[int, date], Counter[str]] = defaultdict(Counter)
        sessions: dict[tuple[int, date], set[Any]] = defaultdict(set)
        for event in self.shop.events.values():
            if event["user_id"] is not None:
                key = event["user_id"], utc_day(event["occurred_at"])
                expected[key].update(["event_count", f"{event['event_type']}_count"])
                sessions[key].add(event["session_id"])
        for order in self.shop.orders.values():
            metrics = expected[order["user_id"], utc_day(order["created_at"])]
            if order["status"] != "cancelled":
                metrics.update({"order_count": 1, "gross_revenue": order["revenue"]})
        for payment in self.shop.payments.values():
            metrics = expected[payment["user_id"], utc_day(payment["created_at"])]
            if is_paid(payment):
                metrics.update({"payment_count": 1, "paid_amount": payment["amount"]})
            elif is_refund(payment):
                metrics.update({"return_count": 1, "returned_amount": -payment["amount"]})
        own = "exclude (stripe_payment_count, stripe_paid_amount, stripe_refund_count, stripe_refunded_amount, ticket_count)"
        actual = {
            (row.pop("user_id"), row.pop("activity_date")): row
            for row in dbt.rows(f"select * {own} from marts.user_metrics_fact")
        }
        assert expected.keys() <= actual.keys()
        for key, row in actual.items():
            assert row.pop("session_count") == len(sessions[key])
            assert row == {name: expected[key][name] for name in row}
            # days that only other systems know of: see CompanyFigures

    def test_user_sessions(self, dbt: Dbt) -> None:
        by_user = defaultdict(list)
        for event in self.shop.events.values():
            if event["user_id"] is not None:
                by_user[event["user_id"]].append((event["occurred_at"], event["event_type"]))
        visits: list[Row] = []
        for user, events in by_user.items():
            before = None
            for at, kind in sorted(events):
                if before is None or at > before + timedelta(minutes=30):
                    visits.append({"user_id": user, "started_at": at, **dict.fromkeys(SESSION_COUNTS, 0)})
                visits[-1] |= {"ended_at": at}
                visits[-1]["event_count"] += 1
                if f"{kind}_count" in SESSION_COUNTS:
                    visits[-1][f"{kind}_count"] += 1
                before = at
        assert {visit["event_count"] for visit in visits} >= {1, 2}
        actual = dbt.rows("from marts.user_sessions")
        for rows in (actual, visits):
            rows.sort(key=lambda row: (row["user_id"], row["started_at"]))
        assert actual == visits

    def test_user_sessions_are_those_of_spark(self, dbt: Dbt, tmp_path: Path) -> None:
        """``spark/user_sessions.sql`` over the same events, landed."""
        if (why := spark.missing()) is not None:
            pytest.skip(why)
        project = spark.Project(tmp_path).write(conf=spark.SMALL)
        for file in (PROJECT.parent / "spark").glob("user_sessions.*"):
            shutil.copy(file, tmp_path / "spark")
        events = dbt.rows("select event_id, user_id, event_type, occurred_at from raw_shop.events")
        project.land("replace", [tuple(event.values()) for event in events])
        project.good()
        columns = "user_id, started_at, ended_at, event_count, page_view_count, purchase_count"
        expected = dbt.rows(f"select {columns} from marts.user_sessions order by user_id, started_at")
        found = project.rows(f"select {columns} from raw_counts.user_sessions order by user_id, started_at")
        assert found == [tuple(row.values()) for row in expected]

    def test_customer_lifetime_value_and_user_dim(self, dbt: Dbt) -> None:
        value = {row["user_id"]: row for row in dbt.rows("from marts.customer_lifetime_value")}
        users = {row["user_id"]: row for row in dbt.rows("from marts.user_dim")}
        seen = defaultdict(set)
        for row in dbt.rows("select user_id, activity_date from marts.user_metrics_fact"):
            seen[row["user_id"]].add(row["activity_date"])
        newest = max(day for days in seen.values() for day in days)
        assert value.keys() == users.keys() == self.shop.users.keys()
        for user, row in value.items():
            orders = [
                o for o in self.shop.orders.values() if o["user_id"] == user and o["status"] != "cancelled"
            ]
            refunds = [
                p for p in counted_refunds(self.shop) if self.shop.orders[p["order_id"]]["user_id"] == user
            ]
            gross = sum((o["revenue"] for o in orders), Decimal(0))
            days = sorted(utc_day(o["created_at"]) for o in orders)
            assert row["order_count"] == users[user]["order_count"] == len(orders)
            assert row["total_revenue"] == row["gross_revenue"] == gross
            assert row["net_revenue"] == gross + sum((p["amount"] for p in refunds), Decimal(0))
            assert row["average_order_value"] == (cents(gross / len(orders)) if orders else None)
            assert (row["first_order_date"], row["last_order_date"]) == (
                (days[0], days[-1]) if days else (None, None)
            )
            assert row["days_active"] == len(seen[user])
            signed_up = utc_day(self.shop.users[user]["created_at"])
            assert users[user]["days_to_first_order"] == ((days[0] - signed_up).days if days else None)
            raw, dim = self.shop.users[user], users[user]
            assert (dim["email"], dim["country"], dim["user_segment"]) == (
                raw["email"], raw["country"], raw["segment"] or "unknown",
            )  # fmt: skip
            assert dim["signup_date"] == dim["signed_up_date"] == signed_up
            assert dim["is_active"] == any((newest - day).days < 90 for day in seen[user])
        buyers = sorted(
            (row for row in value.values() if row["order_count"]), key=lambda row: -row["net_revenue"]
        )
        segments = Counter(row["value_segment"] for row in value.values())
        assert segments["none"] == len(value) - len(buyers)
        assert buyers[0]["value_segment"] == "high" and buyers[-1]["value_segment"] == "low"
        assert (
            abs(segments["high"] - len(buyers) * 0.1) <= 1 and abs(segments["low"] - len(buyers) * 0.5) <= 1
        )


@pytest.mark.slow
class TestCompany(CompanyFigures):
    """The systems beside the shop, on the same warehouse."""


class Warehouse:
    """The raw tables under change: ``load`` writes what differs, as a sync would have."""

    def __init__(self, dbt: Dbt, shop: RawShop) -> None:
        self.dbt, self.shop = dbt, shop
        self.sequences = dict.fromkeys(raw_shop.DDL, 1)
        self.held = copy.deepcopy(shop)

    def load(self, *tables: str, loaded_at: datetime = raw_shop.LOADED_AT, whole: bool = False) -> None:
        for table in tables:
            before, after = getattr(self.held, table), getattr(self.shop, table)
            changed = [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
            versions = [rows[key] for rows in (before, after) for key in changed if key in rows]
            touched = {"all"} if whole else raw_shop.slices_of(table, versions) if versions else set()
            if not touched:
                continue
            self.sequences[table] += 1
            raw_shop.write(
                self.dbt.path, self.shop, {table: self.sequences[table]}, loaded_at, {table: touched}
            )
            setattr(self.held, table, copy.deepcopy(after))

    def settled(self) -> None:
        """Run the models and compare with what the raw tables hold."""
        self.dbt("run", "--select", "daily_revenue", "order_totals", "order_facts")
        assert actual_revenue(self.dbt) == expected_revenue(self.held)
        lines_are_exact(self.dbt, self.held)

    def sequence_of(self, day: date) -> int | None:
        rows = self.dbt.rows(
            f"select _orders_sequence as s from marts.daily_revenue where revenue_date = '{day}'"
        )
        return rows[0]["s"] if rows else None

    def forget_day(self, day: date) -> None:
        """Delete the orders of a day with all that hangs on them, and the refunds made on it."""
        gone = {key for key, order in self.shop.orders.items() if utc_day(order["created_at"]) == day}
        for key, payment in list(self.shop.payments.items()):
            if payment["order_id"] in gone or utc_day(payment["created_at"]) == day:
                del self.shop.payments[key]
        for order in gone:
            del self.shop.orders[order]


@pytest.fixture(scope="module")
def warehouse(dbt: Dbt) -> Warehouse:
    return Warehouse(dbt, raw_shop.shop())


@pytest.mark.slow
class TestIncrementalRevenue:
    """daily_revenue after loads, each step from where the one before left it."""

    def test_late_change_move_delete_and_new_day(self, warehouse: Warehouse) -> None:
        shop, first = warehouse.shop, raw_shop.START.date()
        changed = next(
            o
            for o in shop.orders.values()
            if o["status"] == "delivered" and utc_day(o["created_at"]) == first
        )
        changed["revenue"] += Decimal("0.01")
        refund = next(
            p
            for p in counted_refunds(shop)
            if utc_day(p["created_at"]) != utc_day(shop.orders[p["order_id"]]["created_at"])
        )
        shop.orders[refund["order_id"]]["status"] = "cancelled"
        moved = next(o for o in shop.orders.values() if o["status"] == "paid")
        moved["created_at"] = raw_shop.START + timedelta(days=40, hours=23, minutes=59)
        on_empty_day = next(o for o in shop.orders.values() if o["status"] == "shipped")
        on_empty_day["created_at"] = raw_shop.START + timedelta(days=12)
        vanishing = first + timedelta(days=20)
        warehouse.forget_day(vanishing)
        # Committed before the orders' first load, as a slow table's batch may be.
        warehouse.load("orders", loaded_at=raw_shop.LOADED_AT - timedelta(hours=3))
        warehouse.load("payments", loaded_at=raw_shop.LOADED_AT - timedelta(hours=5))
        warehouse.dbt("build", "--select", "daily_revenue", "daily_revenue_is_exact")
        assert actual_revenue(warehouse.dbt) == expected_revenue(warehouse.held)
        assert warehouse.sequence_of(vanishing) is None
        assert warehouse.sequence_of(first) == warehouse.sequence_of(first + timedelta(days=12)) == 2
        left_alone = [day for day in expected_revenue(shop) if warehouse.sequence_of(day) == 1]
        assert len(left_alone) > raw_shop.DAYS / 2, "days that no load touched are not computed again"

    def test_an_order_deleted_before_its_payments(self, warehouse: Warehouse) -> None:
        """No slice of either table names the day of its refund."""
        orders, refunds = warehouse.shop.orders, counted_refunds(warehouse.shop)
        days = [(utc_day(orders[p["order_id"]]["created_at"]), utc_day(p["created_at"])) for p in refunds]
        alone = next(n for n, pair in enumerate(days) if days.count(pair) == 1 and pair[0] != pair[1])
        del orders[refunds[alone]["order_id"]]
        warehouse.load("orders")
        warehouse.settled()

    def test_only_days_that_vanish(self, warehouse: Warehouse) -> None:
        warehouse.forget_day(raw_shop.START.date() + timedelta(days=5))
        warehouse.load("orders", "payments")
        warehouse.settled()

    def test_random_loads(self, warehouse: Warehouse) -> None:
        chance, shop = random.Random(3), warehouse.shop
        for _ in range(3):
            for key in chance.sample(sorted(shop.orders), 12):
                order = shop.orders[key]
                match chance.choice(["status", "revenue", "day", "delete"]):
                    case "status":
                        order["status"] = chance.choice(["cancelled", "delivered", "refunded"])
                    case "revenue":
                        order["revenue"] += chance.randint(-500, 500) * CENT
                    case "day":
                        order["created_at"] += timedelta(days=chance.randint(-20, 20))
                    case "delete":
                        del shop.orders[key]
            for payment_key in chance.sample(sorted(shop.payments), 12):
                payment = shop.payments[payment_key]
                match chance.choice(["status", "amount", "day", "order", "delete"]):
                    case "status":
                        payment["status"] = chance.choice(["failed", "succeeded", "refunded"])
                    case "amount":
                        payment["amount"] = -payment["amount"]
                    case "day":
                        payment["created_at"] += timedelta(days=chance.randint(-20, 20))
                    case "order":
                        payment["order_id"] = chance.choice(sorted(shop.orders))
                    case "delete":
                        del shop.payments[payment_key]
            for item_key in chance.sample(sorted(shop.order_items), 40):
                item = shop.order_items[item_key]
                match chance.choice(["quantity", "price", "free", "order", "delete"]):
                    case "quantity":
                        item["quantity"] = chance.choice([0, 1, 7])
                    case "price":
                        item["unit_price"] += chance.randint(-100, 100) * CENT
                    case "free":
                        item["unit_price"] = 0 * CENT
                    case "order":
                        item["order_id"] = chance.choice(sorted(shop.orders))
                    case "delete":
                        del shop.order_items[item_key]
            # One table may be loaded a run later than the other.
            warehouse.load(
                "order_items", *chance.choice([("orders", "payments"), ("orders",), ("payments",)])
            )
            warehouse.settled()

    def test_a_table_from_before_it_had_all_columns(self, warehouse: Warehouse) -> None:
        with duckdb.connect(str(warehouse.dbt.path)) as connection:
            connection.execute("ALTER TABLE marts.daily_revenue DROP COLUMN total_revenue")
            connection.execute("ALTER TABLE marts.daily_revenue DROP COLUMN date")
        warehouse.settled()

    def test_a_load_that_names_no_days(self, warehouse: Warehouse) -> None:
        for order in warehouse.shop.orders.values():
            order["revenue"] += 1
        warehouse.load("orders", whole=True)
        warehouse.settled()

    def test_a_raw_table_that_begins_again(self, warehouse: Warehouse) -> None:
        with duckdb.connect(str(warehouse.dbt.path)) as connection:
            connection.execute("DELETE FROM _data_platform.touched_slices")
        warehouse.shop = raw_shop.shop(seed=11)
        warehouse.held = RawShop()
        warehouse.sequences = dict.fromkeys(raw_shop.DDL, 0)
        warehouse.load("orders", "payments", "order_items", "products")
        warehouse.settled()


@pytest.mark.slow
def test_history_of_users(dbt: Dbt) -> None:
    """A version for a value that changed, none for a row that was only read again."""
    shop = raw_shop.shop()
    later = raw_shop.LOADED_AT + timedelta(days=1)
    shop.users[1]["segment"] = {"consumer": "vip"}.get(
        shop.users[1]["segment"], "consumer"
    )  # updated_at unmoved
    shop.users[2]["updated_at"] += timedelta(days=9)
    del shop.users[raw_shop.USERS]
    raw_shop.write(dbt.path, shop, {"users": 2}, later)
    dbt("snapshot")
    versions: dict[int, list[Row]] = defaultdict(list)
    for row in dbt.rows("select * from snapshots.users_history order by user_id, dbt_valid_from"):
        versions[row["user_id"]].append(row)
    assert {user: len(rows) for user, rows in versions.items() if len(rows) > 1} == {1: 2}
    old, new = versions[1]
    assert (
        old["dbt_valid_from"] == raw_shop.LOADED_AT and old["dbt_valid_to"] == new["dbt_valid_from"] == later
    )
    assert new["dbt_valid_to"] is None and new["segment"] == shop.users[1]["segment"]
    deleted = versions[raw_shop.USERS][0]
    assert deleted["dbt_valid_to"] is not None
    assert dbt.warnings == []

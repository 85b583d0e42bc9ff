"""A small raw warehouse for the tests of the models: the tables a sync would have left.

Pure data and the few statements that write it; nothing here runs dbt. About 200
orders of 40 users over 30 days, the same on every run, with what metrics
stumble over: cancelled orders that were paid back, refunds on later days, users
without orders, visitors without a user, failed payments, hours next to midnight.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

START = datetime(2025, 1, 1, tzinfo=UTC)
DAYS = 30
USERS, PRODUCTS, ORDERS = 40, 8, 200
LOADED_AT = datetime(2025, 3, 1, 12, tzinfo=UTC)
EVENT_TYPES = ("page_view", "add_to_cart", "checkout", "purchase", "signup")

DDL = {
    "users": """user_id BIGINT, email VARCHAR, phone VARCHAR, ssn VARCHAR, first_name VARCHAR, last_name VARCHAR,
        age INTEGER, country VARCHAR, segment VARCHAR, marketing_opt_in BOOLEAN,
        created_at TIMESTAMPTZ, updated_at TIMESTAMPTZ""",
    "products": """product_id INTEGER, sku VARCHAR, product_name VARCHAR, category VARCHAR, price DECIMAL(10,2),
        cost DECIMAL(10,2), is_active BOOLEAN, created_at TIMESTAMPTZ, updated_at TIMESTAMPTZ""",
    "orders": """order_id BIGINT, user_id BIGINT, status VARCHAR, order_date DATE, revenue DECIMAL(12,2),
        discount DECIMAL(12,2), currency VARCHAR, coupon_code VARCHAR,
        created_at TIMESTAMPTZ, updated_at TIMESTAMPTZ""",
    "order_items": """order_item_id BIGINT, order_id BIGINT, product_id INTEGER, quantity INTEGER,
        unit_price DECIMAL(10,2), created_at TIMESTAMPTZ, updated_at TIMESTAMPTZ""",
    "payments": """payment_id UUID, order_id BIGINT, user_id BIGINT, amount DECIMAL(12,2), method VARCHAR,
        status VARCHAR, paid_at TIMESTAMPTZ, created_at TIMESTAMPTZ, updated_at TIMESTAMPTZ""",
    "events": """event_id UUID, user_id BIGINT, event_type VARCHAR, session_id UUID, properties JSON,
        occurred_at TIMESTAMPTZ""",
}
PARTITION = {
    "orders": "created_at",
    "order_items": "created_at",
    "payments": "created_at",
    "events": "occurred_at",
}
Row = dict[str, Any]


@dataclass
class RawShop:
    """The rows of each table in memory, by key; ``write`` stores them as a sync would have."""

    users: dict[int, Row] = field(default_factory=dict)
    products: dict[int, Row] = field(default_factory=dict)
    orders: dict[int, Row] = field(default_factory=dict)
    order_items: dict[int, Row] = field(default_factory=dict)
    payments: dict[uuid.UUID, Row] = field(default_factory=dict)
    events: dict[uuid.UUID, Row] = field(default_factory=dict)

    def rows(self, table: str) -> list[Row]:
        return list(getattr(self, table).values())


def shop(seed: int = 7) -> RawShop:
    chance = random.Random(seed)
    made = RawShop()

    def new_uuid() -> uuid.UUID:
        return uuid.UUID(int=chance.getrandbits(128), version=4)

    for n in range(1, USERS + 1):
        at = START + timedelta(hours=n)
        made.users[n] = {
            "user_id": n, "email": f"{n:064x}", "phone": "+44********12", "ssn": "[redacted]",
            "first_name": "[redacted]", "last_name": "[redacted]", "age": chance.choice([None, 20 + n]),
            "country": chance.choice(["GB", "US", "DE"]), "segment": chance.choice(["consumer", "business", "vip"]),
            "marketing_opt_in": chance.choice([True, False, None]), "created_at": at, "updated_at": at,
        }  # fmt: skip
    for n in range(1, PRODUCTS + 1):
        made.products[n] = {
            "product_id": n, "sku": f"SKU-{n}", "product_name": f"Thing {n}", "category": "things",
            "price": Decimal(n * 5) + Decimal("0.99"), "cost": Decimal(n * 2), "is_active": n != 3,
            "created_at": START, "updated_at": START,
        }  # fmt: skip
    for n in range(1, ORDERS + 1):
        # Whole hours, so that some orders stand exactly on a day's first instant. Day 12 has none.
        at = START + timedelta(hours=chance.choice([h for h in range(DAYS * 24) if h // 24 != 12]))
        user = chance.randint(1, USERS - 5)
        lines = {chance.randint(1, PRODUCTS): chance.randint(1, 3) for _ in range(chance.randint(1, 3))}
        discount = chance.choice([None, Decimal("0.00"), Decimal("1.50")])
        total = sum((made.products[p]["price"] * q for p, q in lines.items()), Decimal(0))
        status = chance.choice(
            ["pending", "paid", "shipped", "delivered", "delivered", "cancelled", "refunded"]
        )
        made.orders[n] = {
            "order_id": n, "user_id": user, "status": status, "order_date": at.date(),
            "revenue": total - (discount or 0), "discount": discount, "currency": "USD",
            "coupon_code": "SAVE" if discount else None, "created_at": at, "updated_at": at,
        }  # fmt: skip
        for product, quantity in lines.items():
            item = len(made.order_items) + 1
            made.order_items[item] = {
                "order_item_id": item, "order_id": n, "product_id": product, "quantity": quantity,
                "unit_price": made.products[product]["price"], "created_at": at, "updated_at": at,
            }  # fmt: skip
        revenue = made.orders[n]["revenue"]
        movements = [] if status == "pending" else [("succeeded", revenue, timedelta(minutes=1))]
        if chance.random() < 0.15:
            movements.append(("failed", revenue, timedelta(0)))
            movements.append(("failed", -revenue, timedelta(days=1)))
        if status in ("refunded", "cancelled"):
            share = chance.choice([Decimal(1), Decimal("0.5")])
            movements.append(
                (
                    "refunded",
                    -(revenue * share).quantize(Decimal("0.01")),
                    timedelta(days=chance.randint(1, 6)),
                )
            )
        for what, amount, later in movements:
            key = new_uuid()
            made.payments[key] = {
                "payment_id": key, "order_id": n, "user_id": user, "amount": amount, "method": "card",
                "status": what, "paid_at": None if what == "failed" else at + later,
                "created_at": at + later, "updated_at": at + later,
            }  # fmt: skip
    for _ in range(300):
        key, at = new_uuid(), START + timedelta(minutes=chance.randrange(DAYS * 24 * 60))
        made.events[key] = {
            "event_id": key, "user_id": chance.choice([None, *range(1, USERS)]),
            "event_type": chance.choice(EVENT_TYPES), "session_id": new_uuid(),
            "properties": '{"device": "phone"}', "occurred_at": at,
        }  # fmt: skip
    for event in list(made.events.values())[
        ::5
    ]:  # one visit, and another one that begins a minute too late for it
        for minutes in (30, 60, 60, 91):
            key, at = new_uuid(), event["occurred_at"] + timedelta(minutes=minutes)
            made.events[key] = event | {"event_id": key, "event_type": "page_view", "occurred_at": at}
    return made


def utc_day(at: datetime) -> date:
    return at.astimezone(UTC).date()


def slices_of(table: str, rows: list[Row]) -> set[str]:
    column = PARTITION.get(table)
    if column is None:
        return {"all"}
    return {"null" if row[column] is None else utc_day(row[column]).isoformat() for row in rows}


def write(path: Path, made: RawShop, tables: dict[str, int], loaded_at: datetime = LOADED_AT,
          touched: dict[str, set[str]] | None = None) -> None:  # fmt: skip
    """Replace the raw ``tables`` (name to batch sequence) by ``made`` and record the slices that
    the load touched: those given, else all that the rows are in."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS raw_shop")
        connection.execute("CREATE SCHEMA IF NOT EXISTS _data_platform")
        connection.execute(
            'CREATE TABLE IF NOT EXISTS _data_platform.touched_slices (source VARCHAR, "table" VARCHAR, slice VARCHAR,'
            ' sequence BIGINT, "rows" BIGINT, loaded_at TIMESTAMPTZ)'
        )
        for table, sequence in tables.items():
            extra = "_source_xmin BIGINT, _batch_id VARCHAR, _loaded_at TIMESTAMPTZ"
            connection.execute(f"CREATE OR REPLACE TABLE raw_shop.{table} ({DDL[table]}, {extra})")
            rows = made.rows(table)
            loaded = [[*row.values(), 1000 + sequence, f"{table}-{sequence}", loaded_at] for row in rows]
            insert(connection, f"raw_shop.{table}", loaded)
            slices = sorted((touched or {}).get(table, slices_of(table, rows)))
            insert(
                connection,
                "_data_platform.touched_slices",
                [["shop", table, one, sequence, 1, loaded_at] for one in slices],
            )


def insert(connection: duckdb.DuckDBPyConnection, into: str, rows: Sequence[Sequence[Any]]) -> None:
    """All rows in one statement, as texts that the columns' types read: a statement a row takes a tenth of dbt's time."""
    columns = zip(*rows, strict=True)
    texts = pa.table(
        {
            f"c{number}": pa.array([None if value is None else str(value) for value in column], pa.string())
            for number, column in enumerate(columns)
        }
    )
    connection.register("_rows", texts)
    connection.execute(f"INSERT INTO {into} FROM _rows")
    connection.unregister("_rows")

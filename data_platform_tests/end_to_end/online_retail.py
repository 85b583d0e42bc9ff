"""The Online Retail data set as a shop's database, day by day, and what it says, computed from the files alone.

541,909 real invoice lines over 305 days. The shop's tables are ``orders`` (one row per
invoice) and ``order_items`` (one per line); the lines go in as they are, dirt included.
"""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

SCHEMA = """
create table orders (
    invoice_no text primary key, customer_id int, country text not null, ordered_at timestamp not null,
    updated_at timestamptz not null default now());
create table order_items (
    item_id bigint generated always as identity primary key, invoice_no text not null references orders,
    stock_code text not null, description text, quantity int not null, unit_price numeric(10,3) not null,
    customer_id int, ordered_at timestamp not null, updated_at timestamptz not null default now());
create function stamp() returns trigger language plpgsql as $$ begin new.updated_at := now(); return new; end $$;
create trigger stamp before insert or update on orders for each row execute function stamp();
create trigger stamp before insert or update on order_items for each row execute function stamp();
create index on orders (updated_at);
create index on orders (ordered_at);
create index on order_items (updated_at);
create index on order_items (ordered_at);
create index on order_items (invoice_no);
"""
_ARRIVE = """
create temp table arrived (
    line bigint generated always as identity, invoice_no text, stock_code text, description text, quantity int,
    ordered_at timestamp, unit_price numeric, customer_id numeric, country text) on commit drop
"""
_ORDERS = """
insert into orders (invoice_no, customer_id, country, ordered_at)
select invoice_no, min(customer_id)::int, min(country), min(ordered_at) from arrived group by 1
"""
_ITEMS = """
insert into order_items (invoice_no, stock_code, description, quantity, unit_price, customer_id, ordered_at)
select invoice_no, stock_code, description, quantity, unit_price, customer_id::int, ordered_at
from arrived order by line
"""

CATALOG: dict[str, Any] = {
    "source": "retail",
    "kind": "postgres",
    "connection": {"url_env": "RETAIL_URL"},
    "timezone": "Europe/London",
    "start": "2010-12-01",
    "tables": {
        "orders": {
            "key": "invoice_no",
            "cursor": "updated_at",
            "cursor_clock": "database",
            "partition": "ordered_at",
            "rules": ["null_rate(customer_id) <= 0.2", 'country != "Unspecified"'],
        },
        "order_items": {
            "key": "item_id",
            "cursor": "updated_at",
            "cursor_clock": "database",
            "partition": "ordered_at",
            "rules": [
                "quantity >= 0",
                "unit_price > 0",
                "null_rate(customer_id) <= 0.2",
                "null_rate(description) <= 0.05",
                "stock_code not null",
            ],
        },
    },
}


def days(folder: Path) -> list[Path]:
    """One file a day of trade, in order."""
    return sorted(folder.glob("*.csv.gz"))


def arrive(url: str, files: Sequence[Path]) -> None:
    """The business of these days reaches the shop's database, in one transaction."""
    with psycopg.connect(url) as connection:
        connection.execute(_ARRIVE)
        columns = (
            "invoice_no, stock_code, description, quantity, ordered_at, unit_price, customer_id, country"
        )
        for file in files:
            into = f"copy arrived ({columns}) from stdin (format csv, header)"
            with gzip.open(file) as text, connection.cursor().copy(into) as copy:
                copy.write(text.read())
        connection.execute(_ORDERS)
        connection.execute(_ITEMS)


@dataclass
class Truth:
    """What the files say; ``revenue`` by ISO day, exact."""

    lines: int = 0
    revenue: dict[str, Decimal] = field(default_factory=dict)
    items: Counter[str] = field(default_factory=Counter)
    orders: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    """By invoice number: its day, customer and country."""
    faults: Counter[str] = field(default_factory=Counter)

    def orders_by_day(self) -> Counter[str]:
        return Counter(day for day, _, _ in self.orders.values())


def read(files: Iterable[Path]) -> Truth:
    truth = Truth()
    for file in files:
        day = file.name.removesuffix(".csv.gz")
        total = Decimal(0)
        for row in _lines(file):
            quantity, price = int(row["Quantity"]), Decimal(row["UnitPrice"])
            total += quantity * price
            truth.items[day] += 1
            truth.orders[row["InvoiceNo"]] = (day, row["CustomerID"], row["Country"])
            truth.faults["negative quantity"] += quantity < 0
            truth.faults["no positive price"] += price <= 0
            truth.faults["no customer"] += row["CustomerID"] == ""
            truth.faults["no description"] += row["Description"] == ""
        truth.revenue[day] = total
    truth.lines = sum(truth.items.values())
    return truth


def _lines(file: Path) -> Iterator[dict[str, str]]:
    with gzip.open(file, "rt", encoding="utf-8", newline="") as text:
        yield from csv.DictReader(text)

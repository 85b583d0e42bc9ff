"""A source that changes, syncs of every kind, and what the warehouse held after each."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import duckdb

from data_platform_tests.sync.conftest import Project

SYNCS = 14

Rows = dict[str, tuple[tuple[tuple[str, str], ...], tuple[str, ...]]]
"""Of each raw table its columns and types, in order, and its rows as text, sorted."""


def rows_of(file: Path) -> Rows:
    """Every column of every row, technical ones included; ``repr`` tells 1 from 1.0 and -0.0 from 0.0."""
    with duckdb.connect(str(file), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found: Rows = {}
        names = connection.execute(
            "select table_name from duckdb_tables() where schema_name = 'raw_shop' order by 1"
        ).fetchall()
        for (name,) in names:
            cursor = connection.execute(f'from raw_shop."{name}"')
            described = tuple((column[0], str(column[1])) for column in cursor.description or ())
            found[name] = described, tuple(sorted(map(repr, cursor.fetchall())))
    return found


BUSY = {
    "orders": {
        "key": "order_id",
        "cursor": "updated_at",
        "cursor_clock": "database",
        "partition": "created_at",
        "personal": {"email": "hash"},
    },
    "lines": {"key": ["order_id", "line"], "partition": "day"},
    "products": {"key": "sku"},
}
BUSY_SQL = """
create table orders (
    order_id int primary key, email text, amount numeric(10,2), created_at timestamptz,
    updated_at timestamptz not null default clock_timestamp());
create index on orders (updated_at);
create index on orders (created_at);
create function stamp() returns trigger language plpgsql as
    $$ begin new.updated_at := clock_timestamp(); return new; end $$;
create trigger stamp before insert or update on orders for each row execute function stamp();
create table lines (order_id int, line int, day date, qty int, weight float8, primary key (order_id, line));
create table products (sku text primary key, price numeric, tags text[]);
"""
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
DAYS, KEYS = 5, 10


@dataclass(frozen=True)
class Moment:
    """The warehouse was ``rows`` from ``start`` until ``end``: no sync ran meanwhile."""

    start: datetime
    end: datetime
    rows: Rows


class History:
    """A source that changes and syncs of every kind, with the warehouse remembered after each."""

    def __init__(self, project: Project, seed: int) -> None:
        self.project, self.random = project, Random(seed)
        self.moments: list[Moment] = []
        kinds = ["changes"] * 5 + ["slices"] * 4 + ["verify"] * 2 + ["refresh"]
        self.random.shuffle(kinds)
        self.kinds = ["changes", *kinds]
        self.kinds.insert(SYNCS * 2 // 3, "refresh")
        project.execute(BUSY_SQL)
        project.catalog(BUSY)

    def run(self, syncs: int) -> History:
        start, rows = datetime.now(UTC), Rows()
        for number in range(syncs):
            self.write(number)
            time.sleep(0.002)
            self.moments.append(Moment(start, datetime.now(UTC), rows))
            self.sync(number)
            start, rows = datetime.now(UTC), rows_of(self.project.root / "warehouse.duckdb")
        time.sleep(0.002)
        self.moments.append(Moment(start, datetime.now(UTC), rows))
        return self

    def write(self, number: int) -> None:
        """Some statements; keys are few, so that those deleted come back, on other days."""
        statements = [self.statement() for _ in range(self.random.randint(6, 14))]
        if number == SYNCS // 3:
            statements.append("alter table orders add column label text")
            statements.append("update orders set label = 'seen ' || order_id where order_id % 3 = 0")
        if number == SYNCS // 2:
            statements.append("alter table lines add column grade int default 3")
        if number == SYNCS * 2 // 3:
            statements.append("alter table lines alter column qty type bigint")
        self.project.execute(*statements)

    def statement(self) -> str:
        draw = self.random.randrange
        key, line, sku = draw(KEYS), draw(3), f"'p{draw(5)}'"
        day = (FIRST_DAY + timedelta(days=draw(DAYS))).isoformat()
        at = self.random.choice(
            [f"timestamptz '{day}'", "null"] if draw(6) == 0 else [f"timestamptz '{day}'"]
        )
        weight = self.random.choice(["1.5", "'NaN'", "'-0'", "null", "'Infinity'"])
        price = self.random.choice(["1.50", "'NaN'", "1e30", "null"])
        return self.random.choice(
            [
                f"insert into orders values ({key}, 'p{draw(9)}@example.com', {draw(900)}.5, {at})"
                " on conflict (order_id) do update set amount = excluded.amount",
                f"insert into orders values ({key}, null, null, {at}) on conflict do nothing",
                f"update orders set amount = {draw(900)} where order_id = {key}",
                f"update orders set created_at = {at}, email = 'moved@example.com' where order_id = {key}",
                f"delete from orders where order_id = {key}",
                f"delete from orders where order_id % 5 = {draw(5)}",
                f"insert into lines values ({key}, {line}, '{day[:10]}', {draw(9)}, {weight})"
                " on conflict (order_id, line) do update set qty = excluded.qty, day = excluded.day",
                f"update lines set weight = {weight} where order_id = {key}",
                f"delete from lines where order_id = {key} and line = {line}",
                f"insert into products values ({sku}, {price}, array[{sku}, null])"
                " on conflict (sku) do update set price = excluded.price",
                f"delete from products where sku = {sku}",
            ]
        )

    def sync(self, number: int) -> None:
        how, project = self.kinds[number], self.project
        if how == "changes":
            reports = project.sync()
        elif how == "verify":
            reports = project.sync(verify=True)
        elif how == "refresh":
            retyped = number == SYNCS * 2 // 3
            reports = project.sync(refresh=["lines" if retyped else self.random.choice(sorted(BUSY))])
        else:
            days = [(FIRST_DAY + timedelta(days=n)).date().isoformat() for n in range(DAYS)]
            chosen = [*self.random.sample(days, 2), *(["null"] if self.random.random() < 0.3 else [])]
            reports = project.slices(["orders", "lines"], *chosen)
        assert [r.error for r in reports.values() if r.error] == []

    def instant(self, random: Random) -> tuple[datetime, Rows]:
        """A random instant and what the warehouse held then."""
        moment = random.choice(self.moments)
        width = int((moment.end - moment.start) / timedelta(microseconds=1))
        return moment.start + timedelta(microseconds=random.randint(1, width)), moment.rows

"""The company: its sources, what goes on in it, and what must hold."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from data_platform.privacy.subjects.place import Place as Column
from data_platform.sources.inbox.delivery import Delivery, Place
from data_platform.sync import Platform, open_platform, sync_changes
from data_platform.sync.erasing.derived import Derived
from data_platform.sync.opening import inbox_of
from data_platform.tables import TableId
from data_platform_tests.company import compare, oracle
from data_platform_tests.company.catalog import SECRETS, START, Store, write
from data_platform_tests.company.oracle import People, Person
from data_platform_tests.company.search import Found, Wanted, files, search
from data_platform_tests.company.services import Services

MAKE = """
drop table if exists users, orders, items, visits;
create table users (user_id bigint primary key, email text, name text, secret text, updated_at timestamptz not null default clock_timestamp());
create table orders (order_id bigint primary key, user_id bigint, note text, secret text, created_at timestamptz,
    updated_at timestamptz not null default clock_timestamp());
create table items (item_id bigint primary key, order_id bigint, engraving text);
create table visits (visit_id bigint primary key, payload jsonb);
create index on orders (updated_at);
create or replace function stamp() returns trigger language plpgsql as $$ begin new.updated_at := clock_timestamp(); return new; end $$;
create trigger stamp before insert or update on users for each row execute function stamp();
create trigger stamp before insert or update on orders for each row execute function stamp();
"""
SOURCES = ("shop", "office", "hooks", "stripe", "zendesk")


@dataclass
class World:
    """A project of its own over its sources: see ``catalog.write``."""

    root: Path
    url: str
    people: People
    services: Services
    landing: Store = field(default_factory=lambda: {"kind": "local", "path": "landing"})
    store: Store = field(default_factory=lambda: {"kind": "local", "path": "backups"})
    copies: Mapping[str, Store] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        return {**SECRETS, **self.services.environ, **self.secrets, "SHOP_URL": self.url}

    def platform(self) -> Platform:
        return open_platform(self.root, "local", {**os.environ, **self.environ})

    # ---- making it

    def make(self) -> World:
        write(self.root, self.landing, self.store, self.copies)
        self._fill()
        self.good()
        return self

    def _fill(self) -> None:
        every = self.people.every
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(MAKE)
            _copy(connection, "users (user_id, email, name, secret)", oracle.users(every))
            dated = ((*order, START + timedelta(day)) for *order, day in oracle.orders(every))
            _copy(connection, "orders (order_id, user_id, note, secret, created_at)", dated)
            _copy(connection, "items", oracle.items(every))
            _copy(connection, "visits", ((id_, json.dumps(text)) for id_, text in oracle.visits(every)))
        (self.root / "exports/letters").mkdir(parents=True)
        lines = "".join(json.dumps(letter) + "\n" for letter in oracle.letters(every))
        (self.root / "exports/letters/all.ndjson").write_text(lines)
        self.deliver(list(oracle.events(every)))
        self.services.fill(every)

    def deliver(self, bodies: Sequence[Mapping[str, Any]], number: int = 1) -> None:
        """As a receiver would write it: one object."""
        platform = self.platform()
        inbox = inbox_of(platform, platform.catalog.source("hooks"))
        inbox.put(
            Place("r1", number),
            [Delivery(1_790_000_000_000, {}, json.dumps(body).encode()) for body in bodies],
        )

    # ---- what goes on

    def sync(self, **options: Any) -> dict[TableId, str]:
        """The errors, by table."""
        platform = self.platform()
        reports = [report for source in SOURCES for report in sync_changes(platform, source, **options)]
        return {
            report.table: str(report.error or report.completeness)
            for report in reports
            if report.error or (report.completeness is not None and not report.completeness.passed)
        }

    def good(self, **options: Any) -> None:
        assert self.sync(**options) == {}

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    # ---- what must hold

    def wanted(self, some: Collection[Person]) -> Wanted:
        """What to look for, as long as they are still there."""
        gone, sealed = compare.numbers(some), {}
        for table in compare.HELD:
            rows = zip(compare.held(self, table), compare.opened(self, table), strict=True)
            sealed |= {text: clear for (_, whose, _, text), (*_, clear) in rows if text and whose in gone}
        ids = ", ".join(str(one.id) for one in some)
        with self.platform().warehouse(read_only=True) as warehouse:
            hashes = warehouse.query(f"select email from raw_shop.users where user_id in ({ids})").rows
        return Wanted(some, {str(row[0]) for row in hashes}, sealed)

    def left(self, wanted: Wanted) -> Found:
        """Who of them is in a byte of the project's folder, that of the sources left out."""
        return search(wanted, files(self.root, without=("catalog", "exports")))

    def wrong(self, erased: Collection[Person]) -> list[str]:
        """Rows of others that the warehouse lacks or has in another way, and rows of the erased."""
        return compare.wrong(self, erased)


def _copy(connection: psycopg.Connection[Any], target: str, rows: Any) -> None:
    with connection.cursor().copy(f"copy {target} from stdin".encode()) as copy:
        for row in rows:
            copy.write_row(row)


USERS = TableId("shop", "users")
BUILD = """
create schema if not exists marts;
create or replace table marts.people as select user_id as person, name from raw_shop.users;
create table if not exists marts.history (person bigint, name text);
insert into marts.history select user_id, name from raw_shop.users where user_id not in (select person from marts.history);
create or replace table marts.greetings as select 'Dear ' || name as text from raw_shop.users
"""
DERIVED = [Derived(Column(USERS, "user_id"), "marts", name, "person") for name in ("people", "history")]


def build(platform: Platform) -> None:
    """As models of dbt would: a table, one that only grows, and one that says something of people without their key."""
    with platform.warehouse() as warehouse:
        for statement in BUILD.split(";"):
            warehouse.connection.execute(statement)  # type: ignore[attr-defined]

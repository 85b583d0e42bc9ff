"""The company: its sources, its catalog, and the comparison of everybody else's rows with what the sources say."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import yaml

from data_platform.landing.redaction import KEY_VARIABLE
from data_platform.privacy.subjects.place import Place as Column
from data_platform.sources.inbox.delivery import Delivery, Place
from data_platform.sync import Platform, open_platform, sync_changes
from data_platform.sync.erasing.steps import Derived
from data_platform.sync.opening import inbox_of
from data_platform.tables import TableId
from data_platform_tests.company import oracle
from data_platform_tests.company.oracle import People, Person
from data_platform_tests.company.search import Found, Wanted, files, search

SECRETS = {
    KEY_VARIABLE: "a key that only the company uses, long enough",
    "DATA_PLATFORM_HASH_KEY": "another key that only the company uses",
    "HOOKS_SECRET": "whsec_a1",
}
MAKE = """
drop table if exists users, orders, items, visits;
create table users (user_id bigint primary key, email text, name text, updated_at timestamptz not null default clock_timestamp());
create table orders (order_id bigint primary key, user_id bigint, note text, created_at timestamptz,
    updated_at timestamptz not null default clock_timestamp());
create table items (item_id bigint primary key, order_id bigint, engraving text);
create table visits (visit_id bigint primary key, payload jsonb);
create index on orders (updated_at);
create or replace function stamp() returns trigger language plpgsql as $$ begin new.updated_at := clock_timestamp(); return new; end $$;
create trigger stamp before insert or update on users for each row execute function stamp();
create trigger stamp before insert or update on orders for each row execute function stamp();
"""
SHOP: dict[str, Any] = {
    "users": {
        "key": "user_id",
        "cursor": "updated_at",
        "cursor_clock": "database",
        "personal": {"email": "hash", "name": "keep"},
    },
    "orders": {
        "key": "order_id",
        "cursor": "updated_at",
        "cursor_clock": "database",
        "partition": "created_at",
        "personal": {"note": "keep"},
    },
    "items": {"key": "item_id", "personal": {"engraving": "keep"}},
    "visits": {"key": "visit_id", "personal": {"payload": "keep"}},
}
OFFICE = {"letters": {"files": "letters/*.ndjson", "key": "letter_id", "personal": {"text": "keep"}}}
HOOKS = {
    "events": {"personal": {"payload": "keep"}},
    "orders": {"events": "order.*", "record": "data.order", "personal": {"gift": "keep"}},
}
SUBJECTS = {
    "customer": {
        "lookups": {"email": "shop/users.email", "user_id": "shop/users.user_id"},
        "links": {
            "shop/orders.user_id": "shop/users.user_id",
            "shop/items.order_id": "shop/orders.order_id",
            "shop/visits.payload.user": "shop/users.user_id",
            "office/letters.user_id": "shop/users.user_id",
            "hooks/orders.user_id": "shop/users.user_id",
            "hooks/events.payload.data.order.user_id": "shop/users.user_id",
        },
    }
}
SOURCES = ("shop", "office", "hooks")
OWNERS = {
    "users": "select user_id, user_id, name from users",
    "orders": "select order_id, user_id, note from orders",
    "items": "select item_id, (select user_id from orders o where o.order_id = i.order_id), engraving from items i",
    "visits": "select visit_id, (payload->>'user')::bigint, payload->'seen'->0->>'as' from visits",
}
"""(key, whose it is, what it says), at the source and in the warehouse."""
START = date(2026, 1, 1)
Store = Mapping[str, Any]


@dataclass
class World:
    """``landing``, ``store`` and ``copies`` are blocks of platform.yaml."""

    root: Path
    url: str
    people: People
    landing: Store = field(default_factory=lambda: {"kind": "local", "path": "landing"})
    store: Store = field(default_factory=lambda: {"kind": "local", "path": "backups"})
    copies: Mapping[str, Store] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    """More of the shop's catalog file."""

    @property
    def environ(self) -> dict[str, str]:
        return {**SECRETS, **self.secrets, "SHOP_URL": self.url}

    def platform(self) -> Platform:
        return open_platform(self.root, "local", {**os.environ, **self.environ})

    # ---- making it

    def make(self) -> World:
        folder = self.root / "catalog/sources"
        folder.mkdir(parents=True)
        local = {
            "landing": dict(self.landing),
            "warehouse": {"kind": "duckdb", "path": "warehouse.duckdb", "wait_seconds": 120, "threads": 1},
            "backups": {"store": dict(self.store), "copies": {n: dict(c) for n, c in self.copies.items()}, "start": str(START)},
        }  # fmt: skip
        documents: dict[str, Any] = {
            "platform": {"environments": {"local": local}},
            "subjects": {"subjects": SUBJECTS},
            "sources/shop": {
                "source": "shop", "kind": "postgres", "start": str(START), "tables": SHOP,
                "connection": {"url_env": "SHOP_URL", "lock_timeout_seconds": 2}, **self.more,
            },
            "sources/office": {
                "source": "office", "kind": "files", "start": str(START), "tables": OFFICE,
                "connection": {"path": "exports", "settle_seconds": 0},
            },
            "sources/hooks": {
                "source": "hooks", "kind": "webhook", "start": str(START), "tables": HOOKS,
                "connection": {"secret_env": "HOOKS_SECRET", "scheme": "stripe"},
            },
        }  # fmt: skip
        for name, document in documents.items():
            (self.root / f"catalog/{name}.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        self._fill()
        self.good()
        return self

    def _fill(self) -> None:
        every = self.people.every
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(MAKE)
            _copy(connection, "users (user_id, email, name)", oracle.users(every))
            dated = (
                (id_, user, note, START + timedelta(day)) for id_, user, note, day in oracle.orders(every)
            )
            _copy(connection, "orders (order_id, user_id, note, created_at)", dated)
            _copy(connection, "items", oracle.items(every))
            _copy(connection, "visits", ((id_, json.dumps(text)) for id_, text in oracle.visits(every)))
        (self.root / "exports/letters").mkdir(parents=True)
        lines = "".join(json.dumps(letter) + "\n" for letter in oracle.letters(every))
        (self.root / "exports/letters/all.ndjson").write_text(lines)
        self.deliver(list(oracle.events(every)))

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

    def left(
        self,
        erased: Collection[Person],
        *,
        hashes: Collection[str] = (),
        more: Iterable[tuple[str, bytes]] = (),
    ) -> Found:
        """Who of ``erased`` is in a byte of the project's folder, that of the sources left out, or in ``more``."""
        wanted = Wanted(erased, hashes)
        found = search(wanted, files(self.root, without=("catalog", "exports")))
        there = search(wanted, more)
        return Found({**found.where, **there.where}, found.objects + there.objects, found.bytes + there.bytes)

    def wrong(self, erased: Collection[Person]) -> list[str]:
        """Rows of others that the warehouse lacks or has in another way, and rows of the erased; both sides are read in full."""
        gone = {one.id for one in erased}
        with self.platform().warehouse(read_only=True) as warehouse:
            here = {name: warehouse.query(sql).rows for name, sql in _in_warehouse().items()}
        there = self.at_sources()
        found = []
        for name, rows in there.items():
            wanted = {row for row in rows if row[1] not in gone}
            has = [tuple(row) for row in here[name]]
            for what, some in (("lost", wanted - set(has)), ("too much", set(has) - wanted)):
                if some:
                    found.append(f"{name}: {len(some)} rows {what}, such as {min(map(str, some))}")
            if len(has) != len(set(has)):
                found.append(f"{name}: rows twice")
        return found

    def at_sources(self) -> dict[str, list[tuple[Any, ...]]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            there = {name: connection.execute(sql.encode()).fetchall() for name, sql in OWNERS.items()}
        letters = [
            json.loads(line)
            for file in sorted((self.root / "exports/letters").iterdir())
            for line in file.open()
        ]
        there["letters"] = [(one["letter_id"], one["user_id"], one["text"]) for one in letters]
        orders = [one["data"]["order"] for one in oracle.events(self.people.every)]  # type: ignore[index]
        there["gifts"] = [(str(one["id"]), one["user_id"], one["gift"]) for one in orders]
        return there

    def hashes(self, erased: Collection[Person]) -> list[str]:
        """What the warehouse has in the place of their addresses."""
        ids = ", ".join(str(one.id) for one in erased)
        with self.platform().warehouse(read_only=True) as warehouse:
            rows = warehouse.query(f"select email from raw_shop.users where user_id in ({ids})").rows
        return [str(row[0]) for row in rows]


def _in_warehouse() -> dict[str, str]:
    raw = {name: sql.replace(" from ", " from raw_shop.") for name, sql in OWNERS.items()}
    raw["letters"] = "select letter_id, user_id, text from raw_office.letters"
    raw["gifts"] = "select cast(id as varchar), user_id, gift from raw_hooks.orders"
    return raw


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

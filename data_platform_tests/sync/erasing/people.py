"""Forty people with orders and visits, and what is left when one of them is erased."""

from __future__ import annotations

from typing import Any

from data_platform.privacy.erasure.requests import Request
from data_platform.sync import Platform
from data_platform.sync.erasing import freeze
from data_platform.sync.subjects import find
from data_platform.tables import TableId
from data_platform_tests import people
from data_platform_tests.sync.conftest import Project

USERS, ORDERS, VISITS = (TableId("shop", name) for name in ("users", "orders", "visits"))
SQL = """
create table users (user_id bigint primary key, email text, name text, updated_at timestamptz not null default clock_timestamp());
create table orders (order_id bigint primary key, user_id bigint, amount numeric(10,2), created_at timestamptz,
    updated_at timestamptz not null default clock_timestamp());
create table visits (visit_id bigint primary key, payload jsonb, updated_at timestamptz not null default clock_timestamp());
insert into users select n, 'person' || n || '@company.example', 'Needle' || n from generate_series(1, 40) n;
insert into orders select n, 1 + n % 40, n, timestamptz '2026-01-01 12:00+00' + n % 5 * interval '1 day' from generate_series(1, 400) n;
insert into visits select n, jsonb_build_object('user', (1 + n % 40)::text, 'page', n) from generate_series(1, 200) n;
"""
TABLES: dict[str, Any] = {
    "users": {"key": "user_id", "cursor": "updated_at", "personal": {"email": "hash", "name": "keep"}},
    "orders": {"key": "order_id", "cursor": "updated_at", "partition": "created_at"},
    "visits": {"key": "visit_id", "cursor": "updated_at", "personal": {"payload": "keep"}},
}
SUBJECTS: dict[str, Any] = {
    "customer": {
        "lookups": {"email": "shop/users.email", "user_id": "shop/users.user_id"},
        "links": {
            "shop/orders.user_id": "shop/users.user_id",
            "shop/visits.payload.user": "shop/users.user_id",
        },
    }
}
HIS = {"users": 1, "orders": 10, "visits": 5}
"""Rows of any one person, by table."""
WITHOUT = {"users": 39, "orders": 390, "visits": 195}


def person(platform: Platform, n: int = 7) -> freeze.Person:
    return people.found(platform, email=f"person{n}@company.example")


def ask(platform: Platform, n: int = 7) -> Request:
    return people.requested(platform, email=f"person{n}@company.example")


def erase(shop: Project, n: int = 7) -> Request:
    return people.erased(shop.platform(), email=f"person{n}@company.example")


def counts(platform: Platform, n: int = 7) -> dict[str, int]:
    found = find(platform, platform.catalog.subject("customer"), {"user_id": [str(n)]})
    return {table.table.table: table.rows for table in found.tables}


def totals(shop: Project) -> dict[str, int]:
    return {name: int(shop.rows(f"select count(*) from raw_shop.{name}")[0][0]) for name in TABLES}

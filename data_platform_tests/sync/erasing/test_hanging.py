"""What hangs on a new row of somebody who was erased stays out too: that row never lands, so only the source knows whose it is."""

from __future__ import annotations

from typing import Any

import pytest

from data_platform.sync import check_completeness
from data_platform.tables import TableId
from data_platform_tests import people
from data_platform_tests.sync.conftest import Project

SQL = """
create table users (user_id bigint primary key, email text);
create table orders (order_id bigint primary key, user_id bigint, at timestamptz not null default now());
create table items (item_id bigint primary key, order_id bigint references orders, engraving text);
create table pieces (piece_id bigint primary key, item text);
create table remarks (remark_id bigint primary key, payload jsonb);
insert into users values (7, 'seven@company.example'), (8, 'eight@company.example'), (9, 'nine@company.example');
insert into orders values (70, 7), (80, 8);
insert into items values (700, 70, 'a'), (800, 80, 'b');
insert into pieces values (7000, '700'), (8000, '800');
insert into remarks values (1, '{"order": 70}'), (2, '{"order": 80}');
"""
LATER = """
insert into orders values (71, 7), (81, 8), (91, 9);
insert into items values (701, 71, 'c'), (702, 70, 'd'), (801, 81, 'e'), (901, 91, 'f'), (1, null, 'nobody');
insert into pieces values (7010, '701'), (8010, '801'), (9010, '901'), (10, null);
insert into remarks values (3, '{"order": 71}'), (4, '{"order": 81}'), (5, '{"order": "91"}'), (6, '{}'), (7, null);
"""
KEYS = {
    "users": "user_id",
    "orders": "order_id",
    "items": "item_id",
    "pieces": "piece_id",
    "remarks": "remark_id",
}
TABLES: dict[str, Any] = {
    **{name: {"key": key} for name, key in KEYS.items()},
    "users": {"key": "user_id", "personal": {"email": "hash"}},
    "items": {"key": "item_id", "personal": {"engraving": "keep"}},
    "remarks": {"key": "remark_id", "personal": {"payload": "keep"}},
}
SUBJECTS = {
    "customer": {
        "lookups": {"email": "shop/users.email"},
        "links": {
            "shop/orders.user_id": "shop/users.user_id",
            "shop/items.order_id": "shop/orders.order_id",
            "shop/pieces.item": "shop/items.item_id",
            "shop/remarks.payload.order": "shop/orders.order_id",
        },
    }
}
LEFT = {
    "users": {8},
    "orders": {80, 81},
    "items": {800, 801, 1},
    "pieces": {8000, 8010, 10},
    "remarks": {2, 4, 6, 7},
}


@pytest.fixture
def shop(project: Project, redaction_key: str) -> Project:
    """Somebody with orders and somebody without any are erased."""
    shop = project.people(SQL, TABLES, SUBJECTS)
    for name in ("seven", "nine"):
        assert people.erased(shop.platform(), email=f"{name}@company.example").next_step is None
    return shop


def landed(shop: Project) -> dict[str, set[int]]:
    return {
        name: {row[0] for row in shop.rows(f"select {key} from raw_shop.{name}")}
        for name, key in KEYS.items()
    }


def test_what_hangs_on_new_rows_of_the_erased_stays_out(shop: Project) -> None:
    shop.execute(*filter(None, map(str.strip, LATER.split(";"))))
    shop.good(tables=["pieces", "items"])  # before what they hang on
    shop.good()
    assert landed(shop) == LEFT
    shop.good(refresh=list(KEYS))
    shop.verified()
    assert landed(shop) == LEFT
    platform = shop.platform()
    for name in KEYS:
        assert check_completeness(platform, platform.catalog.table(TableId("shop", name))).passed

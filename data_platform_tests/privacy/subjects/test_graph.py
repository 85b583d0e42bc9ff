"""Places, kinds of people, and what follows from what."""

from __future__ import annotations

import pytest

from data_platform.privacy.subjects.config import SubjectBlock
from data_platform.privacy.subjects.graph import Subject
from data_platform.privacy.subjects.place import Place
from data_platform.tables import TableId

USERS, ORDERS, ITEMS = (TableId("shop", name) for name in ("users", "orders", "items"))


def subject(links: dict[str, str | list[str]], **lookups: str) -> Subject:
    block = SubjectBlock.model_validate({"lookups": lookups or {"id": "shop/users.id"}, "links": links})
    return Subject.of("customer", block)


@pytest.mark.parametrize(
    ("text", "column", "path"),
    [
        ("shop/users.user_id", "user_id", ()),
        ("stripe/customers.metadata.user_id", "metadata", ("user_id",)),
        ('shop/users."a.b".c', "a.b", ("c",)),
        ("shop/users.Name", "Name", ()),
    ],
)
def test_a_place_is_a_column_or_a_value_within_one(text: str, column: str, path: tuple[str, ...]) -> None:
    place = Place.parse(text)
    assert (place.table.source, place.column, place.path) == (text.split("/")[0], column, path)
    assert place.name == (path or (column,))[-1]


@pytest.mark.parametrize(
    "text",
    [
        "users.user_id",
        "shop/users",
        "shop/users.",
        "/users.id",
        "shop/.id",
        "shop.users.id",
        "a/b.c..d",
        'a/b.c."d""e"',
    ],
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"source/table\.column"):
        Place.parse(text)


def test_a_table_comes_after_those_that_its_rows_follow_from() -> None:
    one = subject({"shop/items.order_id": "shop/orders.id", "shop/orders.user_id": "shop/users.id"})
    assert one.tables == (USERS, ORDERS, ITEMS)
    assert [str(link) for link in one.links_of(ITEMS)] == ["shop/items.order_id = shop/orders.id"]
    assert (one.circle(), one.unreached()) == ((), ())


def test_a_circle_is_named() -> None:
    one = subject({"shop/orders.user_id": "shop/users.id", "shop/users.last_order": "shop/orders.id"})
    assert set(one.circle()) == {USERS, ORDERS}


def test_a_table_that_no_lookup_leads_to_is_named() -> None:
    one = subject({"shop/items.order_id": "shop/orders.id"})
    assert one.unreached() == (ORDERS, ITEMS)


def test_what_is_not_there_is_left_out_with_its_links() -> None:
    one = subject({"shop/orders.user_id": "shop/users.id", "shop/items.order_id": "shop/orders.id"})
    assert one.within({USERS, ITEMS}).tables == (USERS,)

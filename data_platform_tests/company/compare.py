"""Everybody else's rows: what the sources say of them against what the warehouse holds, both read in full, what is sealed in clear."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import psycopg

from data_platform.sync.reveal import in_clear
from data_platform.tables import TableId
from data_platform_tests.company import oracle
from data_platform_tests.company.oracle import Person

if TYPE_CHECKING:
    from data_platform_tests.company.world import World

Rows = list[tuple[Any, ...]]
"""(key, whose it is, what it says, what of it lands sealed). Whose a ticket is, is said by the number at Zendesk."""
SHOP = {
    "users": "select user_id, user_id, name, secret from users",
    "orders": "select order_id, user_id, note, secret from orders",
    "items": "select item_id, (select user_id from orders o where o.order_id = i.order_id), engraving, null from items i",
    "visits": "select visit_id, (payload->>'user')::bigint, payload->'seen'->0->>'as', null from visits",
}
"""At the source, and below ``raw_shop`` in the warehouse."""
HELD = {
    **{f"shop/{name}": sql.replace(" from ", " from raw_shop.") for name, sql in SHOP.items()},
    "office/letters": "select letter_id, user_id, text, null from raw_office.letters",
    "hooks/orders": "select cast(id as varchar), user_id, gift, null from raw_hooks.orders",
    "stripe/customers": "select id, (metadata->>'user_id')::bigint, name, phone from raw_stripe.customers",
    "stripe/charges": "select id, substr(customer, 5)::bigint, description, null from raw_stripe.charges",
    "stripe/refunds": "select id, split_part(charge, '_', 3)::bigint, reason, null from raw_stripe.refunds",
    "zendesk/users": "select id, external_id::bigint, name, null from raw_zendesk.users",
    "zendesk/tickets": "select id, requester_id, subject, description from raw_zendesk.tickets",
}
SEALED = {"stripe/customers": "phone", "zendesk/tickets": "description"}
"""The column that is sealed, where it is not ``secret``."""


def wrong(world: World, erased: Collection[Person]) -> list[str]:
    """Rows of others that the warehouse lacks or has in another way, and rows of the ``erased``."""
    gone = numbers(erased)
    found = []
    for table, there in at_sources(world).items():
        has, wanted = opened(world, table), {row for row in there if row[1] not in gone}
        for what, some in (("lost", wanted - set(has)), ("too much", set(has) - wanted)):
            if some:
                found.append(f"{table}: {len(some)} rows {what}, such as {min(map(str, some))}")
        if len(has) != len(set(has)):
            found.append(f"{table}: rows twice")
    return found


def numbers(people: Collection[Person]) -> set[int]:
    """The keys under which they are known, at the shop and at Zendesk."""
    return {number for one in people for number in (one.id, one.desk)}


def opened(world: World, table: str) -> Rows:
    """The rows of the warehouse with what is sealed in clear."""
    columns = ("", "", "", SEALED.get(table, "secret"))
    return [
        tuple(row) for row in in_clear(world.platform(), TableId.parse(table), columns, held(world, table))[0]
    ]


def held(world: World, table: str) -> Rows:
    with world.platform().warehouse(read_only=True) as warehouse:
        return [tuple(row) for row in warehouse.query(HELD[table]).rows]


def at_sources(world: World) -> dict[str, Rows]:
    with psycopg.connect(world.url, autocommit=True) as connection:
        there = {f"shop/{name}": connection.execute(sql.encode()).fetchall() for name, sql in SHOP.items()}
    letters = [
        json.loads(line)
        for file in sorted((world.root / "exports/letters").iterdir())
        for line in file.open()
    ]
    gifts: Any = [one["data"] for one in oracle.events(world.people.every)]
    objects = world.services.payments.objects
    customers, charges, refunds = (objects[name].values() for name in ("customers", "charges", "refunds"))
    requesters, tickets = (world.services.desk.records(name) for name in ("users", "tickets"))
    return {
        **there,
        "office/letters": [(one["letter_id"], one["user_id"], one["text"], None) for one in letters],
        "hooks/orders": [
            (str(one["order"]["id"]), one["order"]["user_id"], one["order"]["gift"], None) for one in gifts
        ],
        "stripe/customers": [
            (one["id"], int(one["metadata"]["user_id"]), one["name"], one["phone"]) for one in customers
        ],
        "stripe/charges": [
            (one["id"], int(one["customer"][4:]), one["description"], None) for one in charges
        ],
        "stripe/refunds": [
            (one["id"], int(one["charge"].rpartition("_")[2]), one["reason"], None) for one in refunds
        ],
        "zendesk/users": [(one["id"], int(one["external_id"]), one["name"], None) for one in requesters],
        "zendesk/tickets": [
            (one["id"], one["requester_id"], one["subject"], one["description"]) for one in tickets
        ],
    }

"""Which columns of models hand a key on, as it is or by a cast that leaves it the same text."""

from __future__ import annotations

from data_platform.column_lineage import ColumnOf, relations_in, taken
from data_platform.impact.carried import Origin, Read, carried, read_as
from data_platform.impact.graph import Graph, Relation
from data_platform.impact.people import derived_from
from data_platform.privacy.subjects.place import Place
from data_platform.sync.erasing.derived import Derived
from data_platform.tables import TableId

KEY = ColumnOf("raw_shop", "users", "user_id")


def model(name: str, column: str, definition: str, *behind: ColumnOf) -> Relation:
    return Relation(
        "marts",
        name,
        "model",
        f"marts/{name}",
        (column,),
        values={column: behind},
        definitions={column: definition},
    )


def test_what_is_renamed_is_carried_and_what_is_computed_is_not() -> None:
    one = model("people", "person", 'bigint "raw_shop"."users" AS users\nusers.user_id AS person', KEY)
    then = model(
        "later", "who", ' "marts"."people" AS p\np.person AS who', ColumnOf("marts", "people", "person")
    )
    counted = model("counted", "n", 'bigint "raw_shop"."users" AS users\ncount(users.user_id) AS n', KEY)
    mixed = model(
        "mixed",
        "x",
        'bigint "raw_shop"."users" AS u\nu.user_id AS x',
        KEY,
        ColumnOf("raw_shop", "users", "age"),
    )
    unclear = model("unclear", "x", "bigint", KEY)
    graph = Graph({each.key: each for each in (one, then, counted, mixed, unclear)})
    assert carried(graph, {KEY}) == {
        ColumnOf("marts", "people", "person"): KEY,
        ColumnOf("marts", "later", "who"): KEY,
    }


COLUMNS = {
    ("raw_shop", "users"): ("user_id", "name"),
    ("raw_shop", "orders"): ("order_id", "user_id", "note"),
    ("raw_shop", "visits"): ("visit_id", "payload"),
    ("raw_desk", "tickets"): ("id", "name"),
}


def project(**models: str) -> Graph:
    """Incremental models of ``marts`` by their SQL, each of which may read those before it."""
    relations = {key: Relation(*key, "raw", "", columns) for key, columns in COLUMNS.items()}
    for name, sql in models.items():
        tables = {key: one.columns for key, one in relations.items()}
        took = taken(sql, "duckdb", tables)
        assert took is not None, name
        relations["marts", name] = Relation(
            *("marts", name, "model", "", tuple(took)),
            taken=took,
            reads=relations_in(sql, "duckdb"),
            definitions={"": "incremental 0"},
        )
    return Graph(relations)


def origin(table: str, column: str, *keys: str) -> Origin:
    return Origin(ColumnOf(f"raw_{table.partition('/')[0]}", table.partition("/")[2], column), keys)


def test_a_key_is_followed_through_casts_coalesce_documents_and_unions() -> None:
    user, order_s = origin("shop/users", "user_id"), origin("shop/orders", "user_id")
    visit = origin("shop/visits", "payload", "user")
    found = read_as(
        project(
            staged="select cast(user_id as varchar) as person, md5(user_id::varchar) as hashed from raw_shop.users",
            typed="select person::bigint as number from marts.staged",
            either="select coalesce(o.user_id, u.user_id) as person from raw_shop.users u full join raw_shop.orders o on o.user_id = u.user_id",
            seen="select payload ->> 'user' as person, payload -> 'user' as quoted from raw_shop.visits",
            all_of_them="select person from marts.staged union all select person from marts.seen",
            some_of_them="select person from marts.staged union all select null from raw_desk.tickets",
            mixed="select person from marts.staged union all select id from raw_desk.tickets",
        ),
        {user, order_s, visit},
    )
    assert {f"{one.table}.{one.column}": read for one, read in found.items()} == {
        "staged.person": Read(frozenset({user})),
        "typed.number": Read(frozenset({user}), canonical=True),
        "either.person": Read(frozenset({user, order_s})),
        "seen.person": Read(frozenset({visit})),
        "all_of_them.person": Read(frozenset({user, visit})),
    }


def test_a_model_is_named_that_holds_people_of_a_table_whose_key_it_has_not() -> None:
    """A row that comes of two people's tables is found by one of them, so the other one stays."""
    users, orders, tickets = (TableId.parse(name) for name in ("shop/users", "shop/orders", "desk/tickets"))
    user, ticket = Place(users, "user_id"), Place(tickets, "id")
    holders = [(user, user), (Place(orders, "user_id"), user), (ticket, ticket)]
    raw = {one: (one.raw_schema, one.table) for one in (users, orders, tickets)}
    models = {
        "both": "select u.user_id, t.name from raw_shop.users u join raw_desk.tickets t on t.name = u.name",
        "either": "select user_id as id, name from raw_shop.users union all select id, name from raw_desk.tickets",
        "each": "select u.user_id, t.id, t.name from raw_shop.users u join raw_desk.tickets t on t.name = u.name",
        "told": "select o.user_id, u.name from raw_shop.orders o join raw_shop.users u on u.user_id = o.user_id",
    }
    personal = {
        ("marts", "both"): {raw[tickets]},
        ("marts", "either"): {raw[users], raw[tickets]},
        ("marts", "each"): {raw[tickets]},
        ("marts", "told"): {raw[users]},
    }
    assert set(derived_from(project(**models), holders, personal)) == {
        Derived(user, "marts", "both", "user_id"),
        Derived(ticket, "marts", "both", None, lasting=True),
        Derived(user, "marts", "either", None, lasting=True),
        Derived(ticket, "marts", "either", None, lasting=True),
        Derived(user, "marts", "each", "user_id"),
        Derived(ticket, "marts", "each", "id"),
        Derived(user, "marts", "told", "user_id"),
    }

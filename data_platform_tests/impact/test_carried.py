"""Which columns of models hand a key on as it is."""

from __future__ import annotations

from data_platform.column_lineage import ColumnOf
from data_platform.impact.carried import carried
from data_platform.impact.graph import Graph, Relation

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

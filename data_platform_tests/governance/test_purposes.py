"""Purposes of small models: which ask for consent, and what is refused. SQL is followed for real."""

from __future__ import annotations

from typing import Any

import pytest

from data_platform.column_lineage import ColumnOf, columns_behind
from data_platform.governance.purposes import purposes, purposes_asked
from data_platform.impact.graph import Graph, Relation
from data_platform.privacy.leaving import Carried
from data_platform.privacy.purposes import Exportable, Purposed, purposed

CONSENTS = "model.p.consents"
ASKS = " where cast(user_id as varchar) in (select subject_key from w.marts.consents where purpose = '{}' and counts)"
FROM_RAW = "select user_id, city from raw_shop.users"
KEYS = {"letters": [ColumnOf("raw_shop", "users", "user_id")]}
LETTERS = {"letters": "user_id"}


def model(
    name: str, sql: str, purpose: Any, reads: tuple[str, ...], made_as: str = "table"
) -> dict[str, Any]:
    config: dict[str, Any] = {"materialized": made_as, "meta": {} if purpose == "" else {"purpose": purpose}}
    return {
        "resource_type": "model", "name": name, "schema": "marts", "alias": name, "config": config, "sql": sql,
        "depends_on": {"nodes": [f"model.p.{one}" for one in reads] or ["source.p.users"]},
    }  # fmt: skip


def faults(*models: dict[str, Any]) -> list[str]:
    nodes = {f"model.p.{one['name']}": one for one in (model("consents", "", "", ()), *models)}
    relations = {
        ("raw_shop", "users"): Relation("raw_shop", "users", "raw", "raw/shop/users", ("user_id", "city"))
    }
    relations["marts", "consents"] = Relation(
        "marts", "consents", "model", "marts/consents", ("subject_key", "purpose", "counts")
    )
    for node in models:
        behind = columns_behind(node["sql"], "duckdb", {key: one.columns for key, one in relations.items()})
        values = {name: None if some is None else tuple(some) for name, some in (behind or {}).items()}
        place = ("marts", node["name"])
        relations[place] = Relation(*place, "model", "/".join(place), tuple(values), values=values)
    manifest = {"metadata": {"adapter_type": "duckdb"}, "nodes": nodes}
    sql = {id_: node["sql"] for id_, node in nodes.items()}
    return [one.text for one in purposes(manifest, sql, Graph(relations), ["letters", "figures"], KEYS)]


ASKING = model("people", FROM_RAW + ASKS.format("letters"), LETTERS, ("consents",))
GROWING = model("grown", FROM_RAW + ASKS.format("letters"), LETTERS, ("consents",), "incremental")


def test_a_model_that_asks_and_one_that_reads_nothing_else_are_right() -> None:
    assert faults(ASKING, model("more", "select * from marts.people", LETTERS, ("people",))) == []
    assert (
        faults(ASKING, model("sum", "select count(*) as n from marts.people", {"letters": None}, ("people",)))
        == []
    )
    assert faults(model("nothing", FROM_RAW, "", ())) == []
    assert (
        faults(
            ASKING,
            model("share", "select count(*) as n from marts.people", {"none": "A number."}, ("people",)),
        )
        == []
    )


@pytest.mark.parametrize(
    ("sql", "purpose", "reads", "words"),
    [
        (FROM_RAW, LETTERS, (), "does not ask for consent. Write `where {{ consented('letters', 'user_id') }}`"),
        (FROM_RAW + ASKS.format("figures"), LETTERS, ("consents",), "does not ask for consent"),
        (FROM_RAW + " where user_id in (select 1 from marts.consents)", LETTERS, ("consents",), "does not ask"),
        ("select p.* from marts.people as p cross join raw_shop.users", LETTERS, ("people", "users"), "does not ask"),
        (FROM_RAW, {"leters": "user_id"}, (), "purpose leters, which catalog/subjects.yaml does not have. It has figures, letters."),
        ("select * from marts.people", "", ("people",), "reads what is made for a purpose, and says none: marts.people (letters)"),
        (FROM_RAW + ASKS.format("letters"), {"letters": "id"}, ("consents",), "has no column id, which purpose: letters names"),
        (FROM_RAW + ASKS.format("letters"), {"letters": "city"}, ("consents",), "it is made of raw_shop.users.city, and the key is in raw_shop.users.user_id"),
        (FROM_RAW, "letters", (), "must be a mapping"),
        (FROM_RAW, {"letters": 5}, (), "letters must name a column"),
        (FROM_RAW, {"none": None}, (), "none is alone and has a reason"),
        (FROM_RAW, {"none": "why", "letters": "user_id"}, (), "none is alone and has a reason"),
    ],
)  # fmt: skip
def test_what_is_refused(sql: str, purpose: Any, reads: tuple[str, ...], words: str) -> None:
    (text,) = faults(ASKING, model("wrong", sql, purpose, reads))
    assert text.startswith("marts.wrong") and words in text


def test_a_sum_of_what_loses_people_only_after_the_build_is_refused() -> None:
    through = model("through", "select * from marts.grown", LETTERS, ("grown",), "view")
    counted = "select count(*) as n from marts.through"
    (text,) = faults(GROWING, through, model("sum", counted, {"letters": None}, ("through",)))
    assert text.startswith(
        "marts.sum sums up marts.grown: people who withdrew are taken out of that only after the build."
    )
    asks = "select count(*) as n from marts.through" + ASKS.format("letters")
    assert faults(GROWING, through, model("sum", asks, {"letters": None}, ("through", "consents"))) == []


def test_a_column_that_cannot_be_followed_is_accepted() -> None:
    pivoted = "with t as (pivot raw_shop.users on city) select * from t" + ASKS.format("letters")
    assert columns_behind(pivoted, "duckdb", {("raw_shop", "users"): ("user_id", "city")}) is None
    assert faults(model("odd", pivoted, LETTERS, ("consents",))) == []


def test_the_purposes_that_a_query_asks_for() -> None:
    place = ("marts", "consents")
    assert purposes_asked(FROM_RAW + ASKS.format("letters"), "duckdb", place) == {"letters"}
    cte = f"with t as ({FROM_RAW + ASKS.format('a')}) select * from t{ASKS.format('b')}"
    assert purposes_asked(cte, "bigquery", place) == {"a", "b"}
    assert purposes_asked("select 1 from marts.others where purpose = 'a'", "duckdb", place) == set()
    assert purposes_asked("no sql (", "duckdb", place) == set()


def test_what_an_export_takes() -> None:
    letters, figures = (
        Purposed(("m", "letters"), {"letters": "id"}),
        Purposed(("m", "figures"), {"figures": None}),
    )
    held = {one.place: one for one in (letters, figures)}
    places = [("m", "letters"), ("m", "figures"), ("m", "all")]
    columns = {"mail": Carried("masked", "m.all.mail <- raw.t.mail"), "id": Carried("none", "m.all.id")}
    known = Exportable(held, lambda: dict.fromkeys(places, columns))
    assert known.withheld(None, places, []) == {("m", "letters"), ("m", "figures")}
    assert known.withheld(None, places, [("m", "letters")]) == {("m", "figures")}
    assert known.withheld("letters", places, []) == {("m", "figures")}
    assert known.refused(None, {one: ["MAIL"] for one in places}) == []
    assert known.refused("letters", {one: ["MAIL", "id"] for one in places}) == [
        "m.all (MAIL)",
        "m.figures (MAIL)",
    ]
    assert known.refused("letters", {one: ["id"] for one in places}) == []


def test_a_model_without_purpose_is_under_none() -> None:
    assert purposed(model("one", "", {"none": "why"}, ())) is None
    assert purposed(model("one", "", "", ())) is None
    found = purposed(model("one", "", LETTERS, (), "snapshot"))
    assert found is not None and found.checked == LETTERS and found.made_as == "snapshot"

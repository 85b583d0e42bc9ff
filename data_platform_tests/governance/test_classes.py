"""Classes carried along the columns of small models; and what a model has to declare. SQL is followed for real."""

from __future__ import annotations

import pytest

from data_platform.catalog import Catalog
from data_platform.catalog.environment import Privacy
from data_platform.column_lineage import columns_behind, relations_in, taken
from data_platform.governance.classes import Classes, classes
from data_platform.impact.graph import Graph, Relation
from data_platform_tests.governance.small import catalog_with


def found(catalog: Catalog, *models: tuple[str, str, dict[str, str]]) -> Classes:
    """The classes with ``models``: each a name, its SQL and what its YAML declares."""
    relations = {}
    for source in catalog.sources.values():
        for table in source.tables.values():
            key = table.id.raw_schema, table.id.table
            relations[key] = Relation(*key, "raw", f"raw/{table.id}", tuple(table.columns))
    for name, sql, declared in models:
        schema, table_name = name.split(".")
        tables = {key: one.columns for key, one in relations.items()}
        behind = columns_behind(sql, "duckdb", tables)
        relations[schema, table_name] = Relation(
            schema,
            table_name,
            "model",
            f"{schema}/{table_name}",
            tuple(behind if behind is not None else declared or ["unknown_column"]),
            values={one: None if some is None else tuple(some) for one, some in (behind or {}).items()},
            taken=taken(sql, "duckdb", tables),
            declared=declared,
            reads=relations_in(sql, "duckdb"),
        )
    return classes(Graph(relations), catalog)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return catalog_with(
        columns=["id", "email", "phone", "ssn", "note", "payload", "country", "reason"],
        personal={
            "email": "hash", "phone": "mask", "ssn": "redact", "note": "keep", "payload.customer.email": "hash",
            "reason": "not_personal", "payload.reason": "not_personal",
        },
    )  # fmt: skip


STAGING = ("staging.users", "select *, payload ->> 'status' as status from raw_shop.users", {})


def held(result: Classes, schema: str) -> dict[str, str]:
    return {f"{one.table}.{one.label}": one.class_ for one in result.columns if one.schema == schema}


def test_the_declared_classes_of_a_raw_table_and_what_staging_makes_of_them(catalog: Catalog) -> None:
    result = found(catalog, STAGING)
    expected = {"email": "pseudonymous", "phone": "masked", "note": "personal", "payload.customer.email": "pseudonymous"}  # fmt: skip
    expected |= dict.fromkeys(("ssn", "reason", "payload.reason"), "none")
    assert held(result, "raw_shop") == {f"users.{name}": one for name, one in expected.items()}
    del expected["payload.reason"]  # of a part of a document, what is left is carried on
    # not of status, which is another part of the document
    assert held(result, "staging") == {f"users.{name}": one for name, one in expected.items()}
    assert result.faults == ()
    (email,) = (one for one in result.columns if one.schema == "raw_shop" and one.column == "email")
    assert (email.treatment, email.sources) == ("hash", ("raw_shop.users.email",))


def test_a_mart_that_declares_nothing_is_named_with_the_path_it_came_by(catalog: Catalog) -> None:
    result = found(
        catalog,
        STAGING,
        ("intermediate.step", "with t as (select lower(email) as address, id from staging.users) select * from t", {}),
        ("marts.people", "select id, address as who, country from intermediate.step join staging.users using (id)", {}),
    )  # fmt: skip
    (fault,) = result.faults
    assert (fault.schema, fault.table, fault.column) == ("marts", "people", "who")
    assert (
        "marts.people.who <- intermediate.step.address <- staging.users.email <- raw_shop.users.email (hash)"
        in fault.text
    )
    assert "config: {meta: {privacy: pseudonymous}}" in fault.text


@pytest.mark.parametrize(
    "expression, declared, wrong",
    [
        ("email", "pseudonymous", None),
        ("email", "none", "carries pseudonymous values as they are"),
        ("email", "masked", "carries pseudonymous values as they are"),
        ("email", "public", "which there is not"),
        ("left(phone, 3)", "none", None),
        ("left(phone, 3)", "", "carries masked values and does not declare it"),
        ("sha256(note)", "pseudonymous", None),
        ("count(distinct email)", "", None),
        ("max(email is not null)", "", None),
        ("max(country)", "", None),
        ("max(country)", "personal", None),
        ("coalesce(any_value(payload ->> 'status'), 'x')", "", None),
        ("payload -> 'customer'", "", "carries pseudonymous values"),
        ("payload", "", "carries pseudonymous values"),
        ("email || note", "", "carries personal values"),
        ("email || note", "pseudonymous", None),
        ("ssn", "", None),
        ("reason", "", None),
        ("reason", "none", None),
        ("payload ->> 'reason'", "", None),
        ("reason || note", "", "carries personal values"),
    ],
)
def test_what_a_mart_has_to_declare(
    catalog: Catalog, expression: str, declared: str, wrong: str | None
) -> None:
    mart = ("marts.m", f"select {expression} as x from staging.users", {"x": declared} if declared else {})
    texts = [one.text for one in found(catalog, STAGING, mart).faults]
    assert (wrong is None and texts == []) or (
        wrong is not None and [one for one in texts if wrong in one] == texts != []
    )


def test_what_is_declared_goes_on_and_none_ends_it(catalog: Catalog) -> None:
    first = ("staging.first", "select lower(email) as a, left(phone, 3) as b, id as c from staging.users", {"a": "masked", "b": "none", "c": "personal"})  # fmt: skip
    second = ("marts.second", "select a, b, c from staging.first", {"a": "masked"})
    result = found(catalog, STAGING, first, second)
    assert [one.column for one in result.faults] == ["c"]
    assert held(result, "marts") == {"second.a": "masked", "second.b": "none", "second.c": "personal"}
    assert held(result, "staging")["first.b"] == "none"


def test_what_was_redacted_is_known_to_be_so_downstream_unless_something_else_is_put_in(
    catalog: Catalog,
) -> None:
    mart = ("marts.m", "select ssn as a, lower(ssn) as b, coalesce(ssn, country) as c, country from staging.users", {})  # fmt: skip
    result = found(catalog, STAGING, mart)
    assert held(result, "marts") == {"m.a": "none", "m.b": "none"}
    assert result.declared_at("marts", "m") == {"a": frozenset({()}), "b": frozenset({()})}


def test_what_only_looks_personal_is_shown_as_such_and_known_downstream(catalog: Catalog) -> None:
    result = found(catalog, STAGING, ("marts.m", "select reason as why, payload ->> 'reason' as because from staging.users", {}))  # fmt: skip
    assert {(one.label, one.class_) for one in result.columns if one.treatment == "not_personal"} == {
        ("reason", "none"), ("payload.reason", "none"),
    }  # fmt: skip
    assert result.declared_at("raw_shop", "users")["reason"] == {()}
    assert result.declared_at("marts", "m")["why"] == {()}
    assert result.faults == ()


def test_sql_that_cannot_be_followed_beside_classed_columns_needs_a_declaration(catalog: Catalog) -> None:
    blind = "pivot staging.users on country using count(*)"
    (fault,) = found(catalog, STAGING, ("marts.blind", blind, {})).faults
    assert "cannot be followed" in fault.text and "staging.users." in fault.text
    assert found(catalog, STAGING, ("marts.blind", blind, {"unknown_column": "none"})).faults == ()
    nothing = catalog_with(columns=["id", "country"], personal={})
    assert found(nothing, STAGING, ("marts.blind", blind, {})).faults == ()


def test_where_models_have_to_declare_is_the_catalogs(catalog: Catalog) -> None:
    mart = ("marts.m", "select email from staging.users", {})
    elsewhere = catalog.model_copy(update={"privacy": Privacy(declared_in=("staging.users",))})
    faults = found(elsewhere, STAGING, mart).faults
    assert {(one.schema, one.table) for one in faults} == {("staging", "users")}
    assert {one.column for one in faults} == {"email", "phone", "note", "payload"}

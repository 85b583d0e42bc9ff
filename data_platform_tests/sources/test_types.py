"""The type plan: each of the server's types has a rule that keeps it or is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from data_platform.errors import UnsupportedType, ValueNotKept
from data_platform.printable import printable
from data_platform.sources.postgres.introspect import Leaf, Relation, SourceColumn, read_relations
from data_platform.sources.postgres.read_errors import of_the_engine
from data_platform.sources.postgres.server_errors import source_error
from data_platform.sources.postgres.types import (
    NOT_KEPT,
    ColumnPlan,
    plan_columns,
    quote,
    refused_value,
    way_out,
)
from data_platform_tests.sync.conftest import Project, project

__all__ = ["project"]  # a fixture

REFUSED = {
    # types of the system catalogs and of programs, which nobody keeps data in
    "char", "aclitem", "cid", "refcursor", "regcollation", "gtsvector",
    "pg_node_tree", "pg_ndistinct", "pg_dependencies", "pg_mcv_list", "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
}  # fmt: skip
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)


def column(base: str, name: str = "x", **more: Any) -> SourceColumn:
    return SourceColumn(
        **{
            "name": name,
            "formatted": base,
            "base": base,
            "base_schema": "pg_catalog",
            "category": "b",
            "typmod": -1,
            "not_null": False,
            **more,
        }
    )


def relation(*columns: SourceColumn) -> Relation:
    return Relation(1, "public", "t", "r", columns, (), (), frozenset(), (Leaf("public", "t", "r", 1),), 0)


def plan(one: SourceColumn, *as_text: str) -> ColumnPlan:
    (found,) = plan_columns(relation(one), as_text)
    return found


@given(st.integers(1, 1000), st.integers(-1000, 1000))
def test_a_numeric_is_a_decimal_that_holds_it_or_text(precision: int, scale: int) -> None:
    found = plan(column("numeric", typmod=(precision << 16 | scale & 0x7FF) + 4))
    if precision <= 38 and 0 <= scale <= precision:
        assert (found.type, found.engine) == (f"DECIMAL({precision},{scale})", '"x"')
        assert f'else "x"::numeric({precision},{scale}) end' in found.server
    else:
        assert found.type == "VARCHAR"


@given(NAMES, st.sampled_from(["int4", "numeric", "timestamptz", "bpchar", "money", "oid", "inet", "text"]))
def test_any_column_name_stands_quoted_in_both_engines(name: str, base: str) -> None:
    found = plan(column(base, name))
    assert found.name == name
    assert quote(name) in found.server and quote(name) in found.engine


@given(st.text())
def test_a_type_that_is_not_known_is_refused_by_name_and_text_is_the_way_out(base: str) -> None:
    strange = column(base + " of ours", "odd")
    with pytest.raises(UnsupportedType) as raised:
        plan_columns(relation(strange))
    assert "odd (" in str(raised.value) and "as: {column: text}" in str(raised.value)
    assert plan(strange, "odd").type == "VARCHAR"
    assert plan(strange, "odd").server == '"odd"::text'


def test_every_column_without_a_rule_is_named_at_once() -> None:
    with pytest.raises(UnsupportedType) as raised:
        plan_columns(relation(column("int4", "fine"), column("aclitem", "a"), column("cid", "b")))
    assert "a (aclitem), b (cid)" in str(raised.value)
    assert "fine" not in str(raised.value)


@pytest.mark.parametrize("base", ["int4", "text", "numeric", "timestamptz", "bool", "json", "bytea"])
def test_a_type_of_the_same_name_in_another_schema_is_not_taken_for_it(base: str) -> None:
    with pytest.raises(UnsupportedType):
        plan_columns(relation(column(base, base_schema="public")))
    enum = plan(column(base, base_schema="public", category="e"))
    assert (enum.type, enum.server) == ("VARCHAR", '"x"::text')


@pytest.mark.parametrize(
    ("element", "dimensions", "kind"),
    [("int4", 1, "INTEGER[]"), ("int4", 0, "INTEGER[]"), ("int4", 2, "VARCHAR"), ("numeric", 1, "VARCHAR")],
)
def test_lists_of_plain_types_stay_lists(element: str, dimensions: int, kind: str) -> None:
    array = column(f"_{element}", element=element, dimensions=dimensions)
    assert plan(array).type == kind


@given(NAMES, st.sampled_from([("numeric", 2 << 16 | 4), ("timestamptz", -1), ("json", -1), ("_int4", -1)]))
def test_no_statement_says_that_a_value_is_refused(name: str, kind: tuple[str, int]) -> None:
    """An error that quotes the statement would otherwise be taken for a refused value."""
    base, typmod = kind
    element = "int4" if base == "_int4" else None
    found = plan(column(base, name, typmod=typmod, element=element))
    assert refused_value(found.server + found.engine) is None


@given(NAMES, st.sampled_from(sorted(NOT_KEPT)))
def test_a_refused_value_names_its_column_whatever_it_is_called(name: str, why: str) -> None:
    said = f'ERROR: invalid input syntax for type json: "value-not-kept:{why}:{name.encode().hex()}:"'
    assert refused_value(said) == (name, why)
    error = of_the_engine(RuntimeError(said), "shop/t", "1MB")
    assert isinstance(error, ValueNotKept)
    assert printable(name) in str(error) and NOT_KEPT[why] in str(error) and way_out(name) in str(error)


@given(NAMES)
def test_the_way_out_is_yaml_for_the_column(name: str) -> None:
    written = way_out(name)
    assert written.startswith("`") and written.endswith("`") and "\n" not in written
    assert yaml.safe_load(written.strip("`")) == {"as": {name: "text"}}


SECRET = st.text(st.characters(exclude_characters="\0"), max_size=30).map(lambda text: f"s3cr3t{text}s3cr3t")


@given(SECRET, st.sampled_from([
    'ERROR: invalid input syntax for type integer: "{}"', 'value "{}" is out of range for type integer',
    "Conversion Error: Could not convert string '{}' to INT32", 'malformed array literal: "{}"',
    'Malformed JSON at byte 7 of input: no low surrogate in string.  Input: "{}"',
    'ERROR: duplicate key value DETAIL: Key (email)=({}) already exists.',
]))  # fmt: skip
def test_no_error_of_a_read_holds_a_value(secret: str, said: str) -> None:
    text = said.format(secret)
    assert "s3cr3t" not in str(of_the_engine(RuntimeError(text), "shop/t", "1MB"))
    for kind in ("22P02", "22003", "23505", "42501", "P0001", "XX000", "57014"):
        error = psycopg.errors.lookup(kind)(text)
        assert "s3cr3t" not in str(source_error(error, what="Reading shop/t"))
        assert "s3cr3t" not in str(source_error(error, what="Reading shop/t", lost=True))


@pytest.fixture
def catalog_types(database: str) -> Iterator[tuple[psycopg.Connection[Any], list[tuple[str, str]]]]:
    """The server's own types that a column may have, as (name, typname)."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield (
            connection,
            connection.execute(
                "select format_type(oid, null), typname from pg_type where typnamespace = 'pg_catalog'::regnamespace"
                " and typtype <> 'p' and typname <> '_cstring' and not exists (select 1 from pg_class where reltype = pg_type.oid"
                " or reltype = pg_type.typelem and typelem > 0) order by 1"
            ).fetchall(),
        )


@pytest.mark.slow
def test_every_type_of_the_server_has_a_rule_or_is_refused_by_name(
    catalog_types: tuple[psycopg.Connection[Any], list[tuple[str, str]]],
) -> None:
    connection, types = catalog_types
    columns = ", ".join(f'"{name}" {kind}' for kind, name in types)
    connection.execute(f"create table every ({columns})")  # type: ignore[call-overload]
    (found,) = read_relations(connection, [("public", "every")])
    refused = set()
    for one in found.columns:
        try:
            plan_columns(relation(one))
        except UnsupportedType as error:
            assert one.name in str(error)
            refused.add(one.name)
    assert len(found.columns) > 140  # of PostgreSQL 13
    assert refused <= REFUSED
    assert {"int4", "numeric", "_text", "int4range", "_int4range", "tsvector"} & refused == set()


@pytest.mark.slow
def test_what_has_a_rule_lands_as_the_type_it_names(
    project: Project, catalog_types: tuple[psycopg.Connection[Any], list[tuple[str, str]]]
) -> None:
    """With NULLs only, so that no value hides a wrong type; a batch of another type could never be loaded."""
    connection, types = catalog_types
    kept = [(kind, name) for kind, name in types if name not in REFUSED]
    columns = ", ".join(f'"{name}" {kind}' for kind, name in kept)
    connection.execute(f"create table every (id int primary key, {columns})")  # type: ignore[call-overload]
    connection.execute("insert into every values (1)")
    keep = {name: "keep" for _, name in kept}  # the names of some types look personal
    project.catalog({"every": {"key": "id", "personal": keep}}).good()
    plans = plan_columns(*read_relations(connection, [("public", "every")]))
    landed = dict(
        project.rows(
            "select column_name, data_type from information_schema.columns where table_name = 'every'"
        )
    )
    spelled = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}
    assert {p.name: spelled.get(p.type, p.type) for p in plans} == {
        name: kind
        for name, kind in landed.items()
        if not name.startswith("_") or name in {p.name for p in plans}
    }

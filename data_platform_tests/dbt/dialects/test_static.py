"""The checks of the text find what sqlglot parses without a word."""

from __future__ import annotations

import pytest

from data_platform_tests.dbt.dialects.names import Names, Refused
from data_platform_tests.dbt.dialects.static import mistakes

DUCKDB_ALONE = [
    "select now() as at",
    "select contains(a, 'x') as found from t",
    "select string_agg(a, ',') as all_of_them from t",
    "select sum(a) filter (where a > 0) as total from t",
    "select list_value(1, 2) as both_of_them",
    "select [1, 2] as both_of_them",
    "select date_trunc('month', a) as month from t",
    "select a from t qualify row_number() over (partition by a order by b) = 1",
    "select bool_or(a) as any_of_them from t",
    "select a // 100 as whole from t",
    "select epoch_us(a) as at from t",
    "select regexp_matches(a, 'x') as found from t",
]
OF_ONE = {
    "bigquery": [
        "select a::date as day from t",
        "select a from t union select a from u",
        "select a from t where at > current_timestamp - interval '1' day",
        "delete from t as x using u where x.a = u.a",
        "select cast(a as numeric(18, 2)) as money from t",
        "select cast(a as varchar(10)) as text from t",
        "select date_diff('day', a, b) as days, datediff('day', a, b) as again from t",
    ],
    "snowflake": ["select bool_and(a) as every_one from t", "select at - interval 1 day as before from t"],
    "redshift": [
        "select a from t where at > current_timestamp",
        "create or replace table x as select 1 as a",
        "select at - interval 1 day as before from t",
    ],
}


@pytest.mark.parametrize("dialect", OF_ONE)
def test_what_only_duckdb_understands_is_found_in_every_dialect(dialect: str) -> None:
    assert [sql for sql in DUCKDB_ALONE if not mistakes(sql, dialect)] == []


@pytest.mark.parametrize("dialect", OF_ONE)
def test_what_one_engine_refuses_is_found(dialect: str) -> None:
    assert [sql for sql in OF_ONE[dialect] if not mistakes(sql, dialect)] == []


def warehouse(dialect: str) -> Names:
    names = Names(dialect, "w")
    types = {
        "at": "TIMESTAMP" if dialect == "bigquery" else "TIMESTAMPTZ",
        "whole": "BIGINT",
        "is_good": "BOOLEAN",
    }
    names.put("s", "t", {names.fold(name): type_ for name, type_ in types.items()})
    return names


@pytest.mark.parametrize("dialect", OF_ONE)
@pytest.mark.parametrize(
    "sql",
    ["select missing from s.t", "select 1 as a from s.missing", "select whole / 2 as half from s.t", "select max(is_good) as m from s.t",
     "create table s.u as select whole + as b from s.t", "insert into s.missing select 1", "grumble"],
)  # fmt: skip
def test_a_name_that_is_not_there_and_a_type_that_does_not_fit_are_found(dialect: str, sql: str) -> None:
    with pytest.raises(Refused):
        warehouse(dialect).send(sql)


def test_an_instant_of_bigquery_is_compared_with_instants_alone() -> None:
    names = warehouse("bigquery")
    names.send("select at from s.t where at < timestamp_sub(current_timestamp(), interval 1 day)")
    with pytest.raises(Refused, match="DATETIME"):
        names.send("select at from s.t where at < datetime_sub(cast(at as datetime), interval 1 day)")
    with pytest.raises(Refused, match="DATETIME"):
        names.send("select at from s.t where at < cast('2026-01-01' as datetime)")


def test_what_a_statement_makes_is_there_for_the_next_one_and_gone_when_dropped() -> None:
    names = warehouse("snowflake")
    names.send('create or replace table s.u as select whole, "AT" from s.t; alter table s.u rename to s.v')
    assert names.describe("select * from s.v").keys() == {"WHOLE", "AT"}
    names.send("drop table s.v")
    with pytest.raises(Refused, match="does not exist"):
        names.send("select whole from s.v")

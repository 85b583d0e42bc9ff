"""What of a backup no emulator runs: the statements, parsed by the grammar of their engine; and which types are kept as which."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
import sqlglot
from sqlglot import exp

from data_platform.column_types import is_column_type
from data_platform.errors import UnsupportedType
from data_platform.warehouses.bigquery.grammar import BigQueryGrammar
from data_platform.warehouses.bigquery.unloading import export_data
from data_platform.warehouses.redshift.grammar import GRAMMAR as REDSHIFT
from data_platform.warehouses.remote.grammar import Grammar
from data_platform.warehouses.remote.kept import put
from data_platform.warehouses.snowflake.grammar import GRAMMAR as SNOWFLAKE
from data_platform.warehouses.snowflake.unloading import copy_into, get

BIGQUERY = BigQueryGrammar("acme-data", "it_s_")
AT = "2026-11-22T02:30:00.000001+00:00"
KEPT: dict[str, dict[str, str]] = {
    "redshift": {
        "BOOLEAN": "BOOLEAN",
        "SMALLINT": "SMALLINT",
        "INTEGER": "INTEGER",
        "BIGINT": "BIGINT",
        "DECIMAL(38,37)": "DECIMAL(38,37)",
        "REAL": "FLOAT",
        "DOUBLE PRECISION": "DOUBLE",
        "VARCHAR(256)": "VARCHAR",
        "VARBYTE(1024000)": "BLOB",
        "DATE": "DATE",
        "TIME": "TIME",
        "TIMESTAMP": "TIMESTAMP",
        "TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE",
    },
    "bigquery": {
        "BOOL": "BOOLEAN",
        "INT64": "BIGINT",
        "FLOAT64": "DOUBLE",
        "NUMERIC": "DECIMAL(38,9)",
        "NUMERIC(20)": "DECIMAL(20,0)",
        "BIGNUMERIC(38, 18)": "DECIMAL(38,18)",
        "BIGNUMERIC": "VARCHAR",
        "STRING": "VARCHAR",
        "BYTES": "BLOB",
        "DATE": "DATE",
        "TIME": "TIME",
        "DATETIME": "TIMESTAMP",
        "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
    },
    "snowflake": {
        "BOOLEAN": "BOOLEAN",
        "NUMBER(38,0)": "DECIMAL(38,0)",
        "NUMBER(38,37)": "DECIMAL(38,37)",
        "FLOAT": "DOUBLE",
        "VARCHAR(16777216)": "VARCHAR",
        "BINARY(8388608)": "BLOB",
        "ARRAY": "JSON",
        "DATE": "DATE",
        "TIME(9)": "TIME",
        "TIMESTAMP_NTZ(9)": "TIMESTAMP",
        "TIMESTAMP_TZ": "TIMESTAMP WITH TIME ZONE",
        "TIMESTAMP_LTZ(6)": "TIMESTAMP WITH TIME ZONE",
    },
}
REFUSED = {
    "redshift": ("SUPER", "GEOMETRY", "TIMETZ", "INTERVAL", "HLLSKETCH", "BIGINT)", "DECIMAL(10,2), x INT"),
    "bigquery": ("ARRAY<INT64>", "STRUCT<a INT64>", "JSON", "GEOGRAPHY", "INTERVAL", "RANGE<DATE>", "INT64)"),
    "snowflake": ("VARIANT", "OBJECT", "GEOGRAPHY", "VECTOR(FLOAT, 3)", "MAP(VARCHAR, VARCHAR)", "DATE)"),
}
GRAMMARS: dict[str, Grammar] = {"redshift": REDSHIFT, "bigquery": BIGQUERY, "snowflake": SNOWFLAKE}
ALL = [(engine, held) for engine, types in KEPT.items() for held in types]


@pytest.mark.parametrize(("engine", "held"), ALL)
def test_each_type_is_kept_as_one_that_duckdb_names_so(engine: str, held: str) -> None:
    kept = GRAMMARS[engine].kept(held)
    assert kept.landed == KEPT[engine][held]
    assert is_column_type(kept.landed)
    with duckdb.connect() as here:
        here.execute(f"CREATE TABLE t(x {kept.landed})")
        assert here.execute("SELECT data_type FROM duckdb_columns() WHERE table_name = 't'").fetchall() == [
            (kept.landed,)
        ]
        assert here.execute(f"SELECT {put(kept.twin, 'x')} FROM t").fetchall() == []
        here.execute("INSERT INTO t VALUES (NULL)")
        assert here.execute(f"SELECT {put(kept.twin, 'x')} FROM t").fetchall() == [(None,)], "NULL is no text"


@pytest.mark.parametrize(("engine", "held"), ALL)
def test_each_expression_is_of_the_engines_grammar(engine: str, held: str) -> None:
    grammar = GRAMMARS[engine]
    kept = grammar.kept(held)
    column = grammar.quote("it's")
    for expression in (kept.sent, kept.text):
        sqlglot.parse_one(f"SELECT {put(expression, column)} FROM t", read=engine)
    token = grammar.token([put(kept.text, column)])
    sqlglot.parse_one(f"SELECT {grammar.total('h')} FROM (SELECT {token} AS h FROM t) r", read=engine)


@pytest.mark.parametrize(("engine", "held"), [(e, held) for e, every in REFUSED.items() for held in every])
def test_a_type_that_is_not_kept_exactly_is_refused(engine: str, held: str) -> None:
    with pytest.raises(UnsupportedType, match="A backup does not keep"):
        GRAMMARS[engine].kept(held)


def test_bigquery_reads_its_past_and_exports_to_a_bucket() -> None:
    query = f"SELECT 1 AS `c0` FROM {BIGQUERY.at(BIGQUERY.relation('marts', 'sums'), AT)}"
    (table,) = sqlglot.parse_one(query, read="bigquery").find_all(exp.Table)
    assert (table.catalog, table.db, table.name) == ("acme-data", "it_s_marts", "sums")
    assert "FOR SYSTEM_TIME AS OF" in query and AT in query
    export = export_data(query, "gs://acme-staging/x/*.parquet")
    (parsed,) = sqlglot.parse(export, read="bigquery")
    assert isinstance(parsed, exp.Export) and parsed.find(exp.Select)
    assert export.count("*") == 1, "BigQuery numbers the files there"


def test_snowflake_reads_its_past_and_unloads_to_the_users_own_stage() -> None:
    query = f"SELECT 1 AS C0 FROM {SNOWFLAKE.at(SNOWFLAKE.relation('marts', 'sums'), AT)}"
    when = sqlglot.parse_one(query, read="snowflake").find(exp.HistoricalData)
    assert when is not None and AT in when.sql("snowflake")
    copy = copy_into(query, "@~/data_platform_backup_0/")
    (parsed,) = sqlglot.parse(copy, read="snowflake")
    assert isinstance(parsed, exp.Copy) and parsed.find(exp.Select)
    assert "OVERWRITE = FALSE" in copy
    assert get("@~/x/", Path("/tmp/it's")) == "GET @~/x/ 'file:///tmp/it''s/' PARALLEL = 8"

"""The raw tables of the tests' company as each engine holds them: names as it folds them, types in its words."""

from __future__ import annotations

import re

from data_platform_tests.dbt import raw_company, raw_shop
from data_platform_tests.dbt.dialects.names import Columns, Names

TYPES = {
    "bigquery": {
        "BIGINT": "INT64", "INTEGER": "INT64", "VARCHAR": "STRING", "BOOLEAN": "BOOL", "DOUBLE": "FLOAT64",
        "TIMESTAMPTZ": "TIMESTAMP", "UUID": "STRING", "JSON": "STRING", "DECIMAL(38, 18)": "BIGNUMERIC(38, 18)",
        "DECIMAL(10, 2)": "NUMERIC(10, 2)", "DECIMAL(12, 2)": "NUMERIC(12, 2)",
    },
    "snowflake": {
        "BIGINT": "NUMBER(19, 0)", "INTEGER": "NUMBER(10, 0)", "DOUBLE": "FLOAT", "UUID": "VARCHAR(36)",
        "TIMESTAMPTZ": "TIMESTAMP_TZ(6)", "JSON": "VARCHAR", "DECIMAL(38, 18)": "NUMBER(38, 18)",
        "DECIMAL(10, 2)": "NUMBER(10, 2)", "DECIMAL(12, 2)": "NUMBER(12, 2)",
    },
    "redshift": {
        "DOUBLE": "DOUBLE PRECISION", "UUID": "VARCHAR(36)", "JSON": "VARCHAR(65535)", "VARCHAR": "VARCHAR(65535)",
    },
}  # fmt: skip
RECORDS = {
    "touched_slices": {
        "source": "VARCHAR", "table": "VARCHAR", "slice": "VARCHAR", "sequence": "BIGINT", "rows": "BIGINT",
        "loaded_at": "TIMESTAMPTZ",
    },
    "table_reads": {
        "source": "VARCHAR", "table": "VARCHAR", "read_at": "TIMESTAMPTZ", "reconciled_at": "TIMESTAMPTZ",
        "lost_at": "TIMESTAMPTZ",
    },
    "loaded_batches": {
        "source": "VARCHAR", "table": "VARCHAR", "loaded_at": "TIMESTAMPTZ", "snapshot_at": "TIMESTAMPTZ",
    },
}  # fmt: skip


def columns_of(ddl: str) -> Columns:
    """Names and types of a list such as ``id BIGINT, "Datum" DATE``."""
    found = re.findall(r'(?:^|,)\s*("[^"]+"|\w+)\s+(\w+(?:\([^)]*\))?)', ddl)
    return {name.strip('"'): re.sub(r",\s*", ", ", type_) for name, type_ in found}


def tables() -> dict[tuple[str, str], Columns]:
    """By schema and name, in DuckDB's types."""
    added = {"_batch_id": "VARCHAR", "_loaded_at": "TIMESTAMPTZ"}
    found = {("raw_shop", name): columns_of(ddl) | added for name, ddl in raw_shop.DDL.items()}
    for name, ddl in raw_company.DDL.items():
        source, _, table = name.partition(".")
        found[f"raw_{source}", table] = columns_of(ddl) | added
    return found | {("_data_platform", name): columns for name, columns in RECORDS.items()}


def put(names: Names) -> None:
    types = TYPES[names.dialect]
    for (schema, name), columns in tables().items():
        there = {spelled(names.dialect, column): types.get(t, t) for column, t in columns.items()}
        names.put(schema, name, there)


def spelled(dialect: str, column: str) -> str:
    """A raw column's name: upper case in Snowflake, lower in Redshift (of ASCII letters alone), as it landed in BigQuery."""
    if dialect == "bigquery":
        return column
    fold = str.upper if dialect == "snowflake" else str.lower
    return "".join(fold(letter) if letter.isascii() else letter for letter in column)

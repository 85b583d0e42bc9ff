"""DuckDB's dialect, where a column's type in a lake is one whose every value comes back.

A lake keeps values in Parquet files and, of few rows, in PostgreSQL. DuckDB 1.5 writes HUGEINT to Parquet as a double, an
interval in milliseconds and a time without its zone; BIT, BIGNUM and ENUM a lake refuses. These are stored as their text.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from data_platform.duckdb_sql import DIALECT, DuckDBDialect
from data_platform.errors import LoadRefused
from data_platform.tables import Column
from data_platform.warehouses.batch import raw_columns

if TYPE_CHECKING:
    from data_platform.warehouses import LoadableBatch

_AS_TEXT = re.compile(
    r"(?:HUGEINT|UHUGEINT|BIGNUM|VARINT|BIT|INTERVAL|TIME WITH TIME ZONE|TIMETZ|ENUM\(.*\))((?:\[\])*)",
    re.DOTALL | re.IGNORECASE,
)
COLUMNS_MAX = 1_500
"""PostgreSQL has 1,600 columns a table, and the catalog makes one with a table's columns and some of its own."""


class LakeDialect(DuckDBDialect):
    def type(self, landed: str) -> str:
        found = _AS_TEXT.fullmatch(landed)
        return f"VARCHAR{found[1]}" if found else DIALECT.type(landed)

    def same_type(self, held: str, landed: str) -> bool:
        return DIALECT.same_type(held, self.type(landed))

    def widens(self, held: str, landed: str) -> bool:
        return super().widens(held, self.type(landed))


LAKE_DIALECT = LakeDialect()


def lake_columns(batch: LoadableBatch) -> tuple[Column, ...]:
    """The raw table's columns in a lake. ``LoadRefused`` for what a lake cannot keep or find again."""
    columns = tuple(replace(column, type=LAKE_DIALECT.type(column.type)) for column in raw_columns(batch))
    if len(columns) > COLUMNS_MAX:
        raise LoadRefused(
            f"{batch.table} has {len(columns):,} columns, and a DuckLake whose catalog is in PostgreSQL takes"
            f" {COLUMNS_MAX:,}. Leave some out with `columns` in the catalog."
        )
    sought = {*batch.key, *batch.replaces}
    if binary := [column.name for column in columns if column.name in sought and column.type == "BLOB"]:
        raise LoadRefused(
            f"The key column {binary[0]} of {batch.table} is binary, and DuckLake 1.0 does not find a binary value that"
            f" is no text by comparing it. Say `as: {{{binary[0]}: text}}` for it in the catalog, or choose another key."
        )
    return columns

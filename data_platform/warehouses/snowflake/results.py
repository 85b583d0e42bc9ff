"""What Snowflake answers, as plain values; and the question about all relations. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from data_platform.warehouses.snowflake import names
from data_platform.warehouses.snowflake.grammar import GRAMMAR

_FIXED = 0
_NAMES = {0: "NUMBER", 1: "FLOAT", 2: "VARCHAR", 3: "DATE", 4: "TIMESTAMP", 5: "VARIANT", 6: "TIMESTAMP_LTZ"} | {
    7: "TIMESTAMP_TZ", 8: "TIMESTAMP_NTZ", 9: "OBJECT", 10: "ARRAY", 11: "BINARY", 12: "TIME", 13: "BOOLEAN"
}  # fmt: skip
"""Of the numbers that the client's descriptions have."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``columns`` are the client's descriptions."""

    columns: tuple[Any, ...]
    rows: list[tuple[Any, ...]]

    def types(self) -> tuple[str, ...]:
        return tuple(_described_type(column) for column in self.columns)

    def values(self) -> list[tuple[Any, ...]]:
        """Integers as such, whatever their size."""
        whole = [
            n for n, column in enumerate(self.columns) if column.type_code == _FIXED and not column.scale
        ]
        if not any(isinstance(row[n], (Decimal, float)) for row in self.rows for n in whole):
            return self.rows
        made = []
        for row in self.rows:
            values = list(row)
            for n in whole:
                values[n] = None if values[n] is None else int(values[n])
            made.append(tuple(values))
        return made

    def by_name(self) -> list[dict[str, Any]]:
        """Each row by its columns' names in lower case."""
        found = [column.name.lower() for column in self.columns]
        return [dict(zip(found, row, strict=True)) for row in self.rows]


def _described_type(column: Any) -> str:
    name = _NAMES.get(column.type_code, "")
    return f"NUMBER({column.precision},{column.scale})" if name == "NUMBER" and column.precision else name


def described(schema: str | None, name: str | None) -> str:
    """Every column of the relations asked for, in order, but for Snowflake's own, for stages and for snapshots."""
    own = ", ".join(GRAMMAR.literal(one) for one in ("INFORMATION_SCHEMA", names.folded(names.STAGE_SCHEMA)))
    cloned = GRAMMAR.literal(names.folded(names.SNAPSHOT_PREFIX))
    where = [f"C.TABLE_SCHEMA NOT IN ({own})", f"NOT STARTSWITH(C.TABLE_SCHEMA, {cloned})"]
    for column, wanted in (("TABLE_SCHEMA", schema), ("TABLE_NAME", name)):
        where += [] if wanted is None else [f"C.{column} = {GRAMMAR.literal(names.folded(wanted))}"]
    return (
        "SELECT C.TABLE_SCHEMA, C.TABLE_NAME, C.COLUMN_NAME, C.DATA_TYPE, C.NUMERIC_PRECISION, C.NUMERIC_SCALE,"
        " C.CHARACTER_MAXIMUM_LENGTH, C.COMMENT, V.TABLE_NAME IS NOT NULL"
        " FROM INFORMATION_SCHEMA.COLUMNS C LEFT JOIN INFORMATION_SCHEMA.VIEWS V"
        " ON V.TABLE_SCHEMA = C.TABLE_SCHEMA AND V.TABLE_NAME = C.TABLE_NAME"
        f" WHERE {' AND '.join(where)} ORDER BY C.TABLE_SCHEMA, C.TABLE_NAME, C.ORDINAL_POSITION"
    )


def type_of(kind: str, precision: int | None, scale: int | None, length: int | None) -> str:
    """A type as DESCRIBE TABLE has it, of INFORMATION_SCHEMA's columns."""
    if kind == "NUMBER":
        return f"NUMBER({precision},{scale})"
    if kind == "TEXT":
        return f"VARCHAR({length})" if length else "VARCHAR"
    return kind

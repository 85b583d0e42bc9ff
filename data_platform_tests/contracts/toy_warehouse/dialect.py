"""SQLite's spelling. Instants are whole microseconds, days ISO texts; casts are a function that the toy registers."""

from __future__ import annotations

from collections.abc import Sequence

from data_platform.column_types import holds
from data_platform.errors import UnsupportedExpression, UnsupportedType
from data_platform.sql import json_path, literal, quoted
from data_platform.warehouses.dialect import Plain

_DECLARED = {
    "BIGINT": "BIGINT",
    "BOOLEAN": "BOOLEAN",
    "DATE": "TEXT DATE",
    "DOUBLE": "DOUBLE",
    "TIMESTAMPTZ": "TIMESTAMPTZ",
    "VARCHAR": "TEXT",
}
"""What a column is declared as; a decimal is a text, which keeps its zeros."""


class SQLiteDialect:
    name = "sqlite"

    def quote(self, name: str) -> str:
        return quoted(name)

    def schema(self, name: str) -> str:
        return quoted(name)

    def literal(self, text: str) -> str:
        return literal(text)

    def number(self, text: str) -> str:
        return f"CAST({text} AS REAL)"

    def date(self, iso: str) -> str:
        return literal(iso)

    def instant(self, iso: str) -> str:
        return f"micros_of({literal(iso)})"

    def today(self) -> str:
        return "date('now')"

    def now(self) -> str:
        return "CAST(strftime('%s', 'now') AS INTEGER) * 1000000"

    def try_cast(self, sql: str, to: Plain) -> str:
        return f"try_as({sql}, {literal(to)})"

    def contains(self, sql: str, text: str) -> str:
        return f"instr(CAST({sql} AS TEXT), {literal(text)}) > 0"

    def matches(self, sql: str, pattern: str) -> str:
        raise UnsupportedExpression("SQLite has no regular expressions.")

    def count_where(self, condition: str) -> str:
        return f"count(CASE WHEN {condition} THEN 1 END)"

    def micros(self, sql: str) -> str:
        return f"micros_of({sql})"

    def day(self, sql: str, held: str, timezone: str) -> str:
        return f"day_of({sql}, {literal(timezone)})"

    def keyed(self, sql: str, held: str) -> str:
        return sql

    def shown(self, sql: str, type_: str) -> str:
        return sql

    def type(self, landed: str) -> str:
        kind = landed.upper()
        if kind.startswith("DECIMAL("):
            return f"TEXT {kind.replace(' ', '')}"
        if kind not in _DECLARED:
            raise UnsupportedType(f"The toy warehouse keeps no {landed}.")
        return _DECLARED[kind]

    def json_text(self, sql: str, path: Sequence[str]) -> str:
        return self.try_cast(f"json_extract({sql}, {literal(json_path(path))})", "text")

    def hashed(self, sql: str) -> str:
        return f"hash_of({sql})"

    def same_type(self, held: str, landed: str) -> bool:
        return held == self.type(landed)

    def widens(self, held: str, landed: str) -> bool:
        return not self.same_type(held, landed) and holds(landed, held.removeprefix("TEXT "))

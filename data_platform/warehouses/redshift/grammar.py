"""Redshift's spelling. Its SQL is PostgreSQL 8's with functions of its own, and DDL is part of a transaction."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import ClassVar

from data_platform.errors import LoadRefused, UnsupportedType
from data_platform.posix_patterns import posix
from data_platform.sql import literal
from data_platform.tables import Column, TableId
from data_platform.warehouses.dialect import Plain
from data_platform.warehouses.redshift import backup_types, types
from data_platform.warehouses.remote.grammar import Grammar, Loadable, Placement
from data_platform.warehouses.remote.kept import Kept

LOCKS = "_data_platform_locks"
"""The schema of one empty table for each raw table: a load locks it, and readers of the raw table wait for nothing."""
COLUMNS_MAX = 1_600
NAME_BYTES_MAX = 127
SORT_COLUMNS_MAX = 400

_COMPARED_AS = {
    "number": "DOUBLE PRECISION",
    "date": "DATE",
    "instant": "TIMESTAMPTZ",
    "boolean": "BOOLEAN",
    "text": f"VARCHAR({types.TEXT_BYTES_MAX})",
}
_TEXT = f"VARCHAR({types.TEXT_BYTES_MAX})"
_SORTABLE = re.compile(r"(?!SUPER|VARBYTE)")


class RedshiftGrammar(Grammar):
    name: ClassVar[str] = "redshift"
    transactional_ddl: ClassVar[bool] = True

    def literal(self, text: str) -> str:
        """A backslash within quotes may mean something, depending on a setting; outside of them it does not."""
        pieces = [literal(piece) for piece in text.split("\\")]
        return pieces[0] if len(pieces) == 1 else f"({' || CHR(92) || '.join(pieces)})"

    def now(self) -> str:
        return "CAST(GETDATE() AS TIMESTAMPTZ)"

    def try_cast(self, sql: str, to: Plain) -> str:
        return f"TRY_CAST({sql} AS {_COMPARED_AS[to]})"

    def contains(self, sql: str, text: str) -> str:
        return f"STRPOS(CAST({sql} AS {_TEXT}), {self.literal(text)}) > 0"

    def matches(self, sql: str, pattern: str) -> str:
        return f"CAST({sql} AS {_TEXT}) ~ {self.literal(posix(pattern))}"

    def json_text(self, sql: str, path: Sequence[str]) -> str:
        """A key that is missing is an empty text there, and what is no JSON is NULL by the last argument."""
        for key in path:
            sql = f"NULLIF(JSON_EXTRACT_PATH_TEXT({sql}, {self.literal(key)}, TRUE), '')"
        return sql

    def micros(self, sql: str) -> str:
        return f"DATEDIFF(us, TIMESTAMP '1970-01-01', CAST({sql} AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"

    def shown(self, sql: str, type_: str) -> str:
        return sql

    def type(self, landed: str) -> str:
        return types.redshift_type(landed)

    def same_type(self, held: str, landed: str) -> bool:
        return held == self.type(landed)

    def widens(self, held: str, landed: str) -> bool:
        return types.widens(held, landed)

    def loadable(self, column: Column) -> Loadable:
        return types.loadable(column)

    def check(self, table: TableId, columns: Sequence[Column], placement: Placement) -> None:
        what = f"The raw table {table.raw_name} cannot be made in Redshift:"
        if len(columns) > COLUMNS_MAX:
            raise LoadRefused(
                f"{what} it would have {len(columns):,} columns, and a table has at most {COLUMNS_MAX:,}. List the ones that are"
                " needed under `columns` in the catalog."
            )
        names = [table.raw_schema, table.table, *(column.name for column in columns)]
        if long := [name for name in names if len(name.encode()) > NAME_BYTES_MAX]:
            raise LoadRefused(
                f"{what} the name {long[0]} is longer than {NAME_BYTES_MAX} bytes. Read the table through a view with"
                " shorter names."
            )
        if (named := f"{table.raw_schema}.{table.table}") != named.lower():
            raise LoadRefused(
                f"{what} Redshift ignores the case of names, so that another table could be the same one. Name its source and the"
                " table in small letters in the catalog, by a view if need be."
            )
        folded: dict[str, str] = {}
        for column in columns:
            other = folded.setdefault(column.name.lower(), column.name)
            if other != column.name:
                raise LoadRefused(
                    f"{what} the columns {other} and {column.name} are one name in Redshift, which ignores case. Leave one"
                    " of them out, or read a view that names them apart."
                )
        known = {column.name: column for column in columns}
        for name in placement.cluster:
            if name not in known or not _SORTABLE.match(self.type(known[name].type)):
                raise LoadRefused(
                    f"{what} it is to be clustered by {name}, which is no column of it that Redshift can sort by. Correct"
                    " `cluster` in the table's block."
                )

    def instant(self, iso: str) -> str:
        return f"CAST({literal(iso.replace('T', ' '))} AS TIMESTAMPTZ)"

    def keyed(self, sql: str, held: str) -> str:
        """Spaces at the end of a text are ignored when texts are compared, and count in what follows them."""
        return f"({sql} || '.')" if held.startswith("VARCHAR") and held != "VARCHAR(36)" else sql

    def day(self, sql: str, held: str, timezone: str) -> str:
        if held == "DATE":
            return sql
        if held == "TIMESTAMPTZ":
            return f"CAST({sql} AT TIME ZONE {literal(timezone)} AS DATE)"
        if held == "TIMESTAMP":
            return f"CAST({sql} AS DATE)"
        raise UnsupportedType(
            f"A partition column of the type {held} holds no day. Choose a date or timestamp column as `partition` in the"
            " catalog, or leave it out."
        )

    def key_text(self, sql: str, held: str) -> str:
        if held == "BOOLEAN":
            return f"CASE WHEN {sql} THEN 'true' WHEN NOT {sql} THEN 'false' END"
        if held == "TIMESTAMPTZ":
            return f"CAST({self.micros(sql)} AS {_TEXT})"
        if held == "TIMESTAMP":
            return f"CAST(DATEDIFF(us, TIMESTAMP '1970-01-01', {sql}) AS {_TEXT})"
        if held == "TIME":
            return f"CAST(DATEDIFF(us, TIME '00:00', {sql}) AS {_TEXT})"
        if held.startswith("VARBYTE"):
            return f"LOWER(TO_HEX({sql}))"
        if held in ("REAL", "DOUBLE PRECISION") or held.startswith("SUPER"):
            raise UnsupportedType(
                f"A key column of the type {held} has a text that differs between engines. Say `as: text` for it in the"
                " catalog, or choose another key."
            )
        return f"CAST({sql} AS {_TEXT})"

    def whole_text(self, sql: str, held: str) -> str:
        """A digest of the text where it may be long: a text that is put together is at most 65,535 bytes, too."""
        if held.startswith("VARCHAR"):
            return f"MD5({sql})"
        if held.startswith("VARBYTE"):
            return f"CAST(FNV_HASH({sql}) AS {_TEXT})"
        if held in ("REAL", "DOUBLE PRECISION"):
            return f"CAST({sql} AS {_TEXT})"
        return self.key_text(sql, held)

    def kept(self, held: str) -> Kept:
        return backup_types.kept(held, self)

    def token(self, pieces: Sequence[str]) -> str:
        joined = " || CHR(31) || ".join(f"coalesce({piece}, '')" for piece in pieces)
        return f"STRTOL(SUBSTRING(MD5({joined}), 1, 15), 16)"

    def placed(self, columns: Sequence[Column], placement: Placement) -> str:
        """A sort key makes Redshift skip the blocks of other days; there are no partitions."""
        names = [*([placement.partition] if placement.partition else []), *placement.cluster]
        known = {column.name for column in columns}
        sorted_by = [self.quote(name) for name in dict.fromkeys(names) if name in known]
        return f" COMPOUND SORTKEY ({', '.join(sorted_by)})" if sorted_by else ""

    def folded(self, name: str) -> str:
        return name.lower()

    def beside(self, table: TableId) -> tuple[str, ...]:
        return (
            self.create_schema(LOCKS),
            f"CREATE TABLE IF NOT EXISTS {self._lock(table)} (nothing SMALLINT)",
        )

    def lock(self, table: TableId) -> tuple[str, ...]:
        return (f"LOCK TABLE {self._lock(table)}",)

    def _lock(self, table: TableId) -> str:
        """Any name of a raw table, in any length and of any characters, as one of the locks'."""
        return self.relation(LOCKS, f"of_{_short(table)}")

    def widen(
        self, schema: str, name: str, columns: Sequence[tuple[Column, str]], attempt: str
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Redshift alters no type within a transaction: another column takes the name, with the values."""
        table, wider, made = self.relation(schema, name), self.quote("_wider"), list[str]()
        for column, _ in columns:
            old, kind = self.quote(column.name), self.type(column.type)
            made += [
                f"ALTER TABLE {table} ADD COLUMN {wider} {kind}",
                f"UPDATE {table} SET {wider} = CAST({old} AS {kind})",
                f"ALTER TABLE {table} DROP COLUMN {old}",
                f"ALTER TABLE {table} RENAME COLUMN {wider} TO {old}",
            ]
        return (), tuple(made)

    def replacing(
        self, table: TableId, columns: Sequence[Column], placement: Placement, query: str, attempt: str
    ) -> tuple[str, ...]:
        schema, new = table.raw_schema, f"_new_{_short(table)}"
        made = self.relation(schema, new)
        names = ", ".join(self.quote(column.name) for column in columns)
        return (
            f"DROP TABLE IF EXISTS {made}",
            self.create_table(schema, new, columns, placement),
            f"INSERT INTO {made} ({names}) {query}",
            f"DROP TABLE {self.relation(schema, table.table)}",
            f"ALTER TABLE {made} RENAME TO {self.quote(table.table)}",
        )

    def deleted_row(self, table: TableId) -> str:
        return self.quote(table.table)

    def delete(self, table: TableId, condition: str) -> str:
        return f"DELETE FROM {self.relation(table.raw_schema, table.table)} WHERE {condition}"


def _short(table: TableId) -> str:
    return hashlib.sha256(str(table).encode()).hexdigest()[:24]


GRAMMAR = RedshiftGrammar()

"""What Snowflake says in its own way. Pure text.

Three traps are behind the odd forms. A backslash in a text literal begins an escape. REGEXP_LIKE matches the whole text
only. TRY_CAST takes nothing but a text, and reads a bare number as a time. The session pins its zone to UTC and how times
are written (``connect.py``), which some of these expressions rely on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from data_platform.errors import LoadRefused, UnsupportedExpression, UnsupportedType
from data_platform.sql import json_path
from data_platform.tables import Column, TableId
from data_platform.warehouses.dialect import Plain
from data_platform.warehouses.remote.grammar import Grammar, Loadable, Placement
from data_platform.warehouses.remote.kept import Kept
from data_platform.warehouses.snowflake import backup_types, names, types

_NAME_LENGTH = 255
_NO_CLUSTER = ("ARRAY", "VARIANT", "OBJECT", "BINARY")
_ENDLESS = "isinf({})", "are infinite, which Snowflake cannot hold"
_CALENDAR = (
    "NOT isinf({}) AND year({}) NOT BETWEEN 1 AND 9999",
    "lie outside the years 1 to 9999, which Snowflake cannot hold",
)
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][^\n]*)?"
"""The whole of a text that is a day or a time, and no number of seconds."""
_AS_TEXT = ("DATE", "TIME", "BINARY", "ARRAY", "VARIANT", "OBJECT")


class SnowflakeGrammar(Grammar):
    name = "snowflake"
    transactional_ddl: ClassVar[bool] = False

    def quote(self, name: str) -> str:
        return names.quote(name)

    def schema(self, name: str) -> str:
        return self.quote(name)

    def literal(self, text: str) -> str:
        return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"

    def number(self, text: str) -> str:
        return f"CAST({text} AS FLOAT)"

    def today(self) -> str:
        return "TO_DATE(SYSDATE())"

    def now(self) -> str:
        return "CURRENT_TIMESTAMP"

    def count_where(self, condition: str) -> str:
        return f"COUNT_IF({condition})"

    def try_cast(self, sql: str, to: Plain) -> str:
        text = f"TO_VARCHAR({sql})"
        when = f"CASE WHEN REGEXP_LIKE({text}, {self.literal(_DAY)}) THEN"
        match to:
            case "number":
                return f"TRY_TO_DOUBLE({text})"
            case "boolean":
                return f"TRY_TO_BOOLEAN({text})"
            case "date":
                return f"{when} TRY_TO_DATE(SUBSTR({text}, 1, 10), 'YYYY-MM-DD') END"
            case "instant":
                return f"{when} TRY_CAST({text} AS TIMESTAMP_TZ) END"
            case "text":
                return text
            case _:
                raise UnsupportedExpression(f"Snowflake does not compare values as {to}.")

    def contains(self, sql: str, text: str) -> str:
        return f"CONTAINS(TO_VARCHAR({sql}), {self.literal(text)})"

    def matches(self, sql: str, pattern: str) -> str:
        """Snowflake's patterns know no groups with a flag or a condition; that letters may be large or small is a parameter."""
        bare = pattern.removeprefix("(?i)")
        if "(?" in bare:
            raise UnsupportedExpression(
                f"Snowflake knows no (?...) within a pattern such as {pattern!r}. Write it without, or as a test in dbt."
            )
        around, letters = r"[\s\S]*", "" if bare == pattern else ", 'i'"
        return f"REGEXP_LIKE(TO_VARCHAR({sql}), {self.literal(f'{around}({bare}){around}')}{letters})"

    def json_text(self, sql: str, path: Sequence[str]) -> str:
        keys = json_path(path).removeprefix("$.")
        return f"JSON_EXTRACT_PATH_TEXT({sql}, {self.literal(keys)})"

    def micros(self, sql: str) -> str:
        return f"DATE_PART(EPOCH_MICROSECOND, CAST({sql} AS TIMESTAMP_TZ))"

    def shown(self, sql: str, type_: str) -> str:
        return f"TO_VARCHAR({sql})" if type_.upper().startswith(_AS_TEXT) else sql

    def type(self, landed: str) -> str:
        return types.engine_type(landed)

    def same_type(self, held: str, landed: str) -> bool:
        return types.same_type(held, landed)

    def widens(self, held: str, landed: str) -> bool:
        return types.widens(held, landed)

    # -- values

    def loadable(self, column: Column) -> Loadable:
        staged, kind = types.engine_type(column.type), types.plain(column.type)
        if kind == "UUID":  # Parquet has the 16 bytes
            groups, dashed = "^(.{8})(.{4})(.{4})(.{4})(.{12})$", r"\\1-\\2-\\3-\\4-\\5"
            return Loadable("BINARY", value=f"REGEXP_REPLACE(HEX_ENCODE({{}}, 0), '{groups}', '{dashed}')")
        if (
            kind == "TIME"
        ):  # it comes as a time or, where its logical type is not known, as whole microseconds
            bare = "TIME_FROM_PARTS(0, 0, 0, CAST({} AS NUMBER(19,0)) * 1000)"
            timed = f"CASE WHEN TYPEOF({{}}) = 'INTEGER' THEN {bare} ELSE CAST({{}} AS TIME(6)) END"
            return Loadable("VARIANT", value=timed)
        if kind in ("DATE", "TIMESTAMP", "TIMESTAMPTZ"):
            return Loadable(staged, refused=(_ENDLESS, _CALENDAR))
        if kind == "BLOB":
            return Loadable(staged, refused=(_larger("octet_length({})", types.BINARY_BYTES),))
        if staged == "VARCHAR":
            as_text = "{}::VARCHAR" if column.type.upper().startswith("ENUM") else None
            return Loadable(staged, as_text, refused=(_larger("strlen({}::VARCHAR)", types.TEXT_BYTES),))
        return Loadable(staged)

    def check(self, table: TableId, columns: Sequence[Column], placement: Placement) -> None:
        alike = names.not_told_apart(column.name for column in columns)
        if alike:
            raise LoadRefused(
                f"{table} has the columns {', '.join(alike)}, which Snowflake does not tell apart: it stores names in upper"
                " case. Leave one of them out with `columns:` in the table's block, or read a view that renames it."
            )
        if long := [name for name in (table.table, *(c.name for c in columns)) if len(name) > _NAME_LENGTH]:
            raise LoadRefused(
                f"{table} has a name of more than {_NAME_LENGTH} characters: {long[0][:40]}...."
            )
        for column in columns:
            if column.name in placement.cluster and types.engine_type(column.type) in _NO_CLUSTER:
                raise LoadRefused(
                    f"{table} cannot be clustered by {column.name} of the type {column.type}. Take it out of `cluster`."
                )

    def instant(self, iso: str) -> str:
        return f"CAST({self.literal(iso)} AS TIMESTAMP_TZ(6))"

    def day(self, sql: str, held: str, timezone: str) -> str:
        match types.kind_of(held):
            case "DATE":
                return sql
            case "TIMESTAMP_TZ" | "TIMESTAMP_LTZ":
                return f"TO_DATE(CONVERT_TIMEZONE({self.literal(timezone)}, {sql}))"
            case "TIMESTAMP_NTZ":
                return f"TO_DATE({sql})"
            case _:
                raise UnsupportedType(
                    f"A partition column of the type {held} holds no day. Choose a date or timestamp column as"
                    " `partition` in the catalog, or leave it out."
                )

    def slice_of(self, day: str) -> str:
        return f"TO_VARCHAR({day}, 'YYYY-MM-DD')"

    def key_text(self, sql: str, held: str) -> str:
        match types.kind_of(held):
            case "VARCHAR":
                return sql
            case "BOOLEAN":
                return f"TO_VARCHAR({sql})"
            case "DATE":
                return self.slice_of(sql)
            case "TIMESTAMP_TZ" | "TIMESTAMP_NTZ" | "TIMESTAMP_LTZ":
                return f"TO_VARCHAR({self.micros(sql)})"
            case "TIME":
                return f"TO_VARCHAR(DATEDIFF(MICROSECOND, CAST('00:00:00' AS TIME), {sql}))"
            case "BINARY":
                return f"HEX_ENCODE({sql}, 0)"
        if types.scale_of(held) == 0:
            return f"TO_VARCHAR({sql})"
        if types.scale_of(held) is not None:  # a fraction is written with a digit before its point
            return f"REGEXP_REPLACE(TO_VARCHAR({sql}), '^(-?)[.]', '\\\\10.')"
        raise UnsupportedType(
            f"A key column of the type {held} has a text that differs between engines, so the table's rows could not be"
            " compared with the source. Land it as text with `as: {column: text}` in the catalog, or choose another key."
        )

    def whole_text(self, sql: str, held: str) -> str:
        kind = types.kind_of(held)
        if kind == "FLOAT":  # its text has fewer digits than it has
            return f"IFF({sql} IS NULL, NULL, TO_VARCHAR(HASH({sql})))"
        return f"TO_JSON({sql})" if kind in ("ARRAY", "OBJECT", "VARIANT") else self.key_text(sql, held)

    def kept(self, held: str) -> Kept:
        return backup_types.kept(held, self)

    def at(self, relation: str, instant: str) -> str:
        return f"{relation} AT(TIMESTAMP => {self.literal(instant)}::TIMESTAMP_TZ)"

    def restored(self, sql: str, held: str) -> str:
        return super().restored(f"PARSE_JSON({sql})" if held == "ARRAY" else sql, held)

    def token(self, pieces: Sequence[str]) -> str:
        joined = " || CHR(31) || ".join(f"COALESCE({piece}, '')" for piece in pieces)
        return f"BITSHIFTRIGHT(MD5_NUMBER_UPPER64({joined}), 4)"

    def total(self, sql: str) -> str:
        return f"SUM(CAST({sql} AS NUMBER(38,0)))"

    # -- tables

    def folded(self, name: str) -> str:
        return names.landed(names.folded(name))

    def create_schema(self, name: str) -> str:
        kind = "TRANSIENT SCHEMA" if name == names.STAGE_SCHEMA else "SCHEMA"
        return f"CREATE {kind} IF NOT EXISTS {self.schema(name)}"

    def defined(self, name: str, held: str) -> str:
        """The source's spelling stands in the comment, where it is another one than Snowflake's in lower case."""
        spelled = names.spelling(name)
        comment = f" COMMENT {self.literal(spelled)}" if spelled else ""
        return f"{super().defined(name, held)}{comment}"

    def placed(self, columns: Sequence[Column], placement: Placement) -> str:
        """A day alone is no cluster key: rows come by day, and automatic clustering costs credits."""
        if not placement.cluster:
            return ""
        kinds = {column.name: types.engine_type(column.type) for column in columns}
        days = [self.day(self.quote(name), kinds[name], "UTC") for name in (placement.partition,) if name]
        keys = [*days, *(self.quote(name) for name in placement.cluster)]
        return f" CLUSTER BY ({', '.join(keys)})"

    def beside(self, table: TableId) -> tuple[str, ...]:
        """One row, which a transaction updates first: two INSERTs lock nothing of each other, two UPDATEs wait."""
        return (
            self.create_schema(names.STAGE_SCHEMA),
            f"CREATE TABLE IF NOT EXISTS {self._lock_of(table)} AS SELECT 0 AS TURNS",
        )

    def lock(self, table: TableId) -> tuple[str, ...]:
        return (f"UPDATE {self._lock_of(table)} SET TURNS = TURNS + 1",)

    def _lock_of(self, table: TableId) -> str:
        return self.relation(names.STAGE_SCHEMA, f"lock_{table.raw_name}")

    def building(self, attempt: str) -> str:
        """The table that an attempt makes, to take the place of another."""
        return self.relation(names.STAGE_SCHEMA, f"new_{attempt}")

    def unbuild(self, attempt: str) -> tuple[str, ...]:
        return (self.create_schema(names.STAGE_SCHEMA), f"DROP TABLE IF EXISTS {self.building(attempt)}")

    def add_column(self, schema: str, name: str, column: Column) -> str:
        return f"ALTER TABLE {self.relation(schema, name)} ADD COLUMN IF NOT EXISTS {self.definition(column)}"

    def widen(
        self, schema: str, name: str, columns: Sequence[tuple[Column, str]], attempt: str
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """More digits of the same scale in place; for anything else one table is made of the old one's rows."""
        target, altered, cast = self.relation(schema, name), [], []
        for column, held in columns:
            here, kind = self.quote(column.name), self.type(column.type)
            if types.only_precision(held, column.type):
                altered.append(f"ALTER TABLE {target} ALTER COLUMN {here} SET DATA TYPE {kind}")
            else:
                cast.append(f"CAST({here} AS {kind}) AS {here}")
        if not cast:
            return tuple(altered), ()
        new = self.building(attempt)
        return (
            *altered,
            self.create_schema(names.STAGE_SCHEMA),
            f"CREATE OR REPLACE TABLE {new} AS SELECT * REPLACE ({', '.join(cast)}) FROM {target}",
            self._exchanged(target, new),
        ), ()

    def replacing(
        self, table: TableId, columns: Sequence[Column], placement: Placement, query: str, attempt: str
    ) -> tuple[str, ...]:
        """The long statement makes a table beside; the last one, which is short, puts it into the raw table's place. It
        keeps the rights that people have on it."""
        new = self.building(attempt)
        defined = ", ".join(map(self.definition, columns))
        return (
            self.create_schema(names.STAGE_SCHEMA),
            f"CREATE OR REPLACE TABLE {new} ({defined}){self.placed(columns, placement)} AS {query}",
            self._exchanged(self.relation(table.raw_schema, table.table), new),
        )

    def _exchanged(self, target: str, new: str) -> str:
        return f"CREATE OR REPLACE TABLE {target} CLONE {new} COPY GRANTS"


def _larger(bytes_of: str, limit: int) -> tuple[str, str]:
    words = (
        f"are larger than the {limit // 1_048_576} MB that a cell may have in Snowflake: leave the column out, or split it"
        " at its source"
    )
    return f"{bytes_of} > {limit}", words


GRAMMAR = SnowflakeGrammar()

"""What BigQuery spells in its own way, as pure GoogleSQL text.

One object speaks of one warehouse: it knows the project and the prefix of its datasets, which stand in every name. Casts
go through a text where GoogleSQL refuses to translate a cast between two types, since a rule does not know a column's type.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

from data_platform.errors import LoadRefused, UnsupportedType
from data_platform.sql import json_path
from data_platform.tables import Column, TableId
from data_platform.warehouses import PLATFORM_SCHEMA
from data_platform.warehouses.bigquery import backup_types, types
from data_platform.warehouses.dialect import Plain
from data_platform.warehouses.remote.grammar import Grammar, Loadable, Placement
from data_platform.warehouses.remote.kept import Kept

STAGE_SCHEMA = f"{PLATFORM_SCHEMA}_stage"
"""The dataset of what goes away by itself: its tables expire after a day."""
SNAPSHOT_SCHEMA = f"{PLATFORM_SCHEMA}_snapshots"
"""The dataset of table snapshots (``snapshots.py``)."""
Unit = Literal["day", "month", "year"]

_COLUMNS_MAX, _CLUSTER_MAX, _NAME_MAX = 10_000, 4, 300
_FORBIDDEN = set('!"$()*,./;?@[\\]^`{}~')
_RESERVED = (
    "_TABLE_",
    "_FILE_",
    "_PARTITION",
    "_ROW_TIMESTAMP",
    "__ROOT__",
    "_COLIDENTIFIER",
    "_CHANGE_SEQUENCE_NUMBER",
)
_NOT_CLUSTERED = ("FLOAT64", "BYTES", "TIME")
_ESCAPED = re.compile(r"[\\'`\x00-\x1f\x7f]")
_TRUNCATED = {"DATE": "DATE_TRUNC", "DATETIME": "DATETIME_TRUNC", "TIMESTAMP": "TIMESTAMP_TRUNC"}


class BigQueryGrammar(Grammar):
    """Of the datasets of ``project`` (the session's own unless given) whose names begin with ``prefix``."""

    name = "bigquery"
    transactional_ddl = False

    def __init__(
        self,
        project: str | None = None,
        prefix: str = "",
        *,
        location: str | None = None,
        unit: Unit = "day",
        require_partition_filter: bool = False,
        partition_expiration_days: int | None = None,
    ) -> None:
        self.project, self.prefix, self._location = project, prefix, location
        self.unit, self._filtered, self._expiration = (
            unit,
            require_partition_filter,
            partition_expiration_days,
        )

    # -- Dialect

    def quote(self, name: str) -> str:
        return f"`{_ESCAPED.sub(_escape, name)}`"

    def schema(self, name: str) -> str:
        dataset = self.quote(self.dataset(name))
        return f"{self.quote(self.project)}.{dataset}" if self.project else dataset

    def dataset(self, schema: str) -> str:
        return f"{self.prefix}{schema}"

    def literal(self, text: str) -> str:
        return f"'{_ESCAPED.sub(_escape, text)}'"

    def number(self, text: str) -> str:
        return f"CAST({text} AS FLOAT64)"

    def today(self) -> str:
        return "CURRENT_DATE('UTC')"

    def now(self) -> str:
        return "CURRENT_TIMESTAMP()"

    def count_where(self, condition: str) -> str:
        return f"COUNTIF({condition})"

    def try_cast(self, sql: str, to: Plain) -> str:
        text = f"SAFE_CAST({sql} AS STRING)"
        if to == "text":
            return text
        if to == "date":  # a text may say a time, too
            return f"DATE(SAFE_CAST({text} AS TIMESTAMP), 'UTC')"
        return (
            f"SAFE_CAST({text} AS {({'number': 'FLOAT64', 'boolean': 'BOOL', 'instant': 'TIMESTAMP'})[to]})"
        )

    def contains(self, sql: str, text: str) -> str:
        return f"STRPOS(SAFE_CAST({sql} AS STRING), {self.literal(text)}) > 0"

    def matches(self, sql: str, pattern: str) -> str:
        return f"REGEXP_CONTAINS(SAFE_CAST({sql} AS STRING), {self.literal(pattern)})"

    def json_text(self, sql: str, path: Sequence[str]) -> str:
        return f"JSON_VALUE({sql}, {self.literal(json_path(path))})"

    def micros(self, sql: str) -> str:
        return f"UNIX_MICROS(CAST({sql} AS TIMESTAMP))"

    def shown(self, sql: str, type_: str) -> str:
        return f"TO_HEX({sql})" if type_ == "BYTES" else sql

    def type(self, landed: str) -> str:
        return types.of_landed(landed)

    def hashed(self, sql: str) -> str:
        return f"TO_HEX(MD5({sql}))"

    def same_type(self, held: str, landed: str) -> bool:
        return types.same(held, landed)

    def widens(self, held: str, landed: str) -> bool:
        return types.widens(held, landed)

    # -- values

    def loadable(self, column: Column) -> Loadable:
        kind, staged = types.plain(column.type), types.of_landed(column.type)
        rewritten = None
        if kind.endswith("[]"):  # BigQuery knows no NULL in an array, and reads a NULL array as an empty one
            rewritten = "to_json({})::VARCHAR"
        elif types.as_text(kind):
            rewritten = "{}::VARCHAR"
        elif kind == "UBIGINT":
            rewritten = "{}::DECIMAL(20,0)"
        return Loadable(staged, rewritten, refused=_refused(kind, rewritten))

    def check(self, table: TableId, columns: Sequence[Column], placement: Placement) -> None:
        problems = [*_bad_table(table.table), *_bad_columns(columns)]
        landed = {column.name: column.type for column in columns}
        if len(placement.cluster) > _CLUSTER_MAX:
            problems.append(
                f"is clustered by {len(placement.cluster)} columns, of which BigQuery takes {_CLUSTER_MAX}"
            )
        for name in placement.cluster:
            if name in landed and types.in_cast(types.of_landed(landed[name])) in _NOT_CLUSTERED:
                problems.append(
                    f"is clustered by {name}, a {types.of_landed(landed[name])}, by which BigQuery cannot"
                )
        if problems:
            raise LoadRefused(
                f"BigQuery cannot hold the table {table} as it is: it {'; it '.join(problems)}. Nothing was loaded. Change"
                " the table's block in the catalog, or leave columns out with `exclude`."
            )

    def instant(self, iso: str) -> str:
        return f"TIMESTAMP {self.literal(iso)}"

    def cast(self, sql: str, landed: str) -> str:
        if (
            sql == "NULL" and landed == "DATE"
        ):  # rows are grouped by it, which BigQuery refuses for a constant
            return "IF(FALSE, DATE '1970-01-01', NULL)"
        return f"CAST({sql} AS {types.in_cast(self.type(landed))})"

    def day(self, sql: str, held: str, timezone: str) -> str:
        if held == "DATE":
            return sql
        if held == "DATETIME":
            return f"DATE({sql})"
        if held == "TIMESTAMP":
            return f"DATE({sql}, {self.literal(timezone)})"
        raise UnsupportedType(
            f"A column of BigQuery's type {held} holds no day. Choose a date or timestamp column as `partition` in the"
            " catalog, or leave it out."
        )

    def key_text(self, sql: str, held: str) -> str:
        if (exact := types.digits(held)) is not None:
            return _fixed(sql, exact.scale)
        forms = {
            "INT64": f"CAST({sql} AS STRING)",
            "BOOL": f"CAST({sql} AS STRING)",
            "STRING": sql,
            "BYTES": f"TO_HEX({sql})",
            "DATE": f"CAST({sql} AS STRING)",
            "TIMESTAMP": f"CAST(UNIX_MICROS({sql}) AS STRING)",
            "DATETIME": f"CAST(UNIX_MICROS(CAST({sql} AS TIMESTAMP)) AS STRING)",
            "TIME": f"CAST(TIME_DIFF({sql}, TIME '00:00:00', MICROSECOND) AS STRING)",
        }
        if held not in forms:
            raise UnsupportedType(
                f"A key of BigQuery's type {held} has no text that is the same in every engine, so the table's rows could not"
                " be compared with the source. Choose another key in the catalog."
            )
        return forms[held]

    def whole_text(self, sql: str, held: str) -> str:
        return f"TO_HEX({sql})" if held == "BYTES" else f"CAST({sql} AS STRING)"

    def kept(self, held: str) -> Kept:
        return backup_types.kept(held, self)

    def at(self, relation: str, instant: str) -> str:
        return f"{relation} FOR SYSTEM_TIME AS OF {self.instant(instant)}"

    def restored(self, sql: str, held: str) -> str:
        return f"CAST({sql} AS {types.in_cast(held)})"

    def token(self, pieces: Sequence[str]) -> str:
        joined = ", '\\x1f', ".join(f"IFNULL({piece}, '')" for piece in pieces)
        return f"CAST(CONCAT('0x', SUBSTR(TO_HEX(MD5(CONCAT({joined}))), 1, 15)) AS INT64)"

    def total(self, sql: str) -> str:
        return f"SUM(CAST({sql} AS NUMERIC))"

    # -- tables

    def relation(self, schema: str, name: str) -> str:
        return f"{self.schema(schema)}.{self.quote(name)}"

    def create_schema(self, name: str) -> str:
        options = [f"location = {self.literal(self._location)}"] if self._location else []
        if name == STAGE_SCHEMA:
            options.append("default_table_expiration_days = 1")
        return f"CREATE SCHEMA IF NOT EXISTS {self.schema(name)}{_options(options)}"

    def create_table(self, schema: str, name: str, columns: Sequence[Column], placement: Placement) -> str:
        defined = ", ".join(map(self.definition, columns))
        return f"CREATE TABLE IF NOT EXISTS {self.relation(schema, name)} ({defined}){self.placed(columns, placement)}"

    def placed(self, columns: Sequence[Column], placement: Placement) -> str:
        return self._placed(columns, placement, [])

    def _placed(self, columns: Sequence[Column], placement: Placement, options: list[str]) -> str:
        text = ""
        landed = {column.name: column.type for column in columns}
        if placement.partition is not None:
            text = f" PARTITION BY {self._partition(placement.partition, self.type(landed[placement.partition]))}"
            options = [*options, *(["require_partition_filter = true"] if self._filtered else [])]
            if self._expiration is not None:
                options.append(f"partition_expiration_days = {self._expiration}")
        if placement.cluster:
            text += f" CLUSTER BY {', '.join(map(self.quote, placement.cluster))}"
        return text + _options(options)

    def _partition(self, name: str, type_: str) -> str:
        column = self.quote(name)
        if type_ == "DATE" and self.unit == "day":
            return column
        if type_ not in _TRUNCATED:
            raise UnsupportedType(f"BigQuery cannot partition by {name}, a {type_}.")
        return f"{_TRUNCATED[type_]}({column}, {self.unit.upper()})"

    def beside(self, table: TableId) -> tuple[str, ...]:
        return (f"CREATE TABLE IF NOT EXISTS {self._lock_of(table)} AS SELECT 0 AS n",)

    def _lock_of(self, table: TableId) -> str:
        return self.relation(PLATFORM_SCHEMA, f"lock_{table.raw_schema}_{table.table}")

    def add_column(self, schema: str, name: str, column: Column) -> str:
        return f"ALTER TABLE {self.relation(schema, name)} ADD COLUMN IF NOT EXISTS {self.definition(column)}"

    def widen(
        self, schema: str, name: str, columns: Sequence[tuple[Column, str]], attempt: str
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """In place: a BigQuery table keeps its rows when a type becomes wider."""
        target = self.relation(schema, name)
        return tuple(
            f"ALTER TABLE {target} ALTER COLUMN {self.quote(column.name)} SET DATA TYPE {self.type(column.type)}"
            for column, _ in columns
        ), ()

    def replacing(
        self, table: TableId, columns: Sequence[Column], placement: Placement, query: str, attempt: str
    ) -> tuple[str, ...]:
        new = self._building(attempt)
        defined = ", ".join(map(self.definition, columns))
        placed = self.placed(columns, placement)
        return (
            self.create_schema(STAGE_SCHEMA),
            f"CREATE OR REPLACE TABLE {new} ({defined}){placed} AS {query}",
            self.put(new, self.relation(table.raw_schema, table.table)),
        )

    def unbuild(self, attempt: str) -> tuple[str, ...]:
        return (self.create_schema(STAGE_SCHEMA), f"DROP TABLE IF EXISTS {self._building(attempt)}")

    def put(self, table: str, place: str) -> str:
        """The table in the place of another, or where none is. It shares its storage, so that this takes no longer for more rows.
        The stage's tables expire, and what comes of them must not."""
        return (
            f"CREATE OR REPLACE TABLE {place} CLONE {table};\n"
            f"ALTER TABLE {place} SET OPTIONS (expiration_timestamp = NULL)"
        )

    def _building(self, attempt: str) -> str:
        """The table that an attempt makes, to take the place of another; it expires."""
        return self.relation(STAGE_SCHEMA, f"new_{attempt}")

    # -- rows

    def lock(self, table: TableId) -> tuple[str, ...]:
        return (f"UPDATE {self._lock_of(table)} SET n = n + 1 WHERE true",)

    def empty(self, table: TableId) -> str:
        return f"TRUNCATE TABLE {self.relation(table.raw_schema, table.table)}"

    def all_rows(self, row: str, partition: str | None) -> str:
        if partition is None or not self._filtered:
            return "true"
        column = f"{row}.{self.quote(partition)}"
        return f"({column} IS NULL OR {column} IS NOT NULL)"


def _escape(found: re.Match[str]) -> str:
    return f"\\{found[0]}" if found[0] in "\\'`" else f"\\x{ord(found[0]):02x}"


def _options(options: Sequence[str]) -> str:
    return f" OPTIONS ({', '.join(options)})" if options else ""


def _fixed(sql: str, scale: int) -> str:
    """A NUMERIC as text with all digits of its scale, where BigQuery leaves out zeros at the end."""
    text = f"CAST({sql} AS STRING)"
    whole = f"SPLIT({text}, '.')[OFFSET(0)]"
    if not scale:
        return whole
    fraction = f"SUBSTR(IFNULL(SPLIT({text}, '.')[SAFE_OFFSET(1)], ''), 1, {scale})"
    return f"CONCAT({whole}, '.', RPAD({fraction}, {scale}, '0'))"


def _refused(kind: str, rewritten: str | None) -> tuple[tuple[str, str], ...]:
    """Conditions on a landed value that BigQuery cannot hold, and what they say of it."""
    if kind in ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"):
        outside = f"{{}} < CAST('0001-01-01' AS {kind}) OR {{}} >= CAST('10000-01-01' AS {kind})"
        return ((outside, "are infinite or outside the years 1 to 9999, which are all that BigQuery has"),)
    if kind == "TIME":
        return (("{} = TIME '24:00:00'", "are 24:00:00, a time that BigQuery does not have"),)
    if types.as_text(kind) or kind in ("VARCHAR", "BLOB"):
        size = "octet_length({})" if kind == "BLOB" else f"strlen({rewritten or '{}'})"
        return (
            (f"{size} > {types.CELL_BYTES_MAX}", "are larger than the 10 MB that BigQuery takes in one cell"),
        )
    return ()


def _bad_table(name: str) -> list[str]:
    categories = {unicodedata.category(character) for character in name}
    taken = all(one[0] in "LMN" or one in ("Pc", "Pd", "Zs") for one in categories)
    return [] if taken and len(name.encode()) <= 1024 - 20 else ["has a name that BigQuery does not take"]


def _bad_columns(columns: Sequence[Column]) -> list[str]:
    problems = []
    if len(columns) > _COLUMNS_MAX:
        problems.append(f"has {len(columns):,} columns, of which BigQuery takes {_COLUMNS_MAX:,}")
    folded: dict[str, str] = {}
    for column in columns:
        name = column.name
        if len(name) > _NAME_MAX or _FORBIDDEN & set(name) or name.upper().startswith(_RESERVED):
            problems.append(f"has a column {name}, a name that BigQuery does not take")
        if (other := folded.setdefault(name.casefold(), name)) != name:
            problems.append(f"has the columns {other} and {name}, which BigQuery does not tell apart")
    return problems

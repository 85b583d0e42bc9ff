"""DuckDB SQL, as pure text: the engine that writes and sums parts speaks it, and the DuckDB warehouse.

What a row contributes to its slice's fingerprint and which slice it is in, over landed columns; and the expressions that
rules, ages and previews are made of (``DIALECT``). The definition is ``tables.Fingerprint``'s; other engines
have a twin of these expressions beside their own code and tests hold them together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from data_platform.column_types import holds
from data_platform.errors import UnsupportedType
from data_platform.sql import json_path, literal, quoted
from data_platform.tables import SOURCE_XMIN, Column

_AS_TEXT = re.compile(
    r"TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT|UTINYINT|USMALLINT|UINTEGER|UBIGINT|UHUGEINT"
    r"|BOOLEAN|UUID|VARCHAR|JSON|DECIMAL\(\d+, *\d+\)"
)
_FRACTION = re.compile(r"DECIMAL\((\d+), *(\d+)\)")
_INSTANT = re.compile(r"TIMESTAMPTZ|TIMESTAMP|TIMESTAMP WITH TIME ZONE")
_XMIN = Column(SOURCE_XMIN, "BIGINT", "xid8")
_ALIASES = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ", "TEXT": "VARCHAR", "INT": "INTEGER", "BOOL": "BOOLEAN"}
_COMPARED_AS = {
    "number": "DOUBLE",
    "date": "DATE",
    "instant": "TIMESTAMPTZ",
    "boolean": "BOOLEAN",
    "text": "VARCHAR",
}
_SHOWN_AS_TEXT = ("DATE", "TIME", "INTERVAL", "BLOB")
"""Types whose extreme values Python's own cannot hold."""


def duckdb_text(column: Column) -> str:
    """The text form of a key column as VARCHAR; NULL where it is NULL.

    Integers in decimal; uuid in lower case; DECIMAL with its fixed scale; BOOLEAN
    ``true``/``false``; DATE as ISO, years before 1 with `` BC`` after them; TIMESTAMP
    and TIMESTAMPTZ as integer microseconds since 1970 in UTC, ``infinity`` or
    ``-infinity`` where they are not finite; TIME as microseconds since midnight;
    BLOB as lower-case hex; text as it is. ``UnsupportedType`` for a type whose text
    differs between engines, such as floating point.
    """
    name, kind = quoted(column.name), column.type.upper()
    if (scale := _FRACTION.fullmatch(kind)) and scale[1] == scale[2]:
        # without a digit before the point, DuckDB writes .5 where others write 0.5
        return f"regexp_replace({name}::VARCHAR, '^(-?)\\.', '\\10.')"
    if _AS_TEXT.fullmatch(kind):
        return f"{name}::VARCHAR"
    if kind == "DATE":
        return slice_of_day(name)
    if _INSTANT.fullmatch(kind):  # epoch_us is NULL where the instant is not finite
        return f"coalesce(epoch_us({name})::VARCHAR, {name}::VARCHAR)"
    if kind == "TIME":
        return f"epoch_us({name})::VARCHAR"
    if kind == "BLOB":
        return f"lower(hex({name}))"
    raise UnsupportedType(
        f"The key column {column.name} lands as {column.type}, whose text differs between engines, so"
        f" the table's rows could not be compared with the source. Say `as: {{{column.name}: text}}`"
        " for it in the catalog, or choose another key."
    )


def keeps_text(column: Column) -> bool:
    """Whether ``duckdb_text`` has a form for the column: all but floating point, lists and the like."""
    try:
        duckdb_text(column)
    except UnsupportedType:
        return False
    return True


def duckdb_token(key: Sequence[Column], version: Column | None = _XMIN) -> str:
    """One row's share of its slice's checksum: a BIGINT from 0 to 2**60 - 1.

    Sum it (DuckDB sums BIGINT as HUGEINT) and take that modulo 2**64. NULLs count as
    empty text; ``version`` is the column of a row's version, None where there is none.
    """
    return duckdb_turned(duckdb_digest(key, version))


def duckdb_digest(key: Sequence[Column], version: Column | None = _XMIN) -> str:
    """What ``duckdb_turned`` makes a token of: the first eight bytes of a row's md5 in reverse order, as UBIGINT."""
    versioned = duckdb_text(version) if version else "''"
    pieces = [duckdb_text(column) for column in key] or ["''"]
    joined = ", chr(31), ".join([*pieces, versioned])  # concat() takes NULL for ''
    return f"(md5_number(concat({joined})) & 18446744073709551615::UHUGEINT)::UBIGINT"


def duckdb_turned(digest: str) -> str:
    """The token of ``digest``, which stands in it eight times: of few rows, a column is planned in less time than
    the whole expression is."""
    # Turned round by swapping ever larger halves: 40% less than the way through hexadecimal text.
    for mask, bits in ((0x00FF00FF00FF00FF, 8), (0x0000FFFF0000FFFF, 16), (0x00000000FFFFFFFF, 32)):
        digest = f"((({digest} & {mask}::UBIGINT) * {1 << bits}::UBIGINT) | (({digest} >> {bits}) & {mask}::UBIGINT))"
    return f"({digest} >> 4)::BIGINT"


def duckdb_content(columns: Sequence[Column]) -> str:
    """A digest of all rows in every column, whatever their order, as one VARCHAR: their number, and the
    sums of both halves of each row's md5. Equal digests are equal rows."""
    row = f"md5_number(concat({', '.join(_piece(column) for column in columns)}))"
    halves = f"{row} & 18446744073709551615::UHUGEINT", f"{row} >> 64"
    sums = ", ".join(f"coalesce(sum(({half})::UBIGINT), 0)" for half in halves)
    return f"concat_ws(':', count(*), {sums})"


def content_rows(digest: str) -> int:
    """How many rows a digest of ``duckdb_content`` is of."""
    return int(digest.partition(":")[0])


def _piece(column: Column) -> str:
    """A value as text that tells where it ends and whether it is NULL."""
    name, kind = quoted(column.name), column.type.upper()
    text = f"{name}::VARCHAR"
    if kind == "BLOB":
        text = f"hex({name})"
    elif kind.endswith("]") or kind.startswith(("STRUCT", "MAP")):
        text = f"to_json({name})::VARCHAR"
    return f"coalesce(length({text}) || ':' || {text}, '~')"


def duckdb_day(partition: Column, timezone: str) -> str:
    """The DATE a row belongs to in ``timezone``; NULL where the partition column is.

    A TIMESTAMPTZ is taken to the zone; TIMESTAMP and DATE are in the table's zone
    already. Group by this and name the groups with ``slice_of_day``: naming a day per
    row costs five times the grouping. ``UnsupportedType`` for a column that holds no day.
    """
    return _day(quoted(partition.name), partition.name, partition.type, timezone)


def _day(name: str, called: str, type_: str, timezone: str) -> str:
    kind = type_.upper()
    if kind == "DATE":
        return name
    if kind in ("TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE"):
        local = f"({name} AT TIME ZONE {literal(timezone)})::DATE"
        if timezone.upper() in ("UTC", "ETC/UTC"):
            # The same microseconds read as a TIMESTAMP: 5M rows in 0.1 s, against 1 s through the
            # zone database. Only infinities, which have no microseconds, go that way.
            return f"coalesce(make_timestamp(epoch_us({name}))::DATE, {local})"
        return local
    if _INSTANT.fullmatch(kind):
        return f"{name}::DATE"
    raise UnsupportedType(
        f"The partition column {called} lands as {type_}, which holds no day. Choose a"
        " date or timestamp column as `partition` in the catalog, or leave it out."
    )


def slice_of_day(day: str) -> str:
    """The text of the DATE expression ``day``: ISO, `` BC`` after years before 1, ``infinity``,
    ``-infinity``; NULL where it is NULL."""
    return f"replace(({day})::VARCHAR, ' (BC)', ' BC')"


def parquet_files(paths: Sequence[Path]) -> str:
    """A FROM item over exactly these files: no character of a path is a pattern, and a folder
    called ``a=b`` on the way is no column."""
    files = ", ".join(literal(re.sub(r"([\[*?])", r"[\1]", str(path))) for path in paths)
    return f"read_parquet([{files}], hive_partitioning=false)"


class DuckDBDialect:
    """A ``warehouses.dialect.Dialect``: of the DuckDB warehouse, and of the engine that lands."""

    name = "duckdb"

    def quote(self, name: str) -> str:
        return quoted(name)

    def schema(self, name: str) -> str:
        return quoted(name)

    def literal(self, text: str) -> str:
        return literal(text)

    def number(self, text: str) -> str:
        return f"CAST({text} AS DOUBLE)"

    def date(self, iso: str) -> str:
        return f"DATE {literal(iso)}"

    def instant(self, iso: str) -> str:
        return f"TIMESTAMPTZ {literal(iso)}"

    def today(self) -> str:
        return "current_date"

    def now(self) -> str:
        return "now()"

    def try_cast(self, sql: str, to: str) -> str:
        return f"TRY_CAST({sql} AS {_COMPARED_AS[to]})"

    def contains(self, sql: str, text: str) -> str:
        return f"contains(CAST({sql} AS VARCHAR), {literal(text)})"

    def matches(self, sql: str, pattern: str) -> str:
        return f"regexp_matches(CAST({sql} AS VARCHAR), {literal(pattern)})"

    def count_where(self, condition: str) -> str:
        return f"count(*) FILTER (WHERE {condition})"

    def micros(self, sql: str) -> str:
        return f"epoch_us(CAST({sql} AS TIMESTAMPTZ))"

    def day(self, sql: str, held: str, timezone: str) -> str:
        return _day(sql, sql, held, timezone)

    def keyed(self, sql: str, held: str) -> str:
        return sql

    def shown(self, sql: str, type_: str) -> str:
        return f"{sql}::VARCHAR" if type_.startswith(_SHOWN_AS_TEXT) else sql

    def type(self, landed: str) -> str:
        return landed

    def json_text(self, sql: str, path: Sequence[str]) -> str:
        return f"json_extract_string({sql}, {literal(json_path(path))})"

    def hashed(self, sql: str) -> str:
        return f"md5({sql})"

    def same_type(self, held: str, landed: str) -> bool:
        return _plain_type(held) == _plain_type(landed)

    def widens(self, held: str, landed: str) -> bool:
        return not self.same_type(held, landed) and holds(_plain_type(landed), _plain_type(held))


def _plain_type(name: str) -> str:
    upper = re.sub(r"\s*,\s*", ",", name.strip().upper())
    return _ALIASES.get(upper, upper)


DIALECT = DuckDBDialect()
"""What the engine speaks that reads sources and writes parts: rules that need clear values are tested in it."""

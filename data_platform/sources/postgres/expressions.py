"""PostgreSQL's spelling of the expressions that rules need (``data_platform.expressions``), for versions 13 to 18.

There is no TRY_CAST. A value goes by its text, which is cast only where its form says that the cast succeeds: a pattern, or the type of
its column. The session's time zone is UTC.
"""

from __future__ import annotations

import re

from data_platform.errors import UnsupportedType
from data_platform.expressions import Plain
from data_platform.posix_patterns import posix
from data_platform.sql import literal, quoted

_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?0*[12]?\d{1,2})?\s*$"
_LEAP = r"(\d\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29"
_DAY = rf"(?!0000)(\d{{4}}-((0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)|{_LEAP})"
_TIME = r"([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,6})?)?(Z|[+-](0\d|1[0-4])(:?[0-5]\d)?)?)?"
_MOMENT = rf"^\s*{_DAY}{_TIME}\s*$"
_NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision")
_MOMENTS = ("date", "timestamp", "timestamp with time zone")
_LANDED = {
    "VARCHAR": "text",
    "BOOLEAN": "boolean",
    "BIGINT": "bigint",
    "DOUBLE": "double precision",
    "DATE": "date",
    "TIMESTAMP": "timestamp without time zone",
    "TIMESTAMPTZ": "timestamp with time zone",
}
_AS_TEXT = re.compile(r"text|character|citext|name\b|\"char\"")
_AS_IT_IS = ("", "smallint", "integer", "bigint", "boolean", "double precision", "text")


class PostgresExpressions:
    name = "postgres"

    def quote(self, name: str) -> str:
        return quoted(name)

    def schema(self, name: str) -> str:
        return quoted(name)

    def literal(self, text: str) -> str:
        return literal(text)

    def number(self, text: str) -> str:
        return f"CAST({text} AS double precision)"

    def date(self, iso: str) -> str:
        return f"DATE {literal(iso)}"

    def instant(self, iso: str) -> str:
        return f"CAST({literal(iso)} AS timestamp with time zone)"

    def today(self) -> str:
        return "CURRENT_DATE"

    def now(self) -> str:
        return "CURRENT_TIMESTAMP"

    def try_cast(self, sql: str, to: Plain) -> str:
        if to == "text":
            return _text(sql)
        if to == "boolean":
            said = f"lower(trim({_text(sql)}))"
            return f"CASE WHEN {said} IN ('true', 't', '1') THEN true WHEN {said} IN ('false', 'f', '0') THEN false END"
        types, pattern = (_NUMBERS, _NUMBER) if to == "number" else (_MOMENTS, _MOMENT)
        known = ", ".join(f"CAST({literal(one)} AS regtype)" for one in types)
        kind = {"number": "double precision", "date": "date", "instant": "timestamp with time zone"}[to]
        return (
            f"CASE WHEN pg_typeof({sql}) IN ({known}) OR {_text(sql)} ~ {literal(pattern)}"
            f" THEN CAST({_text(sql)} AS {kind}) END"
        )

    def contains(self, sql: str, text: str) -> str:
        return f"strpos({_text(sql)}, {literal(text)}) > 0"

    def matches(self, sql: str, pattern: str) -> str:
        return f"{_text(sql)} ~ {literal(posix(pattern))}"

    def count_where(self, condition: str) -> str:
        return f"count(CASE WHEN {condition} THEN 1 END)"

    def micros(self, sql: str) -> str:
        instant = f"CAST({sql} AS timestamp with time zone)"
        whole = f"CAST(round(CAST(extract(epoch FROM {instant}) AS numeric) * 1000000) AS bigint)"
        return f"CASE WHEN isfinite({instant}) THEN {whole} END"

    def day(self, sql: str, held: str, timezone: str) -> str:
        """As text: Python's dates hold neither infinity nor years before the first."""
        if held == "date":
            day = sql
        elif re.fullmatch(r"timestamp(\(\d\))? with time zone", held):
            day = f"CAST({sql} AT TIME ZONE {literal(timezone)} AS date)"
        elif held.startswith("timestamp"):
            day = f"CAST({sql} AS date)"
        else:
            raise UnsupportedType(
                f"A partition column of the type {held} holds no day. Choose a date or timestamp column as `partition` in the"
                " catalog, or leave it out."
            )
        return f"CAST({day} AS text)"

    def keyed(self, sql: str, held: str) -> str:
        """A collation may take different texts for equal ones."""
        return _text(sql) if _AS_TEXT.match(held) else sql

    def shown(self, sql: str, type_: str) -> str:
        return sql if type_ in _AS_IT_IS else f"CAST({sql} AS text)"

    def type(self, landed: str) -> str:
        if landed not in _LANDED:
            raise UnsupportedType(f"PostgreSQL is asked for no value of the type {landed}.")
        return _LANDED[landed]


def _text(sql: str) -> str:
    return f'(CAST({sql} AS text) COLLATE "C")'


EXPRESSIONS = PostgresExpressions()

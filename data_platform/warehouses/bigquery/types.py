"""BigQuery's types: which one keeps every value of a landed type, how it is spelled, which values of it do not fit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, NamedTuple

from data_platform.column_types import holds
from data_platform.errors import QueryFailed, UnsupportedType

CELL_BYTES_MAX = 10 * 1024 * 1024
"""What BigQuery takes of one text or byte string when it loads a file."""
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_AS_TEXT = re.compile(r"UUID|JSON|BIT|INTERVAL|TIME WITH TIME ZONE|ENUM\(.*\)|.*\[\]", re.DOTALL)
_SAME = {
    "BOOLEAN": "BOOL",
    "VARCHAR": "STRING",
    "BLOB": "BYTES",
    "DATE": "DATE",
    "TIME": "TIME",
    "TIMESTAMP": "DATETIME",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
    "FLOAT": "FLOAT64",
    "DOUBLE": "FLOAT64",
    **dict.fromkeys(_INTEGERS, "INT64"),
    "UBIGINT": "NUMERIC(20)",
}
_ALIASES = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE", "TEXT": "VARCHAR", "INT": "INTEGER", "BOOL": "BOOLEAN"}
_OF_VALUES: Sequence[tuple[type, str]] = (
    (bool, "BOOL"),  # which is an int, too
    (int, "INT64"),
    (float, "FLOAT64"),
    (str, "STRING"),
    (bytes, "BYTES"),
    (date, "DATE"),
    (time, "TIME"),
    (type(None), "STRING"),
)
_DECIMAL = re.compile(r"DECIMAL\((\d+), *(\d+)\)")
_HELD = re.compile(r"(BIG)?NUMERIC(?:\((\d+)(?:, *(\d+))?\))?")
_WITHOUT_DIGITS = {None: (38, 9), "BIG": (76, 38)}


class Digits(NamedTuple):
    """Of an exact number: how many digits it has in all, and how many after the point."""

    precision: int
    scale: int


def of_landed(landed: str) -> str:
    """The type of a column, as DDL spells it. ``UnsupportedType`` where none keeps every value."""
    kind = plain(landed)
    if decimal := _DECIMAL.fullmatch(kind):
        return _exact(int(decimal[1]), int(decimal[2]))
    if kind in _SAME:
        return _SAME[kind]
    if _AS_TEXT.fullmatch(kind):
        return "STRING"
    raise UnsupportedType(
        f"BigQuery has no type that keeps every value of {landed}. Say `as: {{<column>: text}}` for the column in the"
        " catalog, or leave it out with `exclude`."
    )


def of_value(value: Any) -> str:
    """The type of a bound value. ``QueryFailed`` for one of no type of BigQuery's."""
    if isinstance(value, Decimal):
        _, figures, exponent = value.as_tuple()
        after = max(0, -int(exponent)) if isinstance(exponent, int) else 0
        return "NUMERIC" if after <= 9 and len(figures) - after <= 29 else "BIGNUMERIC"
    if isinstance(value, datetime):
        return "TIMESTAMP" if value.tzinfo else "DATETIME"
    for kind, name in _OF_VALUES:
        if isinstance(value, kind):
            return name
    raise QueryFailed(
        f"The query did not run: BigQuery binds no {type(value).__name__}. Bind a text, a number, a boolean, a date or a time."
    )


def _exact(precision: int, scale: int) -> str:
    name = "NUMERIC" if scale <= 9 and precision - scale <= 29 else "BIGNUMERIC"
    return f"{name}({precision}, {scale})" if scale else f"{name}({precision})"


def in_cast(type_: str) -> str:
    """The type as CAST has it, which takes no digits."""
    return type_.partition("(")[0]


def as_text(landed: str) -> bool:
    """Whether the column is kept as a text that DuckDB makes of its values."""
    return _AS_TEXT.fullmatch(plain(landed)) is not None


def digits(held: str) -> Digits | None:
    """Of a NUMERIC or BIGNUMERIC that a table has; None of any other type."""
    found = _HELD.fullmatch(held)
    if found is None:
        return None
    if found[2] is None:
        return Digits(*_WITHOUT_DIGITS[found[1]])
    return Digits(int(found[2]), int(found[3] or 0))


def same(held: str, landed: str) -> bool:
    try:
        return _spelled(held) == of_landed(landed)
    except UnsupportedType:
        return False


def widens(held: str, landed: str) -> bool:
    """Whether ALTER COLUMN can make the column's type that of ``landed`` with every value as it is."""
    try:
        wanted = of_landed(landed)
    except UnsupportedType:
        return False
    if _spelled(held) == wanted:
        return False
    old, new = digits(held), digits(wanted)
    if new is None:
        return False
    if held == "INT64":
        return new.precision - new.scale >= 19
    return old is not None and holds(_as_decimal(new), _as_decimal(old))


def _as_decimal(exact: Digits) -> str:
    return f"DECIMAL({exact.precision},{exact.scale})"


def _spelled(held: str) -> str:
    found = digits(held) if "(" in held else None
    if found is None:
        return held
    name = held.partition("(")[0]
    return f"{name}({found.precision}, {found.scale})" if found.scale else f"{name}({found.precision})"


def plain(landed: str) -> str:
    upper = landed if landed.upper().startswith("ENUM(") else landed.strip().upper()
    return _ALIASES.get(upper, upper)

"""What a landed type is in Snowflake, and which types hold each other's values. Pure.

NUMBER holds 38 digits. FLOAT is a double whatever it is called. TIMESTAMP_TZ is stored with UTC's offset, so that its day
is UTC's in every session. JSON documents stay text: a VARIANT makes doubles of large numbers.
"""

from __future__ import annotations

import re
from typing import NoReturn

from data_platform.errors import UnsupportedType

TEXT_BYTES = 16_777_216
"""Of a VARCHAR, unless it is declared with more."""
BINARY_BYTES = 8_388_608
_SIMPLE = {
    "BOOLEAN": "BOOLEAN",
    "TINYINT": "NUMBER(3,0)",
    "SMALLINT": "NUMBER(5,0)",
    "INTEGER": "NUMBER(10,0)",
    "BIGINT": "NUMBER(19,0)",
    "UTINYINT": "NUMBER(3,0)",
    "USMALLINT": "NUMBER(5,0)",
    "UINTEGER": "NUMBER(10,0)",
    "FLOAT": "FLOAT",
    "DOUBLE": "FLOAT",
    "VARCHAR": "VARCHAR",
    "JSON": "VARCHAR",
    "UUID": "VARCHAR(36)",
    "BLOB": "BINARY",
    "DATE": "DATE",
    "TIME": "TIME(6)",
    "TIMESTAMP": "TIMESTAMP_NTZ(6)",
    "TIMESTAMPTZ": "TIMESTAMP_TZ(6)",
}
_ALIASES = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ", "TEXT": "VARCHAR", "INT": "INTEGER", "BOOL": "BOOLEAN"}
_EXACT_IN_A_LIST = frozenset(
    ("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "VARCHAR", "DATE")
)  # fmt: skip
_DECIMAL = re.compile(r"DECIMAL\((\d+), ?(\d+)\)")
_NUMBER = re.compile(r"(?:NUMBER|DECIMAL|NUMERIC)\((\d+), ?(\d+)\)")
_SIZED = re.compile(r"(\w+)\((\d+)\)")
_MICROSECONDS = 6
_TIMES = ("TIMESTAMP_NTZ", "TIMESTAMP_TZ", "TIMESTAMP_LTZ", "TIME")
_DEFAULTS = {"VARCHAR": TEXT_BYTES, "BINARY": BINARY_BYTES, **dict.fromkeys(_TIMES, 9)}


def plain(landed: str) -> str:
    """A landed type in its one spelling; an ENUM is its text."""
    upper = landed.strip()
    if upper.upper().startswith("ENUM("):
        return "VARCHAR"
    return _ALIASES.get(upper.upper(), upper.upper())


def engine_type(landed: str) -> str:
    """``Dialect.type``."""
    kind = plain(landed)
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if found := _DECIMAL.fullmatch(kind):
        precision, scale = int(found[1]), int(found[2])
        if scale > 37:
            _refuse(landed, "a NUMBER has 37 digits after the point at most")
        return f"NUMBER({precision},{scale})"
    if kind.endswith("[]"):
        element = kind.rstrip("[]")
        if element not in _EXACT_IN_A_LIST:
            _refuse(landed, f"an ARRAY does not keep every value of the type {element}")
        return "ARRAY"
    _refuse(landed, "it has no type for it that keeps every value")


def _refuse(landed: str, why: str) -> NoReturn:
    raise UnsupportedType(
        f"Snowflake cannot hold a column of the type {landed}: {why}. Land it as text with `as: {{column: text}}` in the"
        " table's block."
    )


def same_type(held: str, landed: str) -> bool:
    """``Dialect.same_type``; more precision of a time than microseconds, or more room for a text, is no other type."""
    wanted = engine_type(landed)
    if _NUMBER.fullmatch(wanted):
        return _number(held) == _number(wanted)
    (kind, size), (wanted_kind, wanted_size) = _sized(held), _sized(wanted)
    if kind != wanted_kind:
        return False
    if kind in _TIMES:
        return size >= _MICROSECONDS
    return size == wanted_size or (plain(landed) != "UUID" and size > wanted_size)


def widens(held: str, landed: str) -> bool:
    """``Dialect.widens``: whether a NUMBER grows on both sides of its point."""
    old, new = _number(held), _number(engine_type(landed))
    if old is None or new is None or old == new:
        return False
    return new[1] >= old[1] and new[0] - new[1] >= old[0] - old[1]


def only_precision(held: str, landed: str) -> bool:
    """Whether an ALTER can do it: Snowflake changes the digits of a NUMBER, not its scale."""
    old, new = _number(held), _number(engine_type(landed))
    return old is not None and new is not None and old[1] == new[1]


def kind_of(held: str) -> str:
    """A type as Snowflake describes it, without its size."""
    return _sized(held)[0]


def scale_of(held: str) -> int | None:
    found = _number(held)
    return found[1] if found else None


def _number(held: str) -> tuple[int, int] | None:
    found = _NUMBER.fullmatch(held.strip().upper())
    return (int(found[1]), int(found[2])) if found else None


def _sized(held: str) -> tuple[str, int]:
    upper = held.strip().upper()
    if found := _SIZED.fullmatch(upper):
        return _name(found[1]), int(found[2])
    return _name(upper), _DEFAULTS.get(_name(upper), 0)


def _name(kind: str) -> str:
    return {"TEXT": "VARCHAR", "STRING": "VARCHAR", "DOUBLE": "FLOAT", "REAL": "FLOAT"}.get(kind, kind)

"""What a field of records lands as: as declared, or as its values show. Pure.

The words are those of dlt's ``data_type`` with two for times that are numbers::

    text bigint double bool json date     timestamp      an ISO 8601 text; without an offset it is UTC
    decimal(p,s)                          epoch epoch_ms a number of seconds or milliseconds since 1970

Nothing is rounded. A found number is a ``bigint``; a fraction is a ``double`` where the double's shortest text is the
number that came, a ``decimal(38,18)`` where it is not; what fits neither, or is of several kinds, is ``json``.
"""

from __future__ import annotations

import re
from enum import IntFlag

WORDS = ("text", "bigint", "double", "bool", "json", "date", "timestamp", "epoch", "epoch_ms")
PATTERN = rf"^({'|'.join(WORDS)}|decimal\(([1-9]|[12]\d|3[0-8]), ?\d{{1,2}}\))$"
FRACTIONS, LONG = "decimal(38,18)", "decimal(38,0)"
TIMES = ("date", "timestamp", "epoch", "epoch_ms")

_TYPES = {
    "text": "VARCHAR",
    "bigint": "BIGINT",
    "double": "DOUBLE",
    "bool": "BOOLEAN",
    "json": "JSON",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
    "epoch": "TIMESTAMPTZ",
    "epoch_ms": "TIMESTAMPTZ",
}
_BASES = {
    "text": "text",
    "bigint": "int8",
    "double": "float8",
    "bool": "bool",
    "json": "text",
    "date": "date",
}
_DECIMAL = re.compile(r"decimal\((\d+), ?(\d+)\)")


class Values(IntFlag):
    """What the values of a field were seen to be."""

    NONE = 0
    SMALL = 1
    """An integer that a double holds."""
    BIGINT = 2
    LONG = 4
    """An integer of up to 38 digits."""
    DOUBLE = 8
    FRACTION = 16
    """A number that ``decimal(38,18)`` holds and a double does not."""
    NUMBER = 32
    """Any other number."""
    TEXT = 64
    BOOL = 128
    DOCUMENT = 256


_INTEGERS = Values.SMALL | Values.BIGINT
_NUMBERS = _INTEGERS | Values.LONG | Values.DOUBLE | Values.FRACTION | Values.NUMBER


def column_type(word: str) -> str:
    """The DuckDB type of a word; one with a question mark is not known for sure."""
    word = word.rstrip("?")
    return _TYPES.get(word) or word.upper().replace(" ", "")


def base_type(word: str) -> str:
    """The word as the rules for personal names know types."""
    return _BASES.get(word, "numeric" if word.startswith("decimal") else "timestamptz")


def found(values: Values) -> str | None:
    """The word for a field that was not seen before; None where only nulls were."""
    if values == Values.NONE:
        return None
    if values == Values.TEXT:
        return "text"
    if values == Values.BOOL:
        return "bool"
    if values & ~_NUMBERS:
        return "json"
    if not values & ~_INTEGERS:
        return "bigint"
    if not values & ~(Values.SMALL | Values.DOUBLE):
        return "double"
    if not values & ~(_INTEGERS | Values.LONG):
        return LONG
    if not values & ~(_INTEGERS | Values.DOUBLE | Values.FRACTION):
        return FRACTIONS
    return "json"


def widened(word: str, values: Values) -> str | None:
    """The word for a field that landed as ``word`` and now has ``values`` too; None where there is none that keeps
    what landed as it is."""
    if word == "json" or values == Values.NONE:
        return word
    now = found(values)
    if now == word or (word == "double" and not values & ~(Values.SMALL | Values.DOUBLE)):
        return word
    if word == FRACTIONS and not values & ~(_INTEGERS | Values.DOUBLE | Values.FRACTION):
        return word
    if word == LONG and now == "bigint":
        return word
    if word == "bigint" and now in (FRACTIONS, "double", LONG):
        return LONG if now == LONG else FRACTIONS
    return None


def digits(word: str) -> tuple[int, int] | None:
    """Precision and scale of a decimal."""
    match = _DECIMAL.fullmatch(word)
    return (int(match[1]), int(match[2])) if match else None

"""How a backup keeps a column of an engine behind a connection, and the text by which both sides are compared. Pure.

The engine unloads ``sent``; DuckDB makes the backup's value of it by ``read``. The engine says ``text`` of its own value,
DuckDB ``twin`` of the backup's: they are equal exactly where the values are. A text is never empty and holds no
U+001F, so that a row's texts, joined by it, are another row's only if both are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from data_platform.column_types import is_text_form
from data_platform.duckdb_sql import duckdb_text, duckdb_turned
from data_platform.sql import quoted
from data_platform.tables import Column

VERSION = 1
"""Of the texts: a fingerprint of another version is not compared with one of this."""
_ITSELF = "{}"


@dataclass(frozen=True, slots=True)
class Kept:
    """``landed`` is the type in the backup, as DuckDB spells it. In the expressions ``{}`` is the column: of the engine in ``sent`` and
    ``text``, of the unloaded file in ``read``, of the backup in ``twin``."""

    landed: str
    text: str
    twin: str
    sent: str = _ITSELF
    read: str = _ITSELF

    @property
    def as_text(self) -> bool:
        """Whether the backup keeps the value's text form."""
        return is_text_form(self.landed)


def by_key_text(landed: str, text: str, *, sent: str = _ITSELF, read: str = _ITSELF) -> Kept:
    """A type whose text as a key is the same in every engine (``duckdb_sql.duckdb_text``)."""
    return Kept(
        landed, text, duckdb_text(Column(_ITSELF, landed, "")).replace(quoted(_ITSELF), _ITSELF), sent, read
    )


def put(expression: str, column: str) -> str:
    """``expression`` of ``column``, which is quoted already."""
    return expression.replace(_ITSELF, column)


def exact_double(
    number: Callable[[str], str],
    whole: Callable[[str], str],
    special: Sequence[tuple[str, str]],
    power: str = "POWER",
) -> str:
    """A text that tells every double from every other but -0 from 0: which 50 powers of two it lies in, and its digits there in
    four whole numbers. Each step is exact in any engine: digits of an engine's own text would not be, or not all.

    ``number`` makes a double of a text, ``whole`` the text of a double that is a small whole number; ``special`` are conditions on
    ``{}`` and the words for what is not finite."""
    two, fifty, quarter = number("2"), number("50"), number("0.25")

    def digits(value: str) -> str:
        size = f"ABS({value})"
        block = f"FLOOR((LN({size}) / LN({two}) + {quarter}) / {fifty})"
        scaled = f"({size} / {power}({two}, {fifty} * {block}))"
        upper = f"FLOOR({scaled} / {number('33554432')})"  # 2 to the 25
        rest = f"({scaled} - {upper} * {number('33554432')})"
        fraction = f"(({rest} - FLOOR({rest})) * {number('134217728')})"  # 2 to the 27
        last = f"(({fraction} - FLOOR({fraction})) * {number('67108864')})"  # 2 to the 26: all 53 digits
        return " || ':' || ".join(map(whole, (block, upper, f"FLOOR({rest})", f"FLOOR({fraction})", last)))

    sign = f"CASE WHEN {_ITSELF} < {number('0')} THEN '-' ELSE '' END"
    small = f"({_ITSELF} * {number('340282366920938463463374607431768211456')})"  # 2 to the 128
    cases = "".join(f" WHEN {condition} THEN '{word}'" for condition, word in special)
    return (
        f"CASE{cases} WHEN {_ITSELF} = {number('0')} THEN '0'"
        f" WHEN ABS({_ITSELF}) < {number('1e-280')} THEN {sign} || 's' || {digits(small)}"
        f" ELSE {sign} || {digits(_ITSELF)} END"
    )


DOUBLE_TWIN = exact_double(
    lambda text: f"CAST('{text}' AS DOUBLE)",
    lambda value: f"CAST(CAST({value} AS BIGINT) AS VARCHAR)",
    (("isnan({})", "nan"), ("{} = CAST('inf' AS DOUBLE)", "inf"), ("{} = CAST('-inf' AS DOUBLE)", "-inf")),
).replace(_ITSELF, "CAST({} AS DOUBLE)")
"""DuckDB's side of ``exact_double``."""


def twin_token(pieces: Sequence[str]) -> str:
    """``Grammar.token`` in DuckDB."""
    joined = ", chr(31), ".join(pieces)  # concat() takes NULL for ''
    return duckdb_turned(f"(md5_number(concat({joined})) & 18446744073709551615::UHUGEINT)::UBIGINT")

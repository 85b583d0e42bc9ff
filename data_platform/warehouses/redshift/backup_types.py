"""How a backup keeps Redshift's types, and how UNLOAD is asked for them. Pure.

UNLOAD to Parquet is asked for nothing whose form in a file is not plain: times come as whole microseconds. Numbers,
texts, days and bytes come as they are.
"""

from __future__ import annotations

import re

from data_platform.errors import UnsupportedType
from data_platform.warehouses.redshift.types import TEXT_BYTES_MAX
from data_platform.warehouses.remote.grammar import Grammar
from data_platform.warehouses.remote.kept import DOUBLE_TWIN, Kept, by_key_text, exact_double

_TEXT = f"VARCHAR({TEXT_BYTES_MAX})"
_DECIMAL = re.compile(r"DECIMAL\((\d{1,2}),(\d{1,2})\)")
_SIZED_TEXT = re.compile(r"VARCHAR\(\d{1,5}\)")
_BYTES = re.compile(r"VARBYTE\(\d{1,7}\)")
_CHUNK, _CHUNKS = 32_000, 32
"""The hex digits of a piece fit a text, and all pieces are more than the longest VARBYTE."""
_SAME = ("BOOLEAN", "SMALLINT", "INTEGER", "BIGINT", "DATE")


def kept(held: str, grammar: Grammar) -> Kept:
    """``UnsupportedType`` for SUPER, GEOMETRY, TIMETZ and whatever else has no exact form in Parquet."""
    micros = grammar.key_text("{}", held) if held in _TIMES else ""
    if held in _SAME or _DECIMAL.fullmatch(held):
        return by_key_text(held, grammar.key_text("{}", held))
    if held in _TIMES:
        landed, read = _TIMES[held]
        return by_key_text(landed, micros, sent=f"CAST({micros} AS BIGINT)", read=read)
    if _SIZED_TEXT.fullmatch(held):
        text = f"CAST({{}} AS {_TEXT})"
        return Kept("VARCHAR", f"MD5({text})", "md5({})", sent=text)
    if held in _FLOATS:
        return Kept(_FLOATS[held], _double_text(), DOUBLE_TWIN)
    if _BYTES.fullmatch(held):
        return Kept("BLOB", *_bytes_texts())
    raise UnsupportedType(f"A backup does not keep columns of Redshift's type {held}.")


_TIMES = {
    "TIMESTAMP": ("TIMESTAMP", "make_timestamp(CAST({} AS BIGINT))"),
    "TIMESTAMPTZ": ("TIMESTAMP WITH TIME ZONE", "make_timestamptz(CAST({} AS BIGINT))"),
    "TIME": ("TIME", "CAST(make_timestamp(CAST({} AS BIGINT)) AS TIME)"),
}
_FLOATS = {"REAL": "FLOAT", "DOUBLE PRECISION": "DOUBLE"}


def _double_text() -> str:
    def number(text: str) -> str:
        return f"CAST('{text}' AS DOUBLE PRECISION)"

    return exact_double(
        number,
        lambda value: f"CAST(CAST({value} AS BIGINT) AS {_TEXT})",
        (
            (f"{{}} = {number('NaN')}", "nan"),
            (f"{{}} = {number('Infinity')}", "inf"),
            (f"{{}} = {number('-Infinity')}", "-inf"),
        ),
    ).replace("{}", "CAST({} AS DOUBLE PRECISION)")


def _bytes_texts() -> tuple[str, str]:
    """A digest of digests of pieces: a text holds too few hex digits for all bytes, and MD5 takes texts alone."""
    pieces = " || ".join(f"MD5(TO_HEX(SUBSTRING({{}}, {1 + n * _CHUNK}, {_CHUNK})))" for n in range(_CHUNKS))
    twin = (
        f"md5(array_to_string([md5(lower(substr(hex({{}}), 1 + n * {2 * _CHUNK}, {2 * _CHUNK})))"
        f" for n in range({_CHUNKS})], ''))"
    )
    return f"MD5({pieces})", f"CASE WHEN {{}} IS NOT NULL THEN {twin} END"

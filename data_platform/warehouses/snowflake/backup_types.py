"""How a backup keeps Snowflake's types, and how an unload is asked for them. Pure.

An unload is asked for nothing whose form in a file is not plain: numbers and times come as text, bytes as hex digits.
"""

from __future__ import annotations

import re

from data_platform.errors import UnsupportedType
from data_platform.warehouses.remote.grammar import Grammar
from data_platform.warehouses.remote.kept import DOUBLE_TWIN, Kept, by_key_text, exact_double
from data_platform.warehouses.snowflake import types

_TYPE = re.compile(
    r"(BOOLEAN|DATE|FLOAT|ARRAY|VARCHAR|BINARY|TIME|TIMESTAMP_NTZ|TIMESTAMP_TZ|TIMESTAMP_LTZ)(\(\d{1,9}\))?"
)
_NUMBER = re.compile(r"NUMBER\((\d{1,2}),(\d{1,2})\)")
_INSTANT = "TIMESTAMP WITH TIME ZONE", "make_timestamptz(CAST({} AS BIGINT))"
_TIMES = {
    "TIMESTAMP_NTZ": ("TIMESTAMP", "make_timestamp(CAST({} AS BIGINT))"),
    "TIMESTAMP_TZ": _INSTANT,
    "TIMESTAMP_LTZ": _INSTANT,
    "TIME": ("TIME", "CAST(make_timestamp(CAST({} AS BIGINT)) AS TIME)"),
}


def kept(held: str, grammar: Grammar) -> Kept:
    """``UnsupportedType`` for VARIANT, OBJECT, GEOGRAPHY and whatever else has no exact form in Parquet. An ARRAY is its JSON."""
    if found := _NUMBER.fullmatch(held):
        text = grammar.key_text("{}", held)
        return by_key_text(f"DECIMAL({found[1]},{found[2]})", text, sent=text)
    kind = types.kind_of(held) if _TYPE.fullmatch(held) else ""
    if kind in ("BOOLEAN", "DATE"):
        return by_key_text(kind, grammar.key_text("{}", held))
    if kind in _TIMES:
        micros = grammar.key_text("{}", held)
        landed, read = _TIMES[kind]
        exact = by_key_text(landed, micros, sent=micros, read=read)
        # no backup has what is below a microsecond: a value with it is found as one that was not preserved
        finer = f"CASE WHEN {{}} = CAST({{}} AS {kind}(6)) THEN '' ELSE '~' END"
        return Kept(landed, f"{micros} || {finer}", exact.twin, exact.sent, exact.read)
    if kind == "VARCHAR":
        return Kept("VARCHAR", "MD5({})", "md5({})")
    if kind == "BINARY":
        hexed = "HEX_ENCODE({}, 0)"
        return Kept("BLOB", f"MD5({hexed})", "md5(lower(hex({})))", sent=hexed, read="unhex({})")
    if kind == "FLOAT":
        return Kept("DOUBLE", _double_text(), DOUBLE_TWIN)
    if kind == "ARRAY":
        json = "TO_JSON({})"
        return Kept("JSON", f"MD5({json})", "md5(CAST({} AS VARCHAR))", sent=json)
    raise UnsupportedType(f"A backup does not keep columns of Snowflake's type {held}.")


def _double_text() -> str:
    return exact_double(
        lambda text: f"CAST('{text}' AS FLOAT)",
        lambda value: f"TO_VARCHAR(CAST({value} AS NUMBER(38,0)))",
        (
            ("{} = CAST('NaN' AS FLOAT)", "nan"),
            ("{} = CAST('inf' AS FLOAT)", "inf"),
            ("{} = CAST('-inf' AS FLOAT)", "-inf"),
        ),
    )

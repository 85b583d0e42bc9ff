"""How a backup keeps BigQuery's types, and how an export is asked for them. Pure.

An export is asked for nothing whose form in a file is not plain: times come as whole microseconds, exact decimals as text.
"""

from __future__ import annotations

from data_platform.errors import UnsupportedType
from data_platform.warehouses.bigquery import types
from data_platform.warehouses.remote.grammar import Grammar
from data_platform.warehouses.remote.kept import DOUBLE_TWIN, Kept, by_key_text, exact_double

_SAME = {"BOOL": "BOOLEAN", "INT64": "BIGINT", "DATE": "DATE"}
_TIMES = {
    "DATETIME": ("TIMESTAMP", "make_timestamp(CAST({} AS BIGINT))"),
    "TIMESTAMP": ("TIMESTAMP WITH TIME ZONE", "make_timestamptz(CAST({} AS BIGINT))"),
    "TIME": ("TIME", "CAST(make_timestamp(CAST({} AS BIGINT)) AS TIME)"),
}
_DIGITS_MAX = 38
"""Of DuckDB's decimals; one with more stays a text."""


def kept(held: str, grammar: Grammar) -> Kept:
    """``UnsupportedType`` for arrays, structs, JSON, GEOGRAPHY and whatever else has no exact form in Parquet."""
    if held in _SAME:
        return by_key_text(_SAME[held], grammar.key_text("{}", held))
    if held in _TIMES:
        micros = grammar.key_text("{}", held)
        landed, read = _TIMES[held]
        return by_key_text(landed, micros, sent=f"CAST({micros} AS INT64)", read=read)
    if held == "STRING":
        return _text("{}")
    if held == "BYTES":
        return Kept("BLOB", "TO_HEX(MD5({}))", "md5({})")
    if held == "FLOAT64":
        return Kept("DOUBLE", _double_text(), DOUBLE_TWIN)
    if (exact := types.digits(held)) is not None:
        if exact.precision > _DIGITS_MAX:
            return _text("CAST({} AS STRING)")
        text = grammar.key_text("{}", held)
        return by_key_text(f"DECIMAL({exact.precision},{exact.scale})", text, sent=text)
    raise UnsupportedType(f"A backup does not keep columns of BigQuery's type {held}.")


def _text(sent: str) -> Kept:
    return Kept("VARCHAR", f"TO_HEX(MD5({sent}))", "md5({})", sent=sent)


def _double_text() -> str:
    return exact_double(
        lambda text: f"CAST('{text}' AS FLOAT64)",
        lambda value: f"CAST(CAST({value} AS INT64) AS STRING)",
        (
            ("IS_NAN({})", "nan"),
            ("{} = CAST('inf' AS FLOAT64)", "inf"),
            ("{} = CAST('-inf' AS FLOAT64)", "-inf"),
        ),
    )

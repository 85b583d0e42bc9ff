"""From a chunk's columns to typed rows, as DuckDB SQL. Nothing is rounded: what does not fit is NULL, and told apart.

``converted`` gives the value of a field as the type it lands as, or NULL where the value is none of that type; a row
where a field that holds something came out as NULL is *refused*.
"""

from __future__ import annotations

from data_platform.sources.records.decode import Form
from data_platform.sources.records.types import FRACTIONS, column_type, digits
from data_platform.sql import quoted

IN_DOUBLE = 2**53
LAST_SECOND = 253_402_300_799
"""9999-12-31: an epoch beyond is most often one in milliseconds."""


def converted(column: str, form: Form, word: str) -> str:
    """The landed value of ``column``, which has ``form``, as ``word`` says."""
    return f"({_converted(quoted(column), form, word)})::{column_type(word)}"


def _converted(c: str, form: Form, word: str) -> str:
    if word == "json":
        return {"text": f"to_json({c})"}.get(form, f"{c}::VARCHAR::JSON") if form != "json" else f"{c}::JSON"
    if word == "text":
        return _text(c, form)
    if word == "bigint":
        return _bigint(c, form)
    if word == "double":
        return _double(c, form)
    if word == "bool":
        return (
            c
            if form == "bool"
            else _only_text(c, form, f"CASE WHEN {c} IN ('true', 'false') THEN {c}::BOOLEAN END")
        )
    if word in ("epoch", "epoch_ms"):
        return _epoch(c, form, 1_000_000 if word == "epoch" else 1_000)
    if word == "timestamp":
        return _only_text(c, form, f"TRY_CAST({c} AS TIMESTAMPTZ)")
    if word == "date":
        iso = f"regexp_full_match({c}, '\\d{{4}}-\\d{{2}}-\\d{{2}}')"
        return _only_text(c, form, f"CASE WHEN {iso} THEN TRY_CAST({c} AS DATE) END")
    return _decimal(c, form, word)


def _only_text(c: str, form: Form, sql: str) -> str:
    return sql if form in ("text", "json") else "NULL"


def _text(c: str, form: Form) -> str:
    if form == "json":  # each value's own JSON text: only a string's is not the text that is meant
        return f"CASE WHEN starts_with({c}, '\"') THEN {c}::JSON ->> '$' ELSE {c} END"
    return c if form == "text" else f"{c}::VARCHAR"


def _bigint(c: str, form: Form) -> str:
    if form == "int":
        return c
    if form == "double":
        return f"CASE WHEN {c} = trunc({c}) AND abs({c}) <= {IN_DOUBLE} THEN {c}::BIGINT END"
    return _only_text(c, form, f"CASE WHEN regexp_full_match({c}, '-?\\d+') THEN TRY_CAST({c} AS BIGINT) END")


def _double(c: str, form: Form) -> str:
    if form == "double":
        return c
    if form == "int":
        return f"CASE WHEN abs({c}::HUGEINT) <= {IN_DOUBLE} THEN {c}::DOUBLE END"
    return _only_text(
        c,
        form,
        f"CASE WHEN regexp_full_match({c}, '-?[0-9.]+([eE][+-]?[0-9]+)?') THEN TRY_CAST({c} AS DOUBLE) END",
    )


def _decimal(c: str, form: Form, word: str) -> str:
    precision, scale = digits(word) or digits(FRACTIONS) or (38, 18)
    type_ = f"DECIMAL({precision},{scale})"
    if form == "int":
        return f"TRY_CAST({c} AS {type_})"
    if form == "bool":
        return "NULL"
    text = f"{c}::VARCHAR"
    plain = f"regexp_full_match({text}, '[+-]?\\d*(\\.\\d{{0,{scale}}}0*)?')"
    # with an exponent the digits are not counted: the cast must be the same with all the digits there can be
    finer = f"DECIMAL(38,{38 - precision + scale})"
    same = f"TRY_CAST({text} AS {type_}) = TRY_CAST({text} AS {finer})"
    return (
        f"CASE WHEN {plain} OR (contains(lower({text}), 'e') AND {same}) THEN TRY_CAST({text} AS {type_}) END"
    )


def _epoch(c: str, form: Form, micros: int) -> str:
    limit = LAST_SECOND * 1_000_000 // micros
    made = (
        f"CASE WHEN {{0}} BETWEEN -{limit} AND {limit} THEN make_timestamptz(({{0}} * {micros})::BIGINT) END"
    )
    if form == "int":
        return made.format(c)
    if form == "bool":
        return "NULL"
    return made.format(f"({_decimal(c, form, FRACTIONS)})")


_SURE = {
    ("int", "bigint"),
    ("double", "double"),
    ("bool", "bool"),
    ("int", FRACTIONS),
    ("int", "decimal(38,0)"),
}


def is_sure(form: Form, word: str) -> bool:
    """Whether every value of the form is one of the word's type."""
    return word in ("json", "text") or (form, word) in _SURE

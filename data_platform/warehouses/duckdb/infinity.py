"""Infinite dates and times in a result. For Python, DuckDB converts them to the greatest or least day, which
cannot be distinguished from a stored 9999-12-31. Here they become the word ``infinity``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from data_platform.sql import quoted

_EXTREMES = (date.min, date.max, datetime.min, datetime.max)
_TEMPORAL = ("DATE", "TIMESTAMP")


def suspects(types: Sequence[Any], rows: Sequence[tuple[Any, ...]]) -> list[int]:
    """The columns in which a value may stand for an infinity."""
    temporal = [n for n, type_ in enumerate(types) if any(word in str(type_) for word in _TEMPORAL)]
    return [n for n in temporal if any(_extreme(row[n]) for row in rows)]


def told_apart(sql: str, types: Sequence[Any], columns: Sequence[int]) -> str:
    """``sql`` with the ``columns`` that hold infinities told apart: for each, after all the others, its text
    where it is infinite and NULL elsewhere; a nested one comes with its times as text instead."""
    names = [f"c{n}" for n in range(len(types))]
    nested = {n for n in columns if types[n].id in ("list", "array", "struct", "map", "union")}
    shown = [f"CAST({name} AS {_as_text(types[n])})" if n in nested else name for n, name in enumerate(names)]
    extra = [
        f"CASE WHEN isinf({names[n]}) THEN CAST({names[n]} AS VARCHAR) END"
        for n in columns
        if n not in nested
    ]
    return f"SELECT {', '.join(shown + extra)} FROM (\n{_without_end(sql)}\n) AS q({', '.join(names)})"


def joined(
    types: Sequence[Any], columns: Sequence[int], rows: Sequence[tuple[Any, ...]]
) -> list[tuple[Any, ...]]:
    """The rows of ``told_apart`` as the statement's own."""
    width = len(types)
    plain = [n for n in columns if types[n].id not in ("list", "array", "struct", "map", "union")]
    result = []
    for row in rows:
        values = list(row[:width])
        for n, word in zip(plain, row[width:], strict=True):
            values[n] = values[n] if word is None else word
        result.append(tuple(values))
    return result


def _without_end(sql: str) -> str:
    """A statement up to its semicolon."""
    import duckdb

    text = sql.encode()  # positions are of bytes
    end = len(text)
    for position, _ in reversed(duckdb.tokenize(sql)):
        if text[position : position + 1] != b";":
            break
        end = position
    return text[:end].decode()


def _extreme(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_extreme(item) for pair in value.items() for item in pair)
    if isinstance(value, (list, tuple)):
        return any(map(_extreme, value))
    return isinstance(value, date) and value in _EXTREMES


def _as_text(type_: Any) -> str:
    """The type's text with every date and time in it as VARCHAR."""
    match type_.id:
        case "list":
            return f"{_as_text(dict(type_.children)['child'])}[]"
        case "array":
            parts = dict(type_.children)
            return f"{_as_text(parts['child'])}[{parts['size']}]"
        case "struct":
            return f"STRUCT({', '.join(f'{quoted(name)} {_as_text(part)}' for name, part in type_.children)})"
        case "map":
            parts = dict(type_.children)
            return f"MAP({_as_text(parts['key'])}, {_as_text(parts['value'])})"
        case _:
            return "VARCHAR" if str(type_).startswith(_TEMPORAL) else str(type_)

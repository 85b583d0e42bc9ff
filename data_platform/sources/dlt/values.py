"""From what resources yield to records: JSON texts in which every value is the one that came.

Rows are dicts, or tables of Arrow, pandas or polars, which are taken apart some thousand rows at a time. A row with a value
that JSON has not (NaN, infinity, half of a surrogate pair) becomes ``Unfit``, so that it waits in quarantine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import chain
from math import isfinite
from typing import Any
from uuid import UUID

import msgspec

from data_platform.sources.records.keys import VALUE
from data_platform.sources.records.types import FRACTIONS

CHUNK = 2_000
_ANY = {type(None), int, float}
"""The types of values that say nothing against a word for exact numbers or times."""


def _plain(value: Any) -> Any:
    """``value``, which msgspec does not know, as something that it knows. TypeError where there is nothing exact."""
    for kind, plain in _PLAIN:
        if isinstance(value, kind):
            return plain(value)
    if type(value).__name__ in ("NaTType", "NAType"):
        return None
    for method in ("model_dump", "item", "tolist"):  # of pydantic, of numpy's scalars, of its arrays
        if callable(found := getattr(value, method, None)):
            return found()
    raise TypeError(type(value).__name__)


def _duration(value: timedelta) -> timedelta:
    return timedelta(days=value.days, seconds=value.seconds, microseconds=value.microseconds)


def _text(value: Any) -> str | None:
    """The ISO 8601 text of a subclass of a time's class; pandas' holds nanoseconds. None for pandas' NaT."""
    return value.isoformat() if value == value else None


_PLAIN: tuple[tuple[Any, Any], ...] = (
    (datetime, _text),
    (date, _text),
    (time, _text),
    (timedelta, _duration),
    (Decimal, Decimal),
    (Enum, lambda value: value.value),
    (bytes, bytes),
    (str, str),
    (int, int),
    (float, float),
    (UUID, str),
    (Mapping, dict),
    ((set, frozenset), list),
)
_ENCODE = msgspec.json.Encoder(decimal_format="number", enc_hook=_plain).encode


class NoRecord(Exception):
    """A value that cannot be written; the text is its type."""


class Unfit(bytes):
    """Text that is no JSON."""


NOT_JSON = "it holds NaN, an infinite number or half of a character, which JSON has not"


def encoded(rows: Sequence[Any]) -> list[bytes]:
    """The JSON text of each row, or what is ``Unfit``. NoRecord for a value of a type without an exact text."""
    return [_encoded(row) for row in rows]


def _encoded(row: Any) -> bytes:
    try:
        text = _ENCODE(row if isinstance(row, dict) else _object(row))
    except (ValueError, UnicodeEncodeError):  # a decimal NaN, half of a surrogate pair
        return _as_it_is(row)
    except TypeError as error:
        raise NoRecord(str(error)) from None
    if b"null" in text and _has_no_json(row):  # what is written for NaN and infinity
        return _as_it_is(row)
    return text


def _object(row: Any) -> Any:
    if isinstance(row, Mapping) or hasattr(row, "model_dump"):
        return row
    return {VALUE: row}


def _has_no_json(value: Any) -> bool:
    if isinstance(value, float):
        return not isfinite(value)
    if isinstance(value, dict):
        return any(map(_has_no_json, value.values()))
    return isinstance(value, (list, tuple)) and any(map(_has_no_json, value))


def _as_it_is(row: Any) -> Unfit:

    def plain(value: Any) -> Any:
        return (
            str(value) if isinstance(value, (Decimal, datetime, date, time, UUID, bytes)) else _plain(value)
        )

    return Unfit(json.dumps(_object(row), default=plain).encode())


def chunks(item: Any) -> Iterator[Sequence[Any]]:
    """The rows of what a resource yielded, some thousand at a time."""
    if isinstance(item, (list, tuple)):
        if any(_is_table(row) for row in item[:1]):
            yield from chain.from_iterable(map(chunks, item))
            return
        yield from (item[at : at + CHUNK] for at in range(0, len(item), CHUNK))
    elif _is_table(item):
        yield from _of_table(item)
    else:
        yield (item,)


def _is_table(item: Any) -> bool:
    library = type(item).__module__.partition(".")[0]
    return library in ("pyarrow", "pandas", "polars") and (
        hasattr(item, "columns") or hasattr(item, "num_rows")
    )


def _of_table(item: Any) -> Iterator[Sequence[Any]]:
    import pyarrow as pa

    if isinstance(item, pa.RecordBatch):
        item = pa.Table.from_batches([item])
    if isinstance(item, pa.Table):
        for batch in item.to_batches(max_chunksize=CHUNK):
            yield batch.to_pylist()
        return
    for at in range(0, len(item), CHUNK):
        part = item[at : at + CHUNK]
        arrow = (
            part.to_arrow() if hasattr(part, "to_arrow") else pa.Table.from_pandas(part, preserve_index=False)
        )
        yield arrow.to_pylist()


class Types:
    """The words of the fields whose values have a type that JSON has not: what was yielded says it."""

    def __init__(self) -> None:
        self._words: dict[str, str | None] = {}

    def __call__(self) -> dict[str, str]:
        return {name: word for name, word in self._words.items() if word}

    def learn(self, rows: Sequence[Any]) -> None:
        """A field that has values of two kinds has none of these words from then on."""
        rows = [row for row in rows if isinstance(row, dict)]
        for name in dict.fromkeys(chain.from_iterable(rows)):
            kinds = {type(row.get(name)) for row in rows} - _ANY
            if kinds and isinstance(name, str):
                words = {_word(kind) for kind in kinds}
                words.add(self._words.get(name, *words) if len(words) == 1 else None)
                self._words[name] = words.pop() if len(words) == 1 else None


def _word(kind: type) -> str | None:
    if issubclass(kind, datetime):
        return "timestamp"
    if issubclass(kind, date):
        return "date"
    return FRACTIONS if issubclass(kind, Decimal) else None

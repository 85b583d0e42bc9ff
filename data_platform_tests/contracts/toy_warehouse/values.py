"""A value on its way from Parquet into SQLite and back: microseconds, ISO days, exact decimals."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_platform.errors import WarehouseError
from data_platform.tables import NULL_SLICE, WHOLE_TABLE, Column, Layout

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TRUTHS = {"true": True, "false": False}
_AS = {"number": float, "boolean": bool, "text": str}


def read(parts: Sequence[Path], columns: Sequence[Column]) -> list[tuple[Any, ...]]:
    """The rows of Parquet files, as SQLite keeps them."""
    rows: list[tuple[Any, ...]] = []
    for part in parts:
        try:
            table = pq.ParquetFile(part).read([column.name for column in columns])
        except (pa.ArrowException, OSError) as error:
            raise WarehouseError(f"the part {part.name} cannot be read: {type(error).__name__}") from None
        rows += zip(*(_plain(table.column(column.name)) for column in columns), strict=True)
    return rows


def _plain(values: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_timestamp(values.type):
        values = pc.cast(values.cast(pa.timestamp("us", values.type.tz)), pa.int64())
    return [str(v) if isinstance(v, date | Decimal) else v for v in values.to_pylist()]


def slice_of(value: Any, layout: Layout) -> str:
    if layout.partition is None:
        return WHOLE_TABLE
    if value is None:
        return NULL_SLICE
    if isinstance(value, str):
        return value
    return (_EPOCH + timedelta(microseconds=value)).astimezone(ZoneInfo(layout.timezone)).date().isoformat()


def day_of(value: Any, timezone: str) -> str | None:
    day = slice_of(value, Layout((), "day", timezone, None))
    return None if day == NULL_SLICE else day


def token(values: Sequence[Any]) -> int:
    """One row's share of a fingerprint (see ``tables.Fingerprint``), of its key and its version."""
    text = "\x1f".join("" if value is None else str(value) for value in values)
    return int.from_bytes(hashlib.md5(text.encode()).digest()[:8], "big") >> 4


def hash_of(value: str | None) -> str | None:
    return None if value is None else hashlib.md5(value.encode()).hexdigest()


def micros_of(value: Any) -> int | None:
    if isinstance(value, str):
        try:
            read = datetime.fromisoformat(value)
            return ((read if read.tzinfo else read.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)
        except ValueError:
            return None
    return value if isinstance(value, int) else None


def as_decimal(value: Any, scale: int) -> str | None:
    return None if value is None else f"{Decimal(value):.{scale}f}"


def try_as(value: Any, to: str) -> Any:
    if value is None:
        return None
    if to == "instant":
        return micros_of(value)
    if to == "date":
        micros = micros_of(value)
        return None if micros is None else (_EPOCH + timedelta(microseconds=micros)).date().isoformat()
    if to == "boolean" and isinstance(value, str):
        return _TRUTHS.get(value.lower())
    try:
        return _AS[to](value)
    except ValueError:
        return None

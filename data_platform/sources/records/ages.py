"""What a record says that did not land: a value of a column, and the day that it holds. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from data_platform.sources.kind import KindSettings
from data_platform.sources.records.keys import RecordSettings

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS = {"epoch": 1.0, "epoch_ms": 0.001}


def read(record: bytes) -> Mapping[str, Any] | None:
    """A record as it came; None where it is no JSON object."""
    try:
        found = json.loads(record)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def value_of(
    record: Mapping[str, Any], settings: KindSettings, column: str, within: tuple[str, ...] = ()
) -> Any:
    """What the record has for ``column``, or ``within`` its document; None where it has nothing."""
    path = settings.fields.get(column, (column,)) if isinstance(settings, RecordSettings) else (column,)
    found: Any = record
    for key in (*path, *within):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def day_of(record: Mapping[str, Any], settings: KindSettings, column: str, timezone: str) -> date | None:
    """The day in ``timezone`` that the record has for ``column``; None where it has none, or one that cannot be read."""
    value = value_of(record, settings, column)
    word = settings.types.get(column, "") if isinstance(settings, RecordSettings) else ""
    try:
        if word in _SECONDS and isinstance(value, int | float) and not isinstance(value, bool):
            at = _EPOCH + timedelta(seconds=value * _SECONDS[word])
        elif isinstance(value, str):
            at = datetime.fromisoformat(value.strip())
        else:
            return None
        return at.date() if at.tzinfo is None else at.astimezone(ZoneInfo(timezone)).date()
    except (ValueError, OverflowError):
        return None

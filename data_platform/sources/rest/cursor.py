"""Values by which only what changed is asked for: which of two is greater, and what lies before one. Pure.

A value is kept as the JSON text in which it came, so that it goes back to the API as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

import msgspec

from data_platform.sources.rest.json_path import word

Value = str
"""JSON text of a string or a number."""


def value_of(given: str | int | float) -> Value:
    """A value of the YAML."""
    return msgspec.json.encode(given).decode()


def plain(value: Value) -> str:
    """As a query's parameter."""
    return word(value.encode()) or ""


def moment(value: Value, unit: str | None = None) -> datetime | None:
    """The time that ``value`` is: ISO 8601, or a number of seconds (``unit`` is ``epoch``) or milliseconds
    (``epoch_ms``). A time without an offset is UTC's."""
    text = plain(value)
    try:
        if unit in ("epoch", "epoch_ms"):
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
                microseconds=int(Decimal(text) * (1_000_000 if unit == "epoch" else 1_000))
            )
        found = datetime.fromisoformat(text) if value[:1] == '"' and len(text) >= 10 else None
    except (ValueError, InvalidOperation, OverflowError):
        return None
    if found is None or not text[:4].isdigit() or text.isdigit():
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _number(value: Value) -> Decimal | None:
    try:
        found = Decimal(plain(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def greater(one: Value | None, other: Value | None) -> Value | None:
    """The later of two times, the larger of two numbers, else the text that sorts last."""
    if one is None or other is None:
        return other if one is None else one
    first, second = moment(one), moment(other)
    if first is not None and second is not None:
        return one if (first, plain(one)) >= (second, plain(other)) else other
    small, large = _number(one), _number(other)
    if small is not None and large is not None:
        return one if small >= large else other
    return one if plain(one) >= plain(other) else other


def greatest(values: Sequence[Value]) -> Value:
    """The greatest of some values, of which most APIs write all alike."""
    lengths = {len(value) for value in values}
    if len(lengths) == 1 and all(value[:1] == '"' and value[-2:] == 'Z"' for value in values):
        return max(values)
    if all(value.isdigit() for value in values):
        return max(values, key=int)
    found = values[0]
    for value in dict.fromkeys(values):
        found = greater(found, value) or found
    return found


def before(value: Value, lag: float) -> Value:
    """What lies ``lag`` before: seconds of a time, days of a date, else the number itself. ValueError where it is neither
    time nor number."""
    if not lag:
        return value
    found = moment(value)
    if found is not None:
        if len(plain(value)) == 10:
            return value_of((found.date() - timedelta(days=lag)).isoformat())
        return _like(value, found - timedelta(seconds=lag))
    number = _number(value)
    if number is None:
        raise ValueError("neither a time nor a number")
    earlier = number - Decimal(str(lag))
    text = str(int(earlier)) if earlier == earlier.to_integral_value() else str(earlier)
    return value_of(text) if value[:1] == '"' else text


def at_most(value: Value, now: datetime, unit: str | None) -> Value:
    """``value``, or ``now`` where it lies in the future: a record with a wrong clock hides no later change."""
    found = moment(value, unit)
    if found is None or found <= now or (unit is None and len(plain(value)) == 10):
        return value
    if unit in ("epoch", "epoch_ms"):
        seconds = now.timestamp() * (1 if unit == "epoch" else 1000)
        return str(int(seconds))
    return _like(value, now)


def _like(value: Value, at: datetime) -> Value:
    """A time, written as ``value`` is."""
    old = datetime.fromisoformat(plain(value))
    if old.tzinfo is None:
        text = at.astimezone(UTC).replace(tzinfo=None).isoformat()
    else:
        text = at.astimezone(old.tzinfo).isoformat()
    return value_of(text.replace("+00:00", "Z") if plain(value).endswith("Z") else text)


def day_bounds(day: date, zone: str, unit: str) -> tuple[Value, Value]:
    """The first moment of ``day`` and of the next one in ``zone``, as ``unit`` (a word of the records' types) has them."""
    if unit == "date":
        return value_of(day.isoformat()), value_of((day + timedelta(days=1)).isoformat())
    bounds = []
    for one in (day, day + timedelta(days=1)):
        start = datetime.combine(one, time.min, ZoneInfo(zone)).astimezone(UTC)
        if unit in ("epoch", "epoch_ms"):
            bounds.append(str(int(start.timestamp()) * (1 if unit == "epoch" else 1000)))
        else:
            bounds.append(value_of(start.strftime("%Y-%m-%dT%H:%M:%SZ")))
    return bounds[0], bounds[1]


def in_day(value: Value, day: date, zone: str, unit: str) -> bool:
    if unit == "date":
        return plain(value)[:10] == day.isoformat()
    found = moment(value, unit if unit != "timestamp" else None)
    return found is not None and found.astimezone(ZoneInfo(zone)).date() == day

"""A value of a query as plain JSON and as text, exactly: what JSON cannot hold becomes a string."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta
from typing import Any


def plain(value: Any) -> Any:
    """``value`` as JSON: nested values stay nested; a value that JSON cannot hold exactly becomes a string."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # JSON has no nan and no infinity
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.6f} s"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    return str(value)  # DECIMAL, UUID and every other type with an exact text


def cell(value: Any) -> str:
    """``value`` as one text."""
    made = plain(value)
    if isinstance(made, bool):
        return "true" if made else "false"
    return json.dumps(made, ensure_ascii=False) if isinstance(made, (dict, list)) else str(made)


def no_formula(text: str) -> str:
    """Spreadsheets run text that begins like this, commands included; after an apostrophe it is plain text."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text

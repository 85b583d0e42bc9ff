"""How an instant is written for people."""

from __future__ import annotations

from datetime import UTC, datetime


def shown(at: datetime) -> str:
    """In UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds").replace("+00:00", " UTC")

"""Decides which backups may be removed, by their age. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from data_platform.backups.manifest import made_at


def expired(ids: Sequence[str], now: datetime, days: int, is_good: Callable[[str], bool]) -> list[str]:
    """The ids older than ``days``, except the newest good backup, which is always kept.

    ``is_good`` is called from the newest backup backwards, and only until one is good.
    """
    old = [id_ for id_ in ids if made_at(id_) < now - timedelta(days=days)]
    if not old:
        return []
    last_good = next((id_ for id_ in sorted(ids, reverse=True) if is_good(id_)), None)
    if last_good is None:
        return []  # if none is good, the least damaged may be among the old ones
    return [id_ for id_ in sorted(old) if id_ != last_good]

"""Which of a database's backups may be removed, by their age and by what is built on them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from data_platform.backups.database.manifest import DatabaseBackup


def expired(
    backups: Sequence[DatabaseBackup], now: datetime, days: float, is_good: Callable[[str], bool]
) -> list[str]:
    """The ids that no instant of the last ``days`` needs, the oldest first.

    Kept is what is younger; the newest good one from before, since every second after it is recovered from it; the newest good
    one of all; and whatever a kept one is built on. ``is_good`` is asked from the newest backwards, only until one is good.
    """
    ordered = sorted(backups, key=lambda one: one.id, reverse=True)
    cut = now - timedelta(days=days)
    old = [one for one in ordered if one.ended_at <= cut]
    if not old:
        return []
    base = next((one.id for one in old if is_good(one.id)), None)
    newest = next((one.id for one in ordered if is_good(one.id)), None)
    if newest is None:
        return []  # if none is good, the least damaged may be among the old ones
    kept = {one.id for one in ordered if one.ended_at > cut} | {base, newest} - {None}
    parents = {one.id: one.parent for one in ordered}
    for id_ in list(kept):
        while id_ := parents.get(id_ or "", ""):
            kept.add(id_)
    return sorted(one.id for one in old if one.id not in kept)


def succeeded_at(backup: DatabaseBackup, backups: Sequence[DatabaseBackup], planned: datetime) -> datetime:
    """When a later backup ended that is not built on ``backup``: its days count from then, for until then each second after it is
    recovered from it. Where there is none yet, when the next one is ``planned``."""
    parents = {one.id: one.parent for one in backups}

    def is_built_on_it(id_: str) -> bool:
        while id_ := parents.get(id_, ""):
            if id_ == backup.id:
                return True
        return False

    later = [one.ended_at for one in backups if one.id > backup.id and not is_built_on_it(one.id)]
    return min(later, default=planned)

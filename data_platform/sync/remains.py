"""What still holds rows that were taken out, and until when: for certificates of erasure and for what retention shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from data_platform.sync.backup_classes import held
from data_platform.sync.platform import Platform


@dataclass(frozen=True, slots=True)
class Remains:
    """A backup that was made before the rows were gone, locked objects of a copy of the landing store, or a copy of the keystore from before
    the keys were destroyed. ``until`` is when its rule removes it, None where no rule does."""

    name: str
    id: str
    made_at: datetime
    stored: tuple[str, ...]
    until: datetime | None


def in_backups(platform: Platform) -> list[Remains]:
    """Every backup, with the day on which its rule removes it."""
    if platform.environment.backups is None:
        return []
    return [Remains(one.name, one.id, one.made_at, one.stored, one.kept_until) for one in held(platform)]


def made_before(backups: Iterable[Remains], gone: datetime | None) -> Iterator[Remains]:
    """Those that may hold what was gone at ``gone``, or is not gone yet."""
    return (one for one in backups if gone is None or one.made_at <= gone)

"""Which backups still hold rows that left by their table's rule, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from data_platform.privacy.retention.requests import Application
from data_platform.sync.platform import Platform
from data_platform.sync.remains import Remains, in_backups, made_before
from data_platform.sync.retention.book import Book


@dataclass(frozen=True, slots=True)
class StillHeld:
    """``backups`` were made before the rows of an application were gone. ``until`` is when the last of them is removed by its rule; None
    where no rule removes one of them."""

    application: Application
    backups: tuple[Remains, ...]

    @property
    def until(self) -> datetime | None:
        days = [one.until for one in self.backups]
        known = [one for one in days if one is not None]
        return max(known) if len(known) == len(days) else None

    @property
    def classes(self) -> dict[str, int]:
        """How many backups, by class."""
        found: dict[str, int] = {}
        for one in self.backups:
            found[one.name] = found.get(one.name, 0) + 1
        return found


def still_held(platform: Platform) -> list[StillHeld]:
    """By application, newest first; none whose rows no backup holds any more."""
    applications = list(Book(platform).read().values())
    backups = in_backups(platform) if applications else []
    found = [StillHeld(one, tuple(made_before(backups, one.gone_at))) for one in reversed(applications)]
    return [one for one in found if one.backups]

"""Objects that nobody can delete or overwrite before a day: what a store with `lock_days` can say of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Protocol

from pydantic import Field

from data_platform.errors import ObjectLocked

LockDays = Annotated[
    int | None,
    Field(
        default=None,
        ge=1,
        le=36_500,
        description="Only under `backups`: days for which nobody can delete or overwrite an object, not even the account's owner."
        " The bucket must allow it. Default: nothing is locked.",
    ),
]


class Locks(Protocol):
    """Of a store that locks what it is given."""

    @property
    def days(self) -> int:
        """For how long an object is locked when it is put."""

    @property
    def keeps_versions(self) -> bool:
        """Whether something may be put over a locked object, which then stays below it."""

    def until(self, key: str) -> datetime | None:
        """Until when ``key`` is locked; None if it is not, or is absent."""

    def extend(self, key: str, until: datetime) -> bool:
        """Lock ``key`` until then. False where it is locked as long already: a lock is never shortened. ``KeyError`` if it does
        not exist."""

    def hidden(self, prefix: str) -> list[str]:
        """Keys under ``prefix`` whose locked object something else covers: a delete marker, or a newer object that is
        not locked. Somebody else did that: the platform itself covers nothing."""

    def is_hidden(self, key: str) -> bool:
        """Whether something covers the locked object of ``key``, as ``hidden`` says."""

    def unhide(self, key: str) -> None:
        """Remove what covers the locked object of ``key``."""


def lock_end(days: int) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def locked(what: str, until: datetime) -> ObjectLocked:
    return ObjectLocked(
        f"{what}: it is locked until {until:%Y-%m-%d %H:%M} UTC, and nobody can remove it before."
    )

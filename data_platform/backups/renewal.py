"""Locks that end before what they hold is no longer needed: each is extended before it ends, and none is shortened.

An object is locked for ``lock_days`` when it is put. What is needed for longer is looked at once in half of that time, and what has
less than three quarters left is locked for ``lock_days`` again. So no lock ends between two rounds, and an object costs one question
a round. A hint in the archive says when the last round was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from data_platform.backups.archive import Archive
from data_platform.errors import DataPlatformError
from data_platform.landing import hint
from data_platform.stores.locks import Locks

KEY = "locks/renewed.json"
NAMED_MAX = 20
ROUND, LEFT = 1 / 2, 3 / 4
"""Of ``lock_days``: the time between two rounds, and what a lock must have left at one."""


@dataclass(frozen=True, slots=True)
class Needed:
    """An object that must stay locked ``until`` then; None for an object that is needed for good."""

    key: str
    until: datetime | None = None


@dataclass(frozen=True)
class Renewal:
    """The newest round in an archive: ``objects`` are still needed, ``extended`` of them were locked anew, and ``unlocked`` are not
    locked, some of them ``named``. ``problem`` is why there was none. ``now`` says whether the round was held just now."""

    archive: str
    at: datetime | None = None
    days: int = 0
    objects: int = 0
    extended: int = 0
    unlocked: int = 0
    named: tuple[str, ...] = ()
    problem: str = ""
    now: bool = False

    @property
    def problems(self) -> list[str]:
        if self.problem:
            return [f"{self.archive}: {self.problem}"]
        if not self.unlocked:
            return []
        return [
            f"{self.archive}: {self.unlocked} of {self.objects} objects that are still needed are not locked, such as {self.named[0]}"
        ]


def renew(
    archive: Archive, needed: Callable[[], Iterable[Needed]], now: datetime | None = None
) -> Renewal | None:
    """Hold a round if one is due, or the last one left something unlocked; else give the last one. None for an archive that locks
    nothing. ``needed`` is called only for a round."""
    locks = archive.store.locks
    if locks is None:
        return None
    at = now or datetime.now(UTC)
    last = _recall(archive)
    if last is not None and not _is_due(last, locks, at):
        return last
    found = _round(archive, locks, list(needed()), at)
    fields = {**asdict(replace(found, now=False)), "at": at.isoformat()}
    hint.write(archive.store, KEY, fields, archive.signer)
    return found


def _is_due(last: Renewal, locks: Locks, at: datetime) -> bool:
    if last.at is None or last.days != locks.days or last.unlocked:
        return True
    return at >= last.at + ROUND * timedelta(days=locks.days)


def _round(archive: Archive, locks: Locks, needed: list[Needed], at: datetime) -> Renewal:
    done = archive.store.together([partial(_extended, locks, one, at) for one in needed])
    unlocked = [one for one in done if isinstance(one, str)]
    return Renewal(
        archive.name,
        at,
        locks.days,
        len(needed),
        sum(one is True for one in done),
        len(unlocked),
        tuple(unlocked[:NAMED_MAX]),
        now=True,
    )


def _extended(locks: Locks, one: Needed, at: datetime) -> bool | str:
    """Whether the lock of an object was extended; the key where it could not be."""
    days = timedelta(days=locks.days)
    longest = at + days
    end = longest if one.until is None or one.until <= at else min(longest, one.until)
    enough = min(end, at + LEFT * days)
    try:
        until = locks.until(one.key)
        if until is None and locks.is_hidden(
            one.key
        ):  # a lock there would hold what somebody put over the object
            return (
                f"{one.key} (it was hidden by somebody: `data-platform backup uncover --yes` brings it back)"
            )
        return locks.extend(one.key, end) if until is None or until < enough else False
    except (KeyError, DataPlatformError) as error:
        return f"{one.key} ({'it is missing' if isinstance(error, KeyError) else error})"


def _recall(archive: Archive) -> Renewal | None:
    raw = hint.read(archive.reader, KEY, archive.signer)
    if not raw:
        return None
    found = Renewal(**{**raw, "at": datetime.fromisoformat(raw["at"]), "named": tuple(raw["named"])})
    return replace(found, archive=archive.name)

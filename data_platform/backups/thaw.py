"""Makes the objects of a backup readable that lie in a storage class which is read only hours after it is asked.

The wait goes on by itself: what was asked for before is not asked for twice, so a call that was stopped is made again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from data_platform.backups.archive import Archive
from data_platform.backups.manifest import BackupManifest
from data_platform.errors import BackupError
from data_platform.stores.tiering import AT_ONCE, Placed, Retrieval, StorageClass, Tiering, class_of, tiering

GB = 1_000_000_000
KEPT_DAYS = 7
"""How long the readable copies stay."""
POLL_SECONDS = 300.0
PATIENCE = 2
"""Times the service's own longest time, after which nobody waits any more."""

Clock = Callable[[], datetime]
Sleep = Callable[[float], None]


@dataclass(frozen=True)
class Frozen:
    """What of a backup cannot be read now. The keys ``asked`` have been asked for already."""

    archive: str
    objects: tuple[Placed, ...]
    classes: tuple[StorageClass, ...]
    asked: frozenset[str] = frozenset()

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.objects)

    @property
    def speeds(self) -> list[str]:
        """The speeds that every object can be read at, the fastest first."""
        common = [one for one in self.classes[0].speeds if all(one in c.speeds for c in self.classes)]
        return sorted(common, key=self.hours)

    def hours(self, speed: str) -> float:
        """How long the service takes at most."""
        return max(one.speeds[speed].hours for one in self.classes)

    def dollars(self, speed: str) -> float:
        """What the service takes for what has not been asked for, by its list prices."""
        new = [one for one in self.objects if one.key not in self.asked]
        return sum(_price(self._class(one).speeds[speed], one.bytes) for one in new)

    def _class(self, one: Placed) -> StorageClass:
        return next(known for known in self.classes if known.name == one.storage_class)


def _price(retrieval: Retrieval, size: int) -> float:
    return retrieval.per_gb * size / GB + retrieval.per_1000 / 1000


def frozen(archive: Archive, manifest: BackupManifest) -> Frozen | None:
    """What of the backup has to be asked for; None if all of it can be read. One listing, and a request for each object in a slow
    class."""
    classes = tiering(archive.reader)
    if classes is None:
        return None
    wanted = {object_.key for object_ in manifest.objects()}
    slow = _slow(classes, archive.shelf.key(manifest.id, "").rstrip("/"), wanted)
    states = archive.reader.together([partial(classes.state, one.key) for one in slow])
    left = [(one, state) for one, state in zip(slow, states, strict=True) if state != "readable"]
    if not left:
        return None
    names = sorted({one.storage_class for one, _ in left})
    found = tuple(known for name in names if (known := class_of(classes.classes, name)))
    asked = frozenset(one.key for one, state in left if state == "thawing")
    return Frozen(archive.name, tuple(one for one, _ in left), found, asked)


def _slow(classes: Tiering, prefix: str, wanted: set[str]) -> list[Placed]:
    names = {one.name for one in classes.classes if not one.at_once}
    return [one for one in classes.survey(prefix) if one.key in wanted and one.storage_class in names]


def thaw(
    archive: Archive,
    manifest: BackupManifest,
    speed: str,
    *,
    clock: Clock = lambda: datetime.now(UTC),
    sleep: Sleep = time.sleep,
    progress: Callable[[Frozen], None] = lambda frozen: None,
) -> None:
    """Ask for everything of the backup that is frozen, and return once all of it can be read.

    ``progress`` is called before each wait with what is still frozen. ``BackupError`` for a ``speed`` that its classes do not
    have, and when the service takes twice as long as it says.
    """
    left = frozen(archive, manifest)
    if left is None:
        return
    classes = tiering(archive.store)
    assert classes is not None
    must_offer(left, speed)
    keys = [one.key for one in left.objects if one.key not in left.asked]
    archive.store.together([partial(classes.thaw, key, speed, KEPT_DAYS) for key in keys])
    until = clock() + timedelta(hours=PATIENCE * left.hours(speed))
    while (left := frozen(archive, manifest)) is not None:
        if clock() >= until:
            raise BackupError(
                f"{len(left.objects)} object(s) of {manifest.id} in {archive}, such as {left.objects[0].key}, were asked for and"
                f" cannot be read after {PATIENCE} times the {speed} time of the service. Run the same command again: it goes on"
                " waiting; or restore from another copy."
            )
        progress(left)
        sleep(POLL_SECONDS)


def must_offer(left: Frozen, speed: str) -> None:
    """``BackupError`` for a speed that the classes do not have."""
    if speed not in left.speeds:
        kinds = ", ".join(one.name for one in left.classes)
        raise BackupError(
            f"{left.archive} keeps objects in the storage class {kinds}, which cannot be read {speed!r}. Choose --speed"
            f" {' or '.join(left.speeds)}."
        )


def offers(left: Frozen) -> Sequence[tuple[str, float, float]]:
    """Speed, hours and dollars of each way to read what is frozen, the fastest first."""
    return [(speed, left.hours(speed), left.dollars(speed)) for speed in left.speeds if speed != AT_ONCE]

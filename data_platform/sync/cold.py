"""The cold copy: the newest archive, once a month, in the coldest storage class of a store of its own.

It is written and read back while it is hot, and moved only then: what is cold cannot be read for hours.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from data_platform.backups.archive import Archive
from data_platform.backups.config import COLD, ColdSettings
from data_platform.backups.manifest import BackupManifest
from data_platform.backups.shelf import ARCHIVE
from data_platform.errors import BackupMissing, ConfigurationError
from data_platform.stores.tiering import BYTES_MIN, chosen, colder, tiering
from data_platform.sync.backup import CopyAge, archive, newest, newest_in
from data_platform.sync.longterm import archive_settings
from data_platform.sync.platform import Platform

Progress = Callable[[str, int], None]
"""Called with an object and its bytes, once it is copied and read back."""


@dataclass(frozen=True)
class ColdReport:
    """``source`` is the archive that was copied from; ``copied`` is False where the cold store had this archive already. ``moved``
    objects are in ``storage_class``, which is empty for a store without classes."""

    id: str
    source: str
    copied: bool
    tables: int
    rows: int
    bytes: int
    moved: int
    storage_class: str
    seconds: float


def cold_settings(platform: Platform) -> ColdSettings:
    """``ConfigurationError`` where the environment makes no cold copy."""
    found = archive_settings(platform).cold
    if found is None:
        raise ConfigurationError(
            f"The environment {platform.environment.name!r} makes no cold copy. Add `cold: {{store: {{kind: s3, bucket: ...}}}}` to"
            " `backups.archive` in catalog/platform.yaml."
        )
    return found


def copy_to_cold(platform: Platform, progress: Progress | None = None) -> ColdReport:
    """Copy the newest archive to the cold store, read every byte back, then move its rows to the coldest class. An archive that
    is there already is only moved, and an object that is there already is not sent again: so an interrupted call is made again. ``BackupMissing`` if there is no archive yet."""
    cold_settings(platform)
    platform.signer.ready()
    started = time.monotonic()
    source, id_ = _newest_archive(platform)
    manifest = source.manifest(id_)
    there = archive(platform, COLD, ARCHIVE)
    copied = id_ not in there.ids()
    if copied:
        _copy(source, there, manifest, progress)
    moved, name = _move(there, manifest)
    return ColdReport(
        id_,
        source.name,
        copied,
        len(manifest.tables),
        manifest.rows,
        manifest.bytes,
        moved,
        name,
        time.monotonic() - started,
    )


def newest_cold(platform: Platform) -> CopyAge:
    """The newest cold copy whose objects are there with their sizes. Nothing cold is read for that."""
    cold_settings(platform)
    return newest_in(archive(platform, COLD, ARCHIVE))


def _newest_archive(platform: Platform) -> tuple[Archive, str]:
    ages = [age for age in newest(platform, ARCHIVE) if age.id is not None]
    if not ages:
        raise BackupMissing(
            "There is no archive that could be copied. Make one: data-platform backup archive."
        )
    best = max(ages, key=lambda age: age.id or "")
    return archive(platform, best.archive, ARCHIVE), best.id or ""


def _copy(source: Archive, there: Archive, manifest: BackupManifest, progress: Progress | None) -> None:
    """What an interrupted copy left there is hashed and not sent again; `prune` removes it if no other one follows."""
    for object_ in manifest.objects():
        owner = manifest.owner_of(object_.key)
        if not there.has(object_):
            with source.fetched(object_, owner) as path:
                there.add(path, object_)
        if progress:
            progress(owner, object_.bytes)
    there.commit(manifest)


def _move(there: Archive, manifest: BackupManifest) -> tuple[int, str]:
    """Move the rows; the description stays hot, so that a person can read what lies there."""
    classes = tiering(there.store)
    if classes is None:
        return 0, ""
    to = chosen(classes.classes, "deep", at_once=False)
    rows = {part.key for table in manifest.tables for part in table.parts if part.bytes >= BYTES_MIN}
    moved = 0
    for placed in classes.survey(there.shelf.key(manifest.id, "").rstrip("/")):
        if placed.key in rows and colder(classes.classes, placed.storage_class, to):
            classes.move(placed.key, to)
            moved += 1
    return moved, to.name

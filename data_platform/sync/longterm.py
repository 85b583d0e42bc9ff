"""The archive that is kept for years: make one, read it as a stranger would, bring its files back."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from data_platform.backups import stranger
from data_platform.backups.archive import Archive
from data_platform.backups.config import COLD, PRIMARY, ArchiveSettings
from data_platform.backups.export import BackupReport, Progress, export, store
from data_platform.backups.manifest import BackupManifest
from data_platform.backups.open_format import describe
from data_platform.backups.reencrypt import opened_by_previous
from data_platform.backups.restore import RestoreReport, new_folder
from data_platform.backups.shelf import ARCHIVE
from data_platform.backups.thaw import frozen
from data_platform.errors import ConfigurationError, DataPlatformError
from data_platform.private_files import make_private
from data_platform.sync.backup import archive, archives, bounded, everywhere, keys_of, named, settings
from data_platform.sync.platform import Platform

COLD_TABLES = 12
"""Of the cold copy, so many are read by a drill."""


def archive_settings(platform: Platform) -> ArchiveSettings:
    """``ConfigurationError`` where the environment makes no archive."""
    found = settings(platform).archive
    if found is None:
        raise ConfigurationError(
            f"The environment {platform.environment.name!r} makes no archive: its `backups:` say `archive: null`. Take that"
            " line out, or write `archive: {keep_years: 7}`."
        )
    return found


def make_archive(platform: Platform, progress: Progress | None = None) -> BackupReport:
    """Write every table of the warehouse, with its description, into every archive; see ``backup.make_backup``."""
    archive_settings(platform)
    stores, warehouse_ = archives(platform, ARCHIVE), bounded(platform)
    platform.signer.ready()
    now = platform.clock()
    (id_, remarks), environment = named(stores, now), platform.environment.name
    with stores[0].store.scratch() as folder:
        with warehouse_.open(platform.catalog.root, read_only=True) as warehouse:
            exported = export(warehouse, folder, id_, progress, keys=keys_of(platform), shelf=ARCHIVE)
        files = describe(exported, folder, id_, environment)
        report = store(exported, files, stores, id_=id_, environment=environment, created_at=now)
    return replace(report, remarks=remarks)


def hold_archive_drills(platform: Platform, seed: int = 0) -> list[RestoreReport]:
    """Read the newest archive of every store by pyarrow and DuckDB alone; of the cold copy some tables that ``seed`` draws among those
    that can be read without a wait. Failures are in the reports and not raised. A cold store that holds nothing yet has none."""
    found = []
    for one in everywhere(platform, ARCHIVE):
        if one.name != COLD:
            found.append(_drill(one))
        elif (held := _drill_cold(one, seed)) is not None:
            found.append(held)
    return found


def fetch_archive(platform: Platform, which: str, into: Path, *, copy: str = PRIMARY) -> BackupManifest:
    """Bring the files of an archive into the empty or new folder ``into``, each proven by its SHA-256."""
    chosen = archive(platform, copy, ARCHIVE)
    manifest = chosen.chosen(which)
    new_folder(into)
    for object_ in manifest.objects():
        path = object_.key.removeprefix(ARCHIVE.key(manifest.id, ""))
        target = into / path
        make_private(target.parent)
        with chosen.fetched(object_, manifest.owner_of(object_.key)) as fetched:
            shutil.copyfile(fetched, target)
    if copy == COLD:
        with suppress(DataPlatformError):  # who restores may not be allowed to write there
            chosen.remember_verified(manifest.id, platform.clock())
    return manifest


def _drill_cold(one: Archive, seed: int) -> RestoreReport | None:
    """The cold copy: every object by its size, the description, and tables that are not frozen."""
    try:
        ids = one.ids()
        if not ids:
            return None
        manifest = one.manifest(ids[-1])
        left = frozen(one, manifest)
        cold = {placed.key for placed in left.objects} if left else set()
        readable = [
            table.label for table in manifest.tables if not any(part.key in cold for part in table.parts)
        ]
        drawn = random.Random(seed).sample(readable, min(COLD_TABLES, len(readable)))
        problems = one.damage(manifest, deep=False)
        at = one.verified_at(manifest.id)
    except DataPlatformError as error:
        return RestoreReport("latest", one.name, 0, 0, 0, 0.0, (str(error),))
    note = f"{len(drawn)} of {len(manifest.tables)} tables read"
    if cold:
        note = (
            f"{note}, {len(manifest.tables) - len(readable)} frozen: last verified on {at:%Y-%m-%d}. `data-platform restore archive"
            f" --copy {COLD} --into FOLDER` thaws and verifies all of it."
        )
    found = _drill(one, drawn)
    return replace(found, mismatches=(*problems, *found.mismatches), note=note)


def _drill(one: Archive, only: Collection[str] | None = None) -> RestoreReport:
    started = time.monotonic()
    id_ = "latest"
    reading = stranger.Reading(0, 0, 0, ())
    try:
        id_ = one.chosen("latest").id
        reading = stranger.read(lambda path: one.reader.local(ARCHIVE.key(id_, path)), only)
        lines = reading.mismatches
    except (DataPlatformError, ValueError) as error:
        lines = (str(error),)
    return RestoreReport(
        *(id_, one.name, reading.tables, reading.rows, reading.bytes, time.monotonic() - started, lines),
        old_identity=opened_by_previous(one),
    )

"""Restores a backup to a new warehouse that is proven to hold the same rows; also the restore drill."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from data_platform.backups import names, parquet
from data_platform.backups.archive import Archive
from data_platform.backups.instance import unpack
from data_platform.backups.manifest import BackupManifest, BackupTable
from data_platform.errors import BackupDamaged, BackupError, DataPlatformError
from data_platform.private_files import make_private
from data_platform.warehouses.archive import Archivable, ArchivableConfig, TrialConfig

Progress = Callable[[str, int], None]
"""Called with a table and its rows, once they are restored."""

_FILES_AT_ONCE = 32


@dataclass(frozen=True)
class RestoreReport:
    """``mismatches`` are lines about tables whose rows differ from the backup's. If it is empty, the restore is proven.
    ``old_identity`` are objects that only a previous identity opens; ``note`` says what was not read, and why. ``removed`` counts the rows
    that were taken out after the proof, by relation."""

    id: str
    archive: str
    tables: int
    rows: int
    bytes: int
    seconds: float
    mismatches: tuple[str, ...] = ()
    old_identity: tuple[str, ...] = ()
    note: str = ""
    removed: Mapping[str, int] = field(default_factory=dict)


def restore(
    archive: Archive,
    manifest: BackupManifest,
    into: ArchivableConfig,
    root: Path,
    *,
    replace: bool = False,
    progress: Progress | None = None,
    then: Callable[[Archivable], Mapping[str, int]] | None = None,
) -> RestoreReport:
    """Restore into ``into``, which reaches no file but its own and what ``archive`` gives, and appears only once every table was proven equal.

    Every object is hashed before it is read and every table's fingerprint compared
    with the manifest's. ``then`` takes out what must not come back, before the warehouse appears. Raises BackupDamaged, naming what, and BackupError when
    ``into`` exists and ``replace`` is not said; then nothing was changed.
    """
    if into.exists(root) and not replace:
        raise BackupError(
            f"{into.place(root)} exists. Choose another name, or give --replace to replace it with the restored warehouse once"
            " that is proven equal to the backup."
        )
    started = time.monotonic()
    with into.replace_atomically(root, "restoring", files=[archive.reader.folder]) as warehouse:
        report = _restore(archive, manifest, warehouse, started, progress)
        if report.mismatches:
            raise BackupDamaged(
                f"The warehouse restored from {manifest.id} in {archive} differs from the one that was backed up:"
                f" {'; '.join(report.mismatches)}. Nothing was changed; restore from another copy or another day."
            )
        if then is not None:
            report = dataclasses.replace(report, removed=then(warehouse))
    return report


def drill(archive: Archive, which: str, trial: TrialConfig, root: Path) -> RestoreReport:
    """Restore into the new warehouse ``trial``, which is deleted. Failures are in the report and not raised."""
    started = time.monotonic()
    manifest: BackupManifest | None = None
    try:
        manifest = archive.chosen(which)
        trial.remove(root)  # what a drill that was killed left of it
        with trial.open(root, files=[archive.reader.folder]) as warehouse:
            return _restore(archive, manifest, warehouse, started, None)
    except DataPlatformError as error:
        seconds = time.monotonic() - started
        return RestoreReport(
            manifest.id if manifest else which, archive.name, 0, 0, 0, seconds, (str(error),)
        )
    finally:
        trial.remove(root)


def restore_files(archive: Archive, manifest: BackupManifest, into: Path) -> int:
    """Restore the files backed up with the warehouse into the empty or new folder ``into``; returns their number."""
    _must_be_empty(into)
    owner = f"The backup {manifest.id} in {archive}"
    for file in manifest.files:  # all of them, before the first is written
        names.inside(into, file.path, owner)
    make_private(into)
    for file in manifest.files:
        target = names.inside(into, file.path, owner)
        make_private(target.parent)
        with archive.fetched(file.object, file.path) as path:
            unpack(path, target, file.plain_bytes)
    return len(manifest.files)


def new_folder(into: Path) -> None:
    """Make the folder ``into``, closed to other accounts. ``BackupError`` if it holds anything."""
    _must_be_empty(into)
    make_private(into)


def _must_be_empty(into: Path) -> None:
    if into.exists() and any(into.iterdir()):
        raise BackupError(f"{into} is not empty. Choose another folder; nothing was changed.")


def _restore(
    archive: Archive,
    manifest: BackupManifest,
    warehouse: Archivable,
    started: float,
    progress: Progress | None,
) -> RestoreReport:
    mismatches = []
    engine = warehouse.inventory().engine
    warehouse.restore(manifest.inventory)
    for table in manifest.tables:
        mismatches += _restore_table(
            archive, manifest, table, warehouse, same_engine=engine == manifest.engine
        )
        if progress:
            progress(table.label, table.rows)
    warehouse.finish_restore(manifest.inventory)
    return RestoreReport(
        manifest.id,
        archive.name,
        len(manifest.tables),
        manifest.rows,
        manifest.bytes,
        time.monotonic() - started,
        tuple(mismatches),
    )


def _restore_table(
    archive: Archive,
    manifest: BackupManifest,
    table: BackupTable,
    warehouse: Archivable,
    *,
    same_engine: bool,
) -> list[str]:
    expected = (table.rows, table.fingerprint)
    by_today = 0
    for first in range(0, len(table.parts), _FILES_AT_ONCE):
        parts = table.parts[first : first + _FILES_AT_ONCE]
        with ExitStack() as stack:
            paths = [stack.enter_context(archive.fetched(part, table.label)) for part in parts]
            warehouse.fill(table.table, paths)
            if (
                not same_engine
            ):  # another version may hash differently: the objects are proven by their SHA-256
                for part, path in zip(parts, paths, strict=True):
                    with parquet.checked(path, part.key) as given:
                        by_today = (by_today + warehouse.row_fingerprint(table.table, given)[1]) % 2**64
    if not same_engine:
        expected = (table.rows, by_today)
    found = warehouse.row_fingerprint(table.table)
    if found == expected:
        return []
    return [f"{table.label} holds {found[0]:,} rows instead of {table.rows:,}, or rows with different values"]

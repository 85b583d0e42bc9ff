"""Exports an open warehouse to Parquet files with known bytes, and stores these as a backup.

Exporting holds the warehouse; storing does not. The rows of a table are sorted by their
values alone and divided by their size, so that equal rows make equal files, byte for
byte. Every page has a checksum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from data_platform.backups import names, parquet
from data_platform.backups.archive import Archive
from data_platform.backups.manifest import BackupFile, BackupManifest, BackupObject, BackupTable, LedgerHead
from data_platform.backups.mirror import Mirrored
from data_platform.backups.shelf import WAREHOUSE, Shelf
from data_platform.errors import BackupDamaged, DataPlatformError
from data_platform.landing.part import sha256_of
from data_platform.warehouses.archive import Archivable, Inventory, StoredTable

if TYPE_CHECKING:
    import pyarrow as pa

PART_BYTES = 32 << 20
"""Size of a part's rows in memory. Two parts are encoded in parallel while one is read."""
WORKERS = 2

Progress = Callable[[str, int], None]
"""Called with a table and its rows written so far."""


@dataclass(frozen=True)
class Exported:
    """A warehouse's tables as Parquet files in a folder; ``tables`` name the objects they will be."""

    inventory: Inventory
    tables: tuple[BackupTable, ...]
    paths: dict[str, Path]
    """By object key."""


@dataclass(frozen=True, slots=True)
class FileToKeep:
    """A file that is backed up beside the warehouse: ``path`` is its name in the backup, ``content``
    its bytes, maybe compressed, and ``plain_bytes`` its size without."""

    path: str
    content: Path
    plain_bytes: int


@dataclass(frozen=True)
class BackupReport:
    """``failed`` says, by archive, why it did not get this backup. The other archives hold it, and it was read back.
    ``mirrored`` is what the backup store got of the landing store."""

    manifest: BackupManifest
    stored: tuple[str, ...]
    failed: dict[str, DataPlatformError]
    mirrored: Mirrored = field(default_factory=lambda: Mirrored(()))
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Encoded:
    object: BackupObject
    fingerprint: int


def export(
    warehouse: Archivable,
    folder: Path,
    id_: str,
    progress: Progress | None = None,
    *,
    keys: Mapping[tuple[str, str], Sequence[str]] | None = None,
    shelf: Shelf = WAREHOUSE,
) -> Exported:
    """Write every table of one snapshot of ``warehouse`` into ``folder`` and prove the files.

    ``keys`` are the unique columns of tables (schema, name) where they are known: a table is
    ordered by them, otherwise by all its columns. ``shelf`` decides the keys of the objects.
    Each file is read back with its page checksums verified, and what its rows hash to, summed over
    a table's files, is compared with the table's own fingerprint. Raises ``BackupDamaged``
    when they differ and WarehouseError for what cannot be kept.
    """
    paths: dict[str, Path] = {}
    tables = []
    with warehouse.snapshot(), ThreadPoolExecutor(WORKERS, thread_name_prefix="backup") as pool:
        inventory = warehouse.inventory()
        for stored in inventory.tables:
            rows, fingerprint = warehouse.row_fingerprint(stored)
            reader = warehouse.read_ordered(stored, (keys or {}).get((stored.schema, stored.name), ()))
            below = shelf.key(id_, names.relation(stored.schema, stored.name))
            parts = _write(warehouse, reader, stored, folder, below, pool, paths, progress)
            table = BackupTable(stored, rows, fingerprint, tuple(part.object for part in parts))
            found = sum(part.object.rows for part in parts)
            if (found, sum(part.fingerprint for part in parts) % 2**64) != (rows, fingerprint):
                raise BackupDamaged(
                    f"The files written of {table.label} hold {found:,} rows that are not the table's {rows:,}:"
                    " the values of a column were not preserved. Nothing was stored; report it, with the types of"
                    " its columns."
                )
            tables.append(table)
    return Exported(inventory, tuple(tables), paths)


def store(
    exported: Exported,
    files: Sequence[FileToKeep],
    archives: Sequence[Archive],
    *,
    ledger: tuple[LedgerHead, ...] = (),
    id_: str,
    environment: str,
    created_at: datetime,
) -> BackupReport:
    """Put what was exported, and further ``files``, into every archive; all of them are of one shelf.

    The first archive is the backup store: what fails there is raised. A copy that
    fails is in the report; it keeps no other from being made. The manifest is each
    archive's last object, written once all others read back as they must. An archive that did not
    get the whole backup keeps nothing of it.
    """
    paths = dict(exported.paths)
    kept = []
    for file in files:
        where = names.escaped(file.path)
        shelf = archives[0].shelf
        key = shelf.key(id_, f"{shelf.files}{names.key_of(where)}")
        object_ = BackupObject(key, file.content.stat().st_size, sha256_of(file.content))
        paths[key] = file.content
        kept.append(BackupFile(where, object_, file.plain_bytes))
    inventory = exported.inventory
    manifest = BackupManifest(
        id=id_,
        environment=environment,
        created_at=created_at.isoformat(timespec="seconds"),
        engine=inventory.engine,
        schemas=inventory.schemas,
        tables=exported.tables,
        statements=inventory.statements,
        files=tuple(kept),
        ledger=ledger,
    ).sealed()
    manifest = manifest.signed(archives[0].signer)
    stored, failed = [], {}
    for number, archive in enumerate(archives):
        try:
            _store_in(archive, manifest, paths)
            stored.append(archive.name)
        except DataPlatformError as error:
            if number == 0:
                raise
            failed[archive.name] = error
    return BackupReport(manifest, tuple(stored), failed)


def _store_in(archive: Archive, manifest: BackupManifest, paths: dict[str, Path]) -> None:
    try:
        _send(archive, manifest, paths)
    except BaseException:
        with suppress(DataPlatformError):  # the first failure is reported; `prune` removes what is left
            archive.remove(manifest.id)
        raise


def _send(archive: Archive, manifest: BackupManifest, paths: dict[str, Path]) -> None:
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="backup") as pool, ExitStack() as stack:
        stack.callback(pool.shutdown, cancel_futures=True)  # after the first failure no more is sent
        for done in [pool.submit(archive.add, paths[o.key], o) for o in manifest.objects()]:
            done.result()
    archive.commit(manifest)


def _write(
    warehouse: Archivable,
    reader: pa.RecordBatchReader,
    stored: StoredTable,
    folder: Path,
    below: str,
    pool: ThreadPoolExecutor,
    paths: dict[str, Path],
    progress: Progress | None,
) -> list[_Encoded]:
    label = f"{stored.schema}.{stored.name}"
    waiting: list[Future[_Encoded]] = []
    rows = 0
    for number, part in enumerate(_parts(reader)):
        key = f"{below}/part-{number:05d}.parquet"
        paths[key] = folder / f"{len(paths):06d}.parquet"
        if len(waiting) >= WORKERS:  # bounded: a slow encoder holds the reader back
            waiting[-WORKERS].result()
        waiting.append(pool.submit(_encode, warehouse, stored, part, paths[key], key))
        rows += part.num_rows
        if progress:
            progress(label, rows)
    return [encoded.result() for encoded in waiting]


def _parts(reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """Divides the rows where they reach ``PART_BYTES``. Only the values decide, so the result is always the same."""
    import pyarrow as pa

    batches: list[pa.RecordBatch] = []
    size = 0
    for batch in reader:
        batches.append(batch)
        size += batch.nbytes
        if size >= PART_BYTES:
            yield pa.Table.from_batches(batches)
            batches, size = [], 0
    if batches:
        yield pa.Table.from_batches(batches)


def _encode(warehouse: Archivable, stored: StoredTable, part: pa.Table, path: Path, key: str) -> _Encoded:
    """Write one file and read it back: check every page and hash every row like the table's rows."""
    parquet.write(part, path)
    with parquet.checked(path, key) as rows:
        found, fingerprint = warehouse.row_fingerprint(stored, rows)
    return _Encoded(BackupObject(key, path.stat().st_size, sha256_of(path), found), fingerprint)

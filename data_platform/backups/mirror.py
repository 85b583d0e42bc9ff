"""The landing ledger's second copy: every manifest, unchanged, under ``ledger/`` in an archive, and the records in
quarantine, which stand nowhere else.

Each backup adds the manifests since the last one. Nothing is pruned: the copy is small,
and a chain with a gap is worthless.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from data_platform.backups.archive import Archive
from data_platform.backups.manifest import LedgerHead
from data_platform.errors import BackupDamaged
from data_platform.landing.keys import manifest_key
from data_platform.landing.ledger import Ledger
from data_platform.landing.manifest import Manifest, Part
from data_platform.landing.redaction import QUARANTINE, Rewrites
from data_platform.landing.stored_parts import damage_of, open_part
from data_platform.stores import Store
from data_platform.tables import TableId

T = TypeVar("T")

PREFIX = "ledger"


def mirror(ledger: Ledger, archive: Archive, tables: Iterable[TableId]) -> tuple[LedgerHead, ...]:
    """Add the manifests of ``tables`` that ``archive`` lacks; returns how far each ledger is then mirrored.

    Each manifest is verified when read and read back after it is written. LedgerBroken if
    the ledger is not the one that was mirrored before.
    """
    mirrored = Ledger(_Under(archive.open(), PREFIX))
    heads = []
    for table in tables:
        if ledger.head(table) is None:
            continue
        known = mirrored.head(table)
        sequence, digest = (known.sequence, known.digest) if known else (0, None)
        new = ledger.since(table, sequence, digest)
        rewrites = ledger.rewrites(table)
        whole = max((manifest.sequence for manifest in new if manifest.is_whole), default=0)
        for manifest in new:
            key = manifest_key(table, manifest.sequence)
            data = ledger.store.read(key)  # its very bytes, whichever version wrote them
            if Manifest.from_json(data, key).digest != manifest.digest:
                raise BackupDamaged(
                    f"{key} in {ledger.store.url} changed while it was backed up. Run the backup again."
                )
            _copy_quarantined(ledger, mirrored, manifest, rewrites, superseded=manifest.sequence < whole)
            for old in _erased(manifest):  # before the manifest: once it is there, nobody comes back
                mirrored.store.delete(old)
            mirrored.store.put_new(key, data)
            if mirrored.store.read(key) != data:
                raise BackupDamaged(
                    f"{key} in {archive} does not read back as it was written: another ledger was backed up there"
                    " before. Give each environment a backup store of its own."
                )
            sequence, digest = manifest.sequence, manifest.digest
        heads.append(LedgerHead(str(table), sequence, digest or ""))
    return tuple(heads)


def restore_ledger(archive: Archive, heads: Iterable[LedgerHead], store: Store) -> int:
    """Put the manifests up to ``heads`` into an empty ``store``; returns their number. ``BackupDamaged``
    if the mirror does not hold the same chain that the backup was made with."""
    mirrored = Ledger(_Under(archive.open(), PREFIX))
    written = 0
    for head in heads:
        table = TableId.parse(head.table)
        before, whole = None, 0
        quarantined: list[Manifest] = []
        for sequence in range(1, head.sequence + 1):
            manifest = mirrored.read(table, sequence)
            if manifest.previous != before:
                raise BackupDamaged(
                    f"The ledger of {table} in {archive} is broken: batch {sequence} does not follow the one before."
                    " Restore from another copy."
                )
            before = manifest.digest
            whole = sequence if manifest.is_whole else whole
            quarantined.append(manifest)
            key = manifest_key(table, sequence)
            written += store.put_new(key, mirrored.store.read(key))
        if head.sequence and manifest.digest != head.digest:
            raise BackupDamaged(
                f"The ledger of {table} in {archive} is not the one this backup was made with: its batch"
                f" {head.sequence} differs. Restore from another copy."
            )
        rewrites = mirrored.rewrites(table)
        for manifest in quarantined:
            _copy_quarantined(
                mirrored, Ledger(store), manifest, rewrites, superseded=manifest.sequence < whole
            )
    return written


def _copy_quarantined(
    here: Ledger, there: Ledger, manifest: Manifest, rewrites: Rewrites, *, superseded: bool
) -> None:
    """Each object is hashed when it is read and when it is read back. One that is gone is passed over where it is
    ``superseded``: a whole read came after it. What a redaction took records from is copied as it is after that, with it."""
    for part in _quarantined(manifest, rewrites):
        if superseded and not _is_there(here.store, part):
            continue
        with open_part(here, manifest, part) as path, there.store.scratch() as folder:
            copied = folder / "object"
            shutil.copyfile(path, copied)
            there.store.put_file(part.key, copied, sha256=part.sha256)
            if damage := damage_of(there.store, manifest, part):
                raise BackupDamaged(damage)


def _quarantined(manifest: Manifest, rewrites: Rewrites) -> list[Part]:
    """The objects of quarantine that came with ``manifest`` and stand."""
    own = [manifest.quarantined] if manifest.quarantined else []
    parts = manifest.redaction.parts if manifest.redaction else ()
    own += [part.new for part in parts if part.index == QUARANTINE]
    return [part for part in own if part.key not in rewrites.by_old_key]


def _erased(manifest: Manifest) -> list[str]:
    parts = manifest.redaction.parts if manifest.redaction else ()
    return [part.old.key for part in parts if part.index == QUARANTINE]


def _is_there(store: Store, part: Part) -> bool:
    try:
        return store.size(part.key) >= 0
    except KeyError:
        return False


class _Under:
    """A store's objects below ``prefix``, as a store."""

    def __init__(self, store: Store, prefix: str) -> None:
        self._store, self._prefix = store, prefix
        self.url = f"{store.url}/{prefix}"
        self.folder = store.folder
        self.requests_at_once = store.requests_at_once

    def together(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        return self._store.together(calls)

    def put_new(self, key: str, data: bytes) -> bool:
        return self._store.put_new(self._key(key), data)

    def put_file(self, key: str, path: Path, sha256: str | None = None) -> None:
        self._store.put_file(self._key(key), path, sha256=sha256)

    def put_hint(self, key: str, data: bytes) -> None:
        self._store.put_hint(self._key(key), data)

    def read(self, key: str) -> bytes:
        return self._store.read(self._key(key))

    def read_range(self, key: str, start: int, length: int) -> bytes:
        return self._store.read_range(self._key(key), start, length)

    def size(self, key: str) -> int:
        return self._store.size(self._key(key))

    def written_at(self, key: str) -> datetime | None:
        return self._store.written_at(self._key(key))

    def list(self, prefix: str, limit: int | None = None) -> list[str]:
        below = f"{self._prefix}/{prefix}" if prefix else self._prefix
        return [key.removeprefix(f"{self._prefix}/") for key in self._store.list(below, limit)]

    def delete(self, key: str) -> None:
        self._store.delete(self._key(key))

    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        with self._store.local(self._key(key)) as path:
            yield path

    def address(self, key: str) -> str | None:
        return self._store.address(self._key(key))

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        with self._store.scratch() as folder:
            yield folder

    def _key(self, key: str) -> str:
        return f"{self._prefix}/{key}"

"""Rebuilds a landing store from its mirror in an archive: every manifest, part and record in quarantine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from data_platform.backups.archive import Archive
from data_platform.backups.manifest import LedgerHead
from data_platform.backups.mirror import (
    Copied,
    Place,
    copied_up_to,
    copy_part,
    groups,
    has,
    objects_of,
    place_in,
)
from data_platform.errors import BackupDamaged
from data_platform.landing import hint, replaced
from data_platform.landing.keys import hint_key, manifest_key
from data_platform.landing.ledger import Ledger
from data_platform.landing.manifest import Manifest
from data_platform.landing.redaction import Rewrites
from data_platform.stores import Store
from data_platform.tables import TableId


@dataclass(frozen=True)
class RestoredLedger:
    """``parts`` include the records in quarantine; ``deliveries`` are objects of an inbox that no table had taken. ``damaged`` are
    lines about what the archive does not hold as it was written; everything else is there."""

    manifests: int
    parts: int = 0
    bytes: int = 0
    damaged: tuple[str, ...] = ()
    deliveries: int = 0


def restore_ledger(
    archive: Archive,
    heads: Iterable[LedgerHead],
    store: Store,
    environ: Mapping[str, str] = os.environ,
) -> RestoredLedger:
    """Put what landed up to ``heads`` into an empty ``store``. Where a redaction came later, the ledger is restored
    up to that one, so that nobody who was erased comes back. ``BackupDamaged`` if the mirror does not hold the same
    chain that the backup was made with."""
    mirrored, restored = Ledger(place_in(archive).reader, environ), Place(store, store)
    written, copied = 0, list[Copied]()
    damaged: list[str] = []
    for head in heads:
        table = TableId.parse(head.table)
        known, rewrites = -1, mirrored.rewrites(table)
        while len(rewrites.by_old_key) > known:  # once more where a redaction was copied meanwhile
            known, found, lost = len(rewrites.by_old_key), list[Copied](), list[str]()
            written += _restore(archive, mirrored, restored, head, rewrites, found, lost)
            rewrites = mirrored.rewrites(table)
        copied, damaged = [*copied, *found], [*damaged, *lost]
        for key in store.list(f"{table}/batches") if rewrites.by_old_key else ():
            if key in rewrites.by_old_key:
                store.delete(key)
    there = [one.bytes for one in copied if one.bytes is not None]
    damaged += dict.fromkeys(one.problem for one in copied if one.problem)
    return RestoredLedger(written, len(there), sum(there), tuple(damaged))


def _restore(
    archive: Archive,
    mirrored: Ledger,
    to: Place,
    head: LedgerHead,
    rewrites: Rewrites,
    copied: list[Copied],
    damaged: list[str],
) -> int:
    """One table as ``rewrites`` say that its parts are; how many manifests were written."""
    table, mirror = TableId.parse(head.table), place_in(archive)
    newest = mirrored.head(table)
    last = max(head.sequence, (newest.last_redaction or 0) if newest else 0)
    kept = replaced.kept_from(mirror.reader, table, archive.signer)
    reached = copied_up_to(archive, mirror, table)
    before: Manifest | None = None
    absent: list[int] = []
    written = 0
    for sequences in groups(range(1, last + 1)):
        group = mirror.reader.together([partial(mirrored.read, table, n) for n in sequences])
        for manifest in group:
            _check_link(archive, manifest, before, head)
            before = manifest
        written += sum(
            mirror.reader.together([partial(_put, mirror.reader, to.store, manifest) for manifest in group])
        )
        found, missing = _copy_back(mirrored, to, group, rewrites, kept, reached)
        copied += found
        absent += missing
    if absent:
        damaged.append(
            f"The archive {archive.name} lacks parts of {table} from batch {min(absent)} on: its backups did not copy"
            " them, or could not. Restore from another copy, or take their rows from the restored warehouse."
        )
    known = hint.read(mirror.reader, hint_key(table, "kept"), archive.signer)
    if known:
        hint.write(to.store, hint_key(table, "kept"), known, archive.signer)
    return written


def _check_link(archive: Archive, manifest: Manifest, before: Manifest | None, head: LedgerHead) -> None:
    if manifest.previous != (before.digest if before else None):
        raise BackupDamaged(
            f"The ledger of {manifest.table} in {archive} is broken: batch {manifest.sequence} does not follow the one"
            " before. Restore from another copy."
        )
    if manifest.sequence == head.sequence and manifest.digest != head.digest:
        raise BackupDamaged(
            f"The ledger of {manifest.table} in {archive} is not the one this backup was made with: its batch"
            f" {head.sequence} differs. Restore from another copy."
        )


def _put(from_: Store, to: Store, manifest: Manifest) -> bool:
    key = manifest_key(manifest.table, manifest.sequence)
    return to.put_new(key, from_.read(key))


def _copy_back(
    mirrored: Ledger, to: Place, manifests: list[Manifest], rewrites: Rewrites, kept: int, reached: int
) -> tuple[list[Copied], list[int]]:
    """The parts of ``manifests``, and the batches whose parts are absent because they were never copied whole."""
    wanted = [
        (manifest, part)
        for manifest in manifests
        if manifest.sequence >= kept
        for part in objects_of(manifest, rewrites)
    ]
    absent = {
        manifest.sequence
        for manifest, part in wanted
        if manifest.sequence > reached and not has(mirrored.store, part)
    }
    there = [one for one in wanted if one[0].sequence not in absent or has(mirrored.store, one[1])]
    busiest = max(mirrored.store, to.store, key=lambda store: store.requests_at_once)
    return busiest.together([partial(copy_part, mirrored, to, *one) for one in there]), sorted(absent)

"""The landing store's second copy, unchanged, under ``ledger/`` in an archive: every manifest, every part that is
current, and the records in quarantine.

Each backup adds what landed since the last one. What a redaction erased is erased here too, and what the catalog's
rule deleted after a whole read of the table (``landing/replaced.py``) is deleted here as well. Manifests are never
removed: a chain with a gap is worthless.

The hint ``copied.json`` tells up to which batch the parts are here; without it, all are looked for again. It also names
what could not be deleted because the archive locks its objects: that is deleted by the first backup after the lock.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TypeVar

from data_platform.backups.archive import Archive
from data_platform.backups.manifest import LedgerHead
from data_platform.errors import (
    BackupDamaged,
    DataPlatformError,
    ObjectLocked,
    PartDamaged,
    PartExpired,
    PartReplaced,
)
from data_platform.landing import hint, replaced
from data_platform.landing.grammar import is_number
from data_platform.landing.keys import hint_key, manifest_key, part_sequence
from data_platform.landing.ledger import Ledger
from data_platform.landing.manifest import Manifest, Part
from data_platform.landing.redaction import QUARANTINE, Rewrites
from data_platform.landing.stored_parts import damage_of, open_part
from data_platform.stores import Store
from data_platform.stores.wrapped import PrefixedStore
from data_platform.tables import TableId

T = TypeVar("T")

PREFIX = "ledger"
BATCHES_AT_ONCE = 64
Going = Callable[[Sequence[str]], None]


@dataclass(frozen=True)
class Mirrored:
    """``heads`` say how far each table's ledger is mirrored; ``parts`` were copied now, and ``bytes`` of them; ``deliveries`` are
    objects of an inbox that were (``inbox.py``). ``damaged`` are lines about what the landing store does not hold as it was written,
    so that it could not be copied, and about deliveries that it lost."""

    heads: tuple[LedgerHead, ...]
    parts: int = 0
    bytes: int = 0
    damaged: tuple[str, ...] = ()
    deliveries: int = 0


@dataclass(frozen=True)
class Copied:
    """The result of one part: its bytes if it was copied, and what is wrong with the one that was to be copied."""

    sequence: int
    bytes: int | None = None
    problem: str = ""


@dataclass(frozen=True)
class Place:
    """A landing store to copy into. ``reader`` wrote nothing, so that it cannot answer from memory. ``going`` is told the keys that
    are about to be deleted, and raises where they must not be."""

    store: Store
    reader: Store
    going: Going = lambda keys: None


def place_in(archive: Archive) -> Place:
    return Place(PrefixedStore(archive.open(), PREFIX), PrefixedStore(archive.open(), PREFIX))


def mirror(
    ledger: Ledger,
    archive: Archive,
    tables: Sequence[TableId],
    *,
    parts: bool = True,
    going: Going | None = None,
) -> Mirrored:
    """Add what ``archive`` lacks of ``tables``: manifests, quarantine, and with ``parts`` the parts. ``going`` is told what is about
    to be deleted there.

    Each manifest is verified when read and read back after it is written, each part hashed both times. A damaged part
    is reported and tried again by the next call; everything else is copied all the same. LedgerBroken if the
    ledger is not the one that was mirrored before.
    """
    place = place_in(archive)
    place = replace(place, going=going) if going else place
    copies = Ledger(place.store, ledger.environ).ahead_of(tables, states=False)
    heads, copied = [], list[Copied]()
    for (from_, table), (to, _) in zip(ledger.ahead_of(tables, states=False), copies, strict=True):
        if from_.head(table) is not None:
            heads.append(_mirrored(from_, to, table, archive, place, copied, parts=parts))
    done = [one.bytes for one in copied if one.bytes is not None]
    damaged = tuple(dict.fromkeys(one.problem for one in copied if one.problem))
    return Mirrored(tuple(heads), len(done), sum(done), damaged)


def _mirrored(
    ledger: Ledger,
    mirrored: Ledger,
    table: TableId,
    archive: Archive,
    place: Place,
    copied: list[Copied],
    *,
    parts: bool,
) -> LedgerHead:
    """Up to the last redaction: one that came while parts were copied is followed too, for its old parts may have been among them."""
    while True:
        rewrites = ledger.rewrites(table)
        head = _manifests(ledger, mirrored, table, rewrites, archive, place, copied, parts=parts)
        ledger, mirrored = (Ledger(one.store, one.environ, one.signer) for one in (ledger, mirrored))
        if len(ledger.rewrites(table).by_old_key) == len(rewrites.by_old_key):
            return head


def _manifests(
    ledger: Ledger,
    mirrored: Ledger,
    table: TableId,
    rewrites: Rewrites,
    archive: Archive,
    place: Place,
    copied: list[Copied],
    *,
    parts: bool,
) -> LedgerHead:
    known = mirrored.head(table)
    sequence, digest = (known.sequence, known.digest) if known else (0, None)
    new = ledger.since(table, sequence, digest)
    kept = replaced.kept_from(ledger.store, table, ledger.signer)
    known_mark = _recall(archive, place, table)
    mark, locked = known_mark.sequence, _delete(place, known_mark.locked)
    found: list[Copied] = []
    if parts:  # batches that were mirrored before parts were, or whose parts were damaged
        for manifests in groups(range(max(mark + 1, kept), sequence + 1)):
            behind = ledger.store.together([partial(ledger.read, table, n) for n in manifests])
            found += _copy(ledger, place, behind, rewrites, kept, parts=True)
    for group in groups(new):
        found += _copy(ledger, place, group, rewrites, kept, parts=parts)
        for manifest in group:
            for old in _erased(manifest):  # before the manifest: once it is there, nobody comes back
                locked += _delete(place, [old])
            _put_manifest(ledger, place, manifest, archive)
            sequence, digest = manifest.sequence, manifest.digest
    damaged = [one.sequence for one in found if one.problem]
    locked += _follow_rule(ledger, archive, place, table)
    locked += _delete(place, _late(place, table, rewrites, locked))
    reached = (min(damaged) - 1 if damaged else sequence) if parts else mark
    if _Mark(reached, tuple(locked)) != known_mark:
        fields = {"sequence": reached, "locked": locked}
        hint.write(place.store, hint_key(table, "copied"), fields, archive.signer)
    copied += found
    return LedgerHead(str(table), sequence, digest or "")


def _put_manifest(ledger: Ledger, place: Place, manifest: Manifest, archive: Archive) -> None:
    key = manifest_key(manifest.table, manifest.sequence)
    data = ledger.store.read(key)  # its very bytes, whichever version wrote them
    if Manifest.from_json(data, key).digest != manifest.digest:
        raise BackupDamaged(
            f"{key} in {ledger.store.url} changed while it was backed up. Run the backup again."
        )
    place.store.put_new(key, data)
    if place.store.read(key) != data:
        raise BackupDamaged(
            f"{key} in {archive} does not read back as it was written: another ledger was backed up there"
            " before. Give each environment a backup store of its own."
        )


def copied_up_to(archive: Archive, place: Place, table: TableId) -> int:
    """The batch up to which the parts of ``table`` are in the archive; 0 if that is not known."""
    return _recall(archive, place, table).sequence


def going(archive: Archive, place: Place, table: TableId) -> tuple[str, ...]:
    """Keys of ``table`` that are deleted once they are not locked any more."""
    return _recall(archive, place, table).locked


@dataclass(frozen=True)
class _Mark:
    """What the hint says: the batch up to which parts are here, and keys that are deleted once they are not locked."""

    sequence: int = 0
    locked: tuple[str, ...] = ()


def _recall(archive: Archive, place: Place, table: TableId) -> _Mark:
    known = hint.read(place.reader, hint_key(table, "copied"), archive.signer)
    if not is_number(known.get("sequence")):
        return _Mark()
    return _Mark(known["sequence"], tuple(known.get("locked", ())))


def _delete(place: Place, keys: Iterable[str]) -> list[str]:
    """Delete ``keys``; gives those that are locked, and have to wait."""
    keys, locked = list(keys), []
    if keys:
        place.going(keys)
    for key in keys:
        try:
            place.store.delete(key)
        except ObjectLocked:
            locked.append(key)
    return locked


def _copy(
    from_: Ledger, place: Place, manifests: Iterable[Manifest], rewrites: Rewrites, kept: int, *, parts: bool
) -> list[Copied]:
    wanted = [
        (manifest, part)
        for manifest in manifests
        if manifest.sequence >= kept
        for part in objects_of(manifest, rewrites, parts=parts)
    ]
    busiest = max(from_.store, place.store, key=lambda store: store.requests_at_once)
    return busiest.together([partial(copy_part, from_, place, *one) for one in wanted])


def copy_part(from_: Ledger, place: Place, manifest: Manifest, part: Part, *, again: bool = False) -> Copied:
    """Copy ``part`` where ``place`` lacks it, or ``again``; it is hashed when it is read and when it is read back.
    ``BackupDamaged`` if ``place`` does not keep what it is given."""
    if not again and has(place.reader, part):
        return Copied(manifest.sequence)
    try:
        with open_part(from_, manifest, part) as path, place.store.scratch() as folder:
            copied = folder / "object"
            shutil.copyfile(path, copied)
            place.store.put_file(part.key, copied, sha256=part.sha256)
    except (
        PartExpired,
        PartReplaced,
    ):  # the rule was faster, or a redaction, whose batch brings the new part
        return Copied(manifest.sequence)
    except PartDamaged as error:
        return Copied(manifest.sequence, problem=str(error))
    try:
        if damage := damage_of(place.reader, manifest, part):
            raise BackupDamaged(damage)
    except DataPlatformError:
        with suppress(DataPlatformError):  # else the next backup would take it for a copy
            place.store.delete(part.key)
        raise
    return Copied(manifest.sequence, part.bytes)


def objects_of(manifest: Manifest, rewrites: Rewrites, *, parts: bool = True) -> list[Part]:
    """The objects that came with ``manifest`` and are current: those of quarantine and, with ``parts``, its parts."""
    own = [manifest.quarantined] if manifest.quarantined else []
    own += manifest.parts if parts else ()
    rewritten = manifest.redaction.parts if manifest.redaction else ()
    own += [one.new for one in rewritten if parts or one.index == QUARANTINE]
    return [part for part in own if part.key not in rewrites.by_old_key]


def has(store: Store, part: Part) -> bool:
    """Whether ``store`` holds an object of the part's name and size."""
    try:
        return store.size(part.key) == part.bytes
    except KeyError:
        return False


def _erased(manifest: Manifest) -> list[str]:
    return [part.old.key for part in manifest.redaction.parts] if manifest.redaction else []


def _late(place: Place, table: TableId, rewrites: Rewrites, locked: Sequence[str]) -> list[str]:
    """What redactions replaced and is in the copy all the same: somebody else was copying it when they came. Tables without redactions cost
    no listing."""
    if not rewrites.by_old_key:
        return []
    there = place.store.list(f"{table}/batches")
    return [key for key in there if key in rewrites.by_old_key and key not in locked]


def _follow_rule(ledger: Ledger, archive: Archive, place: Place, table: TableId) -> list[str]:
    """Delete what the catalog's rule deleted of the landing store. Only parts before a whole read go, whatever the
    landing store's hint says: whoever can alter it must not be able to delete here what is still needed. Gives the keys that are locked."""
    kept = replaced.kept_from(ledger.store, table, ledger.signer)
    if kept <= replaced.kept_from(place.reader, table, archive.signer):
        return []
    if kept > ledger.last(table) or not ledger.read(table, kept).is_whole:
        return []
    known = hint.read(ledger.store, hint_key(table, "kept"), ledger.signer)
    hint.write(place.store, hint_key(table, "kept"), known, archive.signer)
    sequences = {key: part_sequence(table, key) for key in place.store.list(f"{table}/batches")}
    return _delete(place, [key for key, number in sequences.items() if number is not None and number < kept])


def groups(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while group := list(islice(rest, BATCHES_AT_ONCE)):
        yield group

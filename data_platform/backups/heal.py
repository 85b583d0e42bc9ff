"""Puts back into the landing store what it lost, from the archives: manifests, then the parts that they name.

Nothing of an archive is believed. A manifest is taken only where it links, by its digest, to those before and after it
(the last one: to what was known of it, or by its signature), and a part only with the SHA-256 of the landing store's
own manifest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from data_platform.backups.archive import Archive
from data_platform.backups.mirror import Place, copy_part, objects_of, place_in
from data_platform.errors import DataPlatformError, LandingError, LedgerBroken
from data_platform.landing import replaced, tail, vouching
from data_platform.landing import verify as verifying
from data_platform.landing.chain import follows
from data_platform.landing.keys import manifest_key
from data_platform.landing.ledger import Ledger
from data_platform.landing.manifest import Manifest
from data_platform.landing.stored_parts import damage_of
from data_platform.landing.tail import Mark
from data_platform.tables import TableId


@dataclass(frozen=True)
class Healed:
    """``objects`` are the keys that were put back, each with the archive it came from; ``failed`` are lines about
    archives that could not be read."""

    objects: tuple[tuple[str, str], ...] = ()
    bytes: int = 0
    failed: tuple[str, ...] = ()


def heal(
    ledger: Ledger,
    archives: Sequence[Archive],
    table: TableId,
    damaged: Iterable[int],
    loaded: Mark | None = None,
) -> Healed:
    """Put back what is missing or altered of the batches ``damaged`` of ``table``, and the newest batches where the
    ledger is known to have been longer (``loaded`` is what a warehouse knows) or is gone."""
    found: list[tuple[str, str]] = []
    size = 0
    failed: list[str] = []
    left = sorted({*damaged})
    for archive in archives:
        try:
            mirrored = Ledger(place_in(archive).reader, ledger.environ, ledger.signer)
            for key in _manifests(ledger, mirrored, table, left, loaded):
                found.append((key, archive.name))
            longer = range(left[-1] + 1 if left else 1, ledger.last(table) + 1) if found else ()
            for key, length in _parts(ledger, mirrored, table, [*left, *longer]):
                found.append((key, archive.name))
                size += length
        except DataPlatformError as error:
            failed.append(f"{archive.name}: {error}")
    return Healed(tuple(found), size, tuple(failed))


def _manifests(
    ledger: Ledger, mirrored: Ledger, table: TableId, damaged: Sequence[int], loaded: Mark | None
) -> Iterator[str]:
    """Put back manifests; gives the key of each."""
    marks = _marks(ledger, table, loaded)
    for run in _runs(_suspects(ledger, table, damaged)):
        candidates = _candidates(mirrored, table, run)
        if len(candidates) < len(run) or not _linked(_readable(ledger, table, run[0] - 1), candidates):
            continue
        after, newest = _readable(ledger, table, run[-1] + 1), candidates[-1]
        known = Mark(newest.sequence, newest.digest) in marks or (ledger.signer.signs and newest.signature)
        if known if after is None else follows(newest, after):
            yield from _put(ledger, mirrored, candidates)
    yield from _tail(ledger, mirrored, table, marks)


def _marks(ledger: Ledger, table: TableId, loaded: Mark | None) -> set[Mark]:
    """The newest batches that the ledger is known to have held."""
    verified = verifying.recall(ledger, table)
    committed = tail.recall(ledger.store, table, ledger.signer)
    known = [(verified.sequence, verified.digest), (committed.sequence, committed.digest)]
    known += [(loaded.sequence, loaded.digest)] if loaded else []
    return {Mark(sequence, digest) for sequence, digest in known if sequence}


def _tail(ledger: Ledger, mirrored: Ledger, table: TableId, marks: Collection[Mark]) -> Iterator[str]:
    """The newest batches, where more is known to have been there, or where nothing is."""
    last, reach = ledger.last(table), mirrored.last(table)
    lost = [mark for mark in marks if mark.sequence > last]
    if reach <= last or (last and not lost):
        return
    candidates = _candidates(mirrored, table, range(last + 1, reach + 1))
    if not candidates or not _linked(_readable(ledger, table, last), candidates):
        return
    digests = {one.sequence: one.digest for one in candidates}
    if any(digests.get(mark.sequence, mark.digest) != mark.digest for mark in lost):
        return
    vouching.confirm(ledger.store, candidates[-1], ledger.signer)
    yield from _put(ledger, mirrored, candidates)


def _suspects(ledger: Ledger, table: TableId, damaged: Sequence[int]) -> list[int]:
    """The batches whose manifests cannot be read, or one of which was replaced."""
    found = set()
    for sequence in damaged:
        manifest = _readable(ledger, table, sequence)
        if manifest is None:
            found.add(sequence)
        elif sequence > 1:
            before = _readable(ledger, table, sequence - 1)
            found |= (
                {sequence - 1, sequence} if before is not None and not follows(before, manifest) else set()
            )
    return sorted(found)


def _runs(sequences: Sequence[int]) -> Iterator[list[int]]:
    run: list[int] = []
    for sequence in sequences:
        if run and sequence != run[-1] + 1:
            yield run
            run = []
        run.append(sequence)
    if run:
        yield run


def _candidates(mirrored: Ledger, table: TableId, sequences: Iterable[int]) -> list[Manifest]:
    """The archive's manifests, up to the first that it does not hold as it was."""
    found = []
    for sequence in sequences:
        manifest = _readable(mirrored, table, sequence)
        if manifest is None:
            break
        found.append(manifest)
    return found


def _linked(before: Manifest | None, candidates: Sequence[Manifest]) -> bool:
    if before is None and candidates[0].sequence > 1:
        return False
    for one in candidates:
        if not follows(before, one):
            return False
        before = one
    return True


def _put(ledger: Ledger, mirrored: Ledger, manifests: Iterable[Manifest]) -> Iterator[str]:
    for manifest in manifests:
        key = manifest_key(manifest.table, manifest.sequence)
        data = mirrored.store.read(key)
        standing = None
        with suppress(KeyError, LandingError):
            standing = ledger.store.read(key)
        if standing == data:
            continue
        ledger.store.delete(key)
        if not ledger.store.put_new(key, data):
            raise LedgerBroken(
                f"{key} in {ledger.store.url} was written by another process meanwhile. Run again."
            )
        yield key


def _parts(
    ledger: Ledger, mirrored: Ledger, table: TableId, sequences: Sequence[int]
) -> Iterator[tuple[str, int]]:
    """Put back parts; gives the key and the bytes of each."""
    kept = replaced.kept_from(ledger.store, table, ledger.signer)
    rewrites = ledger.rewrites(table)
    wanted = [
        (manifest, part)
        for sequence in sequences
        if sequence >= kept and (manifest := _readable(ledger, table, sequence)) is not None
        for part in objects_of(manifest, rewrites)
    ]
    calls = [partial(damage_of, ledger.store, manifest, part) for manifest, part in wanted]
    harmed = [one for one, damage in zip(wanted, ledger.store.together(calls), strict=True) if damage]
    place = Place(ledger.store, ledger.store)
    copies = [partial(copy_part, mirrored, place, *one, again=True) for one in harmed]
    done = ledger.store.together(copies)
    meanwhile = ledger.rewrites(table).by_old_key
    for (_, part), copied in zip(harmed, done, strict=True):
        if part.key in meanwhile:  # it was gone because a redaction replaced it
            ledger.store.delete(part.key)
        elif copied.bytes is not None:
            yield part.key, copied.bytes


def _readable(ledger: Ledger, table: TableId, sequence: int) -> Manifest | None:
    try:
        return ledger.read(table, sequence) if sequence else None
    except LedgerBroken:
        return None

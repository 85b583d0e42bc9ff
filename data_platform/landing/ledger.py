"""The chain of a table's manifests in a store: the only state of a sync.

Reading the head, folding the state, committing the next manifest and checking the
chain belong here. What a manifest says is ``manifest.py``'s; how objects are made
durable is the store's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from data_platform.errors import BatchConflict, LedgerBroken, PartDamaged
from data_platform.landing.manifest import Manifest, Measured, Part
from data_platform.stores import Store
from data_platform.tables import Column, Slice, TableId, Watermark

CHECKPOINT_EVERY = 32
"""Every so many sequences a manifest repeats the folded state, so that reading it takes at most
that many objects: about 10 ms from a disk, under a second from an object store."""
_TOP = 10**12
"""Manifests are named by ``_TOP - sequence``, so that the newest is the first of a listing."""


@dataclass(frozen=True, slots=True)
class TableState:
    """How far a table has been landed. All empty before its first batch.

    ``measured`` is the fingerprint of each slice that no batch touched since it was taken,
    with the sequence of the batch that measured it; ``measured_whole_at`` the sequence of the last batch that
    measured every slice, so that one it did not mention was empty then.
    """

    head: Manifest | None = None
    watermark: Watermark | None = None
    columns: tuple[Column, ...] = ()
    measured: Mapping[Slice, Measured] = field(default_factory=dict)
    measured_whole_at: int | None = None

    @property
    def next_sequence(self) -> int:
        return 1 if self.head is None else self.head.sequence + 1

    @property
    def digest(self) -> str | None:
        """What the next manifest names as ``previous``."""
        return None if self.head is None else self.head.digest


def fold(newest_first: Iterable[Manifest]) -> tuple[dict[Slice, Measured], int | None]:
    """The fingerprint of each slice that still holds and the sequence of the last whole
    measurement (``TableState``). Reads no further back than it must."""
    measured: dict[Slice, Measured] = {}
    touched: set[Slice] = set()

    def take(slice_: Slice, known: Measured) -> None:
        if slice_ not in touched:
            measured.setdefault(slice_, known)

    for manifest in newest_first:
        for slice_, fingerprint in manifest.fingerprints.items():
            take(slice_, Measured(fingerprint, manifest.sequence))
        if manifest.measured_whole:
            return measured, manifest.sequence
        if manifest.checkpoint is not None:
            touched.update(manifest.touched)
            for slice_, earlier in manifest.checkpoint.items():
                take(slice_, earlier)
            return measured, manifest.checkpoint_whole_at
        touched.update(manifest.touched)
    return measured, None


def manifest_key(table: TableId, sequence: int) -> str:
    return f"{table}/manifests/{_TOP - sequence:012d}.json"


def part_key(table: TableId, sequence: int, nonce: str, index: int = 0) -> str:
    """Where part ``index`` of a batch goes: the batch's own folder, named by its nonce, so that
    two writers after one sequence never touch each other's parts."""
    return f"{table}/batches/{sequence:08d}-{nonce[:8]}/part-{index:04d}.parquet"


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Ledger:
    """The manifests of every table in ``store``. Any number of processes may hold one."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def head(self, table: TableId) -> Manifest | None:
        """The newest manifest: one listing of one key and one read."""
        keys = self.store.list(f"{table}/manifests", limit=1)
        return self.read(table, _sequence(table, keys[0])) if keys else None

    def read(self, table: TableId, sequence: int) -> Manifest:
        """One manifest, verified. ``LedgerBroken`` when it is missing, altered or misplaced."""
        key = manifest_key(table, sequence)
        try:
            data = self.store.read(key)
        except KeyError:
            raise LedgerBroken(
                f"Batch {sequence} of {table} has no manifest ({key} in {self.store.url}), though later"
                " work refers to it. Restore it from a copy of the landing store; nothing is read or"
                " loaded past a gap."
            ) from None
        manifest = Manifest.from_json(data, key)
        if manifest.table != table or manifest.sequence != sequence:
            raise LedgerBroken(
                f"The manifest {key} belongs to batch {manifest.sequence} of {manifest.table}: it was"
                " moved or copied to the wrong place. Restore the right one from a copy of the landing"
                " store."
            )
        return manifest

    def newest_first(self, table: TableId) -> Iterator[Manifest]:
        """The chain from the head back to batch 1, each link checked as it is reached."""
        manifest = self.head(table)
        while manifest is not None:
            yield manifest
            manifest = self._before(manifest)

    def since(self, table: TableId, sequence: int, digest: str | None = None) -> list[Manifest]:
        """The manifests after ``sequence``, ascending, without a gap.

        ``digest`` is what the caller knows of manifest ``sequence`` (a warehouse keeps it):
        ``LedgerBroken`` when the ledger no longer has that very manifest, or ends before it.
        """
        found: list[Manifest] = []
        for manifest in self.newest_first(table):
            if manifest.sequence <= sequence:
                break
            found.append(manifest)
        found.reverse()
        self._confirm(table, sequence, digest, found)
        return found

    def pending(self, table: TableId, sequence: int, digest: str | None = None) -> list[Manifest]:
        """What a warehouse at ``sequence`` has still to load: ``since``, from the last batch that
        replaces the whole table on, for nothing before that one matters any more."""
        found = self.since(table, sequence, digest)
        start = max((n for n, manifest in enumerate(found) if manifest.load == "replace"), default=0)
        return found[start:]

    def state(self, table: TableId) -> TableState:
        """The head, its watermark and columns, and the folded fingerprints."""
        head: Manifest | None = None

        def remembering_head() -> Iterator[Manifest]:
            nonlocal head
            for manifest in self.newest_first(table):
                head = head or manifest
                yield manifest

        measured, whole_at = fold(remembering_head())
        if head is None:
            return TableState()
        return TableState(head, head.watermark_after, head.columns, measured, whole_at)

    def commit(self, manifest: Manifest) -> Manifest:
        """Seal ``manifest`` and create it; returns what is now in the ledger.

        ``BatchConflict`` when another writer has this sequence: discard the batch and
        extract again. Committing the same manifest twice is once.
        """
        manifest = self._linked(manifest).sealed()
        key = manifest_key(manifest.table, manifest.sequence)
        if self.store.put_new(key, manifest.to_json()):
            return manifest
        standing = self.read(manifest.table, manifest.sequence)
        if standing.nonce == manifest.nonce and standing.digest == manifest.digest:
            return standing  # our own: the answer to the first try was lost
        raise BatchConflict(
            f"Another sync committed batch {manifest.sequence} of {manifest.table} first. This batch is"
            " dropped, for its snapshot may be the older one; run the sync again."
        )

    def looked(self, table: TableId, at: str) -> None:
        """Remember that a sync looked at ``at`` (ISO, UTC) and found nothing: a hint, no state."""
        self.store.put_hint(_looked_key(table), json.dumps({"at": at}).encode())

    def last_look(self, table: TableId) -> str | None:
        """The instant of the last ``looked``; None when there is none or it does not read."""
        try:
            at = json.loads(self.store.read(_looked_key(table)))["at"]
        except (KeyError, ValueError, TypeError):
            return None
        return at if isinstance(at, str) else None

    def tables(self) -> list[TableId]:
        """Every table with a manifest."""
        found = {key.rsplit("/", 2)[0] for key in self.store.list("") if "/manifests/" in key}
        return sorted(TableId.parse(text) for text in found)

    def verify(self, table: TableId, deep: bool = False) -> list[str]:
        """Everything wrong with the chain and its parts, one readable line each.

        Parts are looked up and their sizes compared; ``deep`` reads them and compares
        their SHA-256 too.
        """
        problems: list[str] = []
        keys = self.store.list(f"{table}/manifests")
        last = _sequence(table, keys[0]) if keys else 0
        before: Manifest | None = None
        for sequence in range(1, last + 1):
            try:
                manifest = self.read(table, sequence)
            except LedgerBroken as error:
                problems.append(str(error))
                before = None
                continue
            expected = None if sequence == 1 else before.digest if before else manifest.previous
            if manifest.previous != expected:
                problems.append(str(_chain_break(manifest)))
            problems += [
                problem for part in manifest.parts if (problem := self._damage(manifest, part, deep))
            ]
            before = manifest
        return problems

    @contextmanager
    def open_parts(self, manifest: Manifest, verified: bool = False) -> Iterator[list[Path]]:
        """The batch's parts as local files. ``PartDamaged`` names the table, the batch and the part
        that is missing, short or altered. ``verified`` says that this process has just written
        and hashed them, so that only their sizes are compared."""
        with ExitStack() as stack:
            paths = []
            for part in manifest.parts:
                try:
                    path = stack.enter_context(self.store.local(part.key))
                except KeyError:
                    raise PartDamaged(_damaged(manifest, part, "is missing")) from None
                if path.stat().st_size != part.bytes:
                    raise PartDamaged(_damaged(manifest, part, _size_is(path.stat().st_size, part)))
                if not verified and sha256_of(path) != part.sha256:
                    raise PartDamaged(_damaged(manifest, part, _ALTERED))
                paths.append(path)
            yield paths

    def orphans(self, table: TableId) -> list[str]:
        """Keys of parts that no manifest names: of batches that lost a race or were cut short, and
        of one being written just now. They are harmless."""
        keys = self.store.list(f"{table}/manifests")
        named = {part.key for key in keys for part in self.read(table, _sequence(table, key)).parts}
        return [key for key in self.store.list(f"{table}/batches") if key not in named]

    def _before(self, manifest: Manifest) -> Manifest | None:
        """The manifest before, when the link to it holds."""
        if manifest.sequence == 1:
            if manifest.previous is not None:
                raise _chain_break(manifest)
            return None
        before = self.read(manifest.table, manifest.sequence - 1)
        if before.digest != manifest.previous:
            raise _chain_break(manifest)
        return before

    def _linked(self, manifest: Manifest) -> Manifest:
        """``manifest`` with its checkpoint where one is due, once it is known to follow the chain."""
        before = self._before(manifest)
        if manifest.sequence % CHECKPOINT_EVERY or manifest.measured_whole or before is None:
            return manifest
        measured, whole_at = fold(self._back_from(before))
        return replace(manifest, checkpoint=measured, checkpoint_whole_at=whole_at)

    def _back_from(self, manifest: Manifest) -> Iterator[Manifest]:
        current: Manifest | None = manifest
        while current is not None:
            yield current
            current = self._before(current)

    def _confirm(self, table: TableId, sequence: int, digest: str | None, after: Sequence[Manifest]) -> None:
        """That manifest ``sequence`` is still the one the caller knows."""
        if not sequence:
            return
        if not after:
            standing = self.head(table)
            if standing is None or standing.sequence < sequence:
                raise LedgerBroken(
                    f"The warehouse has loaded batch {sequence} of {table}, but the ledger in"
                    f" {self.store.url} ends at batch {standing.sequence if standing else 0}: its newest"
                    " manifests are lost. Restore them from a copy of the landing store."
                )
            known = standing.digest
        else:
            known = after[0].previous or ""
        if digest is not None and known != digest:
            raise LedgerBroken(
                f"Batch {sequence} of {table} in the warehouse is not the one the ledger in"
                f" {self.store.url} holds: one of them was restored from elsewhere or altered. Restore the"
                " landing store, or rebuild the warehouse from this one by removing its file and syncing."
            )

    def _damage(self, manifest: Manifest, part: Part, deep: bool) -> str | None:
        try:
            size = self.store.size(part.key)
            if size != part.bytes:
                return _damaged(manifest, part, _size_is(size, part))
            if deep:
                with self.store.local(part.key) as path:
                    if sha256_of(path) != part.sha256:
                        return _damaged(manifest, part, _ALTERED)
        except KeyError:
            return _damaged(manifest, part, "is missing")
        return None


_ALTERED = "does not match its SHA-256: it was altered after it was written"


def _size_is(size: int, part: Part) -> str:
    return f"has {size:,} bytes instead of {part.bytes:,}: it is cut short or was altered"


def _damaged(manifest: Manifest, part: Part, what: str) -> str:
    return (
        f"The part {part.key} of batch {manifest.sequence} of {manifest.table} {what}. Restore it from a"
        f" copy of the landing store, or read the table anew with `sync --refresh {manifest.table}`."
    )


def _chain_break(manifest: Manifest) -> LedgerBroken:
    return LedgerBroken(
        f"The manifest of batch {manifest.sequence} of {manifest.table} does not follow the one before:"
        " one of the two was replaced. Restore the manifests of this table from a copy of the landing"
        " store."
    )


def _looked_key(table: TableId) -> str:
    return f"{table}/looked.json"


def _sequence(table: TableId, key: str) -> int:
    name = key.rsplit("/", 1)[-1]
    try:
        sequence = _TOP - int(name.removesuffix(".json"))
        if manifest_key(table, sequence) == key:
            return sequence
    except ValueError:
        pass
    raise LedgerBroken(
        f"{key} in the landing store is not a manifest of {table}. Only this platform writes to that"
        " folder; move the file away."
    )

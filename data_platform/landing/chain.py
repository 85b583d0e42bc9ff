"""The chain of a table's manifests, read: each verified, and its link to the one before it.

What a manifest says is ``manifest.py``'s, what a chain of them adds up to ``state.py``'s, the names of
objects ``keys.py``'s.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Self

from data_platform.errors import LedgerBroken
from data_platform.landing import vouching, words
from data_platform.landing.ends import TABLES_AT_ONCE, Ends, last_of, read_ends
from data_platform.landing.keys import manifest_key
from data_platform.landing.manifest import Manifest
from data_platform.landing.redaction import KEY_VARIABLE, Rewrites, redaction_key
from data_platform.landing.signing import NOT_SIGNED, Signer
from data_platform.landing.state import TableState, fold
from data_platform.stores import Store
from data_platform.tables import TableId


class Chain:
    """The manifests of every table in ``store``, for who reads them.

    The key of redactions is read from ``environ`` when the first one is met.
    """

    def __init__(
        self, store: Store, environ: Mapping[str, str] = os.environ, signer: Signer = NOT_SIGNED
    ) -> None:
        self.store = store
        self.environ = environ
        self.signer = signer
        self._ends = Ends()
        self._redactions: dict[TableId, tuple[Manifest, ...]] = {}

    def ahead_of(self, tables: Sequence[TableId], *, states: bool) -> Iterator[tuple[Self, TableId]]:
        """For one look at each of ``tables``, in order: a ledger that has read the newest manifest already, together
        with those of the tables beside it; with ``states``, all that the state is made of. It does not see what is
        committed later."""
        for start in range(0, len(tables), TABLES_AT_ONCE):
            group = tables[start : start + TABLES_AT_ONCE]
            looking = type(self)(self.store, self.environ, self.signer)
            looking._ends = read_ends(self.store, group, states=states)
            yield from ((looking, table) for table in group)

    def head(self, table: TableId) -> Manifest | None:
        """The newest manifest: one listing of one key and one read. Where manifests are signed, so is it, or
        somebody has taken responsibility for it (``adopt``); by its links it vouches for all before."""
        self.signer.ready()
        sequence = self.last(table)
        if not sequence:
            return None
        manifest = self.read(table, sequence)
        vouching.confirm(self.store, manifest, self.signer)
        return manifest

    def last(self, table: TableId) -> int:
        """The sequence of the newest manifest; 0 before the first."""
        known = self._ends.last.get(table)
        return last_of(self.store, table) if known is None else known

    def read(self, table: TableId, sequence: int) -> Manifest:
        """One manifest, verified. ``LedgerBroken`` when it is missing, altered or misplaced."""
        key = manifest_key(table, sequence)
        try:
            data = self._ends.objects.get(key) or self.store.read(key)
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
        signed = manifest.signature
        if signed and self.signer.signs and not self.signer.accepts("manifest", manifest.digest, signed):
            raise LedgerBroken(
                f"The manifest {key} is not signed under the key in {self.signer.variable}: it was forged, or the"
                " key is another one. Nothing is read past it. Set the right key (the one before may be named by"
                " `previous_key_env`), or restore the manifest from a copy of the landing store."
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
        return self._after(table, sequence, digest, whole=True)

    def pending(self, table: TableId, sequence: int, digest: str | None = None) -> list[Manifest]:
        """What a warehouse at ``sequence`` has still to load: ``since``, from the last batch that
        replaces the whole table on, for nothing before that one matters any more.

        Their parts are those that stand now: every redaction of a batch comes after it, so all that
        count are among these.
        """
        found = self._after(table, sequence, digest, whole=False)
        return self._standing(table, found, found)

    def until(self, table: TableId, instant: datetime | None) -> list[Manifest]:
        """What an empty warehouse loads to hold ``table`` as of ``instant`` (None: now): ``pending``, of
        the batches up to the last one that had landed by then. The whole way back there is verified.

        Redactions count whenever they came: what was erased is gone from the past too. Where a clock had
        stepped back, the batch of the higher number decides.
        """
        found: list[Manifest] = []
        passed: list[Manifest] = []
        for manifest in self.newest_first(table):
            if manifest.redaction:
                passed.append(manifest)
            if found or instant is None or manifest.landed_at <= instant:
                found.append(_to_load(manifest, found))
                if manifest.load == "replace":
                    break
        return self._standing(table, found[::-1], passed[::-1])

    def state(self, table: TableId) -> TableState:
        """The head, its position and columns, and the folded fingerprints."""
        head: Manifest | None = None

        def remembering_head() -> Iterator[Manifest]:
            nonlocal head
            for manifest in self.newest_first(table):
                head = head or manifest
                yield manifest

        measured, whole_at = fold(remembering_head())
        if head is None:
            return TableState()
        return TableState(head, head.position_after, head.columns, measured, whole_at)

    def redactions(self, table: TableId) -> list[Manifest]:
        """Every batch of the kind ``redact``, oldest first: one read each, however long the chain is. Those that were read before are not
        read again."""
        head = self.head(table)
        before = self._redactions.get(table, ())
        found: list[Manifest] = []
        sequence = head.last_redaction if head else None
        while sequence is not None:
            if before and sequence == before[-1].sequence:
                found += reversed(before)
                break
            manifest = self.read(table, sequence)
            if manifest.redaction is None or (found and sequence >= found[-1].sequence):
                raise words.chain_break(manifest)
            found.append(manifest)
            sequence = manifest.redacted_before
        found.reverse()
        self._redactions[table] = tuple(found)
        return found

    def rewrites(self, table: TableId) -> Rewrites:
        """Which parts stand in the place of which. ``LedgerBroken`` names a redaction whose
        signature is wrong, ``ConfigurationError`` says that there is no key to check it with."""
        return self._signed_rewrites(table, self.redactions(table))

    def _before(self, manifest: Manifest) -> Manifest | None:
        """The manifest before, when the link to it holds."""
        before = None if manifest.sequence == 1 else self.read(manifest.table, manifest.sequence - 1)
        if not follows(before, manifest):
            raise words.chain_break(manifest)
        return before

    def _back_from(self, manifest: Manifest) -> Iterator[Manifest]:
        current: Manifest | None = manifest
        while current is not None:
            yield current
            current = self._before(current)

    def _after(self, table: TableId, sequence: int, digest: str | None, *, whole: bool) -> list[Manifest]:
        """The manifests after ``sequence``, ascending; without ``whole`` from the last one that
        replaces the table."""
        found: list[Manifest] = []
        for manifest in self.newest_first(table):
            if manifest.sequence <= sequence:
                break
            found.append(manifest if whole else _to_load(manifest, found))
            if not whole and manifest.load == "replace":
                break
        found.reverse()
        self._confirm(table, sequence, digest, found)
        return found

    def _standing(
        self, table: TableId, batches: Iterable[Manifest], among: Iterable[Manifest]
    ) -> list[Manifest]:
        """``batches`` with the parts that stand now, after the redactions ``among`` these (oldest first)."""
        rewrites = self._signed_rewrites(table, [manifest for manifest in among if manifest.redaction])
        return [with_parts(manifest, rewrites) for manifest in batches]

    def _signed_rewrites(self, table: TableId, redactions: Collection[Manifest]) -> Rewrites:
        """What ``redactions`` (oldest first) replace, once each is known to be signed."""
        if not redactions:
            return Rewrites()
        key = redaction_key(self.environ)
        found = []
        for manifest in redactions:
            assert manifest.redaction is not None
            if not manifest.redaction.is_signed(table, manifest.sequence, manifest.previous, key):
                raise LedgerBroken(
                    f"The redaction in batch {manifest.sequence} of {table} is not signed under the key in"
                    f" {KEY_VARIABLE}: it was forged or moved here, or the key is another one. Nothing is read"
                    " through it. Set the right key, or restore the manifests of this table from a copy of"
                    " the landing store."
                )
            found.append((manifest.sequence, manifest.redaction))
        return Rewrites.of(table, found)

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
            known = standing.digest if standing.sequence == sequence else self.read(table, sequence).digest
        elif after[0].sequence == sequence + 1:
            known = after[0].previous or ""
        else:  # a batch that replaces the table ended the way back
            known = self.read(table, sequence).digest
        if digest is not None and known != digest:
            raise LedgerBroken(
                f"Batch {sequence} of {table} in the warehouse is not the one the ledger in"
                f" {self.store.url} holds: one of them was restored from elsewhere or altered. Restore the"
                " landing store, or rebuild the warehouse from this one by removing its file and syncing."
            )


def follows(before: Manifest | None, manifest: Manifest) -> bool:
    named = (manifest.previous, manifest.redacted_before)
    return named == ((before.digest, before.last_redaction) if before else (None, None))


def _to_load(manifest: Manifest, newer: Sequence[Manifest]) -> Manifest:
    """``manifest`` without what loading does not need, and with the columns of the ones after it where they are the
    same: a long chain is held at once, and a checkpoint is as large as the table has slices."""
    columns = newer[-1].columns if newer and newer[-1].columns == manifest.columns else manifest.columns
    return replace(manifest, columns=columns, checkpoint=None)


def with_parts(manifest: Manifest, rewrites: Rewrites) -> Manifest:
    """``manifest`` with the parts that stand now. Its digest stays: that is what a warehouse knows it by."""
    parts = rewrites.parts(manifest.table, manifest.sequence, manifest.parts)
    erased = sum(part.rows for part in manifest.parts) - sum(part.rows for part in parts)
    return (
        manifest if parts == manifest.parts else replace(manifest, parts=parts, rows=manifest.rows - erased)
    )

"""The chain of a table's manifests in a store: the only state of a sync.

This module commits the next manifest and writes the hints next to the chain. ``chain.py`` reads it; the store makes
objects durable.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from data_platform.errors import BatchConflict, ConfigurationError, LedgerBroken, PartDamaged
from data_platform.landing import hint, looks, tail, vouching, words
from data_platform.landing.chain import Chain, follows
from data_platform.landing.keys import hint_key, manifest_key, part_sequence
from data_platform.landing.manifest import Manifest
from data_platform.landing.part import Part
from data_platform.landing.redaction import QUARANTINE, Redaction, redaction_key
from data_platform.landing.settled import Settled
from data_platform.landing.state import CHECKPOINT_EVERY, fold
from data_platform.landing.stored_parts import damage_of
from data_platform.tables import Slice, TableId


class Ledger(Chain):
    """The manifests of every table in ``store``. Any number of processes may hold one."""

    def commit(self, manifest: Manifest) -> Manifest:
        """Seal ``manifest`` and create it; returns what is now in the ledger.

        ``BatchConflict`` when another writer has this sequence: discard the batch and
        extract again. Committing the same manifest twice is once. ``LedgerBroken`` when the number
        was given to a batch before whose manifest is lost.
        """
        self.signer.ready()
        manifest = self._linked(manifest).sealed()
        manifest = replace(manifest, signature=self.signer.sign("manifest", manifest.digest))
        self._signed_rewrites(manifest.table, [manifest] if manifest.redaction else [])  # only a signed one
        key = manifest_key(manifest.table, manifest.sequence)
        self._refuse_lost(manifest, key)
        if self.store.put_new(key, manifest.to_json()):
            tail.remember(self.store, manifest, self.signer)
            return manifest
        standing = self.read(manifest.table, manifest.sequence)
        if standing.nonce == manifest.nonce and standing.digest == manifest.digest:
            return standing  # our own: the answer to the first try was lost
        raise BatchConflict(
            f"Another sync committed batch {manifest.sequence} of {manifest.table} first. This batch is"
            " dropped, for its snapshot may be the older one; run the sync again."
        )

    def redact(
        self,
        head: Manifest,
        redaction: Redaction,
        nonce: str,
        settled: Settled | None = None,
        touched: Mapping[Slice, int] | None = None,
    ) -> Manifest:
        """Sign ``redaction`` and commit it after ``head``. Its new parts are in the store already, as
        a batch's are; the old ones are removed after it. Records that it took out of quarantine wait no more (``settled``). What was counted
        before in the slices of ``touched``, from which it took so many rows, holds no more.
        ``BatchConflict`` as in ``commit``."""
        table = head.table
        if mistakes := redaction.mistakes():
            raise LedgerBroken(
                f"A redaction of {table} was not committed: {'; '.join(mistakes)}. Nothing was changed."
            )
        rewrites = self.rewrites(table)
        for part in redaction.parts:
            known = (
                _part(self.read(table, part.sequence), part.index) if part.sequence <= head.sequence else None
            )
            stands = known is not None and part.old == rewrites.current(
                table, part.sequence, part.index, known
            )
            if not stands or part_sequence(table, part.new.key) != head.sequence + 1:
                raise LedgerBroken(
                    f"A redaction of {table} was not committed: part {part.index} of batch {part.sequence} is"
                    f" not {part.old.key} as it says, or its new one is no part of batch {head.sequence + 1}."
                    " Read the ledger again and rewrite its current content."
                )
            if damage := damage_of(self.store, head, part.new):
                raise PartDamaged(damage)
        key = redaction_key(self.environ)
        signed = redaction.signed(table, head.sequence + 1, head.digest, key)
        return self.commit(head.redacting(signed, nonce, settled, touched))

    def looked(self, tables: Collection[TableId], at: str) -> None:
        """Record that a sync checked ``tables`` at ``at`` (ISO, UTC) and found no change: a hint, not state."""
        looks.remember(self.store, tables, at, self.signer)

    def looks(self) -> looks.Looks:
        """The last check of each of many tables."""
        return looks.Looks(self.store, self.signer)

    def reconciled(self, table: TableId, at: str) -> None:
        """Record that at ``at`` the warehouse held no row that was deleted at the source: a hint."""
        hint.write(self.store, hint_key(table, "reconciled"), {"at": at}, self.signer)

    def last_reconcile(self, table: TableId) -> str | None:
        """The instant of the last ``reconciled``; None if there is none or its hint is damaged."""
        return hint.read(self.store, hint_key(table, "reconciled"), self.signer).get("at")

    def failed(self, table: TableId, at: str, why: str) -> None:
        """Record that at ``at`` the table could not be read, and ``why``: a hint. It is valid until a
        later check or batch."""
        hint.write(self.store, hint_key(table, "failed"), {"at": at, "why": why}, self.signer)

    def last_failure(self, table: TableId) -> tuple[str, str] | None:
        """(instant, why) of the last ``failed``; None if there is none or its hint is damaged."""
        found = hint.read(self.store, hint_key(table, "failed"), self.signer)
        return (found["at"], found["why"]) if found else None

    def _refuse_lost(self, manifest: Manifest, key: str) -> None:
        """LedgerBroken where ``manifest`` would take the number of one that is lost: the lost ones could not
        be put back any more."""
        mark = tail.recall(self.store, manifest.table, self.signer)
        if mark.sequence < manifest.sequence:
            return
        try:
            self.store.size(key)  # it stands: another writer was faster
        except KeyError:
            last = manifest.sequence - 1
            raise LedgerBroken(tail.lost(manifest.table, self.store.url, last, mark)) from None

    def _linked(self, manifest: Manifest) -> Manifest:
        """``manifest`` with its checkpoint where one is due, once it is known to follow the chain."""
        before = None if manifest.sequence == 1 else self.read(manifest.table, manifest.sequence - 1)
        manifest = replace(
            manifest,
            redacted_before=before.last_redaction if before else None,
            quarantined_before=before.last_quarantined if before and not manifest.is_whole else None,
            settled_before=before.last_settled if before and not manifest.is_whole else None,
        )
        if not follows(before, manifest):
            raise words.chain_break(manifest)
        if before is not None:
            vouching.confirm(self.store, before, self.signer)
            if before.signature and not self.signer.signs:
                raise ConfigurationError(
                    f"The ledger of {manifest.table} is signed, and this process has no key to sign batch"
                    f" {manifest.sequence} with, so nothing was committed. Set the variable that `signing` names in"
                    " catalog/platform.yaml to the key the other syncs have."
                )
        if manifest.sequence % CHECKPOINT_EVERY or manifest.measured_whole or before is None:
            return manifest
        measured, whole_at = fold(self._back_from(before))
        return replace(manifest, checkpoint=measured, checkpoint_whole_at=whole_at)


def _part(manifest: Manifest, index: int) -> Part | None:
    if index == QUARANTINE:
        return manifest.quarantined
    return manifest.parts[index] if index < len(manifest.parts) else None

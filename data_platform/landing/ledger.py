"""The chain of a table's manifests in a store: the only state of a sync.

Reading the head, committing the next manifest and checking the chain belong here. What
a manifest says is ``manifest.py``'s, what a chain of them adds up to ``state.py``'s, the
names of objects ``keys.py``'s; how objects are made durable is the store's.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from data_platform.errors import (
    BatchConflict,
    ConfigurationError,
    LedgerBroken,
    ObjectDamaged,
    PartDamaged,
    PartExpired,
)
from data_platform.landing import hint, looks, replaced, tail, words
from data_platform.landing.keys import hint_key, manifest_key, manifest_sequence, part_sequence
from data_platform.landing.manifest import Manifest
from data_platform.landing.part import Part, sha256_of
from data_platform.landing.redaction import KEY_VARIABLE, Redaction, Rewrites, redaction_key
from data_platform.landing.signing import NOT_SIGNED, Signer
from data_platform.landing.state import CHECKPOINT_EVERY, TableState, fold
from data_platform.stores import Store
from data_platform.tables import TableId


@dataclass(frozen=True, slots=True)
class Checked:
    """One batch looked at. ``manifest`` is None when it cannot be read; ``bytes`` were hashed."""

    sequence: int
    manifest: Manifest | None
    problems: tuple[str, ...] = ()
    parts: int = 0
    bytes: int = 0


class Ledger:
    """The manifests of every table in ``store``. Any number of processes may hold one.

    The key of redactions is read from ``environ`` when the first one is met.
    """

    def __init__(
        self, store: Store, environ: Mapping[str, str] = os.environ, signer: Signer = NOT_SIGNED
    ) -> None:
        self.store = store
        self.environ = environ
        self.signer = signer

    def head(self, table: TableId) -> Manifest | None:
        """The newest manifest: one listing of one key and one read. Where manifests are signed, so is it, or
        somebody has taken responsibility for it (``adopt``); by its links it vouches for all before."""
        self.signer.ready()
        sequence = self.last(table)
        if not sequence:
            return None
        manifest = self.read(table, sequence)
        self._vouched(manifest)
        return manifest

    def adopt(self, table: TableId) -> None:
        """Take the chain up to its present head, which is not signed, as if it were. For a ledger from before
        there was a key; what comes after is signed, and an unsigned batch after it is refused."""
        sequence = self.last(table)
        if sequence and not (manifest := self.read(table, sequence)).signature:
            fields = {"sequence": sequence, "digest": manifest.digest}
            hint.write(self.store, hint_key(table, "adopted"), fields, self.signer)

    def signed_from(self, table: TableId, last: int) -> int | None:
        """The first batch up to ``last`` from which on all are signed; None where that one is not. By halving: a
        chain that is signed once stays so."""
        low, high = 1, last
        if not high or not self.read(table, high).signature:
            return None
        if self.read(table, low).signature:
            return low
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.read(table, middle).signature else (middle + 1, high)
        return low

    def last(self, table: TableId) -> int:
        """The sequence of the newest manifest; 0 before the first."""
        keys = self.store.list(f"{table}/manifests", limit=1)
        return manifest_sequence(table, keys[0]) if keys else 0

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

    def commit(self, manifest: Manifest) -> Manifest:
        """Seal ``manifest`` and create it; returns what is now in the ledger.

        ``BatchConflict`` when another writer has this sequence: discard the batch and
        extract again. Committing the same manifest twice is once. ``LedgerBroken`` when the number
        was given to a batch before whose manifest is lost.
        """
        self.signer.ready()
        manifest = self._linked(manifest).sealed()
        manifest = replace(manifest, signature=self.signer.sign("manifest", manifest.digest))
        self._rewrites(manifest.table, [manifest] if manifest.redaction else [])  # only a signed one
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

    def redact(self, head: Manifest, redaction: Redaction, nonce: str) -> Manifest:
        """Sign ``redaction`` and commit it after ``head``. Its new parts are in the store already, as
        a batch's are; the old ones are removed after it. ``BatchConflict`` as in ``commit``."""
        table = head.table
        if mistakes := redaction.mistakes():
            raise LedgerBroken(
                f"A redaction of {table} was not committed: {'; '.join(mistakes)}. Nothing was changed."
            )
        rewrites = self.rewrites(table)
        for part in redaction.parts:
            known = self.read(table, part.sequence).parts if part.sequence <= head.sequence else ()
            stands = part.index < len(known) and part.old == rewrites.current(
                table, part.sequence, part.index, known[part.index]
            )
            if not stands or part_sequence(table, part.new.key) != head.sequence + 1:
                raise LedgerBroken(
                    f"A redaction of {table} was not committed: part {part.index} of batch {part.sequence} is"
                    f" not {part.old.key} as it says, or its new one is no part of batch {head.sequence + 1}."
                    " Read the ledger again and rewrite what stands in it now."
                )
            if damage := self._damage(head, part.new, deep=True):
                raise PartDamaged(damage)
        key = redaction_key(self.environ)
        signed = redaction.signed(table, head.sequence + 1, head.digest, key)
        return self.commit(head.redacting(signed, nonce))

    def redactions(self, table: TableId) -> list[Manifest]:
        """Every batch of the kind ``redact``, oldest first: one read each, however long the chain is."""
        head = self.head(table)
        found: list[Manifest] = []
        sequence = head.last_redaction if head else None
        while sequence is not None:
            manifest = self.read(table, sequence)
            if manifest.redaction is None or (found and sequence >= found[-1].sequence):
                raise words.chain_break(manifest)
            found.append(manifest)
            sequence = manifest.redacted_before
        found.reverse()
        return found

    def rewrites(self, table: TableId) -> Rewrites:
        """Which parts stand in the place of which. ``LedgerBroken`` names a redaction whose
        signature is wrong, ``ConfigurationError`` says that there is no key to check it with."""
        return self._rewrites(table, self.redactions(table))

    def looked(self, table: TableId, at: str) -> None:
        """Remember that a sync looked at ``at`` (ISO, UTC) and found nothing: a hint, no state."""
        self.looked_together([table], at)

    def looked_together(self, tables: Collection[TableId], at: str) -> None:
        """``looked``, of all ``tables`` of one sync."""
        looks.remember(self.store, tables, at, self.signer)

    def last_look(self, table: TableId) -> str | None:
        """The instant of the last ``looked``; None when there is none or it is damaged."""
        return self.looks().last(table)

    def looks(self) -> looks.Looks:
        """The last look at each of many tables."""
        return looks.Looks(self.store, self.signer)

    def reconciled(self, table: TableId, at: str) -> None:
        """Remember that at ``at`` nothing stood in the warehouse that was gone at the source: a hint."""
        hint.write(self.store, hint_key(table, "reconciled"), {"at": at}, self.signer)

    def last_reconcile(self, table: TableId) -> str | None:
        """The instant of the last ``reconciled``; None when there is none or it is damaged."""
        return hint.read(self.store, hint_key(table, "reconciled"), self.signer).get("at")

    def failed(self, table: TableId, at: str, why: str) -> None:
        """Remember that at ``at`` the table could not be read, and ``why``: a hint. It stands until a
        later look or batch."""
        hint.write(self.store, hint_key(table, "failed"), {"at": at, "why": why}, self.signer)

    def last_failure(self, table: TableId) -> tuple[str, str] | None:
        """(instant, why) of the last ``failed``; None when there is none or it is damaged."""
        found = hint.read(self.store, hint_key(table, "failed"), self.signer)
        return (found["at"], found["why"]) if found else None

    def tables(self, among: Iterable[TableId]) -> list[TableId]:
        """Those of ``among`` (the catalog's tables) with a manifest: one listing of one key each."""
        return sorted(table for table in among if self.last(table))

    def verify(self, table: TableId, deep: bool = False) -> list[str]:
        """Everything wrong with the whole chain and its parts, one readable line each.

        Parts are looked up and their sizes compared; ``deep`` reads them and compares
        their SHA-256 too. ``verify.py`` does the same at the cost of what is new.
        """
        rewrites, problems = Rewrites(), []
        try:
            rewrites = self.rewrites(table)
        except LedgerBroken as error:
            problems.append(str(error))
        for checked in self.check(table, range(1, self.last(table) + 1), rewrites, deep=deep):
            problems += checked.problems
        return list(dict.fromkeys(problems))

    def strangers(self, table: TableId) -> list[str]:
        """A line for each object among the manifests of ``table`` that is none, wherever it sorts."""
        found = []
        for key in self.store.list(f"{table}/manifests"):
            try:
                manifest_sequence(table, key)
            except LedgerBroken as error:
                found.append(str(error))
        return found

    def check(
        self, table: TableId, sequences: Iterable[int], rewrites: Rewrites, *, deep: bool = True
    ) -> Iterator[Checked]:
        """Look at the batches ``sequences``, ascending: each manifest, its link to the one before, and
        its parts as ``rewrites`` says that they stand. ``deep`` hashes them."""
        before: Manifest | None = None
        for sequence in sequences:
            if before is None or before.sequence != sequence - 1:
                before = self._readable(table, sequence - 1)
            try:
                manifest = self.read(table, sequence)
            except LedgerBroken as error:
                before = None
                yield Checked(sequence, None, (str(error),))
                continue
            problems = []
            if (before is not None or sequence == 1) and not _follows(before, manifest):
                problems.append(str(words.chain_break(manifest)))
            if before is not None and before.signature and not manifest.signature:
                problems.append(words.unsigned(manifest, "though the one before is"))
            before = manifest
            try:
                parts = _standing(manifest, rewrites)
            except LedgerBroken as error:
                yield Checked(sequence, manifest, (*problems, str(error)))
                continue
            damage = [self._damage(manifest, part, deep) for part in parts]
            # asked where parts are missing alone, which costs a sound table nothing
            if any(damage) and sequence < replaced.kept_from(self.store, table, self.signer):
                yield Checked(sequence, manifest, tuple(problems))
                continue
            problems += filter(None, damage)
            hashed = sum(p.bytes for p, problem in zip(parts, damage, strict=True) if deep and not problem)
            yield Checked(sequence, manifest, tuple(problems), len(parts), hashed)

    @contextmanager
    def open_parts(self, manifest: Manifest, verified: bool = False) -> Iterator[list[Path]]:
        """The batch's parts as local files. ``PartDamaged`` names the table, the batch and the part
        that is missing, short or altered; ``PartExpired`` the batch whose parts the catalog's rule deleted. ``verified`` says that this process has just written
        and hashed them, so that only their sizes are compared."""
        with ExitStack() as stack:
            paths = []
            for part in manifest.parts:
                try:
                    path = stack.enter_context(self.store.local(part.key))
                except KeyError:
                    kept_from = replaced.kept_from(self.store, manifest.table, self.signer)
                    if manifest.sequence < kept_from:
                        raise PartExpired(words.expired(manifest, kept_from)) from None
                    raise PartDamaged(words.damaged(manifest, part, "is missing")) from None
                if path.stat().st_size != part.bytes:
                    raise PartDamaged(words.damaged(manifest, part, words.size_is(path.stat().st_size, part)))
                if not verified and sha256_of(path) != part.sha256:
                    raise PartDamaged(words.damaged(manifest, part, words.ALTERED))
                paths.append(path)
            yield paths

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

    def _vouched(self, manifest: Manifest) -> None:
        """LedgerBroken where ``manifest`` ends a chain that should be signed and is not."""
        if manifest.signature or not self.signer.signs:
            return
        known = hint.read(self.store, hint_key(manifest.table, "adopted"), self.signer)
        if known != {"sequence": manifest.sequence, "digest": manifest.digest}:
            raise LedgerBroken(words.unsigned(manifest, f"though {self.signer.variable} is set"))

    def _before(self, manifest: Manifest) -> Manifest | None:
        """The manifest before, when the link to it holds."""
        before = None if manifest.sequence == 1 else self.read(manifest.table, manifest.sequence - 1)
        if not _follows(before, manifest):
            raise words.chain_break(manifest)
        return before

    def _readable(self, table: TableId, sequence: int) -> Manifest | None:
        try:
            return self.read(table, sequence) if sequence else None
        except LedgerBroken:
            return None

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
        rewrites = self._rewrites(table, [manifest for manifest in among if manifest.redaction])
        return [_with_parts(manifest, rewrites) for manifest in batches]

    def _rewrites(self, table: TableId, redactions: Collection[Manifest]) -> Rewrites:
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

    def _linked(self, manifest: Manifest) -> Manifest:
        """``manifest`` with its checkpoint where one is due, once it is known to follow the chain."""
        before = None if manifest.sequence == 1 else self.read(manifest.table, manifest.sequence - 1)
        manifest = replace(manifest, redacted_before=before.last_redaction if before else None)
        if not _follows(before, manifest):
            raise words.chain_break(manifest)
        if before is not None:
            self._vouched(before)
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

    def _damage(self, manifest: Manifest, part: Part, deep: bool) -> str | None:
        try:
            size = self.store.size(part.key)
            if size != part.bytes:
                return words.damaged(manifest, part, words.size_is(size, part))
            if deep:
                with self.store.local(part.key) as path:
                    if sha256_of(path) != part.sha256:
                        return words.damaged(manifest, part, words.ALTERED)
        except KeyError:
            return words.damaged(manifest, part, "is missing")
        except ObjectDamaged:
            return words.damaged(manifest, part, "does not arrive as the store holds it")
        except OSError as error:
            return words.damaged(manifest, part, f"cannot be read ({error.strerror or type(error).__name__})")
        return None


def _follows(before: Manifest | None, manifest: Manifest) -> bool:
    named = (manifest.previous, manifest.redacted_before)
    return named == ((before.digest, before.last_redaction) if before else (None, None))


def _to_load(manifest: Manifest, newer: Sequence[Manifest]) -> Manifest:
    """``manifest`` without what loading does not need, and with the columns of the ones after it where they are the
    same: a long chain is held at once, and a checkpoint is as large as the table has slices."""
    columns = newer[-1].columns if newer and newer[-1].columns == manifest.columns else manifest.columns
    return replace(manifest, columns=columns, checkpoint=None)


def _with_parts(manifest: Manifest, rewrites: Rewrites) -> Manifest:
    """``manifest`` with the parts that stand now. Its digest stays: that is what a warehouse knows it by."""
    parts = rewrites.parts(manifest.table, manifest.sequence, manifest.parts)
    erased = sum(part.rows for part in manifest.parts) - sum(part.rows for part in parts)
    return (
        manifest if parts == manifest.parts else replace(manifest, parts=parts, rows=manifest.rows - erased)
    )


def _standing(manifest: Manifest, rewrites: Rewrites) -> list[Part]:
    """The parts to look at for ``manifest``: its own, and those that it brought for older batches."""
    rewritten = manifest.redaction.parts if manifest.redaction else ()
    return [
        *_with_parts(manifest, rewrites).parts,
        *(rewrites.current(manifest.table, part.sequence, part.index, part.new) for part in rewritten),
    ]

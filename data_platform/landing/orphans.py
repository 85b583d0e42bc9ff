"""Parts that no manifest names, and when they may be deleted.

Batches that lost a race or were interrupted leave such parts. A redaction leaves the parts that it
replaced. They do no harm but cost space, and redacted data should not be kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from data_platform.errors import LedgerBroken
from data_platform.landing import hint, replaced
from data_platform.landing.keys import part_sequence
from data_platform.landing.ledger import Ledger
from data_platform.landing.redaction import Rewrites
from data_platform.tables import TableId


@dataclass(frozen=True, slots=True)
class Orphan:
    key: str
    bytes: int
    first_seen: str


@dataclass(frozen=True, slots=True)
class Collection:
    """``ripe`` have been orphans for the grace period and were removed if that was asked for;
    ``waiting`` not yet; ``unlanded`` belong to a batch that may still be committed."""

    ripe: tuple[Orphan, ...] = ()
    waiting: tuple[Orphan, ...] = ()
    unlanded: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        return sum(orphan.bytes for orphan in self.ripe)


@dataclass(frozen=True, slots=True)
class _Look:
    """The content of the hint: the batch up to which parts were checked, since when each orphan is
    known, because a store does not report the age of an object, and which of the batches had no part of their own then."""

    reached: int
    seen: Mapping[str, str]
    bare: frozenset[int] = frozenset()


def collect(ledger: Ledger, table: TableId, now: datetime, grace: timedelta, *, remove: bool) -> Collection:
    """Find the orphans of ``table`` and, with ``remove``, delete those first seen ``grace`` ago.

    Deletes nothing that a manifest could still come to name. A part goes to the folder of batch N
    while N is the next one. Once manifest N exists it is N for good, and whoever else still writes
    parts for N will be refused; so only parts of batches up to the head, unnamed by the manifest
    that stands there, are orphans. Those of the batch after the head may be a living sync's, however
    old, and wait until that batch exists. The head is read before the parts are listed: it only grows.
    """
    head = ledger.last(table)
    rewrites = ledger.rewrites(table)
    before = _recall(ledger, table)
    dead, unlanded, bare = _find(ledger, table, head, rewrites, before)
    at = now.isoformat(timespec="seconds")
    ripe: list[Orphan] = []
    waiting: list[Orphan] = []
    for key in dead:
        orphan = _sized(ledger, Orphan(key, 0, before.seen.get(key, at)))
        (ripe if now - datetime.fromisoformat(orphan.first_seen) >= grace else waiting).append(orphan)
    if remove:
        for orphan in ripe:
            ledger.store.delete(orphan.key)
    kept = waiting if remove else [*ripe, *waiting]
    seen = {orphan.key: orphan.first_seen for orphan in kept}
    _remember(ledger, table, _Look(head, seen, before.bare | bare), before)
    return Collection(tuple(ripe), tuple(waiting), tuple(unlanded))


def _find(
    ledger: Ledger, table: TableId, head: int, rewrites: Rewrites, before: _Look
) -> tuple[list[str], list[str], set[int]]:
    """Orphans, parts of batches after the head, and the batches after ``before.reached`` that have no part of their own. Reads the
    manifests of those, and of older ones only where what is there may be another writer's: a slow one may leave parts for a batch long
    after that was checked."""
    by_sequence: dict[int, list[str]] = {}
    for key in ledger.store.list(f"{table}/batches"):
        sequence = part_sequence(table, key)
        if sequence is not None:  # a stranger's object is not ours to remove
            by_sequence.setdefault(sequence, []).append(key)
    new = {part.new.key for part in rewrites.by_old_key.values()}
    own = _folders(table, {*new, *rewrites.by_old_key})
    kept_from = replaced.kept_from(ledger.store, table, ledger.signer)
    dead: list[str] = []
    unlanded: list[str] = []
    bare = set(range(before.reached + 1, head + 1)) - by_sequence.keys()
    for sequence, keys in sorted(by_sequence.items()):
        if sequence > head:
            unlanded += keys
            continue
        gone = [key for key in keys if key in rewrites.by_old_key]
        contested = len(own.get(sequence, set()) | {_folder(key) for key in keys}) > 1
        known = any(key in before.seen for key in keys)
        left = sequence in before.bare or sequence < kept_from
        if sequence > before.reached or contested or known or left:
            try:
                manifest = ledger.read(table, sequence)
                named = {part.key for part in manifest.parts} | new
                named |= {manifest.quarantined.key} if manifest.quarantined else set()
            except LedgerBroken:
                continue  # `verify` names it; nothing goes that a lost manifest may have named
            gone += [key for key in keys if key not in named]
            if sequence > before.reached and named.isdisjoint(keys):
                bare.add(sequence)
        dead += dict.fromkeys(gone)
    return dead, unlanded, bare


def _folders(table: TableId, keys: Iterable[str]) -> Mapping[int, set[str]]:
    found: dict[int, set[str]] = {}
    for key in keys:
        if (sequence := part_sequence(table, key)) is not None:
            found.setdefault(sequence, set()).add(_folder(key))
    return found


def _folder(key: str) -> str:
    return key.rsplit("/", 1)[0]


def _sized(ledger: Ledger, orphan: Orphan) -> Orphan:
    try:
        return replace(orphan, bytes=ledger.store.size(orphan.key))
    except KeyError:  # another collector was faster
        return orphan


def _recall(ledger: Ledger, table: TableId) -> _Look:
    raw = hint.read(ledger.store, _key(table), ledger.signer)
    known = {"reached", "seen", "bare"} <= raw.keys()
    return _Look(raw["reached"], raw["seen"], frozenset(raw["bare"])) if known else _Look(0, {})


def _remember(ledger: Ledger, table: TableId, look: _Look, before: _Look) -> None:
    if look != before:
        fields = {"reached": look.reached, "seen": dict(look.seen), "bare": sorted(look.bare)}
        hint.write(ledger.store, _key(table), fields, ledger.signer)


def _key(table: TableId) -> str:
    return f"{table}/orphans.json"

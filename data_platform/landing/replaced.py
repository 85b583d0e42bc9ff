"""Parts of batches that a later full read of their table replaced, and how long they are kept.

Nothing but a rebuild as of an instant before that read needs them. They are kept for ever, unless the catalog says
``keep_replaced_days`` for the table. Manifests stay: the chain is whole, and tells what there was.

From which batch on parts are kept stands in a hint (``kept.json``), written before anything is deleted and signed
where manifests are. Where it is lost, the parts look lost until the rule is applied again. Another one (``wholes.json``)
tells which batches were whole reads; where it is lost, the chain is walked.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from data_platform.landing import hint
from data_platform.landing.grammar import is_number
from data_platform.landing.keys import hint_key, part_sequence
from data_platform.landing.signing import Signer
from data_platform.stores import Store
from data_platform.tables import TableId

if TYPE_CHECKING:
    from data_platform.landing.ledger import Ledger
    from data_platform.landing.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Replaced:
    """What the rule reaches: ``parts`` of batches before ``kept_from``, a whole read that was committed at
    ``kept_since``. A rebuild as of that instant or later has all it needs. ``kept_from`` is 1 where the rule reaches
    nothing."""

    kept_from: int
    kept_since: datetime | None
    parts: tuple[str, ...] = ()
    bytes: int = 0


def kept_from(store: Store, table: TableId, signer: Signer) -> int:
    """The first batch whose parts are kept; 1 where none were ever deleted."""
    known = hint.read(store, hint_key(table, "kept"), signer).get("sequence", 1)
    return int(known) if is_number(known) and known > 1 else 1


def collect(ledger: Ledger, table: TableId, now: datetime, keep: timedelta, *, remove: bool) -> Replaced:
    """Find the parts that a whole read replaced at least ``keep`` ago and, with ``remove``, delete them.

    Every instant of the last ``keep`` can still be rebuilt. Raises LedgerBroken for a chain that is not whole;
    then nothing is deleted.
    """
    known = kept_from(ledger.store, table, ledger.signer)
    whole = _last_before(ledger, table, known, now - keep)
    if whole is None:
        return Replaced(known, None)
    parts, size = [], 0
    for key in ledger.store.list(f"{table}/batches"):
        sequence = part_sequence(table, key)
        if sequence is not None and sequence < whole.sequence:
            with suppress(KeyError):  # another collector was faster
                size += ledger.store.size(key)
                parts.append(key)
    found = Replaced(whole.sequence, whole.landed_at, tuple(parts), size)
    if remove:
        if whole.sequence > 1:
            fields = {"sequence": whole.sequence, "at": now.isoformat(timespec="seconds")}
            hint.write(ledger.store, hint_key(table, "kept"), fields, ledger.signer)
        for key in parts:
            ledger.store.delete(key)
    return found


@dataclass(frozen=True, slots=True)
class _Whole:
    """A batch that replaced the table: when it landed, and its digest."""

    sequence: int
    at: str
    digest: str


@dataclass(frozen=True, slots=True)
class _Look:
    """The whole reads from batch ``since`` to batch ``reached`` of that ``digest``, newest first."""

    since: int = 0
    reached: int = 0
    digest: str = ""
    wholes: tuple[_Whole, ...] = ()

    def landed_by(self, cutoff: datetime) -> _Whole | None:
        return next((one for one in self.wholes if datetime.fromisoformat(one.at) <= cutoff), None)


def _last_before(ledger: Ledger, table: TableId, known: int, cutoff: datetime) -> Manifest | None:
    """The last whole read that had landed by ``cutoff``, of those from batch ``known`` on. The way back from the head
    ends where the last look began, which a hint tells, so that a look costs what is new in the chain."""
    before = _recall(ledger, table)
    for start in (before, _Look()):
        look = _walk(ledger, table, known, cutoff, start)
        whole = look.landed_by(cutoff)
        if whole is None and look.since > known:
            continue  # the rule keeps longer than when it was looked before
        manifest = ledger.read(table, whole.sequence) if whole else None
        if manifest is None or (whole and manifest.digest == whole.digest and manifest.is_whole):
            break
    if look != before:
        hint.write(ledger.store, hint_key(table, "wholes"), asdict(look), ledger.signer)
    return manifest


def _walk(ledger: Ledger, table: TableId, known: int, cutoff: datetime, before: _Look) -> _Look:
    """From the head back to what ``before`` tells of, the first whole read that had landed by ``cutoff``, or ``known``."""
    found: list[_Whole] = []
    head: Manifest | None = None
    since = known
    for manifest in ledger.newest_first(table):
        head = head or manifest
        if manifest.sequence == before.reached and manifest.digest == before.digest:
            kept = [one for one in before.wholes if one.sequence >= known]
            return _Look(before.since, head.sequence, head.digest, (*found, *kept))
        if manifest.is_whole:
            found.append(_Whole(manifest.sequence, manifest.landed_at.isoformat(), manifest.digest))
            if manifest.landed_at <= cutoff:
                since = manifest.sequence
                break
        if manifest.sequence <= known:
            break
    return _Look(since, head.sequence, head.digest, tuple(found)) if head else _Look()


def _recall(ledger: Ledger, table: TableId) -> _Look:
    raw = hint.read(ledger.store, hint_key(table, "wholes"), ledger.signer)
    return _Look(**{**raw, "wholes": tuple(_Whole(**one) for one in raw["wholes"])}) if raw else _Look()

"""Parts of batches that a later whole read of their table replaced, and how long they are kept.

Nothing but a rebuild as of an instant before that read needs them. They are kept for ever, unless the catalog says
``keep_replaced_days`` for the table. Manifests stay: the chain is whole, and tells what there was.

From which batch on parts are kept stands in a hint (``kept.json``), written before anything is deleted and signed
where manifests are. Where it is lost, the parts look lost until the rule is applied again.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
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
    whole = None
    for manifest in ledger.newest_first(table):
        if manifest.load == "replace" and manifest.kind == "data" and manifest.landed_at <= now - keep:
            whole = manifest
        if whole is not None or manifest.sequence <= known:
            break
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

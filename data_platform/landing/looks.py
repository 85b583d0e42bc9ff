"""When tables were looked at last and found as they had landed: hints, no state.

A table by itself has a hint of its own. Tables that were looked at together share one of their source, since
a file each would be most of what a sync of many quiet tables costs. Of two syncs that write it at the same
instant one may be forgotten, which makes a table look older than it is until its next sync.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TypeGuard

from data_platform.landing import hint
from data_platform.landing.keys import hint_key
from data_platform.landing.signing import NOT_SIGNED, Signer
from data_platform.stores import Store
from data_platform.tables import TableId

FEW = 3
"""Up to so many are written each by itself: these are the syncs that run beside others of their source."""
_FIELD = "looked_at"


def remember(store: Store, tables: Collection[TableId], at: str, signer: Signer = NOT_SIGNED) -> None:
    """``tables`` were looked at ``at`` (ISO, UTC)."""
    if len(tables) <= FEW:
        for table in tables:
            hint.write(store, hint_key(table, "looked"), {"at": at}, signer)
        return
    for source in dict.fromkeys(table.source for table in tables):
        known = dict(_together(store, source, signer))
        known |= {table.table: at for table in tables if table.source == source}
        hint.write(store, _key(source), {_FIELD: known}, signer)


class Looks:
    """The last look at each table; what tables of a source share is read once."""

    def __init__(self, store: Store, signer: Signer = NOT_SIGNED) -> None:
        self._store, self._signer = store, signer
        self._shared: dict[str, Mapping[str, str]] = {}

    def last(self, table: TableId) -> str | None:
        """None when there is none, or what tells of it is damaged."""
        if table.source not in self._shared:
            self._shared[table.source] = _together(self._store, table.source, self._signer)
        own = hint.read(self._store, hint_key(table, "looked"), self._signer).get("at")
        known = [at for at in (own, self._shared[table.source].get(table.table)) if _is_instant(at)]
        return max(known, key=datetime.fromisoformat, default=None)


def _together(store: Store, source: str, signer: Signer) -> Mapping[str, str]:
    found = hint.read(store, _key(source), signer).get(_FIELD)
    if not isinstance(found, dict):
        return {}
    return {table: at for table, at in found.items() if _is_instant(at)}


def _is_instant(text: object) -> TypeGuard[str]:
    """Whether it is one with its offset from UTC: who may write to the store may write anything."""
    try:
        return isinstance(text, str) and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _key(source: str) -> str:
    return f"{source}/looked.json"  # no table's name has a dot

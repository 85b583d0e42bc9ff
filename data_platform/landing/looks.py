"""The times when tables were last checked and found unchanged: hints, not state.

A table that was checked alone has its own hint. Tables that were checked together share one hint of their source,
because writing one file for each would be most of the cost of a sync of many unchanged tables. If two syncs write
it at the same instant, one may be lost: until the next sync, its tables then look older than they are.
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
"""Up to this number, each table gets its own hint: such syncs run in parallel with others of their source."""
_FIELD = "looked_at"


def remember(store: Store, tables: Collection[TableId], at: str, signer: Signer = NOT_SIGNED) -> None:
    """Record that ``tables`` were checked ``at`` (ISO, UTC)."""
    if len(tables) <= FEW:
        for table in tables:
            hint.write(store, hint_key(table, "looked"), {"at": at}, signer)
        return
    for source in dict.fromkeys(table.source for table in tables):
        known = dict(_together(store, source, signer))
        known |= {table.table: at for table in tables if table.source == source}
        hint.write(store, _key(source), {_FIELD: known}, signer)


class Looks:
    """The last check of each table; the shared hint of a source is read once."""

    def __init__(self, store: Store, signer: Signer = NOT_SIGNED) -> None:
        self._store, self._signer = store, signer
        self._shared: dict[str, Mapping[str, str]] = {}

    def last(self, table: TableId) -> str | None:
        """The time of the last check; None if there is none or its hint is damaged."""
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
    """Whether it is an instant with its offset from UTC: anybody who can write to the store could write anything."""
    try:
        return isinstance(text, str) and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _key(source: str) -> str:
    return f"{source}/looked.json"  # no table's name has a dot

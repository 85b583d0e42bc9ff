"""What of an inbox has landed, as the ledgers of the tables that read it prove."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from data_platform.landing.chain import Chain
from data_platform.landing.manifest import Manifest
from data_platform.sources.inbox.delivery import Place, Reached
from data_platform.sources.inbox.walk import READ, reached_of
from data_platform.tables import Json, TableId

SKEW = timedelta(hours=1)
"""How far the clock of a receiver may be ahead of the one that stamps batches."""


class Taken:
    """How far the ``tables`` of one source have read of its inbox. Only batches that can hold an object as old as the number
    ``first`` are read, since a number is a time.

    A table that has never landed has taken nothing. A table whose position says nothing of an inbox reads none.
    """

    def __init__(self, ledger: Chain, tables: Sequence[TableId], first: int) -> None:
        since = datetime.fromtimestamp(first / 1000, UTC) - SKEW
        found = [_reached(ledger, table, since) for table in tables]
        self._marks = [mark for mark in found if mark is not None]

    def holds(self, place: Place) -> bool:
        """Whether every table that reads the inbox has committed the object."""
        return bool(self._marks) and all(place.number <= mark.get(place.receiver, 0) for mark in self._marks)


def _reached(ledger: Chain, table: TableId, since: datetime) -> Reached | None:
    """By receiver, the last object that the table has read; a position forgets a receiver once all of it was released."""
    reached: dict[str, int] = {}
    reads = None
    for manifest in ledger.newest_first(table):
        state = _state(manifest)
        if state is not None:
            reads = reads or READ in state
            if not reads:
                return None
            for receiver, number in reached_of(state).items():
                reached[receiver] = max(number, reached.get(receiver, 0))
        if manifest.landed_at < since:
            break
    return reached


def _state(manifest: Manifest) -> dict[str, Json] | None:
    position = manifest.position_after
    state = position.value.get("state") if position else None
    return state if isinstance(state, dict) else None

"""Decides what is requested from a source for one table: the whole table, changes, or some slices. Pure.

This module only knows what holds for every kind. The source decides whether and how changes can be found
(``Reading.plan``); it may require a whole read. Every decision has a reason, shown in the batch's notes.
"""

from __future__ import annotations

from data_platform.sources.kind import Capabilities
from data_platform.sources.reading import Ask, Prior
from data_platform.tables import WHOLE_TABLE, Slice, Snapshot, Strategy

FIRST_READ = "first read"
WHOLE_FOR_DELETES = "read whole, which is how this source shows deletes"


def ask_for(
    strategy: Strategy,
    prior: Prior,
    snapshot: Snapshot,
    *,
    refresh: bool = False,
    thorough: bool = False,
    for_deletes: bool = False,
) -> Ask:
    """The request of a sync of changes. ``for_deletes``: it must find deletes, and only a whole read does."""
    if refresh:
        return Ask("whole", ("a refresh was asked for",))
    if for_deletes and prior.position is not None:
        return Ask("whole", (WHOLE_FOR_DELETES,))
    if strategy == "replace":
        return Ask("whole")
    return from_where(prior, snapshot, thorough=thorough)


def from_where(prior: Prior, snapshot: Snapshot, *, thorough: bool = False) -> Ask:
    """The changes since ``prior``, if a read can continue from it."""
    if prior.position is None:
        return Ask("whole", (FIRST_READ,))
    if prior.position.system != snapshot.system:
        return Ask(
            "whole",
            (
                f"the source is another system ({snapshot.system}) than the one read before ({prior.position.system}):"
                " another database, or one after a failover or a restore; everything was reread",
            ),
        )
    return Ask("changes", thorough=thorough)


def ask_for_slices(partition: str | None, slices: tuple[Slice, ...], can: Capabilities) -> Ask:
    """The request of a sync of ``slices``."""
    if partition is None or WHOLE_TABLE in slices:
        return Ask("whole", ("the table has no slices; it was read whole",))
    if not can.slices:
        return Ask("whole", ("the source cannot read single slices; everything was reread",))
    return Ask("slices", slices=slices)


def unless_changed(ask: Ask, strategy: Strategy, reasons: tuple[str, ...], replaced: tuple[str, ...]) -> Ask:
    """``ask``, or the whole table for ``reasons`` of its shape and because it was ``replaced`` by another. Where
    rows are only added, those of the other are added too."""
    if reasons or (replaced and strategy != "append"):
        return Ask("whole", (*reasons, *(f"{reason}; everything was reread" for reason in replaced)))
    return ask

"""What is asked of a source for one table: the whole table, what changed, or some slices. Pure.

Only what holds for every kind stands here. How changes are found, and whether they can be, is the source's
(``Reading.plan``); it may say that all must be read. Every answer says why, which people see as the batch's notes.
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
    """What a sync of changes asks for. ``for_deletes``: it must see deletes, and only a whole read does."""
    if refresh:
        return Ask("whole", ("a refresh was asked for",))
    if for_deletes and prior.position is not None:
        return Ask("whole", (WHOLE_FOR_DELETES,))
    if strategy == "replace":
        return Ask("whole")
    return from_where(prior, snapshot, thorough=thorough)


def from_where(prior: Prior, snapshot: Snapshot, *, thorough: bool = False) -> Ask:
    """The changes since ``prior``, where there is something to go on from."""
    if prior.position is None:
        return Ask("whole", (FIRST_READ,))
    if prior.position.system != snapshot.system:
        return Ask(
            "whole",
            (
                f"the source is another system ({snapshot.system}) than the one read before ({prior.position.system}):"
                " another database, or one after a failover or a restore; everything was read anew",
            ),
        )
    return Ask("changes", thorough=thorough)


def ask_for_slices(partition: str | None, slices: tuple[Slice, ...], can: Capabilities) -> Ask:
    """What a sync of ``slices`` asks for."""
    if partition is None or WHOLE_TABLE in slices:
        return Ask("whole", ("the table has no slices; it was read whole",))
    if not can.slices:
        return Ask("whole", ("the source gives no slices by themselves; everything was read anew",))
    return Ask("slices", slices=slices)


def unless_changed(ask: Ask, strategy: Strategy, reasons: tuple[str, ...], replaced: tuple[str, ...]) -> Ask:
    """``ask``, or the whole table for ``reasons`` of its shape and because it was ``replaced`` by another. Where
    rows are only added, those of the other are added too."""
    if reasons or (replaced and strategy != "append"):
        return Ask("whole", (*reasons, *(f"{reason}; everything was read anew" for reason in replaced)))
    return ask

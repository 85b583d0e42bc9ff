"""Records in quarantine that are of people who are erased: they hold a text that was searched for, or say a person's key.

A record that is malformed lands nowhere, so the door cannot leave it out: it is taken out of quarantine, by its request or on the day after.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress

from data_platform.errors import PartExpired
from data_platform.landing import quarantine
from data_platform.privacy.subjects.place import Place
from data_platform.sources.records.ages import read, value_of
from data_platform.sync.erasing.rows import Matches, Values
from data_platform.sync.platform import Platform
from data_platform.sync.quarantine import opened
from data_platform.sync.settle import Chosen, chosen_of
from data_platform.sync.subjects import as_landed
from data_platform.tables import TableId


def of_people(
    platform: Platform, table: TableId, matches: Matches, values: Values, needles: Collection[str]
) -> Chosen:
    """The records of ``table``, whether they wait or not, of whoever has one of ``values``."""
    texts = [needle.encode() for needle in needles]
    found: dict[int, list[int]] = {}
    for batch in platform.ledger.newest_first(table):
        if batch.quarantined is None:
            continue
        with suppress(PartExpired):
            for number, record in opened(platform, batch):
                if not quarantine.is_gone(record) and (
                    any(text in record.bytes for text in texts)
                    or any(
                        value in values[key] for key, value in keys_in(platform, table, matches, record.bytes)
                    )
                ):
                    found.setdefault(batch.sequence, []).append(number)
    return chosen_of(platform, table, found)


def keys_in(
    platform: Platform, table: TableId, matches: Matches, record: bytes
) -> Iterator[tuple[Place, str]]:
    """What the record says at the places of ``matches``: the key place, and the value as it lands. Nothing where it cannot be read."""
    said = read(record)
    if said is None:
        return
    settings = platform.catalog.table(table).settings
    for place, key in matches:
        value = value_of(said, settings, place.column, place.path)
        if isinstance(value, str | int) and not isinstance(value, bool):
            yield key, as_landed(platform, place, str(value))

"""Records in quarantine that are older than their table's rule: they never landed, and go whole.

A record is as old as it says itself, in the column `by` of the rule. One that cannot be read, or that says no day, is as old as the
batch that could not take it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from data_platform.catalog import Table
from data_platform.errors import PartExpired
from data_platform.landing import quarantine
from data_platform.landing.manifest import Manifest
from data_platform.sources.records.ages import day_of, read
from data_platform.sync.erasing.rejected import keys_in
from data_platform.sync.platform import Platform
from data_platform.sync.quarantine import opened
from data_platform.sync.retention.limits import Expired
from data_platform.sync.settle import Chosen, chosen_of, erase_found


@dataclass(frozen=True, slots=True)
class Aged:
    """The records that are beyond the limit by batch; ``late`` of them by more than the days of grace that were asked about."""

    records: Mapping[int, list[int]] = field(default_factory=dict)
    late: int = 0

    @property
    def count(self) -> int:
        return sum(map(len, self.records.values()))


def aged(platform: Platform, expired: Expired, grace: timedelta = timedelta()) -> Aged:
    """All records of a table that are beyond its limit, whether they wait or not. ConfigurationError where they are sealed and the key is
    not there."""
    table = platform.catalog.table(expired.limit.table)
    records: dict[int, list[int]] = {}
    late = 0
    for batch in platform.ledger.newest_first(table.id):
        if batch.quarantined is None:
            continue
        with suppress(PartExpired):
            for number, day in _days(platform, table, expired, batch):
                if day < expired.limit.before:
                    records.setdefault(batch.sequence, []).append(number)
                    late += day < expired.limit.before - grace
    return Aged(records, late)


def take_out(platform: Platform, expired: Expired, reason: str, authorised_by: str) -> int:
    """Redact the records that are beyond the limit, and return how many they were. BatchConflict where syncs were faster each time."""
    table = expired.limit.table

    def find() -> Chosen:
        return chosen_of(platform, table, aged(platform, expired).records)

    return erase_found(platform, table, find, reason, authorised_by, leaving=quarantine.AGED)


def _days(platform: Platform, table: Table, expired: Expired, batch: Manifest) -> Iterator[tuple[int, date]]:
    """The day of each record that is still there, but for those of people on hold."""
    limit = expired.limit
    rejected_on = batch.landed_at.astimezone(ZoneInfo(limit.timezone)).date()
    for number, record in opened(platform, batch):
        if quarantine.is_gone(record):
            continue
        if _stays(platform, table, expired, record.bytes):
            continue
        found = read(record.bytes)
        day = day_of(found, table.settings, limit.by, limit.timezone) if found is not None else None
        yield number, day or rejected_on


def _stays(platform: Platform, table: Table, expired: Expired, record: bytes) -> bool:
    """Whether the record is of somebody on hold, or may be: it does not say whose it is."""
    matches, values = expired.spared.matches.get(table.id, ()), expired.spared.values
    said = list(keys_in(platform, table.id, matches, record))
    return any(value in values[key] for key, value in said) or (bool(matches) and not said)

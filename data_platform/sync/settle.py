"""What a person decides of records in quarantine: that they wait no more, or that they are taken out."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from data_platform.audit.event import Detail, Event
from data_platform.errors import BatchConflict, ConfigurationError, PartExpired
from data_platform.landing import quarantine
from data_platform.landing.keys import quarantine_key
from data_platform.landing.manifest import Manifest, Part
from data_platform.landing.part import sha256_of
from data_platform.landing.redaction import QUARANTINE, Redaction, Rewritten, redaction_key
from data_platform.landing.settled import runs, settled
from data_platform.sync.auditing import as_name, without_person
from data_platform.sync.load import load_pending
from data_platform.sync.platform import Platform
from data_platform.sync.quarantine import opened, sealer_of
from data_platform.tables import TableId

TRIES = 5


@dataclass(frozen=True)
class Chosen:
    """Records by batch, of which some are ``open``."""

    records: Mapping[int, Sequence[int]]
    open: int

    @property
    def count(self) -> int:
        return sum(map(len, self.records.values()))


def choose(platform: Platform, table: TableId, batch: int | None, records: Collection[int]) -> Chosen:
    """The records of ``table`` that wait: all, those of ``batch``, or those of its ``records``. ConfigurationError
    where one does not wait."""
    found = {
        waits.manifest.sequence: list(waits.open)
        for waits in quarantine.unresolved(platform.ledger, table)
        if batch is None or waits.manifest.sequence == batch
    }
    if batch is not None and batch not in found:
        raise ConfigurationError(
            f"No record of batch {batch} of {table} waits. `data-platform quarantine list {table}` names those that do."
        )
    if batch is not None and records:
        if missing := sorted(set(records) - set(found[batch])):
            raise ConfigurationError(
                f"Record {missing[0]} of batch {batch} of {table} does not wait. `data-platform quarantine show {table}"
                f" --batch {batch}` shows its records."
            )
        found[batch] = sorted(set(records))
    return Chosen(found, sum(map(len, found.values())))


def settle(platform: Platform, table: TableId, chosen: Chosen, why: str, by: str) -> Manifest:
    """Say of records that they wait no more. They stay where they are. BatchConflict where a sync was faster."""
    head = _head(platform, table)
    at = platform.clock().isoformat(timespec="microseconds")
    listed = settled({n: runs(records) for n, records in chosen.records.items()}, why, by, at)
    with platform.trail.audited(_event("quarantine_settle", table, chosen, why, by)) as act:
        done = platform.ledger.commit(head.settling(listed, uuid.uuid4().hex))
        act.details["batch"] = done.sequence
    load_pending(platform, table)
    return done


def holding(platform: Platform, table: TableId, values: Collection[bytes]) -> Chosen:
    """Every record of ``table`` that holds one of ``values``, whether it waits or not, in all batches whose records
    are still kept."""
    found: dict[int, list[int]] = {}
    for manifest in platform.ledger.newest_first(table):
        if manifest.quarantined is None:
            continue
        with suppress(PartExpired):
            those = [
                one.number for one in opened(platform, manifest) if any(v in one.record.bytes for v in values)
            ]
            if those:
                found[manifest.sequence] = those
    return chosen_of(platform, table, found)


def chosen_of(platform: Platform, table: TableId, records: Mapping[int, Sequence[int]]) -> Chosen:
    """These records by batch, whether they wait or not."""
    waits = {one.manifest.sequence: set(one.open) for one in quarantine.unresolved(platform.ledger, table)}
    return Chosen(records, sum(n in waits.get(batch, ()) for batch, those in records.items() for n in those))


def erase(
    platform: Platform,
    table: TableId,
    chosen: Chosen,
    reason: str,
    authorised_by: str,
    *,
    leaving: str = quarantine.ERASED,
) -> Manifest:
    """Take records out of quarantine for good: their objects are written anew with ``leaving`` in their place, and the old ones deleted
    once the ledger says so. BatchConflict where a sync was faster; a kill between is mended by doing it again."""
    redaction_key(platform.environ)  # before anything is written
    head, ledger = _head(platform, table), platform.ledger
    nonce, at = uuid.uuid4().hex, platform.clock().isoformat(timespec="microseconds")
    waits = {one.manifest.sequence: frozenset(one.open) for one in quarantine.unresolved(ledger, table)}
    closed = {
        batch: runs(n for n in sorted(records) if n in waits.get(batch, ()))
        for batch, records in chosen.records.items()
    }
    listed = settled(closed, reason, authorised_by, at)
    with platform.trail.audited(_event("quarantine_redact", table, chosen, reason, authorised_by)) as act:
        parts = tuple(
            _rewritten(platform, ledger.read(table, batch), dict.fromkeys(records, leaving), head, nonce, n)
            for n, (batch, records) in enumerate(sorted(chosen.records.items()))
        )
        done = ledger.redact(
            head, Redaction(parts, reason, authorised_by, at), nonce, listed if listed.records else None
        )
        act.details["batch"] = done.sequence
        for part in parts:
            ledger.store.delete(part.old.key)
    load_pending(platform, table)
    return done


def erase_found(
    platform: Platform,
    table: TableId,
    find: Callable[[], Chosen],
    reason: str,
    authorised_by: str,
    *,
    leaving: str = quarantine.ERASED,
) -> int:
    """``erase`` what ``find`` finds, again where a sync was faster, and return how many records they were. BatchConflict where syncs were faster
    each time."""
    for attempt in range(TRIES):
        chosen = find()
        if not chosen.count:
            return 0
        try:
            erase(platform, table, chosen, reason, authorised_by, leaving=leaving)
        except BatchConflict:
            if attempt == TRIES - 1:
                raise
            continue
        return chosen.count
    raise AssertionError("the last attempt returns or raises")


def _event(action: str, table: TableId, chosen: Chosen, why: str, by: str) -> Event:
    """The reason as it was given stands in the batch, too: here it is left out where it may name a person."""
    batches = [f"{table}#{batch}" for batch in sorted(chosen.records)]
    details: dict[str, Detail] = {"records": chosen.count, "authorised_by": as_name(by)}
    return Event(action, (str(table), *batches), without_person(why), details=details)


def _rewritten(
    platform: Platform, manifest: Manifest, records: Mapping[int, str], head: Manifest, nonce: str, n: int
) -> Rewritten:
    old = quarantine.standing(platform.ledger, manifest)
    key = quarantine_key(head.table, head.sequence + 1, nonce, n)
    with platform.store.scratch() as folder:
        path = folder / "quarantine.parquet"
        sealer = sealer_of(platform, manifest)
        rows = quarantine.write_without(platform.ledger, manifest, records, path, key, sealer)
        new = Part(key, rows, path.stat().st_size, sha256_of(path))
        platform.store.put_file(key, path, sha256=new.sha256)
    return Rewritten(manifest.sequence, QUARANTINE, old, new)


def _head(platform: Platform, table: TableId) -> Manifest:
    head = platform.ledger.head(table)
    if head is None:
        raise ConfigurationError(f"{table} has landed nothing yet, so no record of it waits in quarantine.")
    return head

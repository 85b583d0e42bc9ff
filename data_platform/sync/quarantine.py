"""Records that a source cannot take, on their way into the landing store, and looked at again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from data_platform.audit.event import Event
from data_platform.catalog import Table
from data_platform.errors import ConfigurationError
from data_platform.landing import quarantine
from data_platform.landing.keys import quarantine_key
from data_platform.landing.manifest import Manifest, Part
from data_platform.landing.part import sha256_of
from data_platform.landing.sealing import Sealer
from data_platform.sync.platform import Platform
from data_platform.sync.work import Work
from data_platform.tables import TableId
from data_platform.words import plural


@dataclass(frozen=True)
class Kept:
    """One batch with records that wait in quarantine; ``reasons`` says how many do for each. ``bytes`` are its object's."""

    table: TableId
    sequence: int
    landed_at: datetime
    rows: int
    bytes: int
    sealed: bool
    reasons: Mapping[str, int]


def rejected_notes(work: Work) -> list[str]:
    rows = sum(rows for _, rows in work.parts.rejected)
    if not rows:
        return []
    return [
        f"{plural(rows, 'record')} could not be taken:"
        f" `data-platform quarantine show {work.table.id}` shows why"
    ]


def put_rejected(platform: Platform, proved: Manifest, work: Work) -> Part | None:
    """Put what the step could not take beside its parts, before its manifest. ConfigurationError where it has to be
    sealed and there is no key."""
    files = [path for path, _ in work.parts.rejected]
    if not files:
        return None
    key = quarantine_key(proved.table, proved.sequence, proved.nonce)
    path = files[0].with_name("quarantine.parquet")
    rows = quarantine.write(files, path, key, _sealer_for(platform, work.table, files))
    part = Part(key, rows, path.stat().st_size, sha256_of(path))
    platform.store.put_file(key, path, sha256=part.sha256)
    return part


def is_sealed(table: Table) -> bool:
    """Whether records of ``table`` are kept under a key only: some of what is in them never lands in clear."""
    return any(treatment != "keep" for treatment in table.treatments.values())


def waiting(platform: Platform, tables: Sequence[TableId]) -> list[Kept]:
    """The batches whose records nobody has taken up, by table, newest first."""
    return [
        _kept(platform, waits) for table in tables for waits in quarantine.unresolved(platform.ledger, table)
    ]


def shown(
    platform: Platform, table: TableId, sequence: int | None, limit: int
) -> Iterator[tuple[int, quarantine.Kept]]:
    """At most ``limit`` records that wait, each with its batch, newest batch first; of one batch where ``sequence``
    says it, whether they wait or not. ConfigurationError where they are sealed and the key is not there. The audit trail has
    it before the first is given."""
    ledger = platform.ledger
    named = (str(table), *([f"{table}#{sequence}"] if sequence is not None else []))
    platform.trail.record(Event("quarantine_show", named, details={"at_most": limit}))
    if sequence is not None:
        found = ((sequence, one) for one in opened(platform, ledger.read(table, sequence)))
    else:
        found = (
            (waits.manifest.sequence, one)
            for waits in quarantine.unresolved(ledger, table)
            for one in still_open(platform, waits)
        )
    yield from islice(found, limit)


def still_open(platform: Platform, waits: quarantine.Waits) -> Iterator[quarantine.Kept]:
    """The records of a batch that wait, opened where they are sealed."""
    those = frozenset(waits.open)
    return (one for one in opened(platform, waits.manifest) if one.number in those)


def opened(platform: Platform, manifest: Manifest) -> Iterator[quarantine.Kept]:
    """All that the batch could not take, opened where it is sealed."""
    return quarantine.records(platform.ledger, manifest, sealer_of(platform, manifest))


def sealer_of(platform: Platform, manifest: Manifest) -> Sealer | None:
    return Sealer(platform.hash_key()) if quarantine.is_sealed(platform.ledger, manifest) else None


def _sealer_for(platform: Platform, table: Table, files: Sequence[object]) -> Sealer | None:
    if not is_sealed(table):
        return None
    try:
        return Sealer(platform.hash_key())
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{table.id}: records came that cannot be taken. The table declares personal data or secrets, so they are"
            f" kept sealed, and there is no key to seal them with. Nothing was committed. {error}"
        ) from None


def _kept(platform: Platform, waits: quarantine.Waits) -> Kept:
    manifest = waits.manifest
    return Kept(
        manifest.table,
        manifest.sequence,
        manifest.landed_at,
        len(waits.open),
        quarantine.standing(platform.ledger, manifest).bytes,
        quarantine.is_sealed(platform.ledger, manifest),
        quarantine.reasons(platform.ledger, waits),
    )

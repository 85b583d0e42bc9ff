"""Records that a source cannot take, on their way into the landing store, and looked at again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from data_platform.catalog import Table
from data_platform.errors import ConfigurationError
from data_platform.landing import quarantine
from data_platform.landing.keys import quarantine_key
from data_platform.landing.manifest import Manifest, Part
from data_platform.landing.part import sha256_of
from data_platform.landing.sealing import Sealer
from data_platform.sources.rejected import Rejected
from data_platform.sync.platform import Platform
from data_platform.sync.work import Work
from data_platform.tables import TableId
from data_platform.words import plural


@dataclass(frozen=True)
class Kept:
    """One batch with records in quarantine; ``reasons`` says how many are there for each."""

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
    return any(treatment != "keep" for treatment in table.personal.values())


def waiting(platform: Platform, tables: Sequence[TableId]) -> list[Kept]:
    """The batches whose records nobody has taken up, by table, newest first."""
    return [
        _kept(platform, manifest)
        for table in tables
        for manifest in quarantine.unresolved(platform.ledger, table)
    ]


def shown(
    platform: Platform, table: TableId, sequence: int | None, limit: int
) -> Iterator[tuple[int, Rejected]]:
    """At most ``limit`` records that wait, each with its batch, newest batch first; of one batch where ``sequence``
    says it, whether they wait or not. ConfigurationError where they are sealed and the key is not there."""
    ledger = platform.ledger
    manifests = quarantine.unresolved(ledger, table) if sequence is None else [ledger.read(table, sequence)]
    yield from islice(_records(platform, manifests), limit)


def _records(platform: Platform, manifests: Sequence[Manifest]) -> Iterator[tuple[int, Rejected]]:
    for manifest in manifests:
        sealed = quarantine.is_sealed(platform.ledger, manifest)
        sealer = Sealer(platform.hash_key()) if sealed else None
        for record in quarantine.records(platform.ledger, manifest, sealer):
            yield manifest.sequence, record


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


def _kept(platform: Platform, manifest: Manifest) -> Kept:
    assert manifest.quarantined is not None
    return Kept(
        manifest.table,
        manifest.sequence,
        manifest.landed_at,
        manifest.quarantined.rows,
        manifest.quarantined.bytes,
        quarantine.is_sealed(platform.ledger, manifest),
        quarantine.reasons(platform.ledger, manifest),
    )

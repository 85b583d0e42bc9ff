"""Records that a batch could not take: one object beside its parts, which its manifest names.

They are committed with the batch, so none is lost and none is there twice. A whole read takes the place of all that was
there before it: what is wrong still, it rejects again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from data_platform.errors import LedgerBroken
from data_platform.landing import words
from data_platform.landing.chain import Chain
from data_platform.landing.manifest import Manifest
from data_platform.landing.part import Part
from data_platform.landing.sealing import METHOD, Sealer
from data_platform.landing.stored_parts import open_part
from data_platform.sources.rejected import Rejected, schema
from data_platform.tables import TableId

_SEALED = b"sealed"
_ROWS = 256


def write(files: Sequence[Path], path: Path, key: str, sealer: Sealer | None) -> int:
    """Make the object ``key`` of ``files`` (``sources.rejected``) at ``path``, sealed by ``sealer``; returns its rows.
    Memory holds some hundred records."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kept = schema().with_metadata({_SEALED: METHOD.encode()} if sealer else {})
    rows = 0
    with pq.ParquetWriter(path, kept, compression="zstd") as writer:
        for file in files:
            for batch in pq.ParquetFile(file).iter_batches(_ROWS):
                records = batch.column("bytes").to_pylist()
                if sealer is not None:
                    records = [sealer.seal(one, _place(key, rows + n)) for n, one in enumerate(records)]
                columns = [
                    batch.column("reason"),
                    batch.column("origin"),
                    pa.array(records, pa.large_binary()),
                ]
                writer.write_table(pa.Table.from_arrays(columns, schema=kept))
                rows += len(records)
    return rows


def is_sealed(chain: Chain, manifest: Manifest) -> bool:
    with open_part(chain, manifest, _object(manifest)) as path:
        return _is_sealed(path)


def records(chain: Chain, manifest: Manifest, sealer: Sealer | None) -> Iterator[Rejected]:
    """What the batch could not take. PartDamaged where the object is not as it was written; ConfigurationError where
    it is sealed and ``sealer`` does not open it."""
    import pyarrow.parquet as pq

    part = _object(manifest)
    with open_part(chain, manifest, part) as path:
        sealed, row = _is_sealed(path), 0
        for batch in pq.ParquetFile(path).iter_batches(_ROWS):
            for one in batch.to_pylist():
                record = one["bytes"]
                if sealed:
                    assert sealer is not None, "what is sealed is opened with a key"
                    record = sealer.open(record, _place(part.key, row))
                yield Rejected(one["reason"], one["origin"], record)
                row += 1


def reasons(chain: Chain, manifest: Manifest) -> Counter[str]:
    """How many records the batch could not take for each reason."""
    import pyarrow.parquet as pq

    with open_part(chain, manifest, _object(manifest)) as path:
        return Counter(pq.read_table(path, columns=["reason"]).column("reason").to_pylist())


def unresolved(chain: Chain, table: TableId) -> list[Manifest]:
    """The batches whose records wait for somebody, newest first: one read each, however long the chain is."""
    head = chain.head(table)
    found: list[Manifest] = []
    sequence = head.last_quarantined.sequence if head and head.last_quarantined else None
    while sequence is not None:
        manifest = chain.read(table, sequence)
        if manifest.quarantined is None or (found and sequence >= found[-1].sequence):
            raise words.chain_break(manifest)
        found.append(manifest)
        sequence = manifest.quarantined_before.sequence if manifest.quarantined_before else None
    return found


def count(chain: Chain, table: TableId) -> int:
    """How many records of ``table`` wait: the head tells."""
    head = chain.head(table)
    return head.last_quarantined.rows if head and head.last_quarantined else 0


def _object(manifest: Manifest) -> Part:
    if manifest.quarantined is None:
        raise LedgerBroken(
            f"Batch {manifest.sequence} of {manifest.table} has no records in quarantine. `data-platform quarantine list"
            f" {manifest.table}` names those that have."
        )
    return manifest.quarantined


def _is_sealed(path: Path) -> bool:
    import pyarrow.parquet as pq

    return (pq.read_schema(path).metadata or {}).get(_SEALED) == METHOD.encode()


def _place(key: str, row: int) -> str:
    return f"Record {row} of {key}"

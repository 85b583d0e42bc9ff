"""Records that a batch could not take: one object beside its parts, which its manifest names.

They are committed with the batch, so none is lost and none is there twice. A whole read takes the place of all that was
there before it: what is wrong still, it rejects again. Until then a record waits, or a later batch says that it does not
any more (``settled``). Only a redaction takes one out: it leaves the place, and of the record nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from data_platform.errors import LedgerBroken
from data_platform.landing import words
from data_platform.landing.chain import Chain
from data_platform.landing.manifest import Manifest
from data_platform.landing.part import Part
from data_platform.landing.redaction import QUARANTINE
from data_platform.landing.sealing import METHOD, Sealer
from data_platform.landing.settled import Closed, Run
from data_platform.landing.stored_parts import again_if_replaced, open_part
from data_platform.sources import rejected
from data_platform.sources.rejected import Rejected
from data_platform.tables import TableId

_SEALED = b"sealed"
_ROWS = 256
ERASED = "erased on request"
AGED = "older than the table's retention allows"
GONE = (ERASED, AGED)
"""The reasons of records that a redaction took out."""


class Kept(NamedTuple):
    """A record as it is kept: ``number`` is its place in the batch's object, from 0."""

    number: int
    record: Rejected


@dataclass(frozen=True)
class Waits:
    """A batch with the places of those of its records that nobody has taken up."""

    manifest: Manifest
    open: Sequence[int]


def write(files: Sequence[Path], path: Path, key: str, sealer: Sealer | None) -> int:
    """Make the object ``key`` of ``files`` (``sources.rejected``) at ``path``, sealed by ``sealer``; returns its rows.
    Memory holds some hundred records."""
    return _write((record for file in files for record in rejected.read(file)), path, key, sealer)


def is_gone(record: Rejected) -> bool:
    """Whether a redaction took the record out."""
    return record.reason in GONE and not record.bytes


def write_without(
    chain: Chain, manifest: Manifest, erased: Mapping[int, str], path: Path, key: str, sealer: Sealer | None
) -> int:
    """Make the object ``key`` that stands in the place of the batch's: of the records at ``erased`` nothing is in it but why."""
    kept = (
        Rejected(erased[one.number], "", b"", True) if one.number in erased else one.record
        for one in records(chain, manifest, sealer)
    )
    return _write(kept, path, key, sealer)


def _write(found: Iterator[Rejected], path: Path, key: str, sealer: Sealer | None) -> int:
    import pyarrow.parquet as pq

    kept = rejected.schema().with_metadata({_SEALED: METHOD.encode()} if sealer else {})
    rows = 0
    with pq.ParquetWriter(path, kept, compression="zstd") as writer:
        while some := list(islice(found, _ROWS)):
            if sealer is not None:
                some = [
                    one._replace(bytes=sealer.seal(one.bytes, _place(key, rows + n)))
                    for n, one in enumerate(some)
                ]
            writer.write_table(rejected.table(some).replace_schema_metadata(kept.metadata))
            rows += len(some)
    return rows


def is_sealed(chain: Chain, manifest: Manifest) -> bool:
    with _current(chain, manifest) as (path, _):
        return _is_sealed(path)


def records(chain: Chain, manifest: Manifest, sealer: Sealer | None) -> Iterator[Kept]:
    """What the batch could not take. PartDamaged where the object is not as it was written; ConfigurationError where
    it is sealed and ``sealer`` does not open it."""
    with _current(chain, manifest) as (path, part):
        sealed = _is_sealed(path)
        for n, one in enumerate(rejected.read(path)):
            if sealed:
                assert sealer is not None, "what is sealed is opened with a key"
                one = one._replace(bytes=sealer.open(one.bytes, _place(part.key, n)))
            yield Kept(n, one)


def reasons(chain: Chain, waits: Waits) -> Counter[str]:
    """For each reason, how many of the batch's records wait."""
    import pyarrow.parquet as pq

    with _current(chain, waits.manifest) as (path, _):
        listed = pq.read_table(path, columns=["reason"]).column("reason")
        return Counter(listed.take(list(waits.open)).to_pylist())


def unresolved(chain: Chain, table: TableId) -> list[Waits]:
    """The batches whose records wait for somebody, newest first: one read each, however long the chain is."""
    head = chain.head(table)
    closed = _closed(chain, head)
    found: list[Waits] = []
    sequence = head.last_quarantined.sequence if head and head.last_quarantined else None
    below = sequence + 1 if sequence else 0
    while sequence is not None:
        manifest = chain.read(table, sequence)
        if manifest.quarantined is None or sequence >= below:
            raise words.chain_break(manifest)
        below = sequence
        if waiting := closed.get(sequence, Closed()).open_of(manifest.quarantined.rows):
            found.append(Waits(manifest, waiting))
        sequence = manifest.quarantined_before.sequence if manifest.quarantined_before else None
    return found


def _closed(chain: Chain, head: Manifest | None) -> dict[int, Closed]:
    """By batch, the records that wait no more, as far as others of their time do."""
    found: dict[int, list[Run]] = {}
    sequence = head.last_settled if head else None
    while head is not None and sequence is not None:
        manifest = chain.read(head.table, sequence)
        if manifest.settled is None:
            raise words.chain_break(manifest)
        for batch, first, last in manifest.settled.records:
            found.setdefault(batch, []).append((first, last))
        sequence = manifest.settled_before
    return {batch: Closed(listed) for batch, listed in found.items()}


def standing(chain: Chain, manifest: Manifest) -> Part:
    """The batch's object as it is after redactions."""
    part = _object(manifest)
    return chain.rewrites(manifest.table).current(manifest.table, manifest.sequence, QUARANTINE, part)


@contextmanager
def _current(chain: Chain, manifest: Manifest) -> Iterator[tuple[Path, Part]]:
    """The batch's object as it is after redactions, one that was faster than us included. PartReplaced where one takes it away while it
    is read."""
    with ExitStack() as stack:

        def opened() -> tuple[Path, Part]:
            part = standing(chain, manifest)
            return stack.enter_context(open_part(chain, manifest, part)), part

        yield again_if_replaced(opened)


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

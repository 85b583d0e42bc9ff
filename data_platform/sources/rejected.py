"""Records that a source cannot take: they wait in files beside a read's parts, as they came, with why and where from.

The sync puts them into the landing store with the batch. A file is Parquet of ``Rejected``: ``reason`` is in words and has no
value of the record, ``origin`` is a file and its line or an endpoint and its page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

HELD_BYTES = 4 * 2**20
"""What is held in memory until it is written; a longer record is held alone."""


READ_ROWS = 256


class Rejected(NamedTuple):
    """``superseded``: a later record of its key came with it and landed, so that it would be an old version."""

    reason: str
    origin: str
    bytes: bytes
    superseded: bool = False


def schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            ("reason", pa.string()),
            ("origin", pa.string()),
            ("bytes", pa.large_binary()),
            ("superseded", pa.bool_()),
        ]
    )


def table(records: Sequence[Rejected]) -> pa.Table:
    import pyarrow as pa

    columns = [list(column) for column in zip(*records, strict=True)]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema(), strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema())


def read(path: Path) -> Iterator[Rejected]:
    """The records of a file, some hundred in memory. One that an earlier version wrote does not say ``superseded``."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(READ_ROWS):
            for row in batch.to_pylist():
                yield Rejected(row["reason"], row["origin"], row["bytes"], row.get("superseded", False))


class RejectedFile:
    """One file at ``path``, made when the first record comes. ``close`` it before ``files`` are handed on."""

    def __init__(self, path: Path) -> None:
        self._path, self._rows, self._held = path, 0, 0
        self._waiting: list[Rejected] = []
        self._writer: pq.ParquetWriter | None = None

    @property
    def files(self) -> tuple[tuple[Path, int], ...]:
        """As ``Parts.rejected`` takes it: nothing where no record came."""
        return ((self._path, self._rows),) if self._rows else ()

    def add(self, record: Rejected) -> None:
        self._waiting.append(record)
        self._rows += 1
        self._held += len(record.reason) + len(record.origin) + len(record.bytes)
        if self._held >= HELD_BYTES:
            self._flush()

    def close(self) -> None:
        if self._waiting:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        import pyarrow.parquet as pq

        self._writer = self._writer or pq.ParquetWriter(self._path, schema(), compression="zstd")
        self._writer.write_table(table(self._waiting))
        self._waiting, self._held = [], 0

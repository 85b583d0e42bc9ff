"""Records that a source cannot take: they wait in files beside a read's parts, as they came, with why and where from.

The sync puts them into the landing store with the batch. A file is Parquet of ``reason`` (in words, without a value of
the record), ``origin`` (a file and its line, an endpoint and its page) and ``bytes``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

HELD_BYTES = 4 * 2**20
"""What is held in memory until it is written; a longer record is held alone."""


class Rejected(NamedTuple):
    reason: str
    origin: str
    bytes: bytes


def schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([("reason", pa.string()), ("origin", pa.string()), ("bytes", pa.large_binary())])


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
        self._held += sum(map(len, record))
        if self._held >= HELD_BYTES:
            self._flush()

    def close(self) -> None:
        if self._waiting:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._writer = self._writer or pq.ParquetWriter(self._path, schema(), compression="zstd")
        columns = [list(column) for column in zip(*self._waiting, strict=True)]
        self._writer.write_table(
            pa.Table.from_arrays(
                [pa.array(values, field.type) for values, field in zip(columns, schema(), strict=True)],
                schema=schema(),
            )
        )
        self._waiting, self._held = [], 0

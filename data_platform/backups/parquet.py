"""The Parquet files of a backup: written with a checksum for each page, and read with every checksum verified."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from data_platform.errors import BackupDamaged

if TYPE_CHECKING:
    import pyarrow as pa

DICTIONARY_BYTES = 64 << 10
"""The dictionary of a column with mostly unique values is soon abandoned: that saves a third of the encoding time."""


def write(rows: pa.Table, path: Path) -> None:
    """One file of one row group: the same rows make the same bytes."""
    import pyarrow.parquet as pq

    pq.write_table(
        rows,
        path,
        row_group_size=max(rows.num_rows, 1),
        compression="zstd",
        compression_level=1,
        dictionary_pagesize_limit=DICTIONARY_BYTES,
        write_page_checksum=True,
        store_schema=False,
    )


@contextmanager
def checked(path: Path, key: str) -> Iterator[pa.RecordBatchReader]:
    """The rows of the object ``key`` in ``path``, to be read within the block.

    ``BackupDamaged`` for a page that does not match its checksum or cannot be decoded, whoever reads
    the rows and whatever that one raises for it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    damage: list[Exception] = []

    def batches(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
        try:
            yield from file.iter_batches()
        except (OSError, pa.ArrowException) as error:
            damage.append(error)
            raise

    try:
        try:
            file = pq.ParquetFile(path, page_checksum_verification=True)
        except (OSError, pa.ArrowException) as error:
            damage.append(error)
            raise
        with file:
            yield pa.RecordBatchReader.from_batches(file.schema_arrow, batches(file))
    except Exception as error:
        if not damage:
            raise
        raise BackupDamaged(
            f"{key} is not an intact Parquet file: {str(damage[0]).splitlines()[0][:160]}. Restore from another copy or"
            " another day."
        ) from error

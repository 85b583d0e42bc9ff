"""The rows of a large CSV file with their numbers, read by several threads.

DuckDB numbers rows (``row_number()``) with one thread, which then reads too. A stream of its batches is in the order of
the file though several threads read it, so the numbers are put beside them here, on their way to the engine that writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from data_platform.sources.files.config import ROW
from data_platform.sources.files.engine import unreadable

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

BATCH_ROWS = 50_000


class Numbered:
    """``rows`` of ``scanner`` as the table ``name`` of another engine, with the column ``ROW`` from 1. It is read once.
    ``error`` is what stopped it."""

    def __init__(self, scanner: duckdb.DuckDBPyConnection, rows: str) -> None:
        self._scanner, self._rows = scanner, rows
        self.error: duckdb.Error | None = None

    def register(self, engine: duckdb.DuckDBPyConnection, name: str) -> None:
        """SourceError where its first rows cannot be read."""
        import duckdb
        import pyarrow as pa

        try:
            reader = self._scanner.execute(f"SELECT * FROM {self._rows}").to_arrow_reader(BATCH_ROWS)
        except duckdb.Error as error:
            raise unreadable(error) from None
        schema = reader.schema.append(pa.field(ROW, pa.int64()))
        engine.register(name, pa.RecordBatchReader.from_batches(schema, self._batches(reader, schema)))

    def _batches(self, reader: pa.RecordBatchReader, schema: Any) -> Iterator[pa.RecordBatch]:
        import duckdb
        import numpy as np
        import pyarrow as pa

        first = 1
        try:
            for batch in reader:
                numbers = pa.array(np.arange(first, first + batch.num_rows))
                yield pa.RecordBatch.from_arrays([*batch.columns, numbers], schema=schema)
                first += batch.num_rows
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            self.error = error if isinstance(error, duckdb.Error) else duckdb.Error(str(error))
            raise

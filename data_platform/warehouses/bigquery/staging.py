"""What a load job is told of the files of a batch, and the one file that an upload sends."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_platform.warehouses.bigquery import types


def load_config(columns: Sequence[tuple[str, str]], labels: Mapping[str, str]) -> Any:
    """``columns`` are (name, type) in the files' order: BigQuery guesses nothing."""
    from google.cloud import bigquery

    return bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET,
        schema=[field_of(name, kind) for name, kind in columns],
        write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
        labels=dict(labels),
        column_name_character_map="V2",  # any name that a table may have
    )


@contextmanager
def one_file(parts: Sequence[Path]) -> Iterator[Path]:
    """An upload takes one file, and a batch is one job: parts beside each other become one."""
    if len(parts) == 1:
        yield parts[0]
        return
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory(prefix="data-platform-") as folder:
        path = Path(folder) / "parts.parquet"
        with pq.ParquetWriter(path, pq.read_schema(parts[0]), compression="zstd") as writer:
            for part in parts:
                for batch in pq.ParquetFile(part).iter_batches():
                    writer.write_batch(batch)
        yield path


def field_of(name: str, kind: str) -> Any:
    from google.cloud import bigquery

    exact = types.digits(kind) if "(" in kind else None
    given: dict[str, Any] = {}
    if exact is not None:
        given = {"precision": exact.precision, **({"scale": exact.scale} if exact.scale else {})}
    return bigquery.SchemaField(name, types.in_cast(kind), **given)

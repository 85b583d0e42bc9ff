"""The metadata of a run of many days: each day has its own facts, only the last day those of the table.

Dagster gives all metadata of a result to every partition of the run. The columns and the preview of a table of four
columns are 6 kB, stored twice in SQLite: 13 kB a day of a backfill, all of it the same text. The asset's page shows
its newest event, which is the last day's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster._core.execution.context.metadata_logging import AssetMetadataHandle, OutputMetadataAccumulator


@contextmanager
def told_by_day(
    context: dg.AssetExecutionContext, key: dg.AssetKey, days: Mapping[str, Mapping[str, Any]]
) -> Iterator[None]:
    """While this is open, a result of the asset ``key`` has the metadata ``days`` name for each of its partitions.

    As ``context.add_asset_metadata`` for each, which copies all of what was added before, every time, and keeps it
    until the run ends.
    """
    step = context.op_execution_context.get_step_execution_context()
    told = {AssetMetadataHandle(asset_key=key, partition_key=day): one for day, one in days.items()}
    step._metadata_accumulator = _of({**step._metadata_accumulator.per_output_metadata, **told})
    try:
        yield
    finally:
        left = step._metadata_accumulator.per_output_metadata
        step._metadata_accumulator = _of({handle: one for handle, one in left.items() if handle not in told})


def _of(metadata: Mapping[Any, Mapping[str, Any]]) -> OutputMetadataAccumulator:
    return OutputMetadataAccumulator(per_output_metadata=metadata)

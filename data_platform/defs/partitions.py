"""Days as partitions: which partition stands for which slice of a table. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import dagster as dg

from data_platform.catalog import Source
from data_platform.tables import Slice, is_day


def daily(source: Source) -> dg.DailyPartitionsDefinition:
    """One partition a day in the source's time zone, today included."""
    return dg.DailyPartitionsDefinition(
        start_date=source.start.isoformat(), timezone=source.timezone, end_offset=1
    )


def by_partition(touched: Mapping[Slice, int], first: str, last: str) -> dict[str, dict[Slice, int]]:
    """The touched slices under the partition that stands for them, in order of days.

    Rows before the first day count under the first one; rows of future days and
    rows without a day count under the last: they are synced and must be seen by
    what follows the table, and no partition of their own exists.
    """
    found: dict[str, dict[Slice, int]] = {}
    for slice_, rows in touched.items():
        partition = min(max(slice_, first), last) if is_day(slice_) else last
        found.setdefault(partition, {})[slice_] = rows
    return dict(sorted(found.items()))


def slices(partition_keys: Iterable[str], others: Iterable[str] = ()) -> list[Slice]:
    """The slices to read for ``partition_keys`` and for ``others`` named by hand, each once."""
    return [Slice(s) for s in dict.fromkeys([*partition_keys, *others])]

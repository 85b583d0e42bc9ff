"""Maps the slices of a table to daily partitions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import dagster as dg

from data_platform.catalog import Source
from data_platform.tables import Slice, is_day


def daily(source: Source) -> dg.DailyPartitionsDefinition:
    """One partition per day in the source's time zone, including today."""
    return dg.DailyPartitionsDefinition(
        start_date=source.start.isoformat(), timezone=source.timezone, end_offset=1
    )


def by_partition(touched: Mapping[Slice, int], first: str, last: str) -> dict[str, dict[Slice, int]]:
    """The touched slices by partition, in order of days.

    Rows before the first day count under the first one. Rows of future days and
    rows without a day count under the last one: they are synced, and downstream
    assets must see them, but they have no partition of their own.
    """
    found: dict[str, dict[Slice, int]] = {}
    for slice_, rows in touched.items():
        partition = min(max(slice_, first), last) if is_day(slice_) else last
        found.setdefault(partition, {})[slice_] = rows
    return dict(sorted(found.items()))


def slices(partition_keys: Iterable[str], others: Iterable[str] = ()) -> list[Slice]:
    """The slices to read for ``partition_keys`` and for ``others`` named by hand, each once."""
    return [Slice(s) for s in dict.fromkeys([*partition_keys, *others])]

"""Which partition stands for which slice."""

from __future__ import annotations

from data_platform.defs.partitions import by_partition, slices
from data_platform.tables import NULL_SLICE, Slice


def test_rows_outside_the_partitions_count_under_the_nearest_one() -> None:
    touched = {Slice("2026-11-02"): 3, Slice("1999-01-01"): 1, Slice("2031-01-01"): 4, NULL_SLICE: 5}
    assert by_partition(touched, "2026-11-01", "2026-11-03") == {
        "2026-11-01": {"1999-01-01": 1},
        "2026-11-02": {"2026-11-02": 3},
        "2026-11-03": {"2031-01-01": 4, "null": 5},
    }


def test_slices_are_named_once() -> None:
    assert slices(["2026-11-01", "2026-11-02"], ["null", "2026-11-01"]) == [
        "2026-11-01",
        "2026-11-02",
        "null",
    ]

"""The figures by which a table is judged: the same in every engine."""

from __future__ import annotations

from datetime import date

from data_platform.quality.measures import Measure, measure_days, measure_whole
from data_platform.warehouses import Warehouse

from .batches import TABLE, Chain


def test_days_and_the_whole_are_measured_alike(warehouse: Warehouse, chain: Chain) -> None:
    rows = [
        (1, "2026-01-01 00:00:00+00", "a", 10), (2, "2026-01-01 23:59:59.999999+00", None, 20),
        (3, "2026-01-03 12:00:00+00", "a", 30), (4, "2026-01-03 13:00:00+00", "b", 40), (5, None, "c", 50),
    ]  # fmt: skip
    warehouse.load(*chain.next("merge", rows))
    count, nulls, different = Measure("rows"), Measure("null_rate", "note"), Measure("distinct", "note")
    found = measure_days(warehouse, TABLE, "at", ["note", "id"], date(2025, 12, 1), date(2026, 1, 4)).days
    days = {day: {one: value for one, value in values.items() if one.column != "id"} for day, values in found.items()}  # fmt: skip
    nothing = {count: 0, nulls: None, different: None}
    assert days == {
        date(2026, 1, 1): {count: 2, nulls: 0.5, different: 1},
        date(2026, 1, 2): nothing,
        date(2026, 1, 3): {count: 2, nulls: 0, different: 2},
        date(2026, 1, 4): nothing,
    }
    assert found[date(2026, 1, 3)][Measure("sum", "id")] == 7
    assert found[date(2026, 1, 3)][Measure("mean", "id")] == 3.5
    whole = measure_whole(warehouse, TABLE, ["note"]).whole
    assert whole == {count: 5, nulls: 0.2, different: 3}
    assert measure_days(warehouse, TABLE, "at", [], date(2024, 1, 1), date(2024, 2, 1)).days == {}

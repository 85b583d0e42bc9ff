"""The figures by which a table is judged: the same in every engine."""

from __future__ import annotations

from datetime import date

import pytest

from data_platform.quality.checking import Subject
from data_platform.quality.measures import (
    GROUPS_MAX,
    Asked,
    Measure,
    measure_days,
    measure_groups,
    measure_whole,
)
from data_platform.warehouses import Warehouse

from .batches import TABLE, Chain

SUBJECT = Subject.raw(TABLE)


def test_days_and_the_whole_are_measured_alike(warehouse: Warehouse, chain: Chain) -> None:
    rows = [
        (1, "2026-01-01 00:00:00+00", "a", 10), (2, "2026-01-01 23:59:59.999999+00", None, 20),
        (3, "2026-01-03 12:00:00+00", "a", 30), (4, "2026-01-03 13:00:00+00", "b", 40), (5, None, "c", 50),
    ]  # fmt: skip
    warehouse.load(*chain.next("merge", rows))
    count, nulls, different = Measure("rows"), Measure("null_rate", "note"), Measure("distinct", "note")
    found = measure_days(
        warehouse, SUBJECT, "at", Asked(["note", "id"]), date(2025, 12, 1), date(2026, 1, 4)
    ).days
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
    whole = measure_whole(warehouse, SUBJECT, Asked(["note"])).whole
    assert whole == {count: 5, nulls: 0.2, different: 3}
    assert measure_days(warehouse, SUBJECT, "at", Asked(), date(2024, 1, 1), date(2024, 2, 1)).days == {}


def test_quantiles_are_values_of_the_data_and_the_same_everywhere(warehouse: Warehouse, chain: Chain) -> None:
    """The nearest rank, beside a DISTINCT count, of a column and of a computed value."""
    first = [(n, "2026-01-01 08:00:00+00", None, 1) for n in range(1, 11)]
    warehouse.load(
        *chain.next("merge", [*first, (40, "2026-01-02 08:00:00+00", "b", 1), (20, "2026-01-02", "a", 1)])
    )
    asked = Asked(["id", "note"], {"size": "abs(id * -2)"}, (0, 0.25, 0.5, 0.95, 1))
    names = ("smallest", "quantile 0.25", "median", "quantile 0.95", "largest")
    found = measure_days(warehouse, SUBJECT, "at", asked, date(2026, 1, 1), date(2026, 1, 3)).days
    assert [found[date(2026, 1, 1)][Measure(name, "id")] for name in names] == [1, 3, 5, 10, 10]
    assert [found[date(2026, 1, 1)][Measure(name, "size")] for name in names] == [2, 6, 10, 20, 20]
    assert [found[date(2026, 1, 2)][Measure(name, "id")] for name in names] == [20, 20, 20, 40, 40]
    assert {found[date(2026, 1, 3)][Measure(name, "id")] for name in names} == {None}, "a day without rows"
    assert found[date(2026, 1, 1)][Measure("distinct", "id")] == 10
    assert Measure("median", "note") not in found[date(2026, 1, 1)], "a text has none"
    whole = measure_whole(warehouse, SUBJECT, asked).whole
    assert [whole[Measure(name, "id")] for name in names] == [1, 3, 6, 40, 40]
    assert (whole[Measure("sum", "size")], whole[Measure("mean", "size")]) == (230, pytest.approx(230 / 12))


def test_ranks_leave_nulls_out(warehouse: Warehouse, chain: Chain) -> None:
    rows = [(n, "2026-01-01 08:00:00+00", None if n % 2 else "a", 1) for n in range(1, 9)]
    warehouse.load(*chain.next("merge", rows))
    asked = Asked((), {"even": "CASE WHEN note = 'a' THEN id END"}, (0.5, 0.75))
    whole = measure_whole(warehouse, SUBJECT, asked).whole
    assert (whole[Measure("median", "even")], whole[Measure("quantile 0.75", "even")]) == (4, 6)
    assert whole[Measure("null_rate", "even")] == 0.5


def test_groups_are_the_largest_ones_and_measured_alike(warehouse: Warehouse, chain: Chain) -> None:
    rows = [
        (1, "2026-01-01 08:00:00+00", "a", 1), (2, "2026-01-01 09:00:00+00", "a", 1), (3, "2026-01-03 08:00:00+00", "a", 1),
        (4, "2026-01-02 08:00:00+00", "b'\"", 1), (5, "2026-01-02 08:00:00+00", None, 1), (6, None, "b'\"", 1),
    ]  # fmt: skip
    rows += [(90 + n, "2026-01-02 08:00:00+00", None, 1) for n in range(3)]
    few = [(10 + n, "2026-01-02 08:00:00+00", f"z{n:02}", 1) for n in range(GROUPS_MAX)]
    warehouse.load(*chain.next("merge", [*rows, *few]))
    asked = Asked(["id"], {}, (0.5,))
    found = measure_groups(warehouse, SUBJECT, "at", "note", asked, date(2025, 12, 1), date(2026, 1, 3))
    assert list(found) == ["a", "b'\"", *(f"z{n:02}" for n in range(GROUPS_MAX - 2))]
    count, total = Measure("rows"), Measure("sum", "id")
    assert found["a"].days == {
        date(2026, 1, 1): {count: 2, total: 3},
        date(2026, 1, 2): {count: 0, total: None},
        date(2026, 1, 3): {count: 1, total: 3},
    }
    assert found["b'\""].days == {
        date(2026, 1, 2): {count: 1, total: 4},
        date(2026, 1, 3): {count: 0, total: None},
    }

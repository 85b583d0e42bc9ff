"""The figures, computed in a real warehouse: a value a day, or a sentence on why not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from data_platform.observability.config import FigureConfig
from data_platform.sync.figures import DAYS, compute
from data_platform.warehouses import Warehouse
from data_platform.warehouses.duckdb.config import DuckDBConfig

TODAY = datetime.now(UTC).date()


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        connection.execute(
            f"""CREATE SCHEMA marts;
            CREATE TABLE marts."Daily ""Revenue" ("the day" DATE, amount DECIMAL(18,2), "at" TIMESTAMP, email VARCHAR, gone INTERVAL);
            INSERT INTO marts."Daily ""Revenue" VALUES
              (DATE '2026-01-01', 10.25, now(), 'a@b', NULL), (DATE '2026-01-01', 5, now(), 'c@d', NULL),
              (DATE '2026-01-04', NULL, now(), 'a@b', NULL), (NULL, 99, now(), 'a@b', NULL),
              (DATE '{TODAY + timedelta(days=2)}', 1000, now(), 'a@b', NULL);
            CREATE TABLE marts.long AS SELECT DATE '{TODAY}' - i::INTEGER AS day FROM range(800) t(i);
            CREATE TABLE marts.nothing (day DATE)"""
        )
    with DuckDBConfig(kind="duckdb", path=Path("w.duckdb")).open(tmp_path, read_only=True) as opened:
        yield opened


def figure(**changes: Any) -> FigureConfig:
    given = {"name": "F", "relation": 'marts.Daily "Revenue', "day": "the day", "sum": "amount", **changes}
    return FigureConfig(**given)


def test_a_sum_a_day_and_a_day_without_a_row_is_zero(warehouse: Warehouse) -> None:
    found = compute(warehouse, figure())
    assert found.error is None
    assert found.points == tuple(
        (date(2026, 1, 1 + n), value) for n, value in enumerate((15.25, 0.0, 0.0, 0.0))
    )


def test_rows_are_counted_without_a_column_to_add_up(warehouse: Warehouse) -> None:
    assert [value for _, value in compute(warehouse, figure(sum=None)).points] == [2, 0, 0, 1]


def test_the_newest_year_alone(warehouse: Warehouse) -> None:
    points = compute(warehouse, figure(relation="marts.long", day="day", sum=None)).points
    assert (len(points), points[-1], points[0][0]) == (DAYS, (TODAY, 1.0), TODAY - timedelta(days=DAYS - 1))


def test_a_table_without_a_day_has_no_points_and_no_error(warehouse: Warehouse) -> None:
    found = compute(warehouse, figure(relation="marts.nothing", day="day", sum=None))
    assert (found.points, found.error) == ((), None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"relation": "marts.lng"}, "the warehouse has no marts.lng yet"),
        ({"day": "the_day"}, "has no column `the_day`; did you mean `the day`?"),
        ({"sum": "zzz"}, "has no column `zzz`"),
        ({"day": "at"}, "`at` of"),
        ({"day": "email"}, "is no date column"),
        ({"sum": "email"}, "is no number column"),
        ({"sum": "gone"}, "is no number column"),
        ({"sum": 'amount") FROM marts.long --'}, "has no column"),
    ],
)
def test_what_cannot_be_computed_says_why(warehouse: Warehouse, changes: dict[str, Any], said: str) -> None:
    found = compute(warehouse, figure(**changes))
    assert found.points == ()
    assert said in str(found.error)
    assert "a@b" not in str(found.error)

"""Which recorded figures the status page draws, from a real warehouse's own tables."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from data_platform.quality.verdicts import ANSWERS, METRICS, VERDICTS, id_of
from data_platform.sync.series import ALARMED_MAX, IN_ALL, POINTS, tracked
from data_platform.warehouses import Warehouse
from data_platform.warehouses.duckdb.config import DuckDBConfig
from data_platform.warehouses.journal import Row, keep

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
LAST = date(2026, 11, 29)


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    with DuckDBConfig(path=tmp_path / "w.duckdb").open(tmp_path) as opened:
        yield opened


def days(table: str, metric: str, column: str = "", count: int = 3, batch: str = "") -> list[Row]:
    return [
        {"table_name": table, "column_name": column, "metric": metric, "day": (LAST - timedelta(n)).isoformat(),
         "batch_id": f"{batch} {n}" if batch else "", "figure": 0.25, "recorded_at": NOW - timedelta(days=n)}
        for n in range(count)
    ]  # fmt: skip


def alarm(table: str, series: str, day: date = LAST, batch: str = "") -> Row:
    return {
        "id": id_of(table, series, f"{day} {batch}".strip()), "table_name": table, "series": series, "day": day.isoformat(),
        "status": "alarm", "reason": f"{series} was odd", "judged_at": NOW,
    }  # fmt: skip


def test_the_rows_of_each_day_and_what_had_an_alarm(warehouse: Warehouse) -> None:
    assert tracked(warehouse) == {}, "nothing is recorded yet"
    keep(warehouse, METRICS, [*days("raw_shop.orders", "rows", count=120), *days("raw_shop.orders", "null_rate", "email"),
                              *days("raw_shop.orders", "sum", "revenue"), *days("Marts.facts", "rows", batch="run")])  # fmt: skip
    keep(warehouse, VERDICTS, [alarm("raw_shop.orders", "null_rate of email", LAST - timedelta(1))])
    found = tracked(warehouse)
    assert list(found) == ["raw_shop.orders"], "the rows of loads have a chart already"
    nulls, rows = found["raw_shop.orders"]
    assert (nulls.name, nulls.unit, nulls.alarm) == ("null_rate of email", "%", "null_rate of email was odd")
    assert [(one.at, one.value, one.alarm) for one in nulls.points] == [
        ("2026-11-27", 25.0, False), ("2026-11-28", 25.0, True), ("2026-11-29", 25.0, False),
    ]  # fmt: skip
    assert (rows.name, rows.alarm, len(rows.points)) == ("rows", "", POINTS) and rows.points[
        -1
    ].at == "2026-11-29"


def test_an_alarm_of_a_load_is_marked_at_its_load(warehouse: Warehouse) -> None:
    same_day = {**days("Marts.facts", "rows", batch="other")[0], "recorded_at": NOW - timedelta(hours=1)}
    keep(warehouse, METRICS, [*days("Marts.facts", "rows", batch="run"), same_day])
    keep(warehouse, VERDICTS, [alarm("Marts.facts", "rows", batch="run 0")])
    (rows,) = tracked(warehouse)["marts.facts"]
    assert rows.points[-1].at == "2026-11-30 12:00"
    assert [one.alarm for one in rows.points] == [False, False, False, True], "not the other load of that day"


def test_an_accepted_alarm_is_not_marked(warehouse: Warehouse) -> None:
    keep(warehouse, METRICS, days("raw_shop.orders", "rows"))
    keep(warehouse, VERDICTS, [alarm("raw_shop.orders", "rows")])
    keep(
        warehouse,
        ANSWERS,
        [
            {
                "id": id_of("raw_shop.orders", "rows", LAST.isoformat()),
                "answer": "accepted",
                "answered_at": NOW,
            }
        ],
    )
    (rows,) = tracked(warehouse)["raw_shop.orders"]
    assert rows.alarm == "" and not any(one.alarm for one in rows.points)


def test_the_page_has_a_bounded_number_of_them_and_alarms_come_first(warehouse: Warehouse) -> None:
    names = [f"raw_shop.t{n:03}" for n in range(IN_ALL + 20)]
    odd = names[-1]
    keep(warehouse, METRICS, [row for name in names for row in days(name, "rows", count=1)])
    keep(warehouse, METRICS, [row for n in range(9) for row in days(odd, "mean", f"c{n}", count=1)])
    keep(warehouse, VERDICTS, [alarm(odd, f"mean of c{n}") for n in range(9)])
    found = tracked(warehouse)
    assert sum(map(len, found.values())) == IN_ALL
    assert len(found[odd]) == ALARMED_MAX + 1 and all(one.alarm for one in found[odd][:ALARMED_MAX])

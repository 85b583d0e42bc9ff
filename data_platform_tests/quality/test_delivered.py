"""Which events count as delivered, late and missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from data_platform.quality.checking import Subject
from data_platform.quality.delivered import Delivered, DeliveredSettings
from data_platform.tables import TableId
from data_platform.warehouses.duckdb.config import DuckDBConfig

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
TABLE = TableId("pay", "deliveries")
SETTINGS = DeliveredSettings(event="event", created="created", received="received")


def hours(count: float) -> datetime:
    return NOW - timedelta(hours=count)


ROWS = [
    ("a", hours(5), hours(5)), ("a", hours(5), None), ("a", hours(5), hours(4)),  # twice
    ("b", hours(9), hours(3)), ("b", hours(9), None),  # late
    ("c", hours(2), None),  # missed
    ("d", hours(2.5), None),  # missed before that
    ("e", hours(0.5), None),  # it may still come
    ("f", hours(80), None),  # long ago
]  # fmt: skip


@pytest.mark.parametrize("kept", [ROWS, [row for row in ROWS if row[0] not in "cd"], []])
def test_what_was_delivered_is_told_from_what_was_missed(
    tmp_path: Path, kept: list[tuple[str, datetime, datetime | None]]
) -> None:
    path = tmp_path / "w.duckdb"
    with duckdb.connect(str(path)) as engine:
        engine.execute("CREATE SCHEMA raw_pay")
        engine.execute(
            "CREATE TABLE raw_pay.deliveries (event VARCHAR, created TIMESTAMPTZ, received TIMESTAMPTZ)"
        )
        for row in kept:
            engine.execute("INSERT INTO raw_pay.deliveries VALUES (?, ?, ?)", list(row))
    with DuckDBConfig(kind="duckdb", path=path).open(tmp_path, read_only=True, files=[]) as warehouse:
        found = Delivered().evaluate(warehouse, Subject.raw(TABLE), SETTINGS, NOW)
    names = {row[0] for row in kept} - {"f"}
    missed = [name for name in "cd" if name in names]
    assert found.passed == (not missed)
    assert found.facts["events"] == len(names) and found.facts["missed"] == len(missed)
    assert (found.facts["delivered"], found.facts["delivered_again"], found.facts["delivered_late"]) == (
        (2, 1, 1) if names else (0, 0, 0)
    )
    assert found.facts.get("newest_missed", "") == ", ".join(missed)

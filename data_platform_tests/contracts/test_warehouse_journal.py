"""Rows that the platform keeps for people in tables of its own: the same in every engine."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from data_platform.errors import DataPlatformError
from data_platform.warehouses import Warehouse
from data_platform.warehouses.dialect import relation
from data_platform.warehouses.journal import (
    JOURNAL_SCHEMA,
    TEXT_MAX,
    TRANSACTION_MAX,
    JournalTable,
    keep,
    read,
)
from data_platform_tests.contracts.engines import Engine

TABLE = JournalTable(
    "probes",
    {"table_name": "text", "rule": "text", "position": "bigint", "value": "double", "found_at": "timestamp"},
)
AT = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
ODD = """it's "100%" \\d ${x} {{ y }} -- ; /* grüße 🦆"""


def row(
    rule: str, position: int, **more: str | float | datetime | None
) -> dict[str, str | int | float | datetime | None]:
    return {"table_name": "shop/orders", "rule": rule, "position": position} | more


def test_rows_are_kept_and_replaced(warehouse: Warehouse) -> None:
    assert read(warehouse, TABLE) == [], "nothing was kept yet"
    first = [row("a", 1, value=0.1, found_at=AT), row("a", 2), row(ODD, -(2**63), value=-1e300)]
    keep(warehouse, TABLE, first)
    keep(
        warehouse,
        TABLE,
        [row("b", 2**63 - 1, found_at=AT.astimezone(timezone(timedelta(hours=5, minutes=30))))],
    )
    whole = {"value": None, "found_at": None}
    assert read(warehouse, TABLE, {"rule": "a"}, order=["position"]) == [whole | first[0], whole | first[1]]
    assert read(warehouse, TABLE, {"rule": ODD}) == [whole | first[2]]
    assert read(warehouse, TABLE, {"rule": ["b", "c"]}) == [whole | row("b", 2**63 - 1, found_at=AT)]
    assert [one["rule"] for one in read(warehouse, TABLE, order=["rule", "position"], limit=2)] == ["a", "a"]

    keep(warehouse, TABLE, [row("a", 9)], replacing={"table_name": "shop/orders", "rule": ["a", ODD]})
    keep(warehouse, TABLE, [row("a", 9)], replacing={"table_name": "shop/orders", "rule": "a"})
    keep(warehouse, TABLE, [], replacing={"table_name": "shop/other"})
    assert [(one["rule"], one["position"]) for one in read(warehouse, TABLE, order=["rule"])] == [
        ("a", 9),
        ("b", 2**63 - 1),
    ]
    keep(warehouse, TABLE, [], replacing={"table_name": "shop/orders"})
    assert read(warehouse, TABLE) == []


def test_two_that_replace_at_once_leave_the_rows_of_one(engine: Engine, tmp_path: Path) -> None:
    """Both have decided what to do before either writes: with no table yet, and with no row in it."""
    if engine.server is not None:  # of two that make one table at once, emulators refuse one
        with engine.open(tmp_path) as opened:
            keep(opened, TABLE, [row("a", 0)])
    for _ in range(3):
        replace_at_once(engine, tmp_path)
        with engine.open(tmp_path) as opened:
            kept = sorted((str(one["rule"]), int(str(one["position"]))) for one in read(opened, TABLE))
            assert kept in ([("a", 1), ("a", 1), ("b", 1)], [("a", 2), ("a", 2), ("b", 2)])
            keep(opened, TABLE, [], replacing={"rule": ["a", "b"]})


def replace_at_once(engine: Engine, folder: Path) -> None:
    start = threading.Barrier(2)

    def replace_(position: int) -> None:
        try:
            with engine.open(folder) as opened:
                rows = [row("a", position), row("a", position), row("b", position)]
                keep(Held(opened, start), TABLE, rows, replacing={"rule": ["a", "b"]})  # type: ignore[arg-type]
        except BaseException:
            start.abort()
            raise

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(replace_, position) for position in (1, 2)]:
            done.result()


class Held:
    """A warehouse that begins to write when another one does, too."""

    def __init__(self, warehouse: Warehouse, start: threading.Barrier) -> None:
        self._warehouse, self._start = warehouse, start

    def keep(self, table: JournalTable, statements: Sequence[str]) -> None:
        self._start.wait(60)
        self._warehouse.keep(table, statements)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._warehouse, name)


def test_a_transaction_that_fails_keeps_what_was_there(warehouse: Warehouse) -> None:
    keep(warehouse, TABLE, [row("a", 1)])
    target = relation(warehouse.dialect, JOURNAL_SCHEMA, TABLE.name)
    with pytest.raises(DataPlatformError):
        warehouse.keep(TABLE, [f"DELETE FROM {target} WHERE 1 = 1", f"INSERT INTO {target}_gone SELECT 1"])
    assert [one["position"] for one in read(warehouse, TABLE)] == [1]


def test_a_later_version_adds_a_column(warehouse: Warehouse) -> None:
    keep(warehouse, TABLE, [row("a", 1)])
    later = replace(TABLE, columns={**TABLE.columns, "note": "text"})
    assert [one["note"] for one in read(warehouse, later)] == [None]
    assert read(warehouse, later, {"note": "x"}) == []
    keep(warehouse, later, [row("a", 2, note="x")], replacing={"note": "x"})
    assert [(one["position"], one["note"]) for one in read(warehouse, later, order=["position"])] == [
        (1, None),
        (2, "x"),
    ]


def test_long_texts_are_cut_and_many_rows_are_several_transactions(warehouse: Warehouse) -> None:
    long = "ü" * (TEXT_MAX + 5)
    rows = [row(long, number) for number in range(TRANSACTION_MAX // TEXT_MAX + 5)]
    keep(warehouse, TABLE, rows)
    found = read(warehouse, TABLE, order=["position"])
    assert [one["position"] for one in found] == list(range(len(rows)))
    assert {one["rule"] for one in found} == {"ü" * (TEXT_MAX - 1) + "…"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"position": 2**63},
        {"position": "1"},
        {"value": float("nan")},
        {"found_at": AT.replace(tzinfo=None)},
        {"rule": 1},
        {"unknown": 1},
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    warehouse: Warehouse, wrong: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        keep(warehouse, TABLE, [row("a", 1), wrong])  # type: ignore[list-item]
    assert read(warehouse, TABLE) == []

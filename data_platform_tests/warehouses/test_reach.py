"""What a warehouse's connection reaches: its own file and the folders it was given, whatever is to be loaded."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from data_platform.column_types import is_column_type
from data_platform.errors import LoadRefused, QueryFailed, WarehouseBusy
from data_platform.tables import Column
from data_platform.warehouses.duckdb.config import DuckDBConfig
from data_platform.warehouses.duckdb.connect import run_one
from data_platform_tests.contracts.batches import COLUMNS, Chain

CONFIG = DuckDBConfig(path=Path("w.duckdb"), threads=1, wait_seconds=0)
ROWS = [(1, "2026-01-01", "a", 1)]
EVIL_TYPES = [
    "BIGINT; COPY (SELECT 1) TO '{out}'",
    "BIGINT); COPY (SELECT 1) TO '{out}'; --",
    "BIGINT DEFAULT (1)",
    'BIGINT AS "x", 1',
    "STRUCT(a INTEGER)",
    "ENUM('a'); COPY (SELECT 1) TO '{out}'; SELECT ('b')",
    "ENUM(SELECT 'a')",
    "DECIMAL(10,2) /* */",
    "BIGINT\n",
    "bigint",
    "",
    "MAP(VARCHAR, VARCHAR)",
    "VARCHAR COLLATE x",
    "VARCHAR" + "[]" * 17,
]


@pytest.mark.parametrize("load", ["merge", "replace", "append", "slice"])
@pytest.mark.parametrize("type_", EVIL_TYPES)
def test_a_type_that_is_more_than_a_type_is_refused(tmp_path: Path, load: str, type_: str) -> None:
    out = tmp_path / "x.pth"
    evil = (replace(COLUMNS[0], type=type_.replace("{out}", str(out))), *COLUMNS[1:])
    made, parts = Chain(tmp_path).next(load, ROWS, slices=["all"])  # type: ignore[arg-type]
    with (
        CONFIG.open(tmp_path, files=[tmp_path]) as warehouse,
        pytest.raises(LoadRefused, match="type that there is not"),
    ):
        warehouse.load(replace(made, columns=evil), parts)
    assert not out.exists()


def test_every_type_that_lands_is_one() -> None:
    for name in (
        "BIGINT",
        "DECIMAL(38,0)",
        "TIMESTAMPTZ",
        "VARCHAR[]",
        "DATE[][]",
        "JSON",
        "ENUM('a', 'it''s')",
    ):
        assert is_column_type(name), name
    for name in (None, 7, "ENUM()", "ENUM('a'b')", "ENUM('a','b'", "DECIMAL(100,2)", "JSON[]"):
        assert not is_column_type(name), name


def test_names_are_names_whatever_is_in_them(tmp_path: Path) -> None:
    name = "x\" BIGINT); COPY (SELECT 1) TO 'out'; --"
    columns = (*COLUMNS, Column(name, "VARCHAR", "text"))
    chain = Chain(tmp_path, columns=columns)
    with CONFIG.open(tmp_path, files=[tmp_path]) as warehouse:
        for load in ("merge", "replace", "append"):
            warehouse.load(*chain.next(load, [(*ROWS[0], "v")]))  # type: ignore[arg-type]
        assert name in [n for n, _ in warehouse.describe("raw_shop", "orders")[0].columns]


def test_one_statement_is_one(tmp_path: Path) -> None:
    with CONFIG.open(tmp_path) as warehouse, pytest.raises(LoadRefused, match="DuckDB as 2"):
        run_one(warehouse.connection, "SELECT 1; SELECT 2")


def test_only_the_given_folders_are_reached_whoever_opens(tmp_path: Path) -> None:
    inside, outside = tmp_path / "landing", tmp_path / "other"
    inside.mkdir()
    outside.mkdir()
    made, parts = Chain(inside).next("merge", ROWS)
    (outside / "x.csv").write_text("a\n1\n")
    (inside / "link.csv").symlink_to(outside / "x.csv")
    with CONFIG.open(tmp_path, files=[inside]) as warehouse:
        warehouse.load(made, parts)
        for statement in (
            f"SELECT * FROM read_csv('{outside}/x.csv')",
            f"SELECT * FROM read_csv('{inside}/../other/x.csv')",
            f"SELECT * FROM read_csv('{inside}/link.csv')",
            f"COPY raw_shop.orders TO '{outside}/out.csv'",
            f"ATTACH '{outside}/out.duckdb'",
            f"EXPORT DATABASE '{outside}/out'",
            "INSTALL httpfs",
            "LOAD httpfs",
            "SET allowed_directories = ['/']",
            "SET lock_configuration = false",
            "CREATE PERSISTENT SECRET s (TYPE http, BEARER_TOKEN 'x')",
        ):
            with pytest.raises(QueryFailed):
                warehouse.query(statement)
        with CONFIG.open(tmp_path, files=[inside]) as second:  # the same process, the same instance
            assert second.query("SELECT current_setting('TimeZone')").rows == [("UTC",)]
        with pytest.raises(WarehouseBusy, match="this process"), CONFIG.open(tmp_path):
            pass
    assert sorted(path.name for path in outside.iterdir()) == ["x.csv"]


def test_a_landing_folder_behind_a_link_is_the_landing_folder(tmp_path: Path) -> None:
    """Large folders are often links to another disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    made, parts = Chain(tmp_path / "data" / "landing").next("replace", ROWS)
    with CONFIG.open(tmp_path / "data", files=[tmp_path / "data" / "landing"]) as warehouse:
        assert warehouse.load(made, parts).rows_inserted == 1


def test_threads_that_open_together_are_all_closed_to_the_outside(tmp_path: Path) -> None:
    with CONFIG.open(tmp_path) as warehouse:
        warehouse.query("CREATE TABLE t AS SELECT 1 AS a")
    reached: list[bool] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        for _ in range(10):
            with CONFIG.model_copy(update={"wait_seconds": 20}).open(tmp_path, read_only=True) as warehouse:
                rows = warehouse.query("SELECT current_setting('enable_external_access') FROM t").rows
                reached.append(bool(rows[0][0]))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reached == [False] * 40


def test_a_load_that_spills_still_does(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"memory_limit": "60MB"})
    with config.open(tmp_path) as warehouse:
        warehouse.query(
            "CREATE TABLE t AS SELECT i, repeat('x', 100) || i AS s FROM range(600000) r(i) ORDER BY hash(i)"
        )
        assert warehouse.query("SELECT count(*) FROM t").rows == [(600_000,)]

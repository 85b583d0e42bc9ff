"""The models built twice in each engine that runs here: the figures are those of a DuckDB file.

A build takes long, so it runs where it is asked for: ``pytest --warehouse bigquery data_platform_tests/dbt/engines``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from data_platform_tests.dbt import raw_company, raw_shop
from data_platform_tests.dbt.engines.figures import MARTS, of_mart
from data_platform_tests.dbt.engines.in_bigquery import InBigQuery
from data_platform_tests.dbt.engines.worlds import InDuckLake, InRedshift, World
from data_platform_tests.dbt.runner import Dbt

pytestmark = pytest.mark.slow
KINDS = ("bigquery", "ducklake", "redshift")


class EngineDbt(Dbt):
    def __init__(self, folder: Path, kind: str, arguments: Sequence[str]) -> None:
        super().__init__(folder)
        self.target, self.arguments = kind, arguments

    def __call__(self, command: str, *arguments: str) -> None:
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager

        added = () if set(self.arguments) <= set(arguments) else self.arguments
        try:
            super().__call__(command, *arguments, *added)
        finally:
            DuckDBConnectionManager.close_all_connections()  # which a process of its own would do by its end


@pytest.fixture
def in_duckdb(tmp_path_factory: pytest.TempPathFactory, kind: str) -> Iterator[Dbt]:
    """Raw tables in a file, and the marts over them."""
    dbt = EngineDbt(tmp_path_factory.mktemp("duckdb"), "duckdb", ())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATA_PLATFORM_DUCKDB_PATH", str(dbt.path))
        shop = raw_shop.shop()
        raw_shop.write(dbt.path, shop, dict.fromkeys(raw_shop.DDL, 1))
        raw_company.company(shop).write(dbt.path)
        dbt("parse", "--no-partial-parse")
        dbt("run")
    yield dbt


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    if request.config.getoption("--warehouse") != request.param:
        pytest.skip(f"dbt builds in it twice with --warehouse {request.param}")
    return str(request.param)


@pytest.fixture
def world(
    request: pytest.FixtureRequest, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    made: World
    if kind == "redshift":
        server = request.getfixturevalue("redshift_server")
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        made = InRedshift(server, tmp_path)
    elif kind == "bigquery":
        made = InBigQuery(request.getfixturevalue("bigquery_server"), tmp_path)
    else:
        request.getfixturevalue("lake_catalogs")
        made = InDuckLake(tmp_path)
    for name, value in made.variables.items():
        monkeypatch.setenv(name, value)
    yield made
    made.close()


def test_the_figures_are_those_of_duckdb_and_a_second_build_changes_none(
    in_duckdb: Dbt, world: World, kind: str, tmp_path: Path
) -> None:
    expected = {mart: _in_file(in_duckdb, mart) for mart in MARTS}
    assert all(expected.values())
    world.copy_raw(in_duckdb.path)
    dbt = EngineDbt(tmp_path, kind, world.arguments)
    dbt("parse", "--no-partial-parse")
    for _ in range(2):
        dbt("build", *world.arguments)
        for mart in MARTS:
            assert of_mart(*world.read(mart)) == expected[mart], mart
    if isinstance(world, InBigQuery):
        assert world.kind("daily_revenue") == "MATERIALIZED_VIEW"
        world.recreated("raw_shop", "orders")  # the engine reads and refreshes such a view no more
        dbt("run", "--select", "daily_revenue", *world.arguments)
        assert of_mart(*world.read("daily_revenue")) == expected["daily_revenue"]


def _in_file(dbt: Dbt, mart: str) -> list[Mapping[str, Any]]:
    rows = dbt.rows(f"SELECT * FROM marts.{mart}")
    return of_mart(list(rows[0]), [list(row.values()) for row in rows])

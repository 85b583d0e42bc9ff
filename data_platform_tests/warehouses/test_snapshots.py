"""Snapshots by the engine itself: what is decided about them, over an engine of lists; and what both engines are sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from data_platform.errors import ConfigurationError, WarehouseError
from data_platform.warehouses.bigquery import snapshots as of_bigquery
from data_platform.warehouses.bigquery.config import BigQueryConfig
from data_platform.warehouses.bigquery.grammar import BigQueryGrammar
from data_platform.warehouses.duckdb.config import DuckDBConfig
from data_platform.warehouses.redshift.config import RedshiftConfig
from data_platform.warehouses.snapshots import (
    SnapshotsConfig,
    expired,
    instant_of,
    name_of,
    snapshotting,
    take,
    taken,
)
from data_platform.warehouses.snowflake import snapshots as of_snowflake
from data_platform.warehouses.snowflake.config import SnowflakeConfig
from data_platform_tests.contracts.batches import Chain
from data_platform_tests.engines.bigquery.server import BigQueryServer
from data_platform_tests.engines.snowflake.engine import SnowflakeServer
from data_platform_tests.warehouses.listed_snapshots import AT, WEEK, Lists

NAME = "20261122t023000123456z"
Place = Callable[[str, str, str], str]
"""Where a table of a snapshot lies: of the snapshot's name, the schema and the table."""


def test_a_name_is_an_instant_and_an_instant_a_name() -> None:
    assert name_of(AT) == NAME and instant_of(NAME) == AT
    assert name_of(AT.astimezone()) == NAME, "whatever the zone"
    with pytest.raises(ValueError, match="nightly"):
        instant_of("nightly")


def test_a_snapshot_holds_everything_and_its_record_last() -> None:
    engine = Lists()
    made = take(engine, WEEK)
    assert made.name == NAME and made.whole and made.taken_at == AT
    assert engine.there == [(NAME, "marts.b"), (NAME, "raw_shop.a"), (NAME, "_data_platform.loaded")]
    assert [(one.name, one.whole) for one in taken(engine)] == [(NAME, True)]


def test_nothing_of_a_snapshot_that_fails_stays_and_others_do() -> None:
    engine = Lists()
    take(engine, WEEK)
    engine.now, engine.failing = AT + timedelta(days=1), "raw_shop.a"
    with pytest.raises(WarehouseError, match=r"raw_shop\.a is not made"):
        take(engine, WEEK)
    assert {name for name, _ in engine.there} == {NAME}
    with pytest.raises(WarehouseError, match="data-platform sync"):
        take(Lists(["somebody.s"]), WEEK)


def test_what_is_too_old_or_was_interrupted_goes_and_nothing_else() -> None:
    engine = Lists()
    for days in (0, 1, 6, 8):
        engine.now = AT + timedelta(days=days)
        take(engine, WEEK)
    engine.there.remove((name_of(AT + timedelta(days=6)), engine.last))
    engine.there.append(("nightly", "raw_shop.a"))

    def gone(after: timedelta, keep: timedelta = WEEK) -> list[int]:
        return [(one.taken_at - AT).days for one in expired(taken(engine), AT + after, keep)]

    assert [(one.taken_at - AT).days for one in taken(engine)] == [8, 6, 1, 0], "nightly is somebody's"
    assert gone(WEEK) == [], "one that was just interrupted may be under way"
    assert gone(timedelta(days=7, microseconds=1)) == [6, 0]
    assert gone(timedelta(days=8, microseconds=1)) == [6, 1, 0]
    assert gone(timedelta(days=8), timedelta(days=2)) == [6, 1, 0]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (DuckDBConfig(kind="duckdb", path="w.duckdb"), "of the kind duckdb makes no snapshots"),
        (
            SnowflakeConfig(
                kind="snowflake", account="a", user="U", role="R", warehouse="W", database="D", time_travel=False
            ),
            "without Time Travel",
        ),
    ],
)  # fmt: skip
def test_an_engine_without_them_says_what_to_do(config: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{said}.*take .*out"):
        snapshotting(config)
    assert not RedshiftConfig.traits.snapshots


GRAMMAR = BigQueryGrammar("acme-data", "again_", location="EU")


def test_bigquery_is_sent_one_instant_an_expiry_and_a_name_that_tells_its_table() -> None:
    made = of_bigquery.created(GRAMMAR, NAME, "raw_shop.a-b", AT, AT + WEEK)
    assert made == (
        "CREATE SNAPSHOT TABLE IF NOT EXISTS"
        " `acme-data`.`again__data_platform_snapshots`.`20261122t023000123456z-raw_shop-a-b`"
        " CLONE `acme-data`.`again_raw_shop`.`a-b` FOR SYSTEM_TIME AS OF TIMESTAMP '2026-11-22T02:30:00.123456+00:00'"
        " OPTIONS (expiration_timestamp = TIMESTAMP '2026-11-29T02:30:00.123456+00:00')"
    )
    gone = of_bigquery.dropped(GRAMMAR, NAME, "raw_shop.a-b")
    # sqlglot knows each clause, and neither the word SNAPSHOT nor a clause after CLONE.
    head, _, rest = made.replace(" SNAPSHOT", "", 1).partition(" CLONE ")
    past, _, options = rest.partition(" OPTIONS ")
    read = sqlglot.parse_one(f"{head} OPTIONS {options} AS SELECT * FROM {past}", dialect="bigquery")
    assert isinstance(read, exp.Create) and read.find(exp.Version) and read.find(exp.Property)
    assert isinstance(sqlglot.parse_one(gone.replace(" SNAPSHOT", "", 1), dialect="bigquery"), exp.Drop)


def test_snowflake_is_sent_clones_of_schemas_as_of_one_instant() -> None:
    made, gone = of_snowflake.created(NAME, "raw_shop", AT), of_snowflake.dropped(NAME, "raw_shop")
    place = '"_DATA_PLATFORM_SNAPSHOT_20261122T023000123456Z_RAW_SHOP"'
    assert made == (
        f'CREATE SCHEMA IF NOT EXISTS {place} CLONE "RAW_SHOP"'
        " AT(TIMESTAMP => '2026-11-22T02:30:00.123456+00:00'::TIMESTAMP_TZ)"
    )
    assert gone == f"DROP SCHEMA IF EXISTS {place} CASCADE"
    create, drop = (sqlglot.parse_one(sql, dialect="snowflake") for sql in (made, gone))
    assert isinstance(create, exp.Create) and create.find(exp.HistoricalData) is not None
    assert isinstance(drop, exp.Drop)


@contextmanager
def bigquery_of(server: BigQueryServer, folder: Path) -> Iterator[tuple[BigQueryConfig, Place]]:
    config = server.config(folder)
    grammar = config.grammar()
    try:
        yield (
            config,
            lambda name, schema, table: grammar.relation(
                "_data_platform_snapshots", f"{name}-{schema}-{table}"
            ),
        )
    finally:
        with config.snapshots() as engine:
            engine._session.drop_dataset("_data_platform_snapshots")  # type: ignore[attr-defined]
        server.emptied(folder)


@contextmanager
def snowflake_of(server: SnowflakeServer, folder: Path) -> Iterator[tuple[SnowflakeConfig, Place]]:
    try:
        yield (
            server.config(folder),
            lambda name, schema, table: (
                f'"_DATA_PLATFORM_SNAPSHOT_{name.upper()}_{schema.upper()}"."{table.upper()}"'
            ),
        )
    finally:
        server.emptied(folder)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bigquery", "snowflake"])
def test_tables_come_back_from_a_snapshot_and_later_batches_are_loaded_again(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the emulators. That of Snowflake has no past: it clones what is there now."""
    server = request.getfixturevalue(f"{kind}_server")
    for name, value in server.environ.items():
        monkeypatch.setenv(name, value)
    world = bigquery_of(server, tmp_path) if kind == "bigquery" else snowflake_of(server, tmp_path)
    chain = Chain(tmp_path / "parts")
    with world as (config, place):
        with config.open(tmp_path) as warehouse:
            warehouse.load(*chain.next("merge", [(1, None, "a", 1), (2, None, "b", 1)]))
            before = warehouse.describe()
        orders = warehouse.grammar.relation("raw_shop", "orders")
        able: SnapshotsConfig = snapshotting(config)
        with able.snapshots() as engine:
            assert taken(engine) == []
            made = take(engine, WEEK)
            assert made.objects[-1] == engine.last and any("raw_shop" in one for one in made.objects)
            assert [(one.name, one.whole, set(one.objects)) for one in taken(engine)] == [
                (made.name, True, set(made.objects))
            ]
        later = chain.next("replace", [(9, None, "z", 1)])
        with config.open(tmp_path) as warehouse:
            warehouse.load(*later)
            assert warehouse.describe() == before, "no backup has it"
            for one in before:
                if one.kind == "table":
                    target = warehouse.grammar.relation(one.schema, one.name)
                    kept = place(made.name, one.schema, one.name)
                    warehouse.session.define([f"CREATE OR REPLACE TABLE {target} CLONE {kept}"])
        with config.open(tmp_path) as warehouse:
            assert warehouse.query(f"SELECT id FROM {orders} ORDER BY 1").rows == [(1,), (2,)]
            assert [one.sequence for one in warehouse.loaded_all()] == [1]
            warehouse.load(*later)
            assert warehouse.query(f"SELECT id FROM {orders} ORDER BY 1").rows == [(9,)]
        with able.snapshots() as engine:
            again = take(engine, WEEK)
            engine.drop(made.name)
            assert [one.name for one in taken(engine)] == [again.name]


def test_bigquery_keeps_what_was_at_the_instant_until_it_expires(
    bigquery_server: BigQueryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = Chain(tmp_path / "parts")
    with (
        bigquery_of(bigquery_server, tmp_path) as (config, place),
        config.open(tmp_path) as warehouse,
        config.snapshots() as engine,
    ):
        warehouse.load(*chain.next("merge", [(1, None, "a", 1)]))
        before = engine.instant()
        warehouse.load(*chain.next("merge", [(2, None, "b", 1)]))
        monkeypatch.setattr(engine, "instant", lambda: before)
        made = take(engine, WEEK)
        assert made.taken_at == before
        assert warehouse.query(f"SELECT id FROM {place(made.name, 'raw_shop', 'orders')}").rows == [(1,)]
        session: Any = engine._session  # type: ignore[attr-defined]
        shorter = config.model_copy(update={"dataset_prefix": config.dataset_prefix[:-2]}).session()
        with closing(shorter):
            seen = shorter.schemas()
            assert seen and not [one for one in seen if "snapshots" in one], (
                "another warehouse's are no dataset of it"
            )
        kept = session._table("_data_platform_snapshots", f"{made.name}-raw_shop-orders")
        assert kept.table_type == "SNAPSHOT" and abs(kept.expires - before - WEEK) < timedelta(seconds=1)

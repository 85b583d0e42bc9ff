"""The lake over a real PostgreSQL: many writers, readers beside them, a catalog that goes away, what it keeps and refuses."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from data_platform.errors import LoadRefused, QueryFailed, WarehouseBusy, WarehouseError
from data_platform.tables import Column, TableId
from data_platform.warehouses.ducklake import connect
from data_platform.warehouses.ducklake.catalog import Catalog, parameters
from data_platform.warehouses.ducklake.config import DuckLakeConfig
from data_platform.warehouses.ducklake.dialect import LAKE_DIALECT
from data_platform_tests.contracts.batches import COLUMNS, RULED, TABLE, Chain, write_part
from data_platform_tests.contracts.engines import rows
from data_platform_tests.engines.ducklake import CATALOG_URL
from data_platform_tests.engines.ducklake.wire import Lose, wire


@pytest.fixture
def lake(lake_catalogs: str, tmp_path: Path) -> Iterator[DuckLakeConfig]:
    """A new lake of the test's own."""
    made = _config(tmp_path)
    yield made
    made.remove(tmp_path)


def _config(folder: Path, **changes: Any) -> DuckLakeConfig:
    given = {
        "kind": "ducklake",
        "catalog": {"url_env": CATALOG_URL, "schema": f"own_{uuid.uuid4().hex[:12]}"},
        "data": str(folder / "lake"),
        "threads": 1,
        "wait_seconds": 20,
    }
    return DuckLakeConfig.model_validate(given | changes)


def _load(lake: DuckLakeConfig, folder: Path, batch: tuple[Any, Sequence[Path]]) -> Any:
    with lake.open(folder, files=[folder]) as warehouse:
        return warehouse.load(*batch)


def _held(lake: DuckLakeConfig, folder: Path, sql: str) -> list[tuple[Any, ...]]:
    with lake.open(folder, read_only=True) as warehouse:
        return warehouse.query(sql).rows


EVERY_TYPE = {
    "HUGEINT": "-170141183460469231731687303715884105727",
    "UHUGEINT": "340282366920938463463374607431768211455",
    "INTERVAL": "-1 month 3 days 00:00:00.000005",
    "TIME WITH TIME ZONE": "10:11:12.123456+05:30",
    "BIT": "10110",
    "ENUM('a', 'it''s')": "it's",
    "BLOB": r"\x00\xFFa",
    "DATE": "0044-03-15 (BC)",
    "TIMESTAMP": "-infinity",
    "TIMESTAMP WITH TIME ZONE": "infinity",
    "TIME": "24:00:00",
    "UUID": "ffffffff-0000-4000-8000-000000000001",
    "DOUBLE": "nan",
    "DECIMAL(38,9)": "12345678901234567890123456789.123456789",
    "VARCHAR[]": "[a, NULL, '']",
    "JSON": '{"price": 1.10}',
}


@pytest.mark.parametrize("times", [1, 200], ids=["in the catalog", "in a file"])
def test_every_type_comes_back_as_it_landed(lake: DuckLakeConfig, tmp_path: Path, times: int) -> None:
    columns = (
        Column("id", "BIGINT", "bigint", nullable=False),
        *(Column(f"c{n}", type_, type_) for n, type_ in enumerate(EVERY_TYPE)),
    )
    chain = Chain(tmp_path / "parts", columns=columns, partition=None, version=None)
    landed = [(n, *EVERY_TYPE.values()) for n in range(times)]
    as_text = [replace(column, type=LAKE_DIALECT.type(column.type)) for column in columns]
    for load in ("replace", "merge"):
        made, (part,) = chain.next(load, [], promised=times)
        _load(lake, tmp_path, (made, [write_part(part, as_text, landed)]))
    names = ", ".join(f"c{n}::VARCHAR" for n in range(len(EVERY_TYPE)))
    (found,) = _held(lake, tmp_path, f"SELECT DISTINCT {names} FROM raw_shop.orders")
    assert found == tuple(EVERY_TYPE.values())


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ((Column("id", "BLOB", "bytea"), *COLUMNS[1:]), "key column id .* binary"),
        ((*COLUMNS, *(Column(f"c{n}", "BIGINT", "bigint") for n in range(1_500))), "1,504 columns"),
    ],
    ids=["a binary key", "too many columns"],
)
def test_what_a_lake_cannot_keep_is_refused_by_name(
    lake: DuckLakeConfig, tmp_path: Path, columns: tuple[Column, ...], match: str
) -> None:
    made, parts = Chain(tmp_path / "parts", columns=columns).next("merge", [])
    with pytest.raises(LoadRefused, match=match):
        _load(lake, tmp_path, (made, parts))
    with lake.open(tmp_path, read_only=True) as warehouse:
        assert warehouse.loaded_all() == []


def test_a_query_reaches_neither_the_catalog_s_database_nor_a_file(
    lake: DuckLakeConfig, tmp_path: Path
) -> None:
    _load(lake, tmp_path, Chain(tmp_path / "parts").next("merge", RULED))
    schema = lake.catalog.schema_
    for sql in (
        f"SELECT * FROM __ducklake_metadata_lake.{schema}.ducklake_metadata",
        f'FROM "__DUCKLAKE_metadata_lake".{schema}.ducklake_metadata',
        f"DESCRIBE __ducklake_metadata_lake.{schema}.ducklake_metadata",
        "SELECT * FROM (SELECT 1) WHERE EXISTS (FROM __ducklake_metadata_lake.pg_catalog.pg_authid)",
        "FROM postgres_query('__ducklake_metadata_lake', 'SELECT 1')",
        "FROM duckdb_secrets()",
        "FROM read_text('/etc/hostname')",
        "COPY (SELECT 1) TO 'out.csv'",
    ):
        with pytest.raises(QueryFailed):
            _held(lake, tmp_path, sql)
    password = str(urlsplit(os.environ[CATALOG_URL]).password)
    assert password not in str(_held(lake, tmp_path, "FROM duckdb_databases()"))
    assert password not in str(_held(lake, tmp_path, "FROM duckdb_settings()"))


def test_two_loads_of_one_batch_at_once_leave_it_once(lake: DuckLakeConfig, tmp_path: Path) -> None:
    chain = Chain(tmp_path / "parts")
    batches = [
        chain.next("merge", [(n, "2026-01-01", "x", n) for n in range(start, start + 20)])
        for start in (0, 10)
    ]
    for batch in batches:
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(lambda _, batch=batch: _load(lake, tmp_path, batch), range(4)))
        assert sorted(result.rows_inserted for result in done) == [0, 0, 0, 20]
    assert _held(lake, tmp_path, "SELECT count(*), count(DISTINCT id) FROM raw_shop.orders") == [(30, 30)]
    assert _held(lake, tmp_path, "SELECT count(*), max(sequence) FROM _data_platform.loaded_batches") == [
        (2, 2)
    ]


def test_loads_of_several_tables_go_on_side_by_side(lake: DuckLakeConfig, tmp_path: Path) -> None:
    chains = [Chain(tmp_path / f"parts{n}", table=TableId("shop", f"table{n}")) for n in range(4)]
    landed = [(n, "2026-01-01", "x", n) for n in range(150)]
    batches = [[chain.next("merge", landed) for _ in range(3)] for chain in chains]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda some: [_load(lake, tmp_path, batch) for batch in some], batches))
    with lake.open(tmp_path, read_only=True) as warehouse:
        assert [batch.sequence for batch in warehouse.loaded_all()] == [3] * 4
        assert len(warehouse.reads()) == 4
    for n in range(4):
        assert _held(lake, tmp_path, f"SELECT count(*) FROM raw_shop.table{n}") == [(150,)]


def test_no_two_threads_share_what_is_attached(lake: DuckLakeConfig, tmp_path: Path) -> None:
    """A commit frees schemas in DuckLake's object, which another thread's may be reading. One thread may open it twice."""
    _load(lake, tmp_path, Chain(tmp_path / "first").next("merge", RULED))
    label = "current_setting('temp_directory')"

    def attached() -> str:
        with lake.open(tmp_path) as warehouse:
            return str(warehouse.query(f"SELECT {label}").rows[0][0])

    with lake.open(tmp_path) as warehouse, ThreadPoolExecutor(1) as pool:
        mine = str(warehouse.query(f"SELECT {label}").rows[0][0])
        assert attached() == mine
        other = pool.submit(attached).result()
        assert other != mine
        assert pool.submit(attached).result() == other, "kept, as soon as nobody uses it"


def test_who_waits_too_long_is_told_for_whom(lake: DuckLakeConfig, tmp_path: Path) -> None:
    chain = Chain(tmp_path / "parts")
    _load(lake, tmp_path, chain.next("merge", RULED))
    impatient = lake.waiting(0.05)
    other = Catalog(parameters(CATALOG_URL, os.environ), lake.catalog.schema_, "")
    with other, other.load_of(str(TABLE), 1):
        with pytest.raises(WarehouseBusy, match="another load of shop/orders"):
            _load(impatient, tmp_path, chain.next("merge", []))
        with (
            pytest.raises(WarehouseBusy, match="held by a load"),
            impatient.replace_atomically(tmp_path, "making", files=[tmp_path]),
        ):
            pass
        assert len(_held(lake, tmp_path, "FROM raw_shop.orders")) == 4, "readers wait for nobody"


@pytest.mark.parametrize("lose", ["question", "answer"])
def test_a_lost_commit_is_settled_by_the_record(
    lake: DuckLakeConfig, tmp_path: Path, lose: Lose, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = Chain(tmp_path / "parts")
    _load(lake, tmp_path, chain.next("merge", RULED))
    address = urlsplit(os.environ[CATALOG_URL])
    assert address.hostname and address.port
    with wire(address.hostname, address.port) as between:
        monkeypatch.setenv(
            CATALOG_URL,
            address._replace(netloc=address.netloc.replace(str(address.port), str(between.port))).geturl(),
        )
        batch = chain.next("merge", [(1, "2026-01-05", "new", 50), (9, "2026-01-05", "y", 51)])
        between.lose = lose
        done = _load(lake, tmp_path, batch)
        assert between.lost == 1
        assert (done.rows_deleted, done.rows_inserted) == (1, 2)
        assert done.touched == {"2026-01-01": 1, "2026-01-05": 2}
    monkeypatch.undo()
    with lake.open(tmp_path, read_only=True) as warehouse:
        assert [row[0] for row in rows(warehouse)] == [1, 2, 3, 4, 9]
    assert _held(lake, tmp_path, "SELECT sequence FROM _data_platform.loaded_batches ORDER BY 1") == [
        (1,),
        (2,),
    ]


def test_a_load_without_its_lock_does_not_commit(
    lake: DuckLakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = Chain(tmp_path / "parts")
    _load(lake, tmp_path, chain.next("merge", RULED))
    check = Catalog.check

    def killed(catalog: Catalog) -> None:
        assert catalog._connection is not None
        with psycopg.connect(os.environ[CATALOG_URL]) as server:
            server.execute("SELECT pg_terminate_backend(%s)", (catalog._connection.info.backend_pid,))
        check(catalog)

    batch = chain.next("merge", [(9, "2026-01-05", "y", 51)])
    with monkeypatch.context() as patched, pytest.raises(WarehouseError, match="keep its lock"):
        patched.setattr(Catalog, "check", killed)
        _load(lake, tmp_path, batch)
    assert len(_held(lake, tmp_path, "FROM raw_shop.orders")) == 4
    assert _load(lake, tmp_path, batch).rows_inserted == 1


def test_a_server_that_restarts_between_two_loads_is_found_again(
    lake: DuckLakeConfig, tmp_path: Path
) -> None:
    chain = Chain(tmp_path / "parts")
    with lake.open(tmp_path, files=[tmp_path]) as warehouse:
        warehouse.load(*chain.next("merge", RULED))
        with psycopg.connect(os.environ[CATALOG_URL]) as server:
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        warehouse.record_reads([])
        assert len(warehouse.query("FROM raw_shop.orders").rows) == 4
    assert _load(lake, tmp_path, chain.next("merge", [(9, None, "y", 51)])).rows_inserted == 1


def test_readers_beside_a_writer_wait_for_nobody_and_see_whole_batches(
    lake: DuckLakeConfig, tmp_path: Path
) -> None:
    chain = Chain(tmp_path / "parts")
    _load(lake, tmp_path, chain.next("replace", [(n, "2026-01-01", "0", n) for n in range(300)]))
    done = threading.Event()

    def read() -> int:
        count = 0
        while not done.is_set() or not count:
            (seen,) = _held(
                lake,
                tmp_path,
                "SELECT count(*), count(DISTINCT id), count(DISTINCT note) FROM raw_shop.orders",
            )
            assert seen == (300, 300, 1)
            count += 1
        return count

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        try:
            for turn in range(1, 6):
                load = "replace" if turn == 3 else "merge"
                landed = [(n, "2026-01-01", str(turn), n) for n in range(300)]
                _load(lake, tmp_path, chain.next(load, landed))
        finally:
            done.set()
        assert all(reader.result() for reader in readers)


def test_a_lake_in_another_s_place_is_seen_by_who_has_the_old_one_attached(
    lake: DuckLakeConfig, tmp_path: Path
) -> None:
    old, new = Chain(tmp_path / "old"), Chain(tmp_path / "new")
    _load(lake, tmp_path, old.next("merge", RULED))
    assert len(_held(lake, tmp_path, "FROM raw_shop.orders")) == 4
    kept = list(connect._INSTANCES)
    with lake.replace_atomically(tmp_path, "making", files=[tmp_path]) as warehouse:
        warehouse.load(*new.next("merge", RULED[:1]))
    connect._INSTANCES[:] = kept  # as in another process, which nobody tells
    assert len(_held(lake, tmp_path, "FROM raw_shop.orders")) == 1
    assert len(list((tmp_path / "lake").iterdir())) == 1, "the old one's files are gone"


def test_an_error_shows_no_password(
    lake: DuckLakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CATALOG_URL, os.environ[CATALOG_URL].replace("@127.0.0.1", "x-secret@127.0.0.1"))
    with pytest.raises(WarehouseError, match="password authentication failed") as failed:
        lake.exists(tmp_path)
    assert "x-secret" not in str(failed.value)


def test_maintenance_changes_no_row_and_leaves_few_files(lake: DuckLakeConfig, tmp_path: Path) -> None:
    chain = Chain(tmp_path / "parts")
    for start in range(0, 600, 100):
        landed = [(n, "2026-01-01", "x", n) for n in range(start, start + 150)]
        _load(lake, tmp_path, chain.next("merge", landed))
    sql = "SELECT count(*), sum(id), sum(_source_xmin) FROM raw_shop.orders"
    before = _held(lake, tmp_path, sql)
    files = tmp_path / "lake"
    orphan = next(files.rglob("orders")) / "of-a-killed-load.parquet"
    orphan.write_bytes(b"PAR1")
    os.utime(orphan, (1_000_000_000, 1_000_000_000))
    many = len(list(files.rglob("*.parquet")))
    with lake.open(tmp_path, files=[tmp_path]) as warehouse:
        done = warehouse.maintain().done
    assert done["files written without their deleted rows"] + done["files merged"] > 0
    assert done["files of killed loads removed"] == 1 and not orphan.exists()
    with psycopg.connect(
        os.environ[CATALOG_URL], autocommit=True
    ) as server:  # what was kept is a day older now
        server.execute(
            f"UPDATE {lake.catalog.schema_}.ducklake_snapshot SET snapshot_time = snapshot_time - interval '25 hours'"  # type: ignore[arg-type]
        )
    with lake.open(tmp_path, files=[tmp_path]) as warehouse:
        done = warehouse.maintain().done
    assert done["snapshots expired"] > 5 and done["files removed"] > 5
    assert len(list(files.rglob("*.parquet"))) < many
    assert _held(lake, tmp_path, sql) == before
    other = Catalog(parameters(CATALOG_URL, os.environ), lake.catalog.schema_, "")
    with other, other.load_of(str(TABLE), 1), lake.waiting(0.05).open(tmp_path) as warehouse:
        assert warehouse.maintain().left == ("raw_shop.orders",)

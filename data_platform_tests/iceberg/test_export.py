"""Tables of a DuckDB warehouse as Iceberg tables: exact, in one commit, only where they changed."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyiceberg.catalog import Catalog

from data_platform.errors import ConfigurationError, ExportFailed
from data_platform.iceberg import export as exporting
from data_platform.iceberg.catalog import open_catalog
from data_platform.iceberg.config import IcebergConfig, SQLCatalog
from data_platform.iceberg.export import FINGERPRINT, Exported, export_table
from data_platform.warehouses.duckdb.config import DuckDBConfig
from data_platform_tests.servers.objects import ENVIRON, ObjectServer, new_prefix

TYPES = {
    "id": ("BIGINT", 1),
    "small": ("SMALLINT", -3),
    "tiny": ("UTINYINT", 255),
    "huge": ("UBIGINT", 2**64 - 1),
    "h": ("HUGEINT", 2**100),
    "n": ("DECIMAL(38,18)", Decimal("12345678901234567890.123456789012345678")),
    "d": ("DOUBLE", 0.1),
    "f": ("FLOAT", 0.5),
    "b": ("BOOLEAN", True),
    "t": ("VARCHAR", "grüße 🦆 'x'"),
    "u": ("UUID", uuid.UUID("b7c1f5c0-0000-4000-8000-000000000001")),
    "j": ("JSON", '{"a": 12345678901234567890123}'),
    "x": ("BLOB", b"\x00\xff"),
    "day": ("DATE", datetime.date(2026, 2, 3)),
    "at": ("TIMESTAMPTZ", datetime.datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=datetime.UTC)),
    "local": ("TIMESTAMP", datetime.datetime(2026, 2, 3, 4, 5, 6, 789012)),
    "tod": ("TIME", datetime.time(4, 5, 6, 789012)),
    "many": ("INTEGER[]", [1, None, 3]),
}


class Place:
    """A project's folder with a warehouse and an Iceberg catalog."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environ: dict[str, str] = {}
        self.warehouse = DuckDBConfig(path=root / "warehouse.duckdb", threads=1)
        self.config = IcebergConfig(
            catalog=SQLCatalog(kind="sql", path=Path("ice/catalog.db")), location="ice", tables=("marts.*",)
        )

    def run(self, *statements: str) -> None:
        with duckdb.connect(str(self.root / "warehouse.duckdb")) as connection:
            connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA IF NOT EXISTS marts")
            for statement in statements:
                connection.execute(statement)

    def catalog(self) -> Catalog:
        return open_catalog(self.config, self.root, self.environ)

    def export(self, name: str, key: tuple[str, ...] = (), keep_days: float = 7) -> Exported:
        with self.warehouse.open(self.root, read_only=True) as warehouse:
            (stored,) = [one for one in warehouse.inventory().tables if one.name == name]
            return export_table(self.catalog(), warehouse, stored, key, keep_days=keep_days)

    def rows(self, name: str) -> list[dict[str, Any]]:
        rows = self.catalog().load_table(("marts", name)).scan().to_arrow().to_pylist()
        return sorted(rows, key=lambda row: row["id"])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    yield Place(tmp_path)


def test_every_type_arrives_as_it_is(place: Place) -> None:
    columns = ", ".join(f'"{name}" {kind}' for name, (kind, _) in TYPES.items())
    place.run(f"CREATE TABLE marts.kinds ({columns})")
    with duckdb.connect(str(place.root / "warehouse.duckdb")) as connection:
        marks = ", ".join("?" * len(TYPES))
        connection.execute(
            f"INSERT INTO marts.kinds VALUES ({marks})", [value for _, value in TYPES.values()]
        )
        connection.execute("INSERT INTO marts.kinds (id) VALUES (2)")
    done = place.export("kinds", ("id",))
    assert (done.rows, done.changed) == (2, True)
    full, empty = place.rows("kinds")
    expected = {name: value for name, (_, value) in TYPES.items()}
    expected |= {"h": str(2**100), "huge": Decimal(2**64 - 1)}
    assert {name: full[name] for name in expected if name != "tod"} == {
        name: value for name, value in expected.items() if name != "tod"
    }
    assert str(full["tod"]) == "04:05:06.789012"
    assert all(value is None for name, value in empty.items() if name != "id")


def test_what_has_not_changed_is_not_written_again(place: Place) -> None:
    place.run("CREATE TABLE marts.daily AS SELECT range AS id, range * 2 AS v FROM range(1000)")
    first, again = place.export("daily"), place.export("daily")
    assert (first.changed, again.changed) == (True, False) and first.snapshot == again.snapshot
    place.run("UPDATE marts.daily SET v = 7 WHERE id = 3")
    third = place.export("daily")
    assert third.changed and [row["v"] for row in place.rows("daily")[:5]] == [0, 2, 4, 7, 8]


def test_a_reader_of_an_earlier_snapshot_still_sees_it_until_it_is_forgotten(place: Place) -> None:
    place.run("CREATE TABLE marts.daily AS SELECT 1 AS id")
    first = place.export("daily").snapshot
    place.run("INSERT INTO marts.daily VALUES (2)")
    place.export("daily")
    table = place.catalog().load_table(("marts", "daily"))
    assert table.scan(snapshot_id=first).to_arrow().num_rows == 1
    place.run("INSERT INTO marts.daily VALUES (3)")
    place.export("daily", keep_days=0)
    table.refresh()
    assert [one.snapshot_id for one in table.metadata.snapshots] == [table.current_snapshot().snapshot_id]
    files = list((place.root / "ice").rglob("*.parquet"))
    assert len(files) == 1, "what no snapshot needs is deleted"
    assert [row["id"] for row in place.rows("daily")] == [1, 2, 3]


def test_columns_come_go_and_change_their_type_in_one_commit(place: Place) -> None:
    place.run("CREATE TABLE marts.daily AS SELECT 1 AS id, 'x' AS v, 2 AS w")
    place.export("daily")
    place.run("DROP TABLE marts.daily", "CREATE TABLE marts.daily AS SELECT 1 AS id, 5.25 AS v, true AS z")
    place.export("daily")
    assert place.rows("daily") == [{"id": 1, "v": Decimal("5.25"), "z": True}]


def test_an_empty_table_is_a_table(place: Place) -> None:
    place.run("CREATE TABLE marts.daily (id BIGINT, v VARCHAR)")
    assert place.export("daily").rows == 0
    assert place.rows("daily") == [] and not place.export("daily").changed
    place.run("INSERT INTO marts.daily VALUES (1, 'a')")
    place.export("daily")
    place.run("DELETE FROM marts.daily")
    assert place.export("daily").changed and place.rows("daily") == []


def test_killed_at_the_commit_is_repeated_without_harm(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.run("CREATE TABLE marts.daily AS SELECT 1 AS id")
    place.export("daily")
    place.run("INSERT INTO marts.daily VALUES (2)")

    class Killed(BaseException):
        pass

    def dies(*_: Any, **__: Any) -> None:
        raise Killed

    for name, seen in (("_reshape", 1), ("_is_proven", 2)):  # before the commit, and right after it
        with monkeypatch.context() as patched:
            patched.setattr(exporting, name, dies)
            with pytest.raises(Killed):
                place.export("daily")
        assert len(place.rows("daily")) == seen
    assert not place.export("daily").changed
    assert [row["id"] for row in place.rows("daily")] == [1, 2]


def test_rows_that_do_not_read_back_are_an_error(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.run("CREATE TABLE marts.daily AS SELECT range AS id FROM range(10)")
    from data_platform.warehouses.duckdb import backup

    read = backup.read_ordered
    monkeypatch.setattr(
        backup,
        "read_ordered",
        lambda connection, table, key: read(connection, table, key).from_batches(
            (reader := read(connection, table, key)).schema, (batch.slice(1) for batch in reader)
        ),
    )
    for _ in range(2):  # what is not proven is not taken for done
        with pytest.raises(ExportFailed, match="does not read back as the 10 rows"):
            place.export("daily")
    monkeypatch.undo()
    assert place.export("daily").changed and len(place.rows("daily")) == 10


def test_another_engine_reads_the_files(place: Place) -> None:
    """DuckDB over the files of the newest snapshot, as an engine with an Iceberg reader would."""
    place.run("CREATE TABLE marts.daily AS SELECT range AS id, 'n' || range AS v FROM range(5000)")
    place.export("daily")
    files = place.catalog().load_table(("marts", "daily")).inspect.files()["file_path"].to_pylist()
    paths = ", ".join(f"'{file.removeprefix('file://')}'" for file in files)
    found = duckdb.sql(f"SELECT count(*), max(id), min(v) FROM read_parquet([{paths}])").fetchone()
    assert found == (5000, 4999, "n0")


def test_each_snapshot_names_what_it_was_made_of(place: Place) -> None:
    place.run("CREATE TABLE marts.daily AS SELECT 1 AS id")
    place.export("daily")
    snapshot = place.catalog().load_table(("marts", "daily")).current_snapshot()
    assert snapshot is not None and snapshot.summary is not None
    with place.warehouse.open(place.root, read_only=True) as warehouse:
        (stored,) = warehouse.inventory().tables
        assert snapshot.summary[FINGERPRINT] == str(warehouse.row_fingerprint(stored)[1])


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    config = IcebergConfig(
        catalog=SQLCatalog(kind="sql", url_env="ICE_URL"), location="ice", tables=("marts.*",)
    )
    with pytest.raises(ConfigurationError, match="ICE_URL"):
        open_catalog(config, tmp_path, {})


@pytest.mark.slow
def test_a_database_as_the_catalog_and_a_bucket_for_the_files(
    place: Place, database: str, s3_server: ObjectServer
) -> None:
    """PostgreSQL and SeaweedFS, as several machines would share them."""
    bucket = s3_server.config(new_prefix())
    place.config = IcebergConfig.model_validate(
        {
            "catalog": {"kind": "sql", "url_env": "ICE_URL"},
            "location": f"s3://{bucket['bucket']}/{bucket['prefix']}",
            "s3": {
                "region": "us-east-1",
                "endpoint_url": bucket["endpoint_url"],
                "access_key_env": "ICE_KEY",
                "secret_key_env": "ICE_SECRET",
            },
            "tables": ["marts.*"],
        }
    )
    place.environ = {
        "ICE_URL": database.replace("postgresql://", "postgresql+psycopg2://"),
        "ICE_KEY": ENVIRON[bucket["access_key_env"]],
        "ICE_SECRET": ENVIRON[bucket["secret_key_env"]],
    }
    place.run("CREATE TABLE marts.daily AS SELECT range AS id, 'n' || range AS v FROM range(1000)")
    assert place.export("daily").changed and not place.export("daily").changed
    place.run("DELETE FROM marts.daily WHERE id >= 2")
    place.export("daily", keep_days=0)
    assert place.rows("daily") == [{"id": 0, "v": "n0"}, {"id": 1, "v": "n1"}]

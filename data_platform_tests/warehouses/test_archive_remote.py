"""Backups of warehouses behind a connection: by the engine's own unload where its stand-in has one, proven and restored.

Redshift's stand-in does UNLOAD by itself; what the emulators of the others lack is in ``LACKS``.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_platform.backups.archive import Archive
from data_platform.backups.export import BackupReport, export, store
from data_platform.backups.manifest import BackupManifest, backup_id
from data_platform.backups.restore import drill, restore
from data_platform.cli.app import run
from data_platform.defs.backup import BACKUP, DRILL, backup_definitions
from data_platform.defs.resources import resources
from data_platform.errors import BackupDamaged, WarehouseError
from data_platform.stores.local import LocalStore
from data_platform.sync import open_platform
from data_platform.sync.backup import hold_drills
from data_platform.tables import Column, TableId
from data_platform.warehouses.archive import ArchivableConfig, archivable
from data_platform.warehouses.kinds import in_file
from data_platform.warehouses.remote.archive import RemoteArchive
from data_platform.warehouses.remote.kept import put
from data_platform_tests.contracts.batches import COLUMNS, Chain
from data_platform_tests.contracts.conftest import served
from data_platform_tests.contracts.engines import ENGINES, Engine

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
VALUES: dict[str, tuple[str, ...]] = {
    "TINYINT": ("-128", "127", "0"),
    "SMALLINT": ("-32768", "32767", "0"),
    "INTEGER": ("-2147483648", "2147483647", "0"),
    "BIGINT": ("-9223372036854775808", "9223372036854775807", "0"),
    "UBIGINT": ("0", "18446744073709551615", "1"),
    "DECIMAL(10,2)": ("-12345678.90", "0.50", "0"),
    "DECIMAL(38,18)": ("-12345678901234567890.123456789012345678", "0.000000000000000001", "0"),
    "DECIMAL(9,9)": ("-0.123456789", "0.5", "0"),
    "BOOLEAN": ("true", "false", "true"),
    "DATE": ("0001-01-01", "9999-12-31", "1969-12-31"),
    "TIME": ("00:00:00", "23:59:59.999999", "12:00:00.5"),
    "TIMESTAMP": ("0001-01-01 00:00:00.000001", "9999-12-31 23:59:59.999999", "1969-12-31 23:59:59.5"),
    "TIMESTAMPTZ": (
        "0001-01-01 00:00:00.000001+00",
        "9999-12-31 23:59:59.999999+00",
        "2026-03-29 01:30:00+00",
    ),
    "UUID": (
        "00000000-0000-0000-0000-00000000000a",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "12345678-1234-5678-1234-567812345678",
    ),
    "VARCHAR": ("", "it's \\ 5% \n ü 🦆 {} \x1f ", "NULL"),
    "JSON": ('{"b": 1.10, "a": 12345678901234567890, "b": null}', "[]", "{}"),
    "BLOB": ("\\x00\\xFF", "", "{}"),
    "BIGINT[]": ("[1, NULL, -9223372036854775808]", "[]", "[0]"),
    "FLOAT": ("0.1", "-3.4e38", "1e-45"),
    "DOUBLE": ("0.1", "1.7976931348623157e308", "-2.2250738585072014e-308"),
}
READ_AS = {"UUID": "VARCHAR", "JSON": "VARCHAR", "BIGINT[]": "JSON"}
"""What a backup keeps a landed type as, where a text does."""
NOT_HELD = {"snowflake": ("UBIGINT", "BIGINT[]"), "bigquery": ("DECIMAL(9,9)",)}
"""UBIGINT Snowflake refuses. Its emulator calls an ARRAY a VARIANT; that of BigQuery writes 0.5 as .5."""


EMULATED = ("bigquery", "snowflake")
"""Engines whose emulator takes seconds for each statement of a backup."""
SAMPLE = (
    "test_every_value_comes_back_as_it_was_landed",
    "test_it_is_restored_into_the_engine_with_the_types_that_it_had",
)
"""What every run tests of them."""


@dataclass
class Place:
    """A warehouse of an engine, and a backup store beside it."""

    name: str
    engine: Engine
    root: Path

    @property
    def config(self) -> ArchivableConfig:
        config = archivable(self.engine.config(self.root)).bounded("384MB")
        return config.model_copy(update=FALLBACKS.get(self.name, {}))  # type: ignore[attr-defined,no-any-return]

    def open(self, *, read_only: bool = False) -> AbstractContextManager[RemoteArchive]:
        return self.config.open(self.root, read_only)  # type: ignore[return-value]

    def archive(self, name: str = "primary") -> Archive:
        return Archive(name, lambda: LocalStore(self.root / name))

    def back_up(
        self, nonce: str = "00000000", progress: Callable[[str, int], None] | None = None
    ) -> BackupReport:
        folder = self.root / f"written-{nonce}"
        folder.mkdir()
        id_ = backup_id(NOW, nonce)
        with self.open(read_only=True) as warehouse:
            exported = export(warehouse, folder, id_, progress, keys={("raw_shop", "kinds"): ["id"]})
        return store(exported, (), [self.archive()], id_=id_, environment="local", created_at=NOW)

    def restored(self, sql: str, which: str = "latest") -> list[tuple[Any, ...]]:
        """What a DuckDB file that the backup was restored into answers."""
        file = self.root / "restored.duckdb"
        archive = self.archive()
        report = restore(archive, archive.chosen(which), in_file(file), self.root, replace=True)
        assert not report.mismatches
        with duckdb.connect(str(file), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()

    @cached_property
    def other(self) -> ArchivableConfig:
        """Another warehouse of the engine, which is not there yet."""
        return self.config.elsewhere(self.engine.other(self.root))


@pytest.fixture(params=[name for name, one in ENGINES.items() if one.server and name != "ducklake"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    wanted = request.config.getoption("--warehouse")
    if wanted not in (None, request.param):
        pytest.skip(f"`make test-warehouse KIND={request.param}` runs it")
    if wanted is None and request.param in EMULATED and request.function.__name__ not in SAMPLE:
        pytest.skip(f"a sample; `make test-warehouse KIND={request.param}` runs it")
    engine = served(ENGINES[request.param], request, monkeypatch)
    yield Place(request.param, engine, tmp_path)
    if engine.emptied is not None:
        engine.emptied(tmp_path)


def kinds(place: Place) -> tuple[Column, ...]:
    held = [kind for kind in VALUES if kind not in NOT_HELD.get(place.name, ())]
    made = tuple(Column(f"c{n}", kind, "") for n, kind in enumerate(held))
    return (COLUMNS[0], *made, COLUMNS[3])


def load_kinds(place: Place) -> Path:
    """Rows of every type, and one of NULLs, landed and loaded; their Parquet file."""
    held = [column.type for column in kinds(place)[1:-1]]
    rows = [(n, *(VALUES[kind][n] for kind in held), n) for n in range(3)]
    rows.append((3, *(None for _ in held), 3))
    chain = Chain(place.root / "kinds", table=TableId("shop", "kinds"), columns=kinds(place), partition=None)
    made, parts = chain.next("merge", rows)
    with place.open() as warehouse:
        warehouse.load(made, parts)
    return parts[0]


def chain_of(place: Place, name: str) -> Chain:
    return Chain(place.root / name, table=TableId("shop", name))


def load(place: Place, chain: Chain, rows: Sequence[Sequence[Any]]) -> None:
    made, parts = chain.next("merge", rows)
    with place.open() as warehouse:
        warehouse.load(made, parts)


def test_every_value_comes_back_as_it_was_landed(place: Place) -> None:
    landed = load_kinds(place)
    report = place.back_up()
    labels = [table.label for table in report.manifest.tables]
    assert "raw_shop.kinds" in labels and "_data_platform.loaded_batches" in labels
    (table,) = (one for one in report.manifest.tables if one.label == "raw_shop.kinds")
    assert table.rows == 4 and sum(part.rows for part in table.parts) == 4
    columns = kinds(place)
    texts = ", ".join(
        f"{column.name}::{READ_AS.get(column.type, column.type)}::VARCHAR" for column in columns
    )
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        expected = engine.execute(f"SELECT {texts} FROM read_parquet('{landed}') ORDER BY id").fetchall()
    found = place.restored(f"SELECT {texts} FROM raw_shop.kinds ORDER BY id")
    for number, column in enumerate(columns):
        assert [row[number] for row in found] == [row[number] for row in expected], column.type
    records = place.restored('SELECT "table", rows_inserted FROM _data_platform.loaded_batches')
    assert records == [("kinds", 4)]


def test_it_is_restored_into_the_engine_with_the_types_that_it_had(place: Place) -> None:
    load_kinds(place)
    chain = chain_of(place, "orders")
    load(place, chain, [(1, "2026-01-01", "a", 1), (2, None, None, 2)])
    with place.open() as warehouse:
        grammar = warehouse.grammar
        sums = grammar.relation("marts", "sums")
        orders = grammar.relation("raw_shop", "orders")
        warehouse.session.define(
            [grammar.create_schema("marts"), f"CREATE TABLE {sums} AS SELECT count(*) AS n FROM {orders}"]
        )
    place.back_up()
    archive = place.archive()
    report = restore(archive, archive.chosen("latest"), place.other, place.root)
    assert not report.mismatches
    assert place.restored("SELECT n FROM marts.sums") == [(2,)]
    with place.open() as one, place.other.open(place.root) as other:
        for name in ("kinds", "orders"):
            (was,), (now,) = one.describe("raw_shop", name), other.describe("raw_shop", name)
            assert shape(place, now.columns) == shape(place, was.columns)
        again = other.grammar.relation("marts", "sums")
        assert other.query(f"SELECT n FROM {again}").rows == [(2,)], "what dbt made is there, too"
        assert other.loaded(TableId("shop", "orders")) == one.loaded(TableId("shop", "orders"))
        made, parts = chain.next("merge", [(2, "2026-01-02", "b", 3), (3, None, None, 3)])
        done = other.load(made, parts)
        assert (done.rows_inserted, done.rows_deleted) == (2, 1), "it goes on where the backup ended"


def shape(place: Place, columns: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Snowflake's emulator forgets the sizes of texts in a database that takes another's name."""
    if "sizes" not in LACKS.get(place.name, ()):
        return list(columns)
    return [(name, "VARCHAR" if kind.startswith("VARCHAR") else kind) for name, kind in columns]


def test_equal_rows_make_equal_files_whatever_order_they_came_in(place: Place) -> None:
    rows = [(n, f"2026-01-{1 + n % 28:02}", f"note {n}", n) for n in range(200)]
    chain = chain_of(place, "orders")
    load(place, chain, rows)
    first = place.back_up("00000001")
    load(place, chain, [row for row in reversed(rows) if row[0] % 2])
    second = place.back_up("00000002")

    def objects(report: BackupReport) -> list[str]:
        (found,) = (one for one in report.manifest.tables if one.label == "raw_shop.orders")
        return [part.sha256 for part in found.parts]

    with place.open() as warehouse:
        (table,) = (one for one in warehouse.inventory().tables if one.name == "orders")
    plain = [column.name for column in table.columns if not column.name.startswith("_")]
    assert len(objects(first)) == len(objects(second)) == 1
    keys = [
        part.key
        for one in (first, second)
        for t in one.manifest.tables
        if t.label == "raw_shop.orders"
        for part in t.parts
    ]
    one, other = (pq.read_table(place.root / "primary" / key, columns=plain) for key in keys)
    assert one.equals(other), "but for which batch brought a row"


def test_all_tables_are_of_one_instant(place: Place) -> None:
    """A load between the reading of two tables is in none of them."""
    if "time travel" in LACKS.get(place.name, ()):
        pytest.skip("the emulator has no past")
    chains = [chain_of(place, name) for name in ("a", "b", "c")]
    for chain in chains:
        load(place, chain, [(1, "2026-01-01", "before", 1)])
    done: list[str] = []

    def progress(table: str, rows: int) -> None:
        if not done and table.startswith("raw_shop"):
            done.append(table)
            for chain in chains:
                load(place, chain, [(2, "2026-01-02", "meanwhile", 2)])

    place.back_up(progress=progress)
    assert done
    found = place.restored(
        "SELECT count(*), max(note) FROM raw_shop.a UNION ALL SELECT count(*), max(note) FROM raw_shop.b"
        " UNION ALL SELECT count(*), max(note) FROM raw_shop.c UNION ALL SELECT count(*), '' FROM _data_platform.loaded_batches"
    )
    assert found == [(1, "before")] * 3 + [(3, "")]


def test_a_value_that_the_unload_changes_is_found_by_its_table(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_kinds(place)
    for change in ("value", "row", "file"):
        with monkeypatch.context() as patched, pytest.raises(BackupDamaged, match=r"raw_shop\.kinds"):
            _damaging(place, patched, change)
            place.back_up(change)
        assert place.archive().ids() == []


def _damaging(place: Place, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """What the session unloads of a table of many columns is another thing than the table."""
    with place.open() as warehouse:
        session = type(warehouse.session)
    unloaded = session.unloaded

    def other(self: Any, query: str, folder: Path) -> list[Path]:
        paths = list(unloaded(self, query, folder))
        tables = [(path, pq.read_table(path)) for path in paths]
        if not tables or tables[0][1].num_columns < len(kinds(place)):
            return paths
        path, table = next(pair for pair in tables if pair[1].num_rows)
        if change == "file":
            return [one for one in paths if one != path]
        if change == "row":
            pq.write_table(table.slice(1), path)
        else:
            first = table.column(0).combine_chunks()
            changed = pa.concat_arrays([pa.array([77]).cast(first.type), first.slice(1)])
            pq.write_table(table.set_column(0, table.schema.field(0), changed), path)
        return paths

    monkeypatch.setattr(session, "unloaded", other)


def test_planted_damage_is_named_by_verify_and_by_the_drill(place: Place) -> None:
    load(place, chain_of(place, "orders"), [(n, "2026-01-01", "x" * n, 1) for n in range(50)])
    report = place.back_up()
    archive = place.archive()
    (table,) = (one for one in report.manifest.tables if one.label == "raw_shop.orders")
    path = place.root / "primary" / table.parts[0].key
    whole = path.read_bytes()
    assert archive.damage(report.manifest, deep=True) == []
    assert drill(archive, "latest", place.config.trial(place.root / "trial"), place.root).mismatches == ()
    (place.root / "trial").mkdir(exist_ok=True)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for planted, words in (
        (bytes(flipped), "does not match its SHA-256"),
        (whole[:-5], "bytes instead of"),
        (None, "is missing"),
    ):
        path.unlink(missing_ok=True)
        if planted is not None:
            path.write_bytes(planted)
        (line,) = archive.damage(report.manifest, deep=True)
        assert "raw_shop.orders" in line and words in line
        found = drill(archive, "latest", place.config.trial(place.root / "trial"), place.root)
        (mismatch,) = found.mismatches
        assert "raw_shop.orders" in mismatch and words in mismatch
        with pytest.raises(BackupDamaged, match=r"raw_shop\.orders"):
            restore(archive, archive.chosen("latest"), place.other, place.root)
        assert not place.other.exists(place.root), "nothing of it stays"


def test_a_fingerprint_that_the_manifest_says_wrongly_is_found_by_the_engine(place: Place) -> None:
    """The rows that were restored are counted by the engine itself, not by what sent them."""
    load(place, chain_of(place, "orders"), [(1, "2026-01-01", "a", 1)])
    manifest = place.back_up().manifest
    tables = tuple(
        replace(one, fingerprint=one.fingerprint ^ 1) if one.label == "raw_shop.orders" else one
        for one in manifest.tables
    )
    other: BackupManifest = replace(manifest, tables=tables).sealed()
    with pytest.raises(BackupDamaged, match=r"raw_shop\.orders holds 1 rows instead of 1"):
        restore(place.archive(), other, place.other, place.root)


def test_a_type_that_parquet_does_not_keep_is_named_before_anything_is_written(place: Place) -> None:
    columns, named = UNKEPT[place.name]
    load(place, chain_of(place, "orders"), [(1, "2026-01-01", "a", 1)])
    with place.open() as warehouse:
        odd = warehouse.grammar.relation("raw_shop", "odd")
        warehouse.session.define([f"CREATE TABLE {odd} ({columns})"])
    began: list[str] = []
    with pytest.raises(WarehouseError, match=named):
        place.back_up(progress=lambda table, rows: began.append(table))
    assert not began and not list((place.root / "written-00000000").iterdir())


def test_a_type_of_a_manifest_that_no_engine_told_is_not_run(place: Place) -> None:
    load(place, chain_of(place, "orders"), [(1, "2026-01-01", "a", 1)])
    manifest = place.back_up().manifest
    inventory = manifest.inventory
    (stored,) = (one for one in inventory.tables if one.name == "orders")
    columns = (replace(stored.columns[0], held="BIGINT); DROP TABLE x; --"), *stored.columns[1:])
    with (
        place.open() as warehouse,
        pytest.raises(WarehouseError, match=r"refused: the column id of raw_shop\.orders"),
    ):
        warehouse.restore(replace(inventory, tables=(replace(stored, columns=columns),)))


SHOP = """\
source: shop
kind: postgres
owner: team:data
connection: {url_env: SHOP_URL}
start: 2026-01-01
tables: {orders: {key: id}}
"""


def a_project(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the warehouse and a backup store, as the working folder."""
    environment = {
        "landing": {"kind": "local", "path": ".data/landing"},
        "warehouse": place.config.model_dump(mode="json", exclude_none=True),  # type: ignore[attr-defined]
        "backups": {"store": {"kind": "local", "path": ".data/backups"}, "start": "2026-11-01"},
    }
    (place.root / "catalog/sources").mkdir(parents=True)
    (place.root / "catalog/platform.yaml").write_text(json.dumps({"environments": {"local": environment}}))
    (place.root / "catalog/sources/shop.yaml").write_text(SHOP)
    monkeypatch.chdir(place.root)
    monkeypatch.setenv("DAGSTER_HOME", "")
    for name in ("DATA_PLATFORM_HOME", "DATA_PLATFORM_ENV"):
        monkeypatch.delenv(name, raising=False)


def test_the_assets_make_one_and_hold_the_drill(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    load(place, chain_of(place, "orders"), [(1, "2026-01-01", "a", 1)])
    a_project(place, monkeypatch)
    config = open_platform(place.root, "local").environment.backups
    assert config is not None
    made = dg.Definitions.merge(
        backup_definitions(config, place.config, [], running=False),
        dg.Definitions(resources=resources(place.root, "local")),
    )
    job = made.resolve_implicit_global_asset_job_def()
    with dg.instance_for_test() as instance:
        today = datetime.now(UTC).date().isoformat()
        for key, partition in ((BACKUP, today), (DRILL, None)):
            subset = job.get_subset(asset_selection={key}, asset_check_selection=set())
            assert subset.execute_in_process(instance=instance, partition_key=partition).success
        event = instance.get_latest_materialization_event(DRILL)
    assert event is not None and event.asset_materialization is not None
    assert event.asset_materialization.metadata["mismatches"].value == 0
    assert place.root.joinpath(".data/backups/warehouse/manifests").exists()


def test_the_commands_make_one_verify_it_and_restore_it_into_a_file_and_into_the_engine(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load(place, chain_of(place, "orders"), [(1, "2026-01-01", "a", 1)])
    a_project(place, monkeypatch)
    for words, said in (
        (("backup", "run"), "verified in the backup store primary"),
        (("backup", "verify"), "every byte is as it was written"),
        (("restore", "warehouse", "--into", "copy.duckdb"), "each table's fingerprint as it was backed up"),
        (("restore", "warehouse", "--into", place.engine.other(place.root)), "each table's fingerprint"),
    ):
        assert run([str(word) for word in words]) == 0, capsys.readouterr().err
        assert said in capsys.readouterr().out
    with duckdb.connect("copy.duckdb", read_only=True) as connection:
        assert connection.execute("SELECT id, note FROM raw_shop.orders").fetchall() == [(1, "a")]
    (report,) = hold_drills(open_platform(place.root, "local"))
    assert report.mismatches == () and report.tables > 1
    assert run(["restore", "warehouse", "--into", "copy.duckdb"]) == 8
    assert "--replace" in capsys.readouterr().err


def numbers(seed: int, count: int) -> list[float]:
    """Doubles of all sizes, each beside the next one that there is."""
    chosen = random.Random(seed)
    found: list[float] = [0.0, 1.0, 0.1, 1e15, 123456789.123456789, 5e300, 9e299, 1e-280, 1e-279]
    while len(found) < count:
        bits = chosen.getrandbits(64)
        (value,) = struct.unpack("<d", struct.pack("<Q", bits))
        if value == value and 1e-290 < abs(value) < 1e308:
            (beside,) = struct.unpack("<d", struct.pack("<Q", bits ^ 1))
            found += [value, beside]
    return found


def test_a_doubles_text_tells_it_from_the_one_beside_it_and_is_the_same_on_both_sides(place: Place) -> None:
    values = numbers(20261122, 400)
    columns = (COLUMNS[0], Column("x", "DOUBLE", ""), COLUMNS[3])
    chain = Chain(place.root / "doubles", table=TableId("shop", "doubles"), columns=columns, partition=None)
    made, parts = chain.next("merge", [(n, repr(value), n) for n, value in enumerate(values)])
    with place.open() as warehouse:
        warehouse.load(made, parts)
        grammar = warehouse.grammar
        (held,) = (kind for name, kind in warehouse.describe("raw_shop", "doubles")[0].columns if name == "x")
        kept = grammar.kept(held)
        text = put(kept.text, grammar.quote("x"))
        rows = warehouse.query(
            f"SELECT id, {text} FROM {grammar.relation('raw_shop', 'doubles')} ORDER BY id"
        ).rows
    with duckdb.connect() as engine:
        twins = engine.execute(
            f"SELECT id, {put(kept.twin, 'x')} FROM read_parquet('{parts[0]}') ORDER BY id"
        ).fetchall()
    assert [tuple(row) for row in rows] == twins
    assert len({text for _, text in twins}) == len(set(values))


def test_what_is_left_on_the_way_is_gone(place: Place) -> None:
    load(place, chain_of(place, "orders"), [(1, "2026-01-01", "a", 1)])
    place.back_up()
    assert LEFT[place.name](place) == []


LACKS: dict[str, tuple[str, ...]] = {"snowflake": ("time travel", "COPY INTO a stage", "sizes")}
"""What an emulator cannot do of a backup; the statements for it are compiled and parsed instead (``test_archive_words.py``)."""
FALLBACKS: dict[str, dict[str, object]] = {"snowflake": {"unload": "client", "time_travel": False}}
"""Settings for an engine without what its emulator lacks."""
UNKEPT = {
    "snowflake": (
        "a NUMBER(3,0), b VARIANT, c OBJECT",
        r"raw_shop\.odd\.b is of the type VARIANT; raw_shop\.odd\.c",
    ),
    "bigquery": (
        "a INT64, b ARRAY<INT64>, c STRUCT<d INT64>",
        r"raw_shop\.odd\.b is of the type ARRAY<INT64>; raw_shop\.odd\.c",
    ),
    "redshift": (
        "a BIGINT, b INTERVAL, c TIMETZ",
        r"raw_shop\.odd\.b is of the type INTERVAL; raw_shop\.odd\.c",
    ),
}


def _left_in_staging(place: Place) -> list[str]:
    import boto3

    bucket, _, prefix = place.config.staging.removeprefix("s3://").partition("/")  # type: ignore[attr-defined]
    listed = boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/unload_")
    return [one["Key"] for one in listed.get("Contents", [])]


def _nothing(place: Place) -> list[str]:
    """It was read through the client."""
    return []


LEFT: dict[str, Callable[[Place], list[str]]] = {
    "redshift": _left_in_staging,
    "bigquery": _nothing,
    "snowflake": _nothing,
}

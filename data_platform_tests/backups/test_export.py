"""What is written of a warehouse: exact, whole, the same bytes for the same rows, and proven so."""

from __future__ import annotations

import random
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from data_platform.backups import export as export_module
from data_platform.backups import parquet
from data_platform.errors import BackupDamaged, DataPlatformError, LandingError, WarehouseError
from data_platform_tests.backups.conftest import Box, open_at

VALUES = {
    "boolean": "true",
    "tinyint": "-128",
    "smallint": "32767",
    "integer": "-2147483648",
    "bigint": "9223372036854775807",
    "hugeint": "-170141183460469231731687303715884105727",
    "uhugeint": "340282366920938463463374607431768211455",
    "utinyint": "255",
    "ubigint": "18446744073709551615",
    "float": "0.1",
    "double": "'nan'",
    "decimal(38,10)": "1234567890123456789012345678.0123456789",
    "varchar": "'ünïcode' || chr(10) || chr(0)",
    "blob": "'\\x00\\xff'::blob",
    "json": """'{"a": [1, null], "b": "x"}'""",
    "uuid": "'00000000-0000-0000-0000-00000000000f'",
    "uuid[]": "['00000000-0000-0000-0000-00000000000f'::uuid, null]",
    "boolean[]": "[true, null, false]",
    "date": "date '0044-03-15 (BC)'",
    "timestamp": "'infinity'",
    "timestamptz": "'-infinity'",
    "timestamp_ns": "'2026-01-01 00:00:00.123456789'",
    "time": "'23:59:59.999999'",
    "timetz": "'23:59:59.999999+01:30'",
    "interval": "interval '14 months -3 days 4.000005 seconds'",
    "bit": "'0101'",
    "integer[]": "[1, null, 3]",
    "varchar[][]": "[['a'], [], null]",
}


def test_every_type_comes_back_as_it_was(box: Box) -> None:
    columns = ", ".join(f"c{n} {kind}" for n, kind in enumerate(VALUES))
    box.execute(
        f"create table raw_shop.types ({columns})",
        f"insert into raw_shop.types values ({', '.join(VALUES.values())})",
        f"insert into raw_shop.types values ({', '.join(['null'] * len(VALUES))})",
    )
    box.back_up()
    assert box.restore().mismatches == ()
    ask = "select columns(*)::varchar from raw_shop.types order by all"
    assert box.rows(ask, box.root / "restored.duckdb") == box.rows(ask)
    types = (
        "select column_name, data_type from duckdb_columns() where table_name = 'types' order by column_index"
    )
    assert box.rows(types, box.root / "restored.duckdb") == box.rows(types)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (
            "create table raw_shop.bad (x struct(a int, b uuid))",
            "column x of raw_shop.bad is of the type STRUCT",
        ),
        ("create table raw_shop.bad (x map(int, int))", "column x of raw_shop.bad"),
        ("create sequence raw_shop.numbers", "sequence raw_shop.numbers"),
        ("create macro raw_shop.twice(x) as x * 2", "macro raw_shop.twice"),
        ("create type raw_shop.mood as enum ('good')", "type raw_shop.mood"),
    ],
)
def test_what_would_not_come_back_is_refused_by_name(box: Box, statement: str, named: str) -> None:
    box.execute(statement)
    with pytest.raises(WarehouseError, match=named.replace("(", r"\(")):
        box.back_up()
    assert box.archive().ids() == []


def test_the_same_rows_make_the_same_bytes_however_they_came(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_module, "PART_BYTES", 100_000)
    box.execute(
        "create table raw_shop.many as select (n * 7919) % 30011 as k, 'v' || n % 10 as v from range(30000) r(n)"
    )
    first = box.export("first")
    many = next(table for table in first.tables if table.table.name == "many")
    assert len(many.parts) > 1, "cut into parts"
    box.execute(
        "create table raw_shop.other as select * from raw_shop.many order by hash(k)",
        "drop table raw_shop.many",
        "alter table raw_shop.other rename to many",
    )
    second = box.export("second")
    assert [t.parts for t in first.tables] == [t.parts for t in second.tables]
    assert [t.fingerprint for t in first.tables] == [t.fingerprint for t in second.tables]


def test_every_page_carries_a_checksum(box: Box) -> None:
    """Of bytes flipped within the pages, none passes unseen."""
    exported = box.export()
    path = max(exported.paths.values(), key=lambda path: path.stat().st_size)
    whole = path.read_bytes()
    chance = random.Random(1)
    for _ in range(60):
        flipped = bytearray(whole)
        flipped[chance.randrange(4, int(len(whole) * 0.9))] ^= 1 << chance.randrange(8)
        path.write_bytes(bytes(flipped))
        with (
            pytest.raises(BackupDamaged, match="not an intact Parquet file"),
            parquet.checked(path, "part") as rows,
        ):
            rows.read_all()
    path.write_bytes(whole)
    with parquet.checked(path, "part") as rows:
        assert rows.read_all().num_rows == 5000


def test_a_damaged_page_is_named_whoever_reads_it(box: Box) -> None:
    """The engine that hashes the rows raises an error of its own for it."""
    exported = box.export()
    table = next(one for one in exported.tables if one.table.name == "orders")
    path = exported.paths[table.parts[0].key]
    flipped = bytearray(path.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    path.write_bytes(bytes(flipped))
    with (
        open_at(box.file) as warehouse,
        pytest.raises(BackupDamaged, match="the part is not an intact Parquet file"),
        parquet.checked(path, "the part") as rows,
    ):
        warehouse.row_fingerprint(table.table, rows)


def test_values_that_do_not_come_through_are_seen_before_anything_is_stored(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = parquet.write

    def lossy(part: pa.Table, path: Path) -> None:
        if "note" in part.column_names:
            part = part.set_column(1, "note", pa.nulls(part.num_rows, pa.string()))
        write(part, path)

    monkeypatch.setattr(parquet, "write", lossy)
    with pytest.raises(BackupDamaged, match=r"raw_shop\.orders .* were not preserved"):
        box.back_up()
    assert box.archive().store.list("") == []


def test_a_backup_is_of_one_instant(box: Box) -> None:
    """A writer in the same process commits between two tables: neither shows it."""
    with duckdb.connect(str(box.file)) as writer:
        from data_platform.warehouses.duckdb.warehouse import DuckDBWarehouse

        reader = DuckDBWarehouse(writer.cursor(), box.file, read_only=True)
        with reader.snapshot():
            inventory = reader.inventory()
            orders = next(t for t in inventory.tables if t.name == "orders")
            before = reader.row_fingerprint(orders)
            writer.execute("delete from raw_shop.orders where id < 100")
            assert reader.row_fingerprint(orders) == before
            assert sum(b.num_rows for b in reader.read_ordered(orders)) == 5000
        assert reader.row_fingerprint(orders)[0] == 4900


class Broken:
    """A store that fails at one call."""

    def __init__(self, inner: object, call: str) -> None:
        self._inner, self._call = inner, call

    def __getattr__(self, name: str) -> object:
        if name == self._call:
            raise LandingError("the disk is on fire")
        return getattr(self._inner, name)


@pytest.mark.parametrize("call", ["put_file", "put_new", "local", "scratch", "read"])
def test_a_copy_that_fails_is_told_and_keeps_no_other_from_being_made(box: Box, call: str) -> None:
    broken = box.archive("broken")
    inner = broken.open
    broken.open = lambda: Broken(inner(), call)  # type: ignore[assignment,return-value]
    broken.store = broken.reader = broken.open()
    report = box.back_up(box.archive(), broken, box.archive("third"))
    assert report.stored == ("primary", "third")
    assert "on fire" in str(report.failed["broken"])
    if call != "read":
        assert box.archive("broken").ids() == [], "without its manifest there is no backup"
    assert box.archive("third").damage(report.manifest, deep=True) == []


@pytest.mark.parametrize("call", ["put_file", "put_new", "local", "scratch"])
def test_the_backup_store_itself_must_not_fail(box: Box, call: str) -> None:
    broken = box.archive()
    inner = broken.open
    broken.open = lambda: Broken(inner(), call)  # type: ignore[assignment,return-value]
    broken.store = broken.reader = broken.open()
    with pytest.raises(DataPlatformError):
        box.back_up(broken)
    assert box.archive().ids() == []
    assert box.back_up().stored == ("primary",), "and the next run converges"

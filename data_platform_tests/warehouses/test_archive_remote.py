"""Backups of warehouses behind a connection: by the engine's own unload where its stand-in has one, proven and restored.

Redshift's stand-in does UNLOAD by itself; what the emulators of the others lack is in ``LACKS``.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from data_platform.backups.export import BackupReport
from data_platform.backups.restore import restore
from data_platform.tables import Column, TableId
from data_platform.warehouses.remote.kept import put
from data_platform_tests.contracts.batches import COLUMNS, Chain
from data_platform_tests.warehouses.archive_places import (
    LACKS,
    READ_AS,
    Place,
    chain_of,
    kinds,
    load,
    load_kinds,
    place,
)

__all__ = ["place"]
pytestmark = pytest.mark.slow


def test_every_value_comes_back_as_it_was_landed_and_with_the_type_that_it_had(place: Place) -> None:
    """Into a file of DuckDB, and into the engine, where the next load goes on."""
    landed = load_kinds(place)
    chain = chain_of(place, "orders")
    load(place, chain, [(1, "2026-01-01", "a", 1), (2, None, None, 2)])
    with place.open() as warehouse:
        grammar = warehouse.grammar
        sums = grammar.relation("marts", "sums")
        orders = grammar.relation("raw_shop", "orders")
        warehouse.session.define(
            [grammar.create_schema("marts"), f"CREATE TABLE {sums} AS SELECT count(*) AS n FROM {orders}"]
        )
    report = place.back_up()
    values_are_those_landed(place, report, landed)
    the_engine_goes_on(place, chain)


def values_are_those_landed(place: Place, report: BackupReport, landed: Path) -> None:
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
    others = 'SELECT list(("table", rows_inserted) ORDER BY "table"), (SELECT n FROM marts.sums) FROM _data_platform.loaded_batches'
    assert place.asked(others) == [([("kinds", 4), ("orders", 2)], 2)]


def the_engine_goes_on(place: Place, chain: Chain) -> None:
    archive = place.archive()
    report = restore(archive, archive.chosen("latest"), place.other, place.root)
    assert not report.mismatches
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

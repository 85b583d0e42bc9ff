"""What a warehouse answers of its tables: fingerprints, tallies, what differs from parts, when they were read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from data_platform.duckdb_sql import duckdb_token
from data_platform.errors import QueryFailed, WarehouseError
from data_platform.tables import Fingerprint, Slice, Tally
from data_platform.warehouses import Look, Warehouse
from data_platform_tests.contracts.batches import COLUMNS, LAYOUT, TABLE, Chain, write_part
from data_platform_tests.contracts.engines import Engine, raw
from data_platform_tests.slices import duckdb_slice


def test_fingerprints_are_those_of_the_parts(warehouse: Warehouse, chain: Chain) -> None:
    """The source's side runs the same definition over the batch's Parquet."""
    made, parts = chain.next("replace", [(n, f"2026-01-0{1 + n % 3}", "x", 100 + n) for n in range(50)])
    warehouse.load(made, parts)
    sql = f"{duckdb_slice(COLUMNS[1], 'UTC')}, count(*), sum({duckdb_token([COLUMNS[0]])})"
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        found = engine.execute(f"SELECT {sql} FROM read_parquet('{parts[0]}') GROUP BY 1").fetchall()
    expected = {Slice(s): Fingerprint(n, int(c) % 2**64) for s, n, c in found}
    assert warehouse.fingerprints(TABLE, LAYOUT) == expected
    assert sum(f.rows for f in expected.values()) == 50
    whole = warehouse.fingerprints(TABLE, replace(LAYOUT, partition=None))
    assert whole == {"all": Fingerprint(50, sum(f.checksum for f in expected.values()) % 2**64)}


def test_fingerprints_by_a_column_that_is_not_there_are_refused(warehouse: Warehouse, chain: Chain) -> None:
    warehouse.load(*chain.next("merge", [(1, "2026-01-01", "a", 1)]))
    with pytest.raises(WarehouseError, match="no column nothing"):
        warehouse.fingerprints(TABLE, replace(LAYOUT, partition="nothing"))


def test_query_and_describe(warehouse: Warehouse, chain: Chain) -> None:
    warehouse.load(*chain.next("merge", [(n, "2026-01-01", "a", 1) for n in range(5)]))
    found = warehouse.query(f"SELECT id, note FROM {raw(warehouse)} ORDER BY id", limit=2)
    assert (found.columns, found.rows) == (("id", "note"), [(0, "a"), (1, "a")])
    assert len(found.types) == 2
    with pytest.raises(QueryFailed, match="did not run"):
        warehouse.query("SELECT nothing FROM nowhere")
    relation = warehouse.describe("raw_shop", "orders")
    assert [(r.schema, r.name, r.kind) for r in relation] == [("raw_shop", "orders", "table")]
    assert [name for name, _ in relation[0].columns][-2:] == ["_batch_id", "_loaded_at"]


def test_values_are_bound_and_are_no_part_of_a_statement(
    engine: Engine, tmp_path: Path, chain: Chain
) -> None:
    """By the warehouse that loads, and by one that was opened to be read."""
    notes = ["it's", 'a "b" \\ ? % -- /* $1', "", "ü 🦆", "a' OR '1' = '1"]
    with engine.open(tmp_path) as warehouse:
        warehouse.load(*chain.next("merge", [(n, "2026-01-01", note, 1) for n, note in enumerate(notes)]))
        sql = f"SELECT id FROM {raw(warehouse)} WHERE note = ? AND note <> '?' AND id >= ? ORDER BY id"
        for number, note in enumerate(notes):
            assert warehouse.query(sql, [note, number]).rows == [(number,)]
        assert warehouse.query(sql, [notes[0], 1]).rows == []
    with engine.open(tmp_path, read_only=True) as warehouse:
        assert warehouse.query(sql, [notes[4], 0], limit=1).rows == [(4,)]
        cast = (
            f"SELECT count(*) FROM {raw(warehouse)} WHERE id = CAST(? AS {warehouse.dialect.type('BIGINT')})"
        )
        assert warehouse.query(cast, ["3"]).rows == [(1,)]
        for few in ([], ["a"], ["a", 1, 2]):
            with pytest.raises(QueryFailed, match="did not run"):
                warehouse.query(sql, few)


def test_tallies_are_rows_and_versions(warehouse: Warehouse, chain: Chain) -> None:
    assert warehouse.tallies(TABLE, LAYOUT) == {}
    held = [(1, "2026-01-01", "a", 10), (2, "2026-01-01", "b", 2**32 + 5), (3, None, "c", 7)]
    warehouse.load(*chain.next("merge", held))
    assert warehouse.tallies(TABLE, LAYOUT) == {"2026-01-01": Tally(2, 15), "null": Tally(1, 7)}
    assert warehouse.tallies(TABLE, replace(LAYOUT, version=None)) == {
        "2026-01-01": Tally(2, 0),
        "null": Tally(1, 0),
    }


def test_rows_that_differ_from_their_parts_are_counted_by_slice(warehouse: Warehouse, chain: Chain) -> None:
    held = [(n, f"2026-01-0{1 + n % 3}", "x", 1) for n in range(9)]
    made, parts = chain.next("merge", held)
    warehouse.load(made, parts)
    days = [Slice(f"2026-01-0{n}") for n in (1, 2, 3)]
    assert warehouse.altered(TABLE, LAYOUT, COLUMNS, parts, days) == {}
    other = [(0, "2026-01-01", "y", 1), *held[1:]]  # one version, another value
    newer = [(1, "2026-01-02", "y", 2)] + [row for row in other if row[0] != 1]
    part = write_part(chain.folder / "newer.parquet", COLUMNS, newer)
    assert warehouse.altered(TABLE, LAYOUT, COLUMNS, [part], days) == {"2026-01-01": 1, "2026-01-02": 0}
    assert warehouse.altered(TABLE, LAYOUT, COLUMNS, [part], days[2:]) == {}
    assert set(warehouse.altered(TABLE, LAYOUT, COLUMNS, [], days)) == set(days)


def test_reads_are_remembered(warehouse: Warehouse, chain: Chain) -> None:
    assert warehouse.reads() == {}
    warehouse.load(*chain.next("merge", [(1, "2026-01-01", "a", 1)]))
    (first,) = warehouse.reads().values()
    assert datetime.fromisoformat(first) == datetime(2026, 1, 10, tzinfo=UTC)
    warehouse.record_reads([Look(TABLE, "2026-01-11T00:00:00+00:00", reconciled=False)])
    (later,) = warehouse.reads().values()
    assert datetime.fromisoformat(later) == datetime(2026, 1, 11, tzinfo=UTC)

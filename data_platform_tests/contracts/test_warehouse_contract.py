"""What every warehouse promises: of ``load`` and what follows from it, of its dialect, of where it lies.

An engine joins with one line in ``ENGINES``: its configuration in a folder, and what it cannot do besides what its
``Traits`` say.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_platform.duckdb_sql import duckdb_token
from data_platform.errors import ConfigurationError, DuplicateKey, LoadRefused, QueryFailed, WarehouseError
from data_platform.quality.evaluate import evaluate
from data_platform.quality.newest import newest_data
from data_platform.quality.rule_sql import condition
from data_platform.quality.rules import Rule, parse_rule
from data_platform.tables import Column, Fingerprint, Layout, Slice, TableId, Tally, Treatment
from data_platform.warehouses import Look, QueryResult, Warehouse, WarehouseConfig
from data_platform.warehouses.archive import archivable
from data_platform.warehouses.dialect import counts
from data_platform.warehouses.duckdb.config import DuckDBConfig
from data_platform_tests.contracts.batches import COLUMNS, COMMITTED_AT, LAYOUT, TABLE, Chain, write_part
from data_platform_tests.contracts.toy_warehouse.config import ToyConfig
from data_platform_tests.slices import duckdb_slice

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Engine:
    """``config`` is of a warehouse in a folder. ``all_instants``: its times reach beyond year 9999, before year 1
    and to infinity. ``patterns``: it knows regular expressions."""

    config: Callable[[Path], WarehouseConfig]
    all_instants: bool = True
    patterns: bool = True

    def open(self, folder: Path, *, read_only: bool = False) -> AbstractContextManager[Warehouse]:
        return self.config(folder).open(folder, read_only, files=[folder])


ENGINES = {
    "duckdb": Engine(lambda folder: DuckDBConfig(path=folder / "warehouse.duckdb", threads=1)),
    "toy": Engine(lambda folder: ToyConfig(folder=folder / "toy"), all_instants=False, patterns=False),
}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return ENGINES[request.param]


@pytest.fixture
def warehouse(engine: Engine, tmp_path: Path) -> Iterator[Warehouse]:
    with engine.open(tmp_path) as opened:
        yield opened


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path / "parts")


def rows(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """The raw table by id, its instants as ISO days."""
    micros = warehouse.dialect.micros('"at"')
    found = warehouse.query(f"SELECT id, {micros}, note FROM raw_shop.orders ORDER BY id").rows
    return [(id_, None if at is None else iso(at)[:10], note) for id_, at, note in found]


def iso(micros: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).isoformat()


def test_a_new_warehouse_knows_nothing(warehouse: Warehouse) -> None:
    assert warehouse.loaded(TABLE) is None
    assert warehouse.loaded_all() == []
    assert warehouse.changed_since(TABLE) == {}
    assert warehouse.fingerprints(TABLE, LAYOUT) == {}
    assert warehouse.describe("raw_shop") == []


def test_refresh_then_changes(warehouse: Warehouse, chain: Chain) -> None:
    first, parts = chain.next(
        "replace", [(1, "2026-01-01", "a", 10), (2, "2026-01-02", "b", 10), (3, None, "c", 10)]
    )
    done = warehouse.load(first, parts)
    assert (done.rows_deleted, done.rows_inserted, done.vacated) == (0, 3, 0)
    assert done.touched == {"2026-01-01": 1, "2026-01-02": 1, "null": 1}
    second, parts = chain.next("merge", [(2, "2026-01-05", "b2", 11), (4, "2026-01-05", "d", 11)])
    done = warehouse.load(second, parts)
    assert (done.rows_deleted, done.rows_inserted, done.vacated) == (1, 2, 0)
    assert done.touched == {"2026-01-02": 1, "2026-01-05": 2}, "the slice a row left is touched too"
    assert rows(warehouse) == [
        (1, "2026-01-01", "a"),
        (2, "2026-01-05", "b2"),
        (3, None, "c"),
        (4, "2026-01-05", "d"),
    ]
    assert warehouse.changed_since(TABLE) == {"2026-01-01": 1, "2026-01-02": 2, "2026-01-05": 2, "null": 1}


def test_raw_rows_carry_their_batch_and_the_manifest_s_time(warehouse: Warehouse, chain: Chain) -> None:
    made, parts = chain.next("merge", [(1, "2026-01-01", "a", 10)])
    warehouse.load(made, parts)
    micros = warehouse.dialect.micros("_loaded_at")
    ((batch_id, at, version),) = warehouse.query(
        f"SELECT _batch_id, {micros}, _source_xmin FROM raw_shop.orders"
    ).rows
    assert (batch_id, iso(at), version) == (made.batch_id, COMMITTED_AT, 10)
    loaded = warehouse.loaded(TABLE)
    assert loaded is not None
    assert (loaded.table, loaded.sequence, loaded.batch_id) == (TABLE, 1, made.batch_id)
    assert (loaded.digest, loaded.loaded_at) == (made.digest, COMMITTED_AT)
    assert warehouse.loaded_all() == [loaded]


def test_what_the_rules_found_is_kept_once_a_table(warehouse: Warehouse, chain: Chain) -> None:
    assert warehouse.recorded_rules() == {}
    made, parts = chain.next("merge", [(1, "2026-01-01", "a", 10)])
    warehouse.load(made, parts)
    for sequence, text in ((1, '{"it\'s": "first"}'), (2, "second")):
        warehouse.record_rules(TABLE, sequence, text)
        assert warehouse.recorded_rules() == {TABLE: (sequence, text)}
    warehouse.record_rules(TableId("shop", "other"), 1, "x")
    assert warehouse.recorded_rules() == {TABLE: (2, "second"), TableId("shop", "other"): (1, "x")}


def test_loading_twice_changes_nothing(warehouse: Warehouse, chain: Chain) -> None:
    batches = [
        chain.next("replace", [(1, "2026-01-01", "a", 10)]),
        chain.next("merge", [(1, "2026-01-02", "b", 11)]),
    ]
    for made, parts in batches:
        warehouse.load(made, parts)
    before = rows(warehouse), warehouse.changed_since(TABLE), warehouse.loaded_all()
    for made, parts in batches:
        again = warehouse.load(made, parts)
        assert (again.rows_deleted, again.rows_inserted, again.touched) == (0, 0, {})
    assert (rows(warehouse), warehouse.changed_since(TABLE), warehouse.loaded_all()) == before


def test_what_was_loaded_is_there_after_reopening(engine: Engine, tmp_path: Path, chain: Chain) -> None:
    made, parts = chain.next("merge", [(1, "2026-01-01", "a", 10)])
    with engine.open(tmp_path) as warehouse:
        warehouse.load(made, parts)
    with engine.open(tmp_path) as warehouse:
        assert rows(warehouse) == [(1, "2026-01-01", "a")]
        assert warehouse.loaded(TABLE) is not None


def test_another_batch_of_a_loaded_sequence_is_refused(warehouse: Warehouse, chain: Chain) -> None:
    made, parts = chain.next("merge", [(1, "2026-01-01", "a", 10)])
    warehouse.load(made, parts)
    with pytest.raises(LoadRefused, match="batch 1"):
        warehouse.load(replace(made, nonce="other" * 4).sealed(), parts)


def test_a_gap_is_refused_unless_the_batch_replaces_the_table(warehouse: Warehouse, chain: Chain) -> None:
    chain.next("merge", [(1, "2026-01-01", "a", 10)])
    second, parts = chain.next("merge", [(2, "2026-01-01", "b", 10)])
    with pytest.raises(LoadRefused, match="does not follow"):
        warehouse.load(second, parts)
    third, parts = chain.next("replace", [(3, "2026-01-01", "c", 10)])
    warehouse.load(third, parts)
    assert rows(warehouse) == [(3, "2026-01-01", "c")]
    with pytest.raises(LoadRefused):
        warehouse.load(second, parts)


def test_a_batch_of_another_chain_is_refused(warehouse: Warehouse, chain: Chain) -> None:
    made, parts = chain.next("merge", [(1, "2026-01-01", "a", 10)])
    warehouse.load(made, parts)
    second, parts = chain.next("merge", [(2, "2026-01-01", "b", 10)], previous="0" * 64)
    with pytest.raises(LoadRefused, match="another batch 1"):
        warehouse.load(second, parts)


def test_a_kind_of_batch_from_a_later_version_is_refused(warehouse: Warehouse, chain: Chain) -> None:
    made, parts = chain.next("merge", [(1, "2026-01-01", "a", 10)], kind="compact")
    with pytest.raises(LoadRefused, match="compact"):
        warehouse.load(made, parts)


def test_replace_brings_a_new_shape_and_forgets_the_old_rows(warehouse: Warehouse, chain: Chain) -> None:
    warehouse.load(*chain.next("replace", [(1, "2026-01-01", "a", 10), (2, "2026-01-02", "b", 10)]))
    columns = (COLUMNS[0], COLUMNS[1], COLUMNS[3])
    made, parts = chain.next("replace", [(2, "2026-01-03", 12)], columns=columns)
    done = warehouse.load(made, parts)
    assert (done.rows_deleted, done.rows_inserted) == (2, 1)
    assert done.touched == {"2026-01-01": 1, "2026-01-02": 1, "2026-01-03": 1}
    shape = warehouse.describe("raw_shop", "orders")[0].columns
    assert [name for name, _ in shape] == ["id", "at", "_source_xmin", "_batch_id", "_loaded_at"]


def test_append_inserts_absent_keys_only(warehouse: Warehouse, chain: Chain) -> None:
    warehouse.load(*chain.next("append", [(1, "2026-01-01", "a", 10)]))
    done = warehouse.load(*chain.next("append", [(1, "2026-01-09", "later", 11), (2, "2026-01-02", "b", 11)]))
    assert (done.rows_deleted, done.rows_inserted) == (0, 1)
    assert done.touched == {"2026-01-02": 1}
    assert rows(warehouse) == [(1, "2026-01-01", "a"), (2, "2026-01-02", "b")]


def test_a_slice_replaces_its_days_deletes_included(warehouse: Warehouse, chain: Chain) -> None:
    warehouse.load(
        *chain.next(
            "replace",
            [
                (1, "2026-01-01", "a", 1),
                (2, "2026-01-01", "b", 1),
                (3, "2026-01-02", "c", 1),
                (4, None, "d", 1),
            ],
        )
    )
    done = warehouse.load(*chain.next("slice", [(1, "2026-01-01", "a2", 2)], slices=["2026-01-01", "null"]))
    assert rows(warehouse) == [(1, "2026-01-01", "a2"), (3, "2026-01-02", "c")]
    assert (done.rows_deleted, done.rows_inserted, done.vacated) == (3, 1, 2)
    assert done.touched == {"2026-01-01": 2, "null": 1}


def test_a_slice_takes_its_keys_out_of_other_days(warehouse: Warehouse, chain: Chain) -> None:
    warehouse.load(*chain.next("replace", [(1, "2026-01-01", "a", 1), (2, "2026-01-02", "b", 1)]))
    done = warehouse.load(*chain.next("slice", [(1, "2026-01-02", "a", 2)], slices=["2026-01-02"]))
    assert rows(warehouse) == [(1, "2026-01-02", "a")], "one row of the moved key; the deleted one is gone"
    assert done.vacated == 1
    assert done.touched == {"2026-01-01": 1, "2026-01-02": 1}


def test_an_empty_slice_empties_its_day(warehouse: Warehouse, chain: Chain) -> None:
    warehouse.load(*chain.next("replace", [(1, "2026-01-01", "a", 1), (2, "2026-01-02", "b", 1)]))
    done = warehouse.load(*chain.next("slice", [], slices=["2026-01-01"]))
    assert rows(warehouse) == [(2, "2026-01-02", "b")]
    assert (done.rows_deleted, done.rows_inserted, done.touched) == (1, 0, {"2026-01-01": 1})


def test_a_slice_needs_no_key(warehouse: Warehouse, chain: Chain) -> None:
    warehouse.load(*chain.next("replace", [(1, "2026-01-01", "a", 1), (1, "2026-01-02", "a", 1)], key=()))
    warehouse.load(*chain.next("slice", [(1, "2026-01-01", "x", 2)] * 2, slices=["2026-01-01"], key=()))
    found = sorted(rows(warehouse))
    assert found == [(1, "2026-01-01", "x"), (1, "2026-01-01", "x"), (1, "2026-01-02", "a")]
    reached = chain.digest
    for load in ("merge", "append"):
        with pytest.raises(LoadRefused, match="needs a key"):
            warehouse.load(*chain.next(load, [], key=()))
        chain.sequence, chain.digest = 2, reached


def test_a_table_without_partition_is_one_slice(warehouse: Warehouse, chain: Chain) -> None:
    chain.always = {"partition": None}
    done = warehouse.load(*chain.next("merge", [(1, "2026-01-01", "a", 1), (2, None, "b", 1)]))
    assert done.touched == {"all": 2}
    done = warehouse.load(*chain.next("slice", [(3, None, "c", 2)], slices=["all"]))
    assert done.touched == {"all": 2}
    assert [row[0] for row in rows(warehouse)] == [3]


def test_slices_are_days_of_the_table_s_zone(warehouse: Warehouse, chain: Chain) -> None:
    chain.always = {"timezone": "Asia/Kathmandu"}
    late = "2026-01-01 18:30:00+00"  # 00:15 of the next day there
    done = warehouse.load(*chain.next("replace", [(1, late, "a", 1), (2, "2026-01-01 18:00:00+00", "b", 1)]))
    assert done.touched == {"2026-01-01": 1, "2026-01-02": 1}
    warehouse.load(*chain.next("slice", [], slices=["2026-01-02"]))
    assert [row[0] for row in rows(warehouse)] == [2]


def test_days_that_are_no_ordinary_days_are_slices_too(
    engine: Engine, warehouse: Warehouse, chain: Chain
) -> None:
    if not engine.all_instants:
        pytest.skip("the engine's times are those of years 1 to 9999")
    odd = {
        1: ("0044-03-15 (BC) 12:00:00+00", "0044-03-15 BC"),
        2: ("12026-01-01 00:00:00+00", "12026-01-01"),
        3: ("infinity", "infinity"),
        4: ("-infinity", "-infinity"),
    }
    done = warehouse.load(*chain.next("replace", [(n, at, "x", 1) for n, (at, _) in odd.items()]))
    assert done.touched == {slice_: 1 for _, slice_ in odd.values()}
    assert set(warehouse.fingerprints(TABLE, LAYOUT)) == {slice_ for _, slice_ in odd.values()}
    warehouse.load(*chain.next("slice", [], slices=[slice_ for _, slice_ in odd.values()]))
    assert warehouse.query("SELECT count(*) FROM raw_shop.orders").rows == [(0,)]


def test_a_batch_of_no_rows_is_a_batch(warehouse: Warehouse, chain: Chain) -> None:
    made, _ = chain.next("merge", [])
    assert warehouse.load(made, []).rows_inserted == 0
    assert warehouse.loaded(TABLE) is not None
    assert warehouse.query("SELECT count(*) FROM raw_shop.orders").rows == [(0,)]
    empty, _ = chain.next("replace", [])
    warehouse.load(empty, [])


@pytest.mark.parametrize("load", ["replace", "merge", "append", "slice"])
@pytest.mark.parametrize(
    ("bad", "said"), [((1, "2026-01-01", "z", 2), "repeats"), ((None, None, "z", 2), "NULL")]
)
def test_a_bad_key_is_refused_before_anything_is_deleted(
    warehouse: Warehouse, chain: Chain, load: Any, bad: tuple[Any, ...], said: str
) -> None:
    warehouse.load(*chain.next("replace", [(1, "2026-01-01", "a", 1), (2, "2026-01-02", "b", 1)]))
    before = rows(warehouse), warehouse.changed_since(TABLE), warehouse.loaded_all()
    made, parts = chain.next(load, [(1, "2026-01-01", "y", 2), bad], slices=["2026-01-01"])
    with pytest.raises(DuplicateKey, match=rf"\(id\) of shop/orders .*{said}"):
        warehouse.load(made, parts)
    assert (rows(warehouse), warehouse.changed_since(TABLE), warehouse.loaded_all()) == before


def test_a_composite_key_counts_as_a_whole(warehouse: Warehouse, chain: Chain) -> None:
    chain.always = {"key": ("id", "note")}
    warehouse.load(*chain.next("merge", [(1, "2026-01-01", "a", 1), (1, "2026-01-01", "b", 1)]))
    warehouse.load(*chain.next("merge", [(1, "2026-01-02", "b", 2)]))
    assert rows(warehouse) == [(1, "2026-01-01", "a"), (1, "2026-01-02", "b")]


def test_a_key_may_hold_the_partition(warehouse: Warehouse, chain: Chain) -> None:
    chain.always = {"key": ("id", "at")}
    warehouse.load(*chain.next("merge", [(1, "2026-01-01", "a", 1)]))
    done = warehouse.load(*chain.next("merge", [(1, "2026-01-01", "b", 2)]))
    assert (done.rows_deleted, done.touched) == (1, {"2026-01-01": 1})


def test_a_new_column_flows(warehouse: Warehouse, chain: Chain) -> None:
    warehouse.load(*chain.next("merge", [(1, "2026-01-01", "a", 1)]))
    wider = (*COLUMNS, Column("amount", "DECIMAL(12,2)", "numeric(12,2)"))
    warehouse.load(*chain.next("merge", [(2, "2026-01-01", "b", 2, "1.50")], columns=wider))
    text = warehouse.dialect.try_cast("amount", "text")
    found = warehouse.query(f"SELECT id, {text} FROM raw_shop.orders ORDER BY id").rows
    assert found == [(1, None), (2, "1.50")]


def test_a_rule_s_column_may_go(warehouse: Warehouse, chain: Chain) -> None:
    ruled = (*COLUMNS, Column("_rule_note", "BOOLEAN", "boolean"))
    warehouse.load(*chain.next("merge", [(1, "2026-01-01", "a", 1, "true")], columns=ruled))
    warehouse.load(*chain.next("merge", [(2, "2026-01-01", "b", 2)]))
    found = warehouse.query("SELECT id, _rule_note FROM raw_shop.orders ORDER BY id").rows
    assert found == [(1, True), (2, None)]


@pytest.mark.parametrize(
    ("columns", "row", "said"),
    [
        ((COLUMNS[0], COLUMNS[1], COLUMNS[3]), (2, None, 2), "without note"),
        (
            (*COLUMNS[:2], Column("note", "BIGINT", "bigint"), COLUMNS[3]),
            (2, None, 5, 2),
            "another type of note",
        ),
        ((*COLUMNS, Column("_batch_id", "VARCHAR", "text")), (2, None, "x", 2, "y"), "_batch_id"),
    ],
)
def test_any_other_drift_is_refused_and_nothing_changes(
    warehouse: Warehouse, chain: Chain, columns: tuple[Column, ...], row: tuple[Any, ...], said: str
) -> None:
    warehouse.load(*chain.next("merge", [(1, "2026-01-01", "a", 1)]))
    made, parts = chain.next("merge", [row], columns=columns)
    with pytest.raises(LoadRefused, match=said):
        warehouse.load(made, parts)
    assert rows(warehouse) == [(1, "2026-01-01", "a")]
    assert len(warehouse.loaded_all()) == 1


def test_parts_with_fewer_rows_than_promised_are_refused(warehouse: Warehouse, chain: Chain) -> None:
    warehouse.load(*chain.next("replace", [(1, "2026-01-01", "a", 1)]))
    made, parts = chain.next("merge", [(1, "2026-01-02", "b", 2)], promised=2)
    with pytest.raises(LoadRefused, match=r"promises 2 rows .* hold 1"):
        warehouse.load(made, parts)
    assert rows(warehouse) == [(1, "2026-01-01", "a")]


def test_an_unreadable_part_changes_nothing(warehouse: Warehouse, chain: Chain) -> None:
    warehouse.load(*chain.next("replace", [(1, "2026-01-01", "a", 1)]))
    made, parts = chain.next("merge", [(1, "2026-01-02", "b", 2)])
    whole = parts[0].read_bytes()
    parts[0].write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WarehouseError, match="load batch 2 of shop/orders"):
        warehouse.load(made, parts)
    assert rows(warehouse) == [(1, "2026-01-01", "a")]
    parts[0].write_bytes(whole)
    warehouse.load(made, parts)
    assert rows(warehouse) == [(1, "2026-01-02", "b")]


def test_several_parts_and_odd_folder_names(warehouse: Warehouse, chain: Chain, tmp_path: Path) -> None:
    made, _ = chain.next("merge", [(1, "2026-01-01", "a", 1), (2, "2026-01-01", "b", 1)])
    folder = tmp_path / "note=x" / "[odd]*'name"
    parts = [
        write_part(folder / "0.parquet", COLUMNS, [(1, "2026-01-01", "a", 1)]),
        write_part(folder / "1.parquet", COLUMNS, [(2, "2026-01-01", "b", 1)]),
    ]
    warehouse.load(made, parts)
    assert rows(warehouse) == [(1, "2026-01-01", "a"), (2, "2026-01-01", "b")]


def test_odd_names_are_quoted(warehouse: Warehouse, tmp_path: Path) -> None:
    table = TableId("shop", 'Odd "table" name')
    columns = (Column('k"ey', "BIGINT", ""), Column("select", "TIMESTAMPTZ", ""), Column("d", "VARCHAR", ""))
    chain = Chain(tmp_path / "odd", table=table, columns=columns, key=('k"ey',), partition="select")
    warehouse.load(*chain.next("merge", [(1, "2026-01-01", "it's")]))
    done = warehouse.load(*chain.next("merge", [(1, "2026-01-02", "x")]))
    assert done.touched == {"2026-01-01": 1, "2026-01-02": 1}
    assert warehouse.describe("raw_shop")[0].columns[0][0] == 'k"ey'
    assert set(warehouse.fingerprints(table, Layout(('k"ey',), "select", "UTC", None))) == {"2026-01-02"}


def test_tables_do_not_touch_each_other(warehouse: Warehouse, chain: Chain, tmp_path: Path) -> None:
    users = Chain(tmp_path / "users", table=TableId("shop", "users"))
    warehouse.load(*chain.next("merge", [(1, "2026-01-01", "a", 1)]))
    warehouse.load(*users.next("merge", [(7, "2026-01-07", "u", 1)]))
    assert [(str(b.table), b.sequence) for b in warehouse.loaded_all()] == [
        ("shop/orders", 1),
        ("shop/users", 1),
    ]
    assert warehouse.changed_since(TABLE) == {"2026-01-01": 1}


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
    found = warehouse.query("SELECT id, note FROM raw_shop.orders ORDER BY id", limit=2)
    assert (found.columns, found.rows) == (("id", "note"), [(0, "a"), (1, "a")])
    assert len(found.types) == 2
    with pytest.raises(QueryFailed, match="did not run"):
        warehouse.query("SELECT nothing FROM nowhere")
    relation = warehouse.describe("raw_shop", "orders")
    assert [(r.schema, r.name, r.kind) for r in relation] == [("raw_shop", "orders", "table")]
    assert [name for name, _ in relation[0].columns][-2:] == ["_batch_id", "_loaded_at"]


GONE = (*COLUMNS, Column("gone", "BOOLEAN", "boolean"))


def test_a_deleted_row_takes_its_key_out_and_stays_out_itself(warehouse: Warehouse, chain: Chain) -> None:
    warehouse.load(*chain.next("replace", [(1, "2026-01-01", "a", 1), (2, "2026-01-02", "b", 1)]))
    made, parts = chain.next(
        "merge",
        [(1, None, None, 2, "true"), (3, "2026-01-03", "c", 2, "false"), (4, "2026-01-03", "d", 2, None)],
        columns=GONE,
        deleted="gone",
    )
    done = warehouse.load(made, parts)
    assert rows(warehouse) == [(2, "2026-01-02", "b"), (3, "2026-01-03", "c"), (4, "2026-01-03", "d")]
    assert (done.rows_deleted, done.rows_inserted, done.vacated) == (1, 2, 1)
    assert done.touched == {"2026-01-01": 1, "2026-01-03": 2}
    assert "gone" not in dict(warehouse.describe("raw_shop", "orders")[0].columns)
    assert warehouse.load(made, parts).touched == {}, "loading twice changes nothing"


def test_a_key_that_is_not_there_may_be_deleted(warehouse: Warehouse, chain: Chain) -> None:
    done = warehouse.load(
        *chain.next(
            "replace",
            [(1, "2026-01-01", "a", 1, "true"), (2, None, "b", 1, "false")],
            columns=GONE,
            deleted="gone",
        )
    )
    assert (done.rows_inserted, rows(warehouse)) == (1, [(2, None, "b")])
    done = warehouse.load(*chain.next("merge", [(7, None, None, 2, "true")], columns=GONE, deleted="gone"))
    assert (done.rows_deleted, done.rows_inserted, done.touched) == (0, 0, {})
    done = warehouse.load(*chain.next("merge", [(1, "2026-01-04", "again", 3)]))
    assert rows(warehouse) == [(1, "2026-01-04", "again"), (2, None, "b")]


def test_a_slice_may_delete_keys_of_other_days(warehouse: Warehouse, chain: Chain) -> None:
    warehouse.load(*chain.next("replace", [(1, "2026-01-01", "a", 1), (2, "2026-01-02", "b", 1)]))
    done = warehouse.load(
        *chain.next(
            "slice",
            [(1, None, None, 2, "true"), (3, "2026-01-02", "c", 2, "false")],
            slices=["2026-01-02"],
            columns=GONE,
            deleted="gone",
        )
    )
    assert rows(warehouse) == [(3, "2026-01-02", "c")]
    assert (done.vacated, done.touched) == (2, {"2026-01-01": 1, "2026-01-02": 1})


LINES: dict[str, Any] = {"key": ("id", "note"), "replaces": ("id",)}
"""Rows are lines of documents: ``id`` is the document, and all its lines come again where one of them changes."""
MARKED: dict[str, Any] = {"columns": GONE, "deleted": "gone"}


def test_rows_of_a_group_are_replaced_together(warehouse: Warehouse, chain: Chain) -> None:
    chain.always = LINES
    lines = [(1, "2026-01-01", "a", 1), (1, "2026-01-01", "b", 1), (2, "2026-01-02", "a", 1)]
    done = warehouse.load(*chain.next("merge", lines))
    assert (done.rows_deleted, done.rows_inserted) == (0, 3)
    made, parts = chain.next("merge", [(1, "2026-01-03", "b", 2), (1, "2026-01-03", "c", 2)])
    done = warehouse.load(made, parts)
    assert rows(warehouse) == [(1, "2026-01-03", "b"), (1, "2026-01-03", "c"), (2, "2026-01-02", "a")]
    assert (done.rows_deleted, done.rows_inserted, done.vacated) == (2, 2, 1), "the line a is gone"
    assert done.touched == {"2026-01-01": 2, "2026-01-03": 2}
    assert warehouse.load(made, parts).touched == {}, "loading twice changes nothing"


def test_a_group_that_became_empty_says_itself_alone(warehouse: Warehouse, chain: Chain) -> None:
    chain.always = LINES
    lines = [(1, "2026-01-01", "a", 1), (1, None, "b", 1), (2, "2026-01-02", "a", 1)]
    warehouse.load(*chain.next("replace", lines))
    empty = [(1, None, None, 2, "true"), (7, None, None, 2, "true"), (3, None, "x", 2, "false")]
    done = warehouse.load(*chain.next("merge", empty, **MARKED))
    assert rows(warehouse) == [(2, "2026-01-02", "a"), (3, None, "x")]
    assert (done.rows_deleted, done.rows_inserted, done.vacated) == (2, 1, 2)
    assert done.touched == {"2026-01-01": 1, "null": 1}
    both = [(2, None, None, 3, "true"), (2, "2026-01-05", "z", 3, "false")]
    warehouse.load(*chain.next("merge", both, **MARKED))
    assert rows(warehouse) == [(2, "2026-01-05", "z"), (3, None, "x")]
    warehouse.load(*chain.next("replace", [(9, None, None, 4, "true")], **MARKED))
    assert rows(warehouse) == []


def test_a_key_that_comes_in_another_group_goes_over_to_it(warehouse: Warehouse, chain: Chain) -> None:
    chain.always = {"key": ("id",), "replaces": ("note",)}
    warehouse.load(*chain.next("merge", [(n, None, "one", 1) for n in (1, 2, 3)] + [(4, None, "two", 1)]))
    done = warehouse.load(*chain.next("merge", [(3, None, "two", 2), (5, None, "two", 2)]))
    assert rows(warehouse) == [(1, None, "one"), (2, None, "one"), (3, None, "two"), (5, None, "two")]
    assert (done.rows_deleted, done.rows_inserted, done.vacated) == (2, 2, 1)


def test_groups_are_replaced_without_a_key_too(warehouse: Warehouse, chain: Chain) -> None:
    chain.always = {"key": (), "replaces": ("note",)}
    warehouse.load(*chain.next("merge", [(1, None, "one", 1), (1, None, "one", 1), (2, None, "two", 1)]))
    done = warehouse.load(*chain.next("merge", [(1, None, "one", 2)]))
    assert sorted(rows(warehouse)) == [(1, None, "one"), (2, None, "two")]
    assert (done.rows_deleted, done.rows_inserted) == (2, 1)


def test_a_slice_takes_groups_out_of_other_days(warehouse: Warehouse, chain: Chain) -> None:
    chain.always = LINES
    lines = [
        (1, "2026-01-01", "a", 1),
        (1, "2026-01-02", "b", 1),
        (2, "2026-01-02", "a", 1),
        (3, None, "a", 1),
    ]
    warehouse.load(*chain.next("replace", lines))
    done = warehouse.load(*chain.next("slice", [(1, "2026-01-02", "c", 2)], slices=["2026-01-02"]))
    assert rows(warehouse) == [(1, "2026-01-02", "c"), (3, None, "a")]
    assert done.touched == {"2026-01-01": 1, "2026-01-02": 2}


@pytest.mark.parametrize(
    ("changes", "row", "error", "said"),
    [
        ({"load": "append"}, (1, None, "a", 2), LoadRefused, "replaces rows together"),
        ({"replaces": ("nothing",)}, (1, None, "a", 2), LoadRefused, "replaces rows together"),
        (
            {"replaces": ("gone",), **MARKED},
            (1, None, "a", 2, "false"),
            LoadRefused,
            "replaces rows together",
        ),
        ({}, (None, None, "a", 2), LoadRefused, "1 of its rows hold a NULL"),
        ({"load": "replace"}, (None, None, "a", 2), LoadRefused, "1 of its rows hold a NULL"),
        ({"key": ("note",), **MARKED}, (2, None, None, 2, "false"), DuplicateKey, "NULL in 1 rows"),
    ],
)
def test_rows_that_cannot_be_replaced_together_are_refused(
    warehouse: Warehouse,
    chain: Chain,
    changes: dict[str, Any],
    row: Row,
    error: type[Exception],
    said: str,
) -> None:
    warehouse.load(*chain.next("replace", [(1, "2026-01-01", "a", 1)], **LINES))
    given: dict[str, Any] = {"load": "merge", "key": (), **LINES, **changes}
    if row[0] is None:
        given["key"] = ("note",)
    with pytest.raises(error, match=said):
        warehouse.load(*chain.next(given.pop("load"), [row], **given))
    assert rows(warehouse) == [(1, "2026-01-01", "a")]
    assert len(warehouse.loaded_all()) == 1


@pytest.mark.parametrize(
    "changes",
    [{"load": "append"}, {"columns": COLUMNS, "deleted": "note"}, {"deleted": "nothing"}, {"key": ()}],
)
def test_deleted_rows_that_cannot_be_told_are_refused(
    warehouse: Warehouse, chain: Chain, changes: dict[str, Any]
) -> None:
    given: dict[str, Any] = {"load": "replace", "columns": GONE, "deleted": "gone", **changes}
    values = (1, "2026-01-01", "true", 1, "true")[: len(given["columns"])]
    with pytest.raises(LoadRefused, match="marks deleted rows"):
        warehouse.load(*chain.next(given.pop("load"), [values], **given))
    assert warehouse.loaded_all() == []


def test_the_rows_of_the_parts_are_counted_deleted_ones_too(warehouse: Warehouse, chain: Chain) -> None:
    marked = [(1, None, None, 1, "true"), (2, None, "b", 1, "false")]
    with pytest.raises(LoadRefused, match=r"promises 3 rows .* hold 2"):
        warehouse.load(*chain.next("merge", marked, promised=3, columns=GONE, deleted="gone"))


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


# ---- its dialect

RULED = [
    (1, "2026-01-01", "a@b", 10),
    (2, "2026-01-02", "", 20),
    (3, None, None, 30),
    (4, "2026-01-03", "it's 5%", 40),
]
FAILING = {
    "id >= 2": 1,
    "id between 2 and 3": 2,
    "id in [1, 2.0, 9]": 2,
    "id <= _source_xmin": 0,
    "note not null": 1,
    'note contains "@"': 2,
    "note contains 'it''s'": 2,
    "note in ['a@b', x]": 2,
    "note != ''": 1,
    "note >= 0": 3,
    "null_rate(note) <= 0.2": 1,
    "at >= 2026-01-02": 1,
    "at <= today": 0,
    "at <= now": 0,
}
"""Rules, and how many of the rows fail each: the same in every engine."""
PATTERNS = {r'note matches "^[a-z]@"': 2, r"note matches '\d%'": 2}


@dataclass(frozen=True)
class Ruled:
    rules: tuple[Rule, ...]
    id: TableId = TABLE
    key: tuple[str, ...] = ("id",)
    personal: dict[str, Treatment] = field(default_factory=dict)


@pytest.mark.parametrize("text", FAILING)
def test_a_rule_says_the_same_in_every_engine(warehouse: Warehouse, chain: Chain, text: str) -> None:
    warehouse.load(*chain.next("merge", RULED))
    (result,) = evaluate(warehouse, Ruled((parse_rule(text),)))
    assert (result.problem, result.rows, result.failing) == (None, 4, FAILING[text])
    assert [row["id"] for row in result.sample] == sorted(row["id"] for row in result.sample)
    assert len(result.sample) == (0 if result.passed else FAILING[text])


@pytest.mark.parametrize("text", PATTERNS)
def test_what_a_dialect_cannot_say_is_refused_and_no_pass(
    engine: Engine, warehouse: Warehouse, chain: Chain, text: str
) -> None:
    warehouse.load(*chain.next("merge", RULED))
    beside = parse_rule("id >= 2")
    result, other = evaluate(warehouse, Ruled((parse_rule(text), beside)))
    assert not result.passed
    assert (result.problem is None, result.failing) == (
        engine.patterns,
        PATTERNS[text] if engine.patterns else 0,
    )
    assert (other.problem, other.failing) == (None, 1)


def test_the_age_of_the_newest_row(warehouse: Warehouse, chain: Chain) -> None:
    columns = (*COLUMNS, Column("day", "DATE", "date"))
    warehouse.load(*chain.next("merge", [(1, None, "a", 1, None)], columns=columns))
    now = datetime(2026, 1, 3, 6, tzinfo=UTC)
    assert newest_data(warehouse, TABLE, "at", 24, now).age_hours is None
    held = [(2, "2026-01-03 03:00:00+00", "b", 1, "2026-01-01"), (3, "2026-01-02", "c", 1, "2025-12-31")]
    warehouse.load(*chain.next("merge", held, columns=columns))
    assert newest_data(warehouse, TABLE, "at", 24, now).age_hours == 3
    assert newest_data(warehouse, TABLE, "day", 24, now).age_hours == 30, "a day counts as its end"


def test_rows_are_counted_many_tables_at_a_time(warehouse: Warehouse, chain: Chain, tmp_path: Path) -> None:
    odd = Chain(tmp_path / "odd", table=TableId("shop", 'o"dd'))
    warehouse.load(*chain.next("merge", RULED))
    warehouse.load(*odd.next("merge", RULED[:1]))
    tables = [(made.raw_schema, made.table) for made in (TABLE, TableId("shop", 'o"dd'))]
    assert dict(warehouse.query(counts(warehouse.dialect, tables)).rows) == {0: 4, 1: 1}


def test_every_statement_of_a_dialect_is_of_its_grammar(engine: Engine, tmp_path: Path, chain: Chain) -> None:
    """What is asked of a warehouse, and what each rule becomes, is parsed as the engine's own SQL."""
    config = engine.config(tmp_path)
    texts = [*FAILING, *(PATTERNS if engine.patterns else ())]
    asked = [f"SELECT {condition(parse_rule(text), config.dialect)} FROM t" for text in texts]
    with engine.open(tmp_path) as warehouse:
        warehouse.load(*chain.next("merge", RULED))
        watched = Watched(warehouse, asked)
        evaluate(watched, Ruled(tuple(map(parse_rule, texts))))
        newest_data(watched, TABLE, "at", 24, datetime.now(UTC))
        watched.query(counts(config.dialect, [("raw_shop", "orders")] * 2))
    assert len(asked) > len(texts) + 3
    for statement in asked:
        sqlglot.parse_one(statement, dialect=config.dialect.name)


class Watched:
    """A warehouse that remembers what it was asked."""

    def __init__(self, warehouse: Warehouse, asked: list[str]) -> None:
        self._warehouse, self._asked = warehouse, asked

    def __getattr__(self, name: str) -> Any:
        return getattr(self._warehouse, name)

    def query(self, sql: str, parameters: Sequence[Any] = (), limit: int | None = None) -> QueryResult:
        self._asked.append(sql)
        return self._warehouse.query(sql, parameters, limit)


# ---- where it lies


def test_a_new_warehouse_appears_whole_or_not_at_all(engine: Engine, tmp_path: Path, chain: Chain) -> None:
    config = engine.config(tmp_path).elsewhere(tmp_path / "other")
    made, parts = chain.next("merge", RULED)

    def contents() -> list[tuple[Any, ...]]:
        with config.open(tmp_path, read_only=True) as warehouse:
            return rows(warehouse)

    with (
        pytest.raises(KeyboardInterrupt),
        config.replace_atomically(tmp_path, "making", files=[tmp_path]) as warehouse,
    ):
        warehouse.load(made, parts)
        raise KeyboardInterrupt
    assert not config.exists(tmp_path)
    with pytest.raises(WarehouseError, match="no warehouse"):
        contents()
    with config.replace_atomically(tmp_path, "making", files=[tmp_path]) as warehouse:
        warehouse.load(made, parts)
        assert not config.exists(tmp_path), "it is not in its place yet"
    assert config.exists(tmp_path) and len(contents()) == 4
    second, parts = chain.next("replace", RULED[:1])
    with config.replace_atomically(tmp_path, "making", files=[tmp_path]) as warehouse:
        assert warehouse.loaded_all() == [], "it is a new one"
        warehouse.load(second, parts)
        assert len(contents()) == 4 or config.traits.writers == "one"
    assert len(contents()) == 1
    assert config.place(tmp_path).endswith("other")
    assert not [file for file in tmp_path.iterdir() if "making" in file.name]


def test_what_it_is_written_to_changes_with_a_load(engine: Engine, tmp_path: Path, chain: Chain) -> None:
    config = engine.config(tmp_path)
    assert not any(file.exists() for file in config.files(tmp_path))
    with engine.open(tmp_path) as warehouse:
        warehouse.load(*chain.next("merge", RULED))

    def stamps() -> set[tuple[int, int]]:
        there = [file.stat() for file in config.files(tmp_path) if file.exists()]
        return {(at.st_mtime_ns, at.st_size) for at in there}

    before = stamps()
    assert before
    with engine.open(tmp_path) as warehouse:
        warehouse.load(*chain.next("merge", [(9, "2026-01-09", "z", 9)]))
    assert stamps() != before


def test_only_an_engine_with_an_archive_is_backed_up_by_table(engine: Engine, tmp_path: Path) -> None:
    config = engine.config(tmp_path)
    if config.traits.archive:
        with archivable(config).open(tmp_path) as warehouse:
            assert warehouse.inventory().tables == ()
    else:
        with pytest.raises(ConfigurationError, match="rebuild"):
            archivable(config)


# ---- against a model

days = st.sampled_from([None, "2026-01-01", "2026-01-02", "2026-01-03"])
batch_rows = st.dictionaries(st.integers(1, 6), st.tuples(days, st.sampled_from("abc")), max_size=5)
operations = st.lists(
    st.tuples(
        st.sampled_from(["replace", "merge", "append", "slice"]),
        batch_rows,
        st.sets(days, min_size=1, max_size=2),
        st.none() | st.sets(st.integers(1, 6), max_size=3),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


def model(
    held: dict[int, tuple[str | None, str]],
    load: str,
    rows: dict[int, Any],
    asked: set[str | None],
    deleted: Collection[int],
) -> dict[int, tuple[str | None, str]]:
    if load == "replace":
        return dict(rows)
    if load == "append":
        return rows | held
    kept = {k: v for k, v in held.items() if not (load == "slice" and v[0] in asked) and k not in deleted}
    return kept | rows


@given(operations)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_of_batches_equals_the_naive_model(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Any, ...]]
) -> None:
    folder = tmp_path_factory.mktemp("model")
    chain = Chain(folder / "parts")
    held: dict[int, tuple[str | None, str]] = {}
    with engine.open(folder) as warehouse:
        for load, wanted, asked, gone, twice in steps:
            batch = {k: v for k, v in wanted.items() if load != "slice" or v[0] in asked}
            landed: list[Row] = [(k, day, note, chain.sequence) for k, (day, note) in batch.items()]
            marks: dict[str, Any] = {}
            deleted = set() if gone is None or load == "append" else gone - batch.keys()
            if gone is not None and load != "append":
                landed = [(*row, "false") for row in landed]
                landed += [(k, None, None, chain.sequence, "true") for k in deleted]
                marks = {"columns": GONE, "deleted": "gone"}
            made, parts = chain.next(load, landed, slices=[day or "null" for day in asked], **marks)
            before = held
            held = model(held, load, batch, asked, deleted)
            done = warehouse.load(made, parts)
            if twice:
                warehouse.load(made, parts)
            assert rows(warehouse) == sorted((k, day, note) for k, (day, note) in held.items())
            changed = {
                day or "null"
                for key in before.keys() | held.keys()
                if before.get(key) != held.get(key)
                for day in {v[0] for v in (before.get(key), held.get(key)) if v is not None}
            }
            assert changed <= set(done.touched), "every slice that changed is said to be touched"
            assert all(warehouse.changed_since(TABLE)[Slice(s)] == made.sequence for s in changed)


groups = st.dictionaries(
    st.integers(1, 4),
    st.lists(st.tuples(st.sampled_from("abcd"), days), max_size=3, unique_by=lambda line: line[0]),
)
"""Whole documents by number: the lines of each with their days; none for one that has become empty."""
grouped = st.lists(
    st.tuples(st.sampled_from(["replace", "merge", "slice"]), groups, st.sets(days, min_size=1, max_size=2)),
    min_size=1,
    max_size=6,
)


@given(grouped, st.booleans())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_of_groups_equals_the_naive_model(
    engine: Engine,
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[Any, ...]],
    by_line: bool,
) -> None:
    """``by_line``: the key is the line alone, so that a line may come in another document."""
    folder = tmp_path_factory.mktemp("groups")
    key = ("note",) if by_line else ("id", "note")
    chain = Chain(folder / "parts", key=key, replaces=("id",), **MARKED)
    held: set[Row] = set()
    with engine.open(folder) as warehouse:
        for load, documents, asked in steps:
            brought: dict[Any, Row] = {}
            for number, lines in documents.items():
                for note, day in lines:
                    if load != "slice" or day in asked:
                        brought[note if by_line else (number, note)] = (number, day, note)
            landed: list[Row] = [(*row, 1, "false") for row in brought.values()]
            landed += [(number, None, None, 1, "true") for number in documents if load != "replace"]
            made, parts = chain.next(load, landed, slices=[day or "null" for day in asked])
            before = held
            taken = {row[0] for row in landed}
            held = set() if load == "replace" else {row for row in held if row[0] not in taken}
            held = {row for row in held if (row[2] if by_line else (row[0], row[2])) not in brought}
            if load == "slice":
                held = {row for row in held if row[1] not in asked}
            held |= set(brought.values())
            done = warehouse.load(made, parts)
            found = rows(warehouse)
            assert sorted(found, key=str) == sorted(held, key=str)
            assert {day or "null" for _, day, _ in before ^ held} <= set(done.touched)
            assert done.rows_deleted == len(before) - len(held) + done.rows_inserted

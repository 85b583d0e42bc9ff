"""What every warehouse promises of ``load``: order, once, slices, keys, columns, parts. What else it promises is in the
``test_warehouse_*.py`` beside this one; the engines are in ``engines.py``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data_platform.errors import DuplicateKey, LoadRefused, WarehouseError
from data_platform.tables import Column, Layout, TableId
from data_platform.warehouses import Warehouse
from data_platform_tests.contracts.batches import COLUMNS, COMMITTED_AT, LAYOUT, TABLE, Chain, write_part
from data_platform_tests.contracts.engines import FOLDING, Engine, iso, raw, rows


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
        f"SELECT _batch_id, {micros}, _source_xmin FROM {raw(warehouse)}"
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
    assert warehouse.query(f"SELECT count(*) FROM {raw(warehouse)}").rows == [(0,)]


def test_a_batch_of_no_rows_is_a_batch(warehouse: Warehouse, chain: Chain) -> None:
    made, _ = chain.next("merge", [])
    assert warehouse.load(made, []).rows_inserted == 0
    assert warehouse.loaded(TABLE) is not None
    assert warehouse.query(f"SELECT count(*) FROM {raw(warehouse)}").rows == [(0,)]
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


def test_a_new_column_flows(engine: Engine, warehouse: Warehouse, chain: Chain) -> None:
    warehouse.load(*chain.next("merge", [(1, "2026-01-01", "a", 1)]))
    wider = (*COLUMNS, Column("amount", "DECIMAL(12,2)", "numeric(12,2)"))
    warehouse.load(*chain.next("merge", [(2, "2026-01-01", "b", 2, "1.50")], columns=wider))
    text = warehouse.dialect.try_cast("amount", "text")
    found = warehouse.query(f"SELECT id, {text} FROM {raw(warehouse)} ORDER BY id").rows
    assert found[0] == (1, None)
    assert found[1] == (2, "1.50") if engine.decimal_zeros else float(found[1][1]) == 1.5


def test_a_rule_s_column_may_go(warehouse: Warehouse, chain: Chain) -> None:
    ruled = (*COLUMNS, Column("_rule_note", "BOOLEAN", "boolean"))
    warehouse.load(*chain.next("merge", [(1, "2026-01-01", "a", 1, "true")], columns=ruled))
    warehouse.load(*chain.next("merge", [(2, "2026-01-01", "b", 2)]))
    found = warehouse.query(f"SELECT id, _rule_note FROM {raw(warehouse)} ORDER BY id").rows
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
    with pytest.raises(LoadRefused, match=r"should have 2 rows.* hold 1"):
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


def test_odd_names_are_quoted(engine: Engine, warehouse: Warehouse, tmp_path: Path) -> None:
    table = TableId("shop", 'odd "table" name' if warehouse.dialect.name in FOLDING else 'Odd "table" name')
    columns = (Column('k"ey', "BIGINT", ""), Column("select", "TIMESTAMPTZ", ""), Column("d", "VARCHAR", ""))
    chain = Chain(tmp_path / "odd", table=table, columns=columns, key=('k"ey',), partition="select")
    if not engine.all_names:
        with pytest.raises(LoadRefused, match=r'has a name .* a column k"ey'):
            warehouse.load(*chain.next("merge", [(1, "2026-01-01", "it's")]))
        assert warehouse.loaded_all() == [] and warehouse.describe("raw_shop") == []
        return
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

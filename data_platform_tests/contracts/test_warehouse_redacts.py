"""A redaction takes out of the raw table the rows that came with a batch and are no longer in it, and no other."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from data_platform.landing.manifest import Manifest
from data_platform.privacy.retention.rule import Limit
from data_platform.tables import Column
from data_platform.warehouses import Kept, Warehouse
from data_platform_tests.contracts.batches import COLUMNS, TABLE, Chain, write_part
from data_platform_tests.contracts.engines import Engine, rows
from data_platform_tests.landing.redactions import NONCE, redaction

FIRST = [
    (1, "2026-01-01", "a", 1),
    (2, "2026-01-01", None, 1),
    (3, "2026-01-02", "c", 1),
    (4, None, "d", 1),
]


def redacting(chain: Chain, before: Manifest) -> Manifest:
    made = before.redacting(redaction(), NONCE).sealed()
    chain.sequence, chain.digest = made.sequence, made.digest
    return made


def left(
    batch: Manifest, path: Path, kept: list[tuple[Any, ...]], columns: tuple[Column, ...] = COLUMNS
) -> Kept:
    return Kept(batch.batch_id, batch.key, columns, (write_part(path, columns, kept),))


def test_rows_that_are_gone_from_their_batch_go(warehouse: Warehouse, chain: Chain, tmp_path: Path) -> None:
    first, parts = chain.next("replace", FIRST)
    warehouse.load(first, parts)
    then, parts = chain.next("merge", [(3, "2026-01-02", "later", 2), (5, "2026-01-03", "e", 2)])
    warehouse.load(then, parts)
    gone = redacting(chain, then)
    kept = [
        left(first, tmp_path / "one.parquet", [FIRST[1]]),  # 1, 3 and 4 were somebody's
        left(then, tmp_path / "two.parquet", [(3, "2026-01-02", "later", 2), (5, "2026-01-03", "e", 2)]),
    ]
    done = warehouse.load(gone, [], kept=kept)
    assert rows(warehouse) == [(2, "2026-01-01", None), (3, "2026-01-02", "later"), (5, "2026-01-03", "e")]
    assert (done.rows_deleted, done.rows_inserted) == (2, 0)
    assert done.touched == {"2026-01-01": 1, "null": 1}
    assert warehouse.changed_since(TABLE)["2026-01-01"] == 3
    assert warehouse.load(gone, [], kept=kept).rows_deleted == 0, "loading twice changes nothing"
    loaded = warehouse.loaded(TABLE)
    assert loaded is not None
    assert loaded.digest == gone.digest
    warehouse.load(*chain.next("merge", [(1, "2026-01-04", "new", 9)]))
    assert (1, "2026-01-04", "new") in rows(warehouse)


def test_a_batch_of_which_nothing_is_left_takes_all_its_rows_out(
    warehouse: Warehouse, chain: Chain, tmp_path: Path
) -> None:
    first, parts = chain.next("replace", FIRST[:2])
    warehouse.load(first, parts)
    then, parts = chain.next("merge", FIRST[2:])
    warehouse.load(then, parts)
    warehouse.load(redacting(chain, then), [], kept=[left(first, tmp_path / "none.parquet", [])])
    assert rows(warehouse) == [(3, "2026-01-02", "c"), (4, None, "d")]


@pytest.mark.parametrize("load", ["replace", "slice"])
def test_without_a_key_rows_are_told_apart_by_all_columns(
    warehouse: Warehouse, tmp_path: Path, load: Any
) -> None:
    chain = Chain(tmp_path / "keyless", key=())
    days = ["2026-01-01", "2026-01-02", "null"] if load == "slice" else []
    first, parts = chain.next(load, [*FIRST, FIRST[1]], slices=days)
    warehouse.load(first, parts)
    warehouse.load(
        redacting(chain, first),
        [],
        kept=[left(first, tmp_path / "k.parquet", [FIRST[1], FIRST[1], FIRST[3]])],
    )
    assert rows(warehouse) == [(2, "2026-01-01", None), (2, "2026-01-01", None), (4, None, "d")]


def test_a_column_that_came_later_is_no_matter(warehouse: Warehouse, chain: Chain, tmp_path: Path) -> None:
    first, parts = chain.next("replace", FIRST)
    warehouse.load(first, parts)
    wider = (*COLUMNS, Column("more", "VARCHAR", "text"))
    then, parts = chain.next("merge", [(5, "2026-01-03", "e", 2, "x")], columns=wider)
    warehouse.load(then, parts)
    warehouse.load(redacting(chain, then), [], kept=[left(first, tmp_path / "k.parquet", FIRST[2:])])
    assert [row[0] for row in rows(warehouse)] == [3, 4, 5]


def test_a_table_that_was_never_loaded_has_nothing_to_lose(
    warehouse: Warehouse, chain: Chain, tmp_path: Path
) -> None:
    first, _ = chain.next("replace", FIRST)
    gone = redacting(chain, first)
    second, parts = chain.next("replace", FIRST[:1])
    assert gone.sequence + 1 == second.sequence
    warehouse.load(second, parts)
    assert len(rows(warehouse)) == 1


def test_rows_of_a_model_are_removed_by_condition(
    engine: Engine, warehouse: Warehouse, chain: Chain, tmp_path: Path
) -> None:
    """The raw table stands for a model's: every engine has it."""
    warehouse.load(*chain.next("replace", FIRST))
    id_ = warehouse.dialect.try_cast(warehouse.dialect.quote("id"), "text")
    warehouse.remove_rows("raw_shop", "orders", [f"{id_} IN ('1', '2')", f"{id_} = '4'"])
    assert [row[0] for row in rows(warehouse)] == [3]
    warehouse.remove_rows("raw_shop", "orders", [])
    assert len(rows(warehouse)) == 1


def test_columns_of_chosen_rows_are_emptied(warehouse: Warehouse, chain: Chain) -> None:
    warehouse.load(*chain.next("replace", FIRST))
    id_ = warehouse.dialect.try_cast(warehouse.dialect.quote("id"), "text")
    warehouse.blank_rows("raw_shop", "orders", ["note"], [f"{id_} = '1'", f"{id_} = '4'"])
    assert rows(warehouse) == [
        (1, "2026-01-01", None),
        (2, "2026-01-01", None),
        (3, "2026-01-02", "c"),
        (4, None, None),
    ]
    warehouse.blank_rows("raw_shop", "orders", ["note"], [])
    assert len(rows(warehouse)) == 4


@pytest.mark.parametrize(
    ("zone", "old"),
    [
        ("UTC", [1, 2]),
        ("Europe/Berlin", [1]),
        ("America/Havana", [1, 2, 3]),
    ],  # 23:00 of the day before, 04:00 of the day
)
def test_what_is_older_than_a_day_is_the_same_to_every_engine(
    warehouse: Warehouse, chain: Chain, zone: str, old: list[int]
) -> None:
    instants = ["2025-12-30", "2025-12-31 23:00:00+00", "2026-01-01 04:00:00+00", "2026-01-02", None]
    warehouse.load(*chain.next("replace", [(n, at, "x", 1) for n, at in enumerate(instants, start=1)]))
    (held,) = [one for one in warehouse.describe("raw_shop") if one.name == "orders"]
    limit = Limit(TABLE, "at", date(2026, 1, 1), zone, ("note",))
    rows_ = limit.condition(warehouse.dialect, dict(held.columns)["at"])
    warehouse.blank_rows("raw_shop", "orders", ["note"], [rows_])
    assert [row[0] for row in rows(warehouse) if row[2] is None] == old
    gone = limit.only(()).condition(warehouse.dialect, dict(held.columns)["at"], "id = 1")
    warehouse.remove_rows("raw_shop", "orders", [gone])
    assert [row[0] for row in rows(warehouse)] == [1, *(n for n in (2, 3, 4, 5) if n not in old)]

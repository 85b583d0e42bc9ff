"""Rows that a batch marks as deleted, and rows that are replaced together."""

from __future__ import annotations

from typing import Any

import pytest

from data_platform.errors import DuplicateKey, LoadRefused
from data_platform.warehouses import Warehouse
from data_platform_tests.contracts.batches import COLUMNS, GONE, MARKED, Chain
from data_platform_tests.contracts.engines import Row, rows


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
    with pytest.raises(LoadRefused, match=r"should have 3 rows.* hold 2"):
        warehouse.load(*chain.next("merge", marked, promised=3, columns=GONE, deleted="gone"))

"""A column that comes with a wider type: the raw table takes it over, with every value that it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from data_platform.errors import LoadRefused, UnsupportedType
from data_platform.tables import Column
from data_platform.warehouses import Warehouse
from data_platform_tests.contracts.batches import COLUMNS, Chain
from data_platform_tests.contracts.engines import Engine, raw


@pytest.mark.parametrize(
    ("narrow", "wide", "held", "added", "expected"),
    [
        (
            "BIGINT",
            "DECIMAL(38,18)",
            "9223372036854775807",
            "0.5",
            ["9223372036854775807." + "0" * 18, "0.5" + "0" * 17],
        ),
        ("DECIMAL(12,2)", "DECIMAL(14,4)", "1.25", "0.0625", ["1.2500", "0.0625"]),
        ("SMALLINT", "INTEGER", "-32768", "70000", ["-32768", "70000"]),
        ("INTEGER", "BIGINT", "7", "5000000000", ["7", "5000000000"]),
        ("FLOAT", "DOUBLE", "0.5", "0.1", ["0.5", "0.1"]),
    ],
)
def test_a_wider_type_is_taken_over_with_every_value(
    engine: Engine,
    warehouse: Warehouse,
    chain: Chain,
    narrow: str,
    wide: str,
    held: str,
    added: str,
    expected: list[str],
) -> None:
    try:
        engine.config(chain.folder).dialect.type(narrow)
    except UnsupportedType:
        pytest.skip("the engine keeps no such type")
    before, now = ((*COLUMNS, Column("n", kind, "")) for kind in (narrow, wide))
    rest = ("2026-01-01", "a", 1)
    warehouse.load(
        *chain.next("merge", [(1, *rest, held), (2, *rest, None), (3, *rest, held)], columns=before)
    )
    made, parts = chain.next("merge", [(3, *rest, added), (4, *rest, added)], columns=now, promised=3)
    with pytest.raises(LoadRefused, match="should have 3 rows"):
        warehouse.load(made, parts)
    shape = dict(warehouse.describe("raw_shop", "orders")[0].columns)
    assert engine.config(chain.folder).dialect.same_type(shape["n"], narrow), "nothing changed"
    made = replace(made, rows=2).sealed()
    done = warehouse.load(made, parts)
    assert (done.rows_deleted, done.rows_inserted) == (1, 2)
    text = warehouse.dialect.try_cast("n", "text")
    found = warehouse.query(f"SELECT id, {text} FROM {raw(warehouse)} ORDER BY id").rows
    first, second = expected
    said: Callable[[str], Any] = str if engine.decimal_zeros else Decimal
    texts = [(id_, None if text is None else said(text)) for id_, text in found]
    assert texts == [(1, said(first)), (2, None), (3, said(second)), (4, said(second))]
    assert warehouse.load(made, parts).touched == {}
    dialect, shape = warehouse.dialect, dict(warehouse.describe("raw_shop", "orders")[0].columns)
    if dialect.same_type(shape["n"], narrow):  # the engine has one type for both
        return
    chain.digest = made.digest
    dialect = warehouse.dialect
    if dialect.type(narrow) == dialect.type(wide):
        return  # the engine has one type for both
    with pytest.raises(LoadRefused, match="another type of n"):
        warehouse.load(*chain.next("merge", [], columns=before))

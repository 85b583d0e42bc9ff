"""People without consent are found and taken out of a table by the mart of consents, the same in every engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_platform.errors import WarehouseError
from data_platform.privacy.purposes import Purposed
from data_platform.sync.consented import lacking, take_out
from data_platform.tables import Column, TableId
from data_platform.warehouses import Warehouse
from data_platform_tests.contracts.batches import Chain
from data_platform_tests.contracts.engines import rows

MART = ("raw_shop", "consents")
"""A raw table stands for the mart, and another for a model: every engine has them."""
COLUMNS = tuple(Column(name, "VARCHAR", "text") for name in ("subject_key", "purpose", "state"))
ANSWERS = [
    ("1", "letters", "granted", True),
    ("2", "letters", "withdrawn", False),
    ("3", "letters", "granted", False),  # to a version that does not count
    ("4", "figures", "granted", True),
    (None, "letters", "withdrawn", False),
]
ORDERS = [(id_, "2026-01-01", note, id_) for id_, note in ((1, "1"), (2, "2"), (3, "3"), (4, "4"), (5, None))]


@pytest.fixture
def answered(warehouse: Warehouse, chain: Chain, tmp_path: Path) -> Warehouse:
    """Orders 1 to 5; the note is the person's key, NULL in the last."""
    warehouse.load(*chain.next("replace", ORDERS))
    columns = (*COLUMNS, Column("counts", "BOOLEAN", "boolean"))
    consents = Chain(
        tmp_path / "consents", table=TableId("shop", "consents"), columns=columns, key=(), partition=None
    )
    warehouse.load(*consents.next("replace", ANSWERS))
    return warehouse


@pytest.mark.parametrize(
    ("column", "otherwise", "kept"),
    [
        ("id", "denied", [1]),
        ("id", "granted", [1, 3, 4, 5]),
        ("NOTE", "denied", [1]),
        ("note", "granted", [1, 3, 4]),
    ],
)
def test_people_without_consent_are_taken_out(
    answered: Warehouse, column: str, otherwise: str, kept: list[int]
) -> None:
    known = {"letters": otherwise}
    model = Purposed(("raw_shop", "orders"), {"letters": column, "figures": None})
    (found,) = lacking(answered, [model], MART, known)  # type: ignore[arg-type]
    assert found.rows == 5 - len(kept)
    assert take_out(answered, [model], MART, known) == {model.place: 5 - len(kept)}  # type: ignore[arg-type]
    assert [row[0] for row in rows(answered)] == kept
    assert take_out(answered, [model], MART, known) == {}, "a second time there is nothing to do"  # type: ignore[arg-type]


def test_rows_stay_where_nobody_knows_who_agrees(warehouse: Warehouse, chain: Chain) -> None:
    warehouse.load(*chain.next("replace", ORDERS))
    model = Purposed(("raw_shop", "orders"), {"letters": "id"})
    with pytest.raises(WarehouseError, match=r"raw_shop\.consents is not there"):
        take_out(warehouse, [model], MART, {"letters": "denied"})
    assert len(rows(warehouse)) == 5
    assert take_out(warehouse, [Purposed(("raw_shop", "nothing"), {"letters": "id"})], MART, {}) == {}

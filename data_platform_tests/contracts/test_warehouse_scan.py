"""Personal data that nobody declared is found in every engine, and no value of it is named."""

from __future__ import annotations

from data_platform.errors import UnsupportedType
from data_platform.governance.classes import ClassedColumn, Classes
from data_platform.governance.scan import VALUES_MAX, scan
from data_platform.privacy.patterns import EMAIL, PHONE
from data_platform.tables import Column
from data_platform.warehouses import Warehouse
from data_platform_tests.contracts.batches import COLUMNS, Chain

SAID = Classes((ClassedColumn("raw_shop", "orders", "doc", ("customer", "email"), "personal", "keep", (), False),))  # fmt: skip


def test_undeclared_values_are_found_wherever_they_are(warehouse: Warehouse, chain: Chain) -> None:
    document = (
        '{"customer": {"email": "ana@company.example", "tel": ["+49 30 901820"]}, "bo@company.example": 1}'
    )
    rows = [
        (number, "2026-01-01", f"order-{number}", 10, f"said 'no' {number % 900}", '{"a": 1}', "x")
        for number in range(300)
    ]
    rows += [(300, "2026-01-01", "call ana@company.example", 10, None, document, "x")]
    rows += [(301, "2026-01-01", None, 10, None, None, None)]
    try:
        warehouse.dialect.type(document_type := "JSON")
    except UnsupportedType:
        document_type = "VARCHAR"
    more = [
        Column("remark", "VARCHAR", "text"),
        Column("doc", document_type, "jsonb"),
        Column("kind", "VARCHAR", "text"),
    ]
    warehouse.load(*chain.next("merge", rows, columns=(*COLUMNS, *more)))
    (at,) = warehouse.describe("raw_shop", "orders")
    found = scan(warehouse, at, SAID, names=False)
    assert scan(warehouse, at, SAID, names=False) == found, "another look sees the same values"
    in_documents = {(one.column, one.what) for one in found if one.column.startswith("doc")}
    assert in_documents == {("doc.customer.tel", PHONE), ("doc.*", EMAIL)}
    assert {one.column for one in found} - {"note"} == {"doc.customer.tel", "doc.*"}
    assert all(one.sampled <= VALUES_MAX for one in found)
    text = " ".join(one.text for one in found)
    assert "company.example" not in text and "901820" not in text


def test_every_value_of_a_small_column_is_looked_at(warehouse: Warehouse, chain: Chain) -> None:
    rows = [(n, "2026-01-01", f"note {n % 150}" if n else "ana@company.example", 10) for n in range(400)]
    warehouse.load(*chain.next("merge", rows))
    (at,) = warehouse.describe("raw_shop", "orders")
    (one,) = scan(warehouse, at, Classes(), names=False)
    assert one.text == f"note holds {EMAIL} (1 of 151 values)"
    declared = Classes((ClassedColumn("raw_shop", "orders", "NOTE", (), "none", "", (), True),))
    assert scan(warehouse, at, declared, names=False) == []


def test_the_names_of_a_models_columns_are_judged(warehouse: Warehouse, chain: Chain) -> None:
    columns = (*COLUMNS, Column("email_address", "VARCHAR", "text"), Column("last_name", "VARCHAR", "text"))
    warehouse.load(*chain.next("merge", [(1, "2026-01-01", "x", 10, "y", "z")], columns=columns))
    (at,) = warehouse.describe("raw_shop", "orders")
    said = Classes((ClassedColumn("raw_shop", "orders", "last_name", (), "none", "", (), True),))
    assert [one.text for one in scan(warehouse, at, said, names=True)] == [
        "email_address is named like an email address"
    ]
    assert scan(warehouse, at, said, names=False) == []

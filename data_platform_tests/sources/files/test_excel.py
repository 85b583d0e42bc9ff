"""Excel workbooks: a sheet, a range, and values as the workbook stores them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import yaml

from data_platform.catalog.load import load_catalog
from data_platform.errors import CatalogError
from data_platform.sources.files.excel import Area, area
from data_platform.sources.kinds import discover
from data_platform.sources.looking import Privacy
from data_platform_tests.sources.files.company import Company


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path)


def workbook(**sheets: Sequence[Sequence[Any]]) -> bytes:
    book = openpyxl.Workbook()
    assert book.active is not None
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    made = BytesIO()
    book.save(made)
    return made.getvalue()


def test_values_are_as_the_workbook_stores_them(company: Company) -> None:
    head = ["id", "code", "price", "day", "at", "ok", "note", "big"]
    first = [
        1,
        "007",
        0.1,
        datetime(2026, 1, 31),
        datetime(2026, 1, 31, 10, 30),
        True,
        'say "hi",\nEve',
        123456789012345,
    ]
    second = [2, 10, 1e-7, date(2026, 2, 1), None, False, "", 1.5]  # fmt: skip
    company.put("a.xlsx", workbook(Sheet=[head, first, [], second]))
    types = {
        "id": "bigint", "price": "decimal(20,9)", "day": "date", "at": "timestamp", "ok": "bool", "big": "double",
    }  # fmt: skip
    company.catalog(files="*.xlsx", types=types, personal={"note": "keep"}).good()
    assert company.rows('id, code, price, day, "at", ok, note, big, _row') == [
        (1, "007", Decimal("0.1"), date(2026, 1, 31), datetime(2026, 1, 31, 10, 30, tzinfo=UTC), True, 'say "hi",\nEve', 123456789012345.0, 1),
        (2, "10", Decimal("0.0000001"), date(2026, 2, 1), None, False, None, 1.5, 2),
    ]  # fmt: skip
    company.catalog(files="*.xlsx", personal={"note": "keep"}).good(refresh=["t"])
    assert company.rows('id, price, day, "at", big')[0] == (
        "1",
        "0.1",
        "2026-01-31",
        "2026-01-31T10:30:00",
        "123456789012345",
    )


def test_a_sheet_and_a_range(company: Company) -> None:
    rows: list[list[Any]] = [
        ["report"],
        [],
        [None, "id", "n", None, "x"],
        [None, 1, "a", None, 5],
        [None, 2, "b"],
        [None, "sum", 3],
    ]
    company.put("a.xlsx", workbook(First=[["z"], [1]], Data=rows))
    company.catalog(files="*.xlsx", excel={"sheet": "Data", "range": "B3:C5"}).good()
    assert company.rows("id, n") == [("1", "a"), ("2", "b")]
    company.catalog(files="*.xlsx", excel={"sheet": "Data", "range": "B4:C", "header": ["a", "b"]}).good()
    assert company.rows("a, b") == [("1", "a"), ("2", "b"), ("sum", "3")]
    company.catalog(files="*.xlsx").good()
    assert company.rows("z") == [("1",)]


@pytest.mark.parametrize(
    ("sheets", "block", "words"),
    [
        ({"One": [["id"]], "Two": []}, {"excel": {"sheet": "Three"}}, ["no sheet 'Three'", "It has: 'One', 'Two'"]),
        ({"One": [["id", None, "n"], [1, 2, 3]]}, {}, ["column 2 has no name", "excel"]),
        ({"One": [["id", "ID"], [1, 2]]}, {}, ["'ID' names two columns"]),
        (None, {}, ["no .xlsx workbook"]),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said(company: Company, sheets: Any, block: Any, words: list[str]) -> None:
    company.put("a.xlsx", b"no workbook" if sheets is None else workbook(**sheets))
    refused = company.catalog(files="*.xlsx", **block).refused()
    assert "office/t: a.xlsx" in refused and all(word in refused for word in words), refused
    assert company.batches() == []


def test_rows_that_are_none_wait_in_quarantine(company: Company) -> None:
    rows: list[list[Any]] = [["id", "n"], *([n, 1] for n in range(30)), [31, "#DIV/0!"], [32, 1, "more"]]
    company.put("a.xlsx", workbook(One=rows))
    company.catalog(files="*.xlsx", types={"n": "bigint"}).good()
    assert len(company.rows()) == 30
    kept = [one.reason for one in company.kept()]
    assert sorted(kept) == ["another number of fields (2 expected, found 3)", "n is no bigint"]


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        (None, Area()),
        ("A1:B2", Area(1, 2, 1, 2)),
        ("B3:AA", Area(3, None, 2, 27)),
    ],
)
def test_ranges(text: str | None, cells: Area) -> None:
    assert area(text) == cells


@pytest.mark.parametrize("text", ["B3", "B3:A9", "B3:C2", "3:4", "b3:c4", "A0:B1"])
def test_what_is_no_range(company: Company, text: str) -> None:
    with pytest.raises(CatalogError) as found:
        load_catalog(company.catalog(files="*.xlsx", excel={"range": text}).root)
    assert "is no range" in str(found.value)


def test_discover_drafts_a_workbook(company: Company) -> None:
    rows: list[list[Any]] = [["id", "day", "email"], [1, date(2026, 1, 31), "eve@example.com"]]
    company.put("staff.xlsx", workbook(One=rows, Two=[]))
    company.catalog()
    text = discover(
        "files",
        {"path": str(company.folder)},
        source="office",
        environ={},
        today=date(2026, 2, 2),
        privacy=Privacy(lambda name, *_: name if name == "email" else None, lambda *_: None, lambda *_: "hash"),
    )  # fmt: skip
    assert "eve@" not in text and '"Two"' in text
    assert yaml.safe_load(text)["tables"]["staff"] == {
        "files": "staff.xlsx",
        "excel": {"sheet": "One"},
        "types": {"id": "bigint", "day": "date"},
        "personal": {"email": "hash?"},
    }
    (company.root / "catalog" / "sources" / "office.yaml").write_text(text)
    load_catalog(company.root)


def test_times_of_day_are_texts(company: Company) -> None:
    company.put("a.xlsx", workbook(One=[["from"], [time(9, 30)]]))
    company.catalog(files="*.xlsx").good()
    assert company.rows('"from"') == [("09:30:00",)]

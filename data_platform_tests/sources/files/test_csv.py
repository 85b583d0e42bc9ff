"""CSV files as they come: dialects, types, and lines that are no rows."""

from __future__ import annotations

import gzip
import io
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from data_platform.sources.files import csv, step
from data_platform_tests.sources.files.company import Company


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path)


def test_every_field_is_text_unless_it_is_declared(company: Company) -> None:
    company.put("a.csv", 'id,code,amount,note\n1,007,1e5,"say ""hi"",\nthen go"\n2,010,,""\n')
    company.catalog(personal={"note": "keep"}).good()
    assert company.rows("id, code, amount, note, _file, _row") == [
        ("1", "007", "1e5", 'say "hi",\nthen go', "a.csv", 1),
        ("2", "010", None, "", "a.csv", 2),
    ]


def test_declared_types_are_exact(company: Company) -> None:
    company.put(
        "a.csv",
        "n;price;day;at;ok;doc;empty\n"
        '12345678901234;1.234,50;31.01.2026;31.01.2026 10:00:00;true;"{""a"": 1.10}";""\n'
        "-5;-0,07;01.02.2026;;FALSE;;\n",
    )
    types = {
        "n": "bigint", "price": "decimal(12,2)", "day": "date", "at": "timestamp", "ok": "bool", "doc": "json", "empty": "bigint",
    }  # fmt: skip
    dialect = {
        "delimiter": ";", "decimal": ",", "thousands": ".", "date_format": "%d.%m.%Y", "timestamp_format": "%d.%m.%Y %H:%M:%S",
    }  # fmt: skip
    company.catalog(types=types, csv=dialect, personal={"doc": "keep"}).good()
    assert company.rows('n, price, day, "at", ok, doc::VARCHAR, empty') == [
        (12345678901234, Decimal("1234.50"), date(2026, 1, 31), datetime(2026, 1, 31, 10, tzinfo=UTC), True, '{"a": 1.10}', None),
        (-5, Decimal("-0.07"), date(2026, 2, 1), None, False, None, None),
    ]  # fmt: skip


def _zipped(name: str, content: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(name, content)
    return made.getvalue()


@pytest.mark.parametrize(
    ("name", "packed"),
    [
        ("a.csv", lambda b: b),
        ("a.csv", lambda b: b"\xef\xbb\xbf" + b),
        ("a.csv", lambda b: b.rstrip(b"\n")),
        ("a.csv", lambda b: b.replace(b"\n", b"\r\n")),
        ("a.csv.gz", gzip.compress),
        ("a.csv.zst", lambda b: pa.compress(b, codec="zstd", asbytes=True)),
        ("a.csv.zip", lambda b: _zipped("inner.csv", b)),
        ("a.tsv", lambda b: b.replace(b",", b"\t")),
    ],
)
def test_the_same_rows_however_they_are_packed(company: Company, name: str, packed: Any) -> None:
    company.put(name, packed("id,city\n1,Köln\n2,\n".encode()))
    company.catalog(types={"id": "bigint"}).good()
    assert company.rows("id, city") == [(1, "Köln"), (2, None)]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "shift_jis"])
def test_declared_encodings(company: Company, encoding: str) -> None:
    text = "id,city\n1,東京\n" if encoding == "shift_jis" else "id,city\n1,Köln\n"
    company.put("a.csv", text.encode(encoding))
    company.catalog(csv={"encoding": encoding}).good()
    assert company.rows("id, city") == [tuple(text.splitlines()[1].split(","))]


def test_files_without_a_header_and_with_lines_before_it(company: Company) -> None:
    company.put("a.csv", "report of today\n1,one\n2,two\n")
    company.catalog(csv={"header": ["id", "name"], "skip": 1}).good()
    assert company.rows("id, name") == [("1", "one"), ("2", "two")]


def test_columns_by_name_new_ones_and_missing_ones(company: Company) -> None:
    company.put("a.csv", "id,name\n1,one\n")
    company.put("b.csv", "name,id\ntwo,2\n")
    company.catalog().good()
    company.put("c.csv", "id,extra\n3,more\n")
    assert "new column extra" in " ".join(company.good().notes)
    assert company.rows("id, name, extra") == [("1", "one", None), ("2", "two", None), ("3", None, "more")]


@pytest.mark.parametrize(
    ("content", "block", "words"),
    [
        ("id;name\n1;x\n", {}, ["a.csv, line 1", "csv: {delimiter: ';'}"]),
        ("id,name,id\n1,x,2\n", {}, ["a.csv, line 1", "'id' names two columns"]),
        ("id,\n1,x\n", {}, ["a.csv, line 1", "column 2 has no name"]),
        ("id,_file\n1,x\n", {}, ["a.csv, line 1", "_file"]),
        ('id,name\n1,"x\n2,y\n3,z\n', {}, ["a.csv, line 2", "quote is not closed"]),
        ("id,name\r\n1,x\n2,y\r\n", {}, ["two kinds of line ends"]),
        ("id,name\r\n" + "1,x\r\n" * 200_000 + "2,y\n" * 30, {}, ["two kinds of line ends"]),
        (b"id,name\n1,x\n2,\xe9\n", {}, ["a.csv, line 3", "no UTF-8", "encoding"]),
        (b"id,n\xe9\n1,x\n", {}, ["a.csv, line 1", "encoding"]),
        (b"id,name\n1,\x80x\n2,\xff\n", {"csv": {"encoding": "ascii"}}, ["a.csv, line 2", "no ascii"]),
        ("id,name\n1,x\nH,1,2\nH,3,4\n2,y\n", {}, ["a.csv", "rows of two kinds", "line 3", "2 expected, found 3"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("large", [32 * 2**20, 0])
def test_what_makes_a_file_doubtful_refuses_it(
    company: Company,
    content: str | bytes,
    block: Any,
    words: list[str],
    large: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(step, "LARGE_BYTES", large)
    company.put("a.csv", content)
    refused = company.catalog(**block).refused()
    assert "office/t" in refused and all(word in refused for word in words), refused
    assert company.batches() == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1", "another number of fields (2 expected, found 1)"),
        ("1,2,3", "another number of fields (2 expected, found 3)"),
        ("x,2", "id is no bigint"),
        ("1.5,2", "id is no bigint"),
    ],
)
def test_a_line_that_is_no_row_waits_in_quarantine(
    company: Company, line: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = "".join(f"{n},x\n" for n in range(30))
    company.put("a.csv", f"id,name\n{good}{line}\n{good}")
    report = company.catalog(types={"id": "bigint"}).good()
    assert "1 record could not be taken" in " ".join(report.notes)
    assert len(company.rows()) == 60
    (kept,) = company.kept()
    assert kept.reason == reason and kept.origin in ("a.csv, line 32", "a.csv, row 31")
    assert kept.bytes in (line.encode(), b'{"id":"%s","name":"2"}' % line.partition(",")[0].encode())
    rows = company.rows("id, name, _file, _row")
    monkeypatch.setattr(step, "LARGE_BYTES", 0)
    company.good(refresh=["t"])
    assert company.rows("id, name, _file, _row") == rows, "a large file is numbered alike"
    assert company.kept() == [kept]


@pytest.mark.parametrize("large", [32 * 2**20, 0])
def test_texts_that_are_written_otherwise_have_their_values(
    company: Company, large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "LARGE_BYTES", large)
    good = {
        "n": ["007", "-0", "12", ""],
        "d": ["1.5", "+2", ".50", "-3.10"],
        "b": ["TRUE", "False", "true", "false"],
    }
    lines = [",".join(row) + ",2026-01-31" for row in zip(*good.values(), strict=True)]
    bad = [
        "1e3,1.00,true,2026-01-31",
        "1,1.005,true,2026-01-31",
        "1,1,yes,2026-01-31",
        "1,1,true,infinity",
        "1.0,1,true,2026-01-31",
    ]
    company.put("a.csv", "n,d,b,day\n" + "\n".join([*lines, *bad]) + "\n")
    types = {"n": "bigint", "d": "decimal(9,2)", "b": "bool", "day": "date"}
    company.catalog(types=types).good()
    assert company.rows("n, d::VARCHAR, b, _row") == [
        (7, "1.50", True, 1), (0, "2.00", False, 2), (12, "0.50", True, 3), (None, "-3.10", False, 4),
    ]  # fmt: skip
    kept = sorted(one.reason for one in company.kept())
    assert kept == [
        "b is no bool",
        "d is no decimal(9,2)",
        "day is no date",
        "n is no bigint",
        "n is no bigint",
    ]


def test_rows_of_a_large_file_are_numbered_in_its_order(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "LARGE_BYTES", 0)
    company.put("a.csv", "id,text\n" + "".join(f"{n},{'x' * (n % 90)}\n" for n in range(1, 150_001)))
    company.catalog(types={"id": "bigint"}, personal={"text": "keep"}).good()
    assert company.rows("count(*), count(*) FILTER (id = _row), max(_row)", "1") == [
        (150_000, 150_000, 150_000)
    ]


def test_a_type_that_no_row_has_refuses_the_file(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv, "REJECTS_MAX", 20)
    company.put("a.csv", "id,name\n" + "".join(f"{n},x\n" for n in range(30)))
    refused = company.catalog(types={"name": "bigint"}).refused()
    assert "20 lines of a.csv and more" in refused and "name is no bigint" in refused
    company.put("a.csv", "id,name\n" + "1,x\n" * 900 + "1\n" * 30)
    assert "20 lines of a.csv and more" in company.catalog().refused()


def test_names_and_archives_that_say_nothing(company: Company) -> None:
    company.put("a.dat", "id\n1\n")
    assert "a.dat" in company.catalog().refused() and "`format`" in company.refused()
    company.catalog(format="csv").good()
    company.put("b.csv.gz", gzip.compress(b"id\n1\n2\n")[:-9])
    assert "b.csv.gz" in company.refused()
    (company.folder / "b.csv.gz").unlink()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("one.csv", "id\n1\n")
        archive.writestr("two.csv", "id\n1\n")
    company.put("c.csv.zip", made.getvalue())
    assert "holds 2 files" in company.refused()

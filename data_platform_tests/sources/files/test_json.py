"""JSON as files: a document a line, one array, and the arrays within records."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from data_platform.catalog.load import load_catalog
from data_platform.errors import CatalogError, SourceError
from data_platform.sources.files import json_array
from data_platform.sources.files.config import FileSettings
from data_platform.sources.files.documents import documents
from data_platform.sources.files.json_array import elements
from data_platform.sources.files.pattern import Pattern
from data_platform.sources.files.places.local import LocalPlace
from data_platform.sync import check_sources, probe, sync_changes
from data_platform_tests.sources.files.company import Company


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path)


def test_values_are_exact_and_the_record_is_kept_as_it_is(company: Company) -> None:
    line = '{"id": 12345678901234567890, "rate": 0.1234567890123456789, "price": 1.10, "at": "2026-01-31T10:00:00Z", "x": {"deep": 1.50}}'
    company.put("a.ndjson", f"{line}\n\n" + '{"id": 1, "rate": 0.5, "price": 2}\n')
    company.catalog(files="*.ndjson", types={"at": "timestamp", "price": "decimal(9,2)"}).good()
    assert company.rows("id, rate::VARCHAR, price, x::VARCHAR, _file, _row, _record::VARCHAR") == [
        (Decimal(12345678901234567890), "0.1234567890123456789", Decimal("1.10"), '{"deep": 1.50}', "a.ndjson", 1, line),
        (Decimal(1), "0.5", Decimal("2.00"), None, "a.ndjson", 2, '{"id": 1, "rate": 0.5, "price": 2}'),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "block"),
    [
        ("a.jsonl", b'\xef\xbb\xbf{"id":1,"n":"K\xc3\xb6ln"}\r\n{"id":2,"n":null}', {"files": "*.jsonl"}),
        ("a.ndjson.gz", gzip.compress('{"id":1,"n":"Köln"}\n{"id":2}\n'.encode()), {"files": "*.ndjson.gz"}),
        ("a.json", '[{"id":1,"n":"Köln"}, {"id":2}\n]\n'.encode(), {"files": "*.json"}),
        ("a.dat", '[{"id":1,"n":"Köln"},{"id":2}]'.encode(), {"format": "json"}),
        (
            "a.json",
            '{"items": [[1]], "meta": {"items": 1, "of": "[\\""}, "result": {"n": [{}], "items": [{"id":1,"n":"Köln"},{"id":2}], "z": {"]": "}"}}}'.encode(),
            {"files": "*.json", "json": {"path": "result.items"}},
        ),
    ],
    ids=["lines", "gzip", "array", "by its format", "at a path"],  # gzip's bytes hold the time
)
def test_the_same_rows_however_they_are_written(
    company: Company, name: str, content: bytes, block: Any
) -> None:
    company.put(name, content)
    company.catalog(**block).good()
    assert company.rows("id, n, _row") == [(1, "Köln", 1), (2, None, 2)]


def test_a_changed_file_replaces_its_own_records(company: Company) -> None:
    company.put("2026-01-01.ndjson", '{"id":1}\n{"id":2}\n')
    company.put("2026-01-02.ndjson", '{"id":3}\n')
    company.catalog(files="{date}.ndjson", partition="_date", on_delete="delete").good()
    assert company.rows("_date, id") == [(date(2026, 1, 1), 1), (date(2026, 1, 1), 2), (date(2026, 1, 2), 3)]
    assert company.moved() is False
    company.put("2026-01-01.ndjson", '{"id":9,"more":true}\n')
    company.good()
    assert company.rows("id, more") == [(9, True), (3, None)]
    company.put("2026-01-01.ndjson", "")
    company.good()
    assert company.rows("id") == [(3,)]
    (company.folder / "2026-01-02.ndjson").unlink()
    company.good()
    assert company.rows("id") == []


def test_types_widen_and_what_does_not_stops_the_table(company: Company) -> None:
    company.put("a.ndjson", '{"id":1,"n":1}\n')
    company.catalog(files="*.ndjson").good()
    company.put("b.ndjson", '{"id":2,"n":0.5}\n')
    company.good()
    assert company.rows("n") == [(Decimal(1),), (Decimal("0.5"),)]
    company.put("c.ndjson", '{"id":3,"n":"x"}\n')
    refused = company.refused()
    assert "n was decimal(38,18) and holds" in refused and "--refresh office/t" in refused
    company.good(refresh=["t"])
    assert company.rows("n::VARCHAR") == [("1",), ("0.5",), ('"x"',)]


def test_elements_within_records_are_a_table(company: Company) -> None:
    company.put("a.ndjson", '{"id":1,"lines":5}\n')
    company.catalog(files="*.ndjson", types={"id": "bigint", "lines": "json"})
    path = company.root / "catalog" / "sources" / "office.yaml"
    source = yaml.safe_load(path.read_text())
    source["tables"]["lines"] = {"of": "t", "path": "lines"}
    path.write_text(yaml.safe_dump(source))

    def lines(columns: str = '_row, _index, sku, "value"') -> list[tuple[Any, ...]]:
        errors = [report.error for report in sync_changes(company.platform(), "office")]
        assert errors == [None, None]
        with company.platform().warehouse(read_only=True) as warehouse:
            return list(warehouse.query(f"SELECT {columns} FROM raw_office.lines ORDER BY ALL").rows)

    assert lines("_row, _index") == []
    company.put("a.ndjson", '{"id":1,"lines":[{"sku":"a"},{"sku":"b"}]}\n{"id":2}\n{"id":3,"lines":[7]}\n')
    assert lines() == [(1, 0, "a", None), (1, 1, "b", None), (3, 0, None, 7)]
    company.put("a.ndjson", '{"id":1,"lines":[]}\n{"id":2,"lines":[{"sku":"c"}]}\n{"id":3,"lines":5}\n')
    assert lines() == [(2, 0, "c", None)]
    kept, first = company.kept("lines")
    assert first.origin == "a.ndjson, line 1"
    assert kept.origin == "a.ndjson, line 3" and "no array" in kept.reason
    source["tables"]["t"]["key"] = "id"
    source["tables"]["other"] = {"of": "nothing", "path": "lines"}
    path.write_text(yaml.safe_dump(source))
    with pytest.raises(CatalogError) as found:
        load_catalog(company.root)
    assert "key` of its own" in str(found.value) and "names no block of this file: nothing" in str(
        found.value
    )


def test_a_quiet_source_costs_one_listing_a_pattern(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    company.put("a.ndjson", '{"id":1,"lines":[{"sku":"a"}]}\n')
    company.catalog(files="*.ndjson")
    path = company.root / "catalog" / "sources" / "office.yaml"
    source = yaml.safe_load(path.read_text())
    source["tables"]["lines"] = {"of": "t", "path": "lines"}
    path.write_text(yaml.safe_dump(source))
    assert [report.error for report in sync_changes(company.platform(), "office")] == [None, None]
    asked: list[str] = []
    ask = LocalPlace.list

    def counted(place: LocalPlace, pattern: Pattern) -> Any:
        asked.append(pattern.text)
        return ask(place, pattern)

    monkeypatch.setattr(LocalPlace, "list", counted)
    monkeypatch.setattr(LocalPlace, "fetch", lambda *_: pytest.fail("nothing is read"))
    assert [seen.moved for seen in probe(company.platform(), "office")] == [False, False]
    assert asked == ["*.ndjson"]


def test_lines_that_are_no_records_wait_in_quarantine(company: Company) -> None:
    good = "".join(f'{{"id":{n}}}\n' for n in range(30))
    company.put("a.ndjson", f'{good}{{"id":\n\n[1]\n{{"id":"x"}}\n{good}')
    report = company.catalog(files="*.ndjson", types={"id": "bigint"}).good()
    assert "3 records could not be taken" in " ".join(report.notes)
    assert len(company.rows()) == 60
    kept = company.kept()
    assert [(one.reason, one.origin, one.bytes) for one in kept] == [
        ("it is no JSON", "a.ndjson, line 31", b'{"id":'),
        ("it is no JSON object", "a.ndjson, line 33", b"[1]"),
        ("id is no bigint", "a.ndjson, line 34", b'{"id":"x"}'),
    ]


@pytest.mark.parametrize(
    ("bad", "block", "good"),
    [
        ('{"id":\n', {}, '{"id": "1"}\n'),
        ("[1]\n", {"key": "id"}, '{"id": "1"}\n'),
    ],
    ids=["no JSON", "keyed"],
)
def test_a_first_read_whose_records_are_all_malformed_is_gone_on_with(
    company: Company, bad: str, block: Any, good: str
) -> None:
    company.put("a.ndjson", bad)
    company.catalog(files="*.ndjson", **block).good()
    assert [one.origin for one in company.kept()] == ["a.ndjson, line 1"]
    assert company.rows() == []
    assert company.good().manifest is None
    company.put("b.ndjson", good)
    company.good()
    assert company.rows("id") == [("1",)]
    assert len(company.kept()) == 1


@pytest.mark.parametrize(
    ("content", "block", "words"),
    [
        ('[\n{"id": 1},\n{"id": 2}\n]\n', {"format": "ndjson"}, ["a.json", "cannot be taken", "line 1", "`format`"]),
        ('{"id":1}\n{"id":2}\n', {}, ["a.json", "an object and no array", "format: ndjson"]),
        ('{"a": {"b": 1}}', {"json": {"path": "a.b"}}, ["a.json", "no array at a.b"]),
        ('{"a": []}', {"json": {"path": "b"}}, ["a.json", "no array at b"]),
        ('[{"id":1},{"id":2}', {}, ["a.json", "cut off"]),
        ('[{"id":1},{"id":"2', {}, ["a.json", "cut off"]),
        ('{"a": [{"id":1}]', {"json": {"path": "a"}}, ["a.json", "cut off"]),
        ('[{"id":1}] [2]', {}, ["a.json", "stands behind"]),
        ("", {}, ["a.json", "no JSON array"]),
        ('{"id":1}\n'.encode("utf-16"), {"format": "ndjson"}, ["a.json", "UTF-16"]),
        ('[{"_file": "x", "id": 1, "ID": 2}]', {}, ["office/t", "ID"]),
    ],
)  # fmt: skip
def test_what_makes_a_file_doubtful_refuses_it(
    company: Company, content: str | bytes, block: Any, words: list[str]
) -> None:
    company.put("a.json", content)
    refused = company.catalog(files="*.json", **block).refused()
    assert "office/t" in refused and all(word in refused for word in words), refused
    assert company.batches() == []


def test_a_record_has_no_say_in_the_platforms_columns(company: Company) -> None:
    company.put("a.ndjson", '{"_file":"x","_row":9,"_record":1,"_deleted":true,"id":1}\n')
    company.catalog(files="*.ndjson").good()
    assert company.rows("_file, _row, id, _record::VARCHAR") == [
        ("a.ndjson", 1, 1, '{"_file":"x","_row":9,"_record":1,"_deleted":true,"id":1}')
    ]


def test_a_table_of_csv_says_that_a_file_is_json(company: Company) -> None:
    company.put("a.json", "[]")
    assert "set `format: json`" in company.catalog().refused()


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"files": "*.ndjson", "csv": {"delimiter": ";"}}, "is for csv files, and these are ndjson"),
        ({"files": "*.csv", "json": {"path": "a"}}, "is for json files, and these are csv"),
        ({"of": "t", "path": "x"}, "has no place beside `of`"),
        ({"files": "*.json", "json": {"path": "a[0]"}}, "a[0]"),
    ],
)
def test_keys_that_do_not_fit_the_format(company: Company, block: Any, words: str) -> None:
    with pytest.raises(CatalogError) as found:
        load_catalog(company.catalog(**block).root)
    assert words in str(found.value)


def test_a_personal_value_within_a_document_is_asked_about_before_anything_lands(company: Company) -> None:
    company.put("a.ndjson", '{"id":1,"payer":{"email":"eve@example.com"}}\n')
    assert "payer.email" in company.catalog(files="*.ndjson").refused()
    (mistake,) = check_sources(company.platform()).mistakes
    assert "payer.email" in mistake and "eve@" not in mistake
    company.environ = {"DATA_PLATFORM_HASH_KEY": "a test's key, long enough to be taken"}
    company.catalog(files="*.ndjson", personal={"payer.email": "redact"}).good()
    assert "eve@" not in str(company.rows())


def test_a_relative_path_starts_at_the_project(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    company.put("a.csv", "id\n1\n")
    monkeypatch.chdir("/")
    company.catalog(connection={"path": "exports"}).good()
    assert company.rows("id") == [("1",)] and company.moved() is False
    company.environ = {"OFFICE_FILES": "exports"}
    company.catalog(connection={"path_env": "OFFICE_FILES"}).good()
    assert check_sources(company.platform()).mistakes == []


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('ab"\\[]{},: é', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(_VALUES, max_size=6), st.integers(1, 7), st.booleans(), st.integers(0, 2))
def test_elements_of_any_array(values: list[Any], piece: int, spaced: bool, around: int) -> None:
    """Cut anywhere, the elements are those that a whole read finds."""
    document: Any = values
    for _ in range(around):
        document = {"a": [1], "k": document, "z": {"k": "]}"}}
    text = json.dumps(document, indent=1 if spaced else None, ensure_ascii=spaced).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_array, "PIECE", piece)
        found = [json.loads(one) for some in elements(io.BytesIO(text), "a", ["k"] * around) for one in some]
        assert found == values
        if values or around:
            with pytest.raises(SourceError):
                for _ in elements(io.BytesIO(text[:-1].rstrip()), "a", ["k"] * around):
                    pass


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.ndjson", "a.json", "a.json.gz"])
def test_a_large_file_is_never_held(tmp_path: Path, name: str) -> None:
    line = json.dumps({"id": 1, "text": "x" * 150}).encode()
    text = b"\n".join([line] * 150_000) if name == "a.ndjson" else b"[" + b",".join([line] * 150_000) + b"]"
    (tmp_path / name).write_bytes(gzip.compress(text, 1) if name.endswith(".gz") else text)
    size = len(text)
    del text
    tracemalloc.start()
    try:
        found = documents(tmp_path / name, name, FileSettings("t", pattern=Pattern(name)))
        assert sum(len(some.records) for some in found) == 150_000
        assert tracemalloc.get_traced_memory()[1] < size / 2
    finally:
        tracemalloc.stop()

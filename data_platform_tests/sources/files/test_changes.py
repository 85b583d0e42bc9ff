"""Files that come, change, are copied, go, and are still being written."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from data_platform.catalog.load import load_catalog
from data_platform.landing.verify import verify
from data_platform.sources.files.known import Identity, Listed, moves, packed, stamp_of, unpacked
from data_platform.sources.files.pattern import Pattern
from data_platform.sources.kinds import discover
from data_platform.sources.looking import Privacy
from data_platform.sync import check_sources, sync_slices
from data_platform.tables import Slice, TableId
from data_platform_tests.sources.files.company import Company


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path)


def test_a_changed_file_replaces_its_own_rows(company: Company) -> None:
    company.put("a.csv", "id\n1\n2\n")
    company.put("b.csv", "id\n3\n")
    company.catalog().good()
    assert company.moved() is False
    company.put("a.csv", "id\n9\n")
    assert company.moved() is True
    report = company.good()
    assert report.rows == 1
    assert company.rows("_file, id") == [("a.csv", "9"), ("b.csv", "3")]
    company.put("a.csv", "id\n")
    company.good()
    assert company.rows("_file, id") == [("b.csv", "3")]
    assert (
        verify(company.platform().ledger, TableId("office", "t"), company.platform().clock()).problems == ()
    )


@pytest.mark.parametrize(("rule", "left"), [("keep", ["a.csv", "b.csv"]), ("delete", ["b.csv"])])
def test_a_file_that_is_gone(company: Company, rule: str, left: list[str]) -> None:
    for name in ("a", "b"):
        company.put(f"{name}.csv", "id\n1\n")
    company.catalog(on_delete=rule).good()
    (company.folder / "a.csv").unlink()
    company.good()
    assert [file for (file,) in company.rows("_file")] == left
    assert company.moved() is False
    company.put("a.csv", "id\n2\n")
    company.good()
    assert company.rows("_file, id") == [("a.csv", "2"), ("b.csv", "1")]


def test_a_copy_with_the_same_bytes_is_no_change_and_one_with_the_same_times_is(company: Company) -> None:
    file = company.put("a.csv", "id\n1\n")
    company.catalog().good()
    before = file.stat()
    company.put("a.csv", "id\n1\n")
    assert company.good().rows == 0
    assert company.moved() is False
    company.put("a.csv", "id\n2\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    company.good()
    assert company.rows("id") == [("2",)]


def test_a_late_file_with_an_old_date_is_new(company: Company) -> None:
    company.put("orders/2026-02-01.csv", "id\n1\n")
    company.catalog(files="orders/{date}.csv", partition="_date").good()
    late = company.put("orders/2026-01-15.csv", "id\n2\n")
    os.utime(late, (1_600_000_000, 1_600_000_000))
    company.put("orders/2026-02-31.csv", "id\n3\n")
    company.good()
    assert company.rows("_date, id") == [(date(2026, 1, 15), "2"), (date(2026, 2, 1), "1")]
    assert set(company.batches()[-1].touched) == {"2026-01-15"}


@pytest.mark.parametrize("rule", ["keep", "delete"])
@pytest.mark.parametrize("ending", ["csv", "ndjson"])
def test_a_day_is_a_partition_that_is_read_by_itself(company: Company, rule: str, ending: str) -> None:
    def put(path: str, *numbers: int) -> None:
        lines = "".join(f"{n}\n" if ending == "csv" else f'{{"id":"{n}"}}\n' for n in numbers)
        company.put(f"{path}.{ending}", ("id\n" if ending == "csv" else "") + lines)

    for path, number in (("2026-01-01/a", 1), ("2026-01-01/b", 2), ("2026-01-02/a", 3)):
        put(path, number)
    company.catalog(files=f"{{date}}/*.{ending}", partition="_date", on_delete=rule).good()
    (table,) = company.platform().catalog.source("office").tables.values()
    assert table.daily
    put("2026-01-01/a", 4, 5)
    put("2026-01-01/c")
    put("2026-01-02/a", 6)
    (company.folder / f"2026-01-01/b.{ending}").unlink()
    (report,) = sync_slices(company.platform(), "office", None, [Slice("2026-01-01")])
    assert report.error is None and report.operation == "slice" and report.rows is not None
    stays = [("2026-01-01/b", "2")] if rule == "keep" else []
    assert company.rows("regexp_replace(_file, '\\..*', ''), id")[:-1] == [
        ("2026-01-01/a", "4"),
        ("2026-01-01/a", "5"),
        *stays,
    ]
    company.good()
    assert [id_ for (id_,) in company.rows("id")] == ["4", "5", *(id_ for _, id_ in stays), "6"]
    assert company.moved() is False


def test_a_table_without_a_day_has_no_partitions(company: Company) -> None:
    company.put("2026-01-01.csv", "id,day\n1,2026-01-01\n")
    company.catalog(files="{date}.csv", partition="day", types={"day": "date"}).good()
    (table,) = company.platform().catalog.source("office").tables.values()
    assert not table.daily


def test_a_file_that_is_still_written_is_left(company: Company) -> None:
    company.settle_seconds = 3600
    old = company.put("a.csv", "id\n1\n")
    os.utime(old, (1_600_000_000, 1_600_000_000))
    company.put("b.csv", "id\n2\n")
    report = company.catalog().good()
    assert "1 file still being written" in " ".join(report.notes)
    assert company.rows("id") == [("1",)] and company.moved() is False
    company.put("a.csv", "id\n1\n5\n")
    company.good()
    assert company.rows("id") == [("1",)]
    assert "is being written" in str(company.sync(refresh=["t"]).error)


@pytest.mark.parametrize("name, text", [("a.csv", "id\n1\n"), ("a.ndjson", '{"id": "1"}\n')])
def test_a_first_read_that_finds_only_files_still_written_is_gone_on_with(
    company: Company, name: str, text: str
) -> None:
    company.settle_seconds = 3600
    file = company.put(name, text)
    report = company.catalog(files=f"*.{name.partition('.')[2]}").good()
    assert "1 file still being written" in " ".join(report.notes)
    os.utime(file, (1_600_000_000, 1_600_000_000))
    company.good()
    assert company.rows("id") == [("1",)]
    os.utime(
        company.put(name, text + text.replace("1", "2").removeprefix("id\n")), (1_600_000_001, 1_600_000_001)
    )
    company.good()
    assert company.rows("id") == [("1",), ("2",)]


def test_a_file_that_changes_while_it_is_read_lands_nothing(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    from data_platform.sources.files import step

    file = company.put("a.csv", "id\n1\n")
    company.catalog()
    write = step.Step.write

    def written(*given: Any, **more: Any) -> Any:
        made = write(*given, **more)
        file.write_text("id\n1\n2\n")
        return made

    with monkeypatch.context() as patch:
        patch.setattr(step.Step, "write", written)
        assert "a.csv changed while it was read" in company.refused()
    company.good()
    assert company.rows("id") == [("1",), ("2",)]


def test_another_dialect_reads_everything_anew(company: Company) -> None:
    company.put("a.csv", "id,n\n1,-\n")
    company.catalog().good()
    report = company.catalog(csv={"nulls": ["-"]}).good()
    assert report.operation == "refresh"
    assert company.rows("id, n") == [("1", None)]


def test_nothing_that_matches_is_an_error(company: Company) -> None:
    company.put("a.csv", "id\n1\n")
    assert "b/*.csv" in company.catalog(files="b/*.csv").refused()
    (mistake,) = check_sources(company.platform()).mistakes
    assert "no file below" in mistake
    company.catalog(on_delete="delete").good()
    (company.folder / "a.csv").unlink()
    assert "missing mount" in company.refused()
    assert company.rows("id") == [("1",)]
    company.catalog(connection={"path": str(company.root / "nowhere")})
    assert "There is no folder" in company.refused()


def test_a_declared_key_is_of_the_last_file(company: Company) -> None:
    company.put("a.csv", "id,n\n1,old\n2,two\n")
    company.put("b.csv", "id,n\n1,new\n")
    company.catalog(key="id").good()
    assert company.rows("id, n", "id") == [("1", "new"), ("2", "two")]
    company.put("c.csv", "id,n\n3,x\n3,y\n")
    assert "is not a key" in company.refused()


def test_parquet_has_its_own_types(company: Company) -> None:
    company.folder.mkdir()
    with duckdb.connect() as engine:
        engine.execute(
            "COPY (SELECT 1::INTEGER AS id, 1.10::DECIMAL(9,2) AS price, [1, 2] AS list, {'a': 'x'} AS doc, 7::UBIGINT AS big)"
            f" TO '{company.folder}/a.parquet' (FORMAT parquet)"
        )
        company.catalog(personal={"doc": "keep", "list": "keep"}).good()
        assert company.rows("id, price::VARCHAR, list::VARCHAR, doc::VARCHAR, big::VARCHAR, _row") == [
            (1, "1.10", "[1,2]", '{"a":"x"}', "7", 1)
        ]
        engine.execute(f"COPY (SELECT 5000000000 AS id) TO '{company.folder}/b.parquet' (FORMAT parquet)")
        company.good()
        assert company.rows("id") == [(1,), (5000000000,)]
    company.put("c.parquet", b"no parquet")
    assert "c.parquet" in company.refused()


def test_ten_thousand_files_are_known_in_half_a_megabyte() -> None:
    listed = [
        Listed(f"orders/2026-01-{n % 28 + 1:02}/part-{n:05}.csv.gz", n, f"{n * 7919}:{n}")
        for n in range(10_000)
    ]
    known = {one.path: Identity(stamp_of(one), stamp_of(one)[::-1] + "abcde") for one in listed}
    value = packed(known)
    assert len(str(value["files"])) < 500_000
    assert unpacked(value) == known
    assert not moves({one.path: one for one in listed}, known)
    with pytest.raises(ValueError, match="no files"):
        unpacked({"files": "what is this"})


@pytest.mark.parametrize(
    ("text", "path", "matches"),
    [
        ("a/*.csv", "a/x.csv", True),
        ("a/*.csv", "a/b/x.csv", False),
        ("a/**/*.csv", "a/b/c/x.csv", True),
        ("a/**/*.csv", "a/x.csv", True),
        ("a/{date}/x.csv", "a/2026-02-28/x.csv", True),
        ("a/{date}/x.csv", "a/2026-02-30/x.csv", False),
        ("a/{yyyy}/{mm}/{dd}?.csv", "a/2026/01/31b.csv", True),
        ("a+b.csv", "aab.csv", False),
    ],
)
def test_patterns(text: str, path: str, matches: bool) -> None:
    assert Pattern(text).matches(path) is matches


@pytest.mark.parametrize(
    "text", ["", "/a.csv", "../a.csv", "a//b.csv", "{day}.csv", "{yyyy}.csv", "{date}/{date}.csv", "a\\b"]
)
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(ValueError):
        Pattern(text)


def test_a_folder_in_a_variable(company: Company) -> None:
    company.put("a.csv", "id\n1\n")
    company.catalog(connection={"path_env": "OFFICE_FILES"})
    assert "OFFICE_FILES is not set" in company.refused()
    company.environ = {"OFFICE_FILES": str(company.folder)}
    company.good()
    assert company.rows("id") == [("1",)]


def test_discover_drafts_a_file_that_validates(company: Company) -> None:
    company.put("orders/2026-01-31.csv", "id;code;day;email;price\n1;007;2026-01-31;eve@example.com;1.50\n")
    company.put("orders/2026-02-01.csv", "id;code;day;email;price\n2;010;2026-02-01;max@example.com;12.25\n")
    company.put("city 1.csv", "name\nKöln\n".encode("cp1252"))
    at = '"at": "2026-01-31T10:00:00Z", "who": {"email": "eve@example.com"}'
    company.put("events-1.json", f'{{"a": 1, {at}}}\n{{"a": 2}}\n')
    company.put("bills.json", f'{{"n": 1, "data": {{"items": [{{"a": 1, {at}}}]}}}}')
    company.catalog()
    text = discover(
        "files",
        {"path": str(company.folder)},
        source="office",
        environ={},
        today=date(2026, 2, 2),
        privacy=Privacy(
            looks=lambda column, *_: column if column == "email" else None,
            by_name=lambda *_: None,
            treatment=lambda *_: "hash",
        ),
    )
    assert "eve@" not in text and "Köln" not in text
    drafted = yaml.safe_load(text)["tables"]
    assert drafted["orders"] == {
        "files": "orders/{date}.csv",
        "csv": {"delimiter": ";"},
        "types": {"id": "bigint", "day": "date", "price": "decimal(18,2)"},
        "personal": {"email": "hash?"},
    }
    of_records = {"types": {"at": "timestamp"}, "personal": {"who.email": "hash?"}}
    assert drafted["bills"] == {"files": "bills.json", "json": {"path": "data.items"}, **of_records}
    assert drafted["events"] == {"files": "events-*.json", "format": "ndjson", **of_records}
    assert drafted["city"] == {"files": "city *.csv", "csv": {"encoding": "cp1252"}}
    (company.root / "catalog" / "sources" / "office.yaml").write_text(text)
    load_catalog(company.root)

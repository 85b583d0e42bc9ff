"""The archive for years: its files need nothing of ours, what is written today is what was promised, damage is named.

``golden/`` is an archive that was written once and is never written again. It is read on every build by pyarrow,
DuckDB and sha256sum, and today's writer must make the same files of the same rows.
"""

from __future__ import annotations

import ast
import hashlib
import json
import shutil
import subprocess
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow
import pyarrow.dataset
import pyarrow.parquet
import pytest

from data_platform.backups import open_format, stranger
from data_platform.backups.archive import Archive
from data_platform.backups.export import BackupReport, export, store
from data_platform.backups.manifest import backup_id
from data_platform.backups.restore import restore
from data_platform.backups.shelf import ARCHIVE, WAREHOUSE
from data_platform.errors import BackupDamaged, BackupMissing
from data_platform_tests.backups.conftest import Box, config, open_at
from data_platform_tests.backups.test_export import VALUES

GOLDEN = Path(__file__).parent / "golden" / "archive"
GOLDEN_AT = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
GOLDEN_ROWS = (
    "create schema shop",
    'create table shop."orders/ü" (id bigint not null, note varchar, total decimal(10,2), made timestamptz, score double,'
    " tags varchar[], big hugeint)",
    "insert into shop.\"orders/ü\" values (3, 'three', 3.30, '2026-01-03 00:00:00+00', 0.1, ['a', null], 170141183460469231731687303715884105727),"
    " (1, null, 1.10, '2026-01-01 12:30:00+00', 1e300, [], -1), (2, '', -2.20, 'infinity', null, null, null)",
    "create table shop.nothing (id uuid)",
    'create view shop.paid as select id from shop."orders/ü" where total > 0',
    "comment on table shop.nothing is 'empty'",
)
EXPECTED = [
    (1, None, "1.10", 1e300, []),
    (2, "", "-2.20", None, None),
    (3, "three", "3.30", 0.1, ["a", None]),
]


def write_archive(box: Box, *archives: Archive, at: datetime = GOLDEN_AT) -> BackupReport:
    id_ = backup_id(at, "0" * 8)
    folder = box.root / f"written-{len(list(box.root.glob('written-*')))}"
    folder.mkdir()
    with open_at(box.file) as warehouse:
        exported = export(warehouse, folder, id_, shelf=ARCHIVE)
    files = open_format.describe(exported, folder, id_, "golden")
    given = archives or (box.archive().on(ARCHIVE),)
    return store(exported, files, given, id_=id_, environment="golden", created_at=at)


def folder_of(box: Box, report: BackupReport, archive: str = "primary") -> Path:
    return box.root / archive / "archive" / report.manifest.id


def read(folder: Path) -> stranger.Reading:
    def open_file(path: str) -> Any:
        if not (folder / path).exists():
            raise KeyError(path)
        return nullcontext(folder / path)

    return stranger.read(open_file)


@pytest.fixture
def golden_box(tmp_path: Path) -> Box:
    made = Box(tmp_path)
    made.execute(*GOLDEN_ROWS)
    return made


# ---- the golden archive, by tools that are not ours


def golden_table() -> dict[str, Any]:
    (table,) = [t for t in json.loads((GOLDEN / "manifest.json").read_text())["tables"] if t["rows"]]
    return dict(table)


def test_the_golden_archive_passes_sha256sum() -> None:
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=GOLDEN, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.count(": OK") == 3, done


def test_the_golden_archive_is_read_by_duckdb_alone() -> None:
    table = golden_table()
    assert table["table"] == "orders/ü" and table["rows"] == 3
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"set file_search_path = '{GOLDEN}'")
        assert connection.execute(table["fingerprint_query"]).fetchone() == (3, int(table["fingerprint"]))
        connection.execute("create schema shop")
        connection.execute(table["create"])
        casts = ", ".join(f'CAST("{c["name"]}" AS {c["type"]})' for c in table["columns"])
        folder = table["files"][0]["path"].split("/")[0]
        connection.execute(
            f"insert into shop.\"orders/ü\" select {casts} from read_parquet('{folder}/*.parquet')"
        )
        found = connection.execute(
            'select id, note, total::varchar, score, tags from shop."orders/ü" order by id'
        ).fetchall()
        assert found == EXPECTED
        others = connection.execute('select big::varchar, made::varchar from shop."orders/ü" order by id')
        assert others.fetchall() == [
            ("-1", "2026-01-01 12:30:00+00"),
            (None, "infinity"),
            ("170141183460469231731687303715884105727", "2026-01-03 00:00:00+00"),
        ]


def test_the_golden_archive_is_read_by_pyarrow_alone() -> None:
    table = golden_table()
    file = GOLDEN / table["files"][0]["path"]
    kept = pyarrow.dataset.dataset(file.parent, format="parquet").to_table()
    rows = kept.drop_columns("made").to_pylist()
    micros = kept["made"].cast(pyarrow.int64()).to_pylist()
    assert micros == [1767270600000000, 2**63 - 1, 1767398400000000], "infinity is the largest number"
    found = [(r["id"], r["note"], str(r["total"]), r["score"], r["tags"]) for r in rows]
    assert found == EXPECTED
    with pyarrow.parquet.ParquetFile(file, page_checksum_verification=True) as parquet:
        assert parquet.read().num_rows == 3


def test_the_fingerprint_is_what_the_description_says() -> None:
    """Computed from the words of README.txt in another language than SQL, for the columns whose text is plain."""

    def text(value: object) -> str:
        return "-" if value is None else f"{len(str(value).encode())}:{value}"

    rows = [(1, "ä"), (2, None), (3, "")]
    total = sum(int(hashlib.md5("".join(map(text, row)).encode()).hexdigest()[:16], 16) for row in rows) % (
        2**64
    )
    query = stranger.fingerprint_query(
        [("n", "INTEGER", "value"), ("t", "VARCHAR", "value")], ["nowhere.parquet"]
    )
    with duckdb.connect() as connection:
        given = "(values (1, 'ä'), (2, null), (3, '')) r(n, t)"
        asked = query.replace("read_parquet(['nowhere.parquet'])", given)
        assert connection.execute(asked).fetchone() == (3, total)


def test_the_golden_archive_is_read_by_the_drill() -> None:
    assert read(GOLDEN).mismatches == () and read(GOLDEN).rows == 3


def test_todays_writer_makes_the_golden_archive(golden_box: Box) -> None:
    """Whatever changes here, an archive of last year must still be one: change ``FORMAT`` and add a golden archive."""
    written = folder_of(golden_box, write_archive(golden_box))
    names = sorted(str(path.relative_to(GOLDEN)) for path in GOLDEN.rglob("*") if path.is_file())
    assert sorted(str(p.relative_to(written)) for p in written.rglob("*") if p.is_file()) == names
    assert (written / "README.txt").read_text() == (GOLDEN / "README.txt").read_text()
    found, kept = (json.loads((folder / "manifest.json").read_text()) for folder in (written, GOLDEN))
    for document in (found, kept):  # a newer version of a library may write other bytes of the same rows
        del document["written_by"]
        for table in document["tables"]:
            for file in table["files"]:
                del file["bytes"], file["sha256"]
    assert found == kept
    for name in (name for name in names if name.endswith(".parquet")):
        one, other = (pyarrow.parquet.read_table(folder / name) for folder in (written, GOLDEN))
        assert one.equals(other) and one.schema.equals(other.schema)


# ---- what is written today


def test_every_type_has_a_fingerprint_that_a_stranger_finds(box: Box) -> None:
    columns = ", ".join(f"c{n} {kind}" for n, kind in enumerate(VALUES))
    box.execute(
        f"create table raw_shop.types ({columns})",
        f"insert into raw_shop.types values ({', '.join(VALUES.values())})",
        f"insert into raw_shop.types values ({', '.join(['null'] * len(VALUES))})",
    )
    report = write_archive(box)
    reading = read(folder_of(box, report))
    assert reading.mismatches == () and reading.rows == report.manifest.rows > 5000
    assert box.archive().ids() == [], "an archive is no daily backup"


def test_an_archive_is_a_backup_that_restores(box: Box) -> None:
    write_archive(box)
    archive = box.archive().on(ARCHIVE)
    file = box.root / "restored.duckdb"
    assert restore(archive, archive.chosen("2026-11-22"), config(file), box.root).mismatches == ()
    for ask in ("from raw_shop.orders order by id", "from staging.a"):
        assert box.rows(ask, file) == box.rows(ask)


def test_the_manifest_of_one_shelf_is_none_of_another(box: Box) -> None:
    report = write_archive(box)
    archive = box.archive()
    id_ = report.manifest.id
    archive.store.put_new(
        WAREHOUSE.manifest_key(id_), (box.root / "primary" / ARCHIVE.manifest_key(id_)).read_bytes()
    )
    with pytest.raises(BackupDamaged, match="cannot be read"):
        archive.manifest(id_)


def test_a_table_is_divided_and_still_one(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_platform.backups.export.PART_BYTES", 20_000)
    monkeypatch.setattr(stranger, "FILES_AT_ONCE", 2)
    box.execute("insert into raw_shop.orders (id) select n from range(10000, 90000) r(n)")
    report = write_archive(box)
    orders = next(table for table in report.manifest.tables if table.label == "raw_shop.orders")
    assert len(orders.parts) > 4 and read(folder_of(box, report)).mismatches == ()


# ---- damage


def flip(path: Path, at: int = -20) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def change_manifest(folder: Path, old: str, new: str, *, sums: bool = True) -> None:
    """As somebody would who may write there: SHA256SUMS is made to agree."""
    path = folder / "manifest.json"
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    if sums:
        after = hashlib.sha256(path.read_bytes()).hexdigest()
        (folder / "SHA256SUMS").write_text((folder / "SHA256SUMS").read_text().replace(before, after))


def replace_part(folder: Path, sql: str) -> None:
    """Another Parquet file in the place of the first, with sums that agree."""
    part = next(folder.glob("raw_shop.orders/*.parquet"))
    before = hashlib.sha256(part.read_bytes()).hexdigest()
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"create table t as from read_parquet('{part}')")
        connection.execute(sql)
        connection.execute(f"copy t to '{part}' (format parquet)")
    after = hashlib.sha256(part.read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text((folder / "SHA256SUMS").read_text().replace(before, after))
    change_manifest(folder, before, after)


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (
            lambda f: flip(next(f.glob("raw_shop.orders/*.parquet")), 300),
            "raw_shop.orders/part-00000.parquet",
        ),
        (
            lambda f: next(f.glob("raw_shop.orders/*.parquet")).unlink(),
            "part-00000.parquet of raw_shop.orders",
        ),
        (lambda f: flip(f / "README.txt"), "README.txt does not match"),
        (lambda f: (f / "README.txt").unlink(), "README.txt is missing"),
        (lambda f: (f / "SHA256SUMS").unlink(), "SHA256SUMS is missing"),
        (lambda f: (f / "manifest.json").write_text("{"), "cannot be read"),
        (lambda f: change_manifest(f, "5000", "4999", sums=False), "manifest.json does not match"),
        (lambda f: change_manifest(f, '"rows": 5000', '"rows": 4999'), "raw_shop.orders holds 5,000 rows"),
        (lambda f: change_manifest(f, '"type": "BIGINT"', '"type": "BIGINT) x"'), "a column is invalid"),
        (lambda f: replace_part(f, "update t set note = 'x' where id = 7"), "do not match the fingerprint"),
        (
            lambda f: replace_part(f, "update t set note = '' where note is null"),
            "do not match the fingerprint",
        ),
        (lambda f: replace_part(f, "delete from t where id = 7"), "holds 4,999 rows instead of 5,000"),
    ],
    ids=range(12),
)
def test_damage_is_named(box: Box, harm: Any, named: str) -> None:
    folder = folder_of(box, write_archive(box))
    assert read(folder).mismatches == ()
    harm(folder)
    (line,) = read(folder).mismatches
    assert named in line


def test_no_sql_of_the_archive_is_run(box: Box) -> None:
    """Who may write to the store could put any query beside the fingerprint."""
    folder = folder_of(box, write_archive(box))
    document = json.loads((folder / "manifest.json").read_text())
    for table in document["tables"]:
        table["fingerprint_query"] = f"COPY (SELECT 1) TO '{box.root / 'harm.csv'}'"
    before = (folder / "manifest.json").read_text()
    change_manifest(folder, before, json.dumps(document))
    assert read(folder).mismatches == () and not (box.root / "harm.csv").exists()


def test_duckdb_reaches_the_files_and_nothing_else(box: Box) -> None:
    folder = folder_of(box, write_archive(box))
    (part,) = folder.glob("raw_shop.orders/*.parquet")
    with stranger.duckdb_of([part]) as connection:
        with pytest.raises(duckdb.Error):
            connection.execute(f"from read_text('{folder / 'README.txt'}')")
        with pytest.raises(duckdb.Error):
            connection.execute("set enable_external_access = true")


def test_the_reader_knows_nothing_of_ours_but_names_and_types() -> None:
    tree = ast.parse(Path(stranger.__file__).read_text())
    named = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    own = {name for name in named if name and name.startswith("data_platform")}
    assert own == {"data_platform.column_types", "data_platform.sql"}


def test_an_unfinished_archive_is_none(box: Box) -> None:
    report = write_archive(box)
    archive = box.archive().on(ARCHIVE)
    (box.root / "primary" / ARCHIVE.manifest_key(report.manifest.id)).unlink()
    with pytest.raises(BackupMissing, match="backup archive"):
        archive.chosen("latest")
    assert archive.abandoned(datetime(2027, 1, 1, tzinfo=UTC)) == [report.manifest.id]
    assert archive.remove(report.manifest.id) > 4 and archive.store.list("archive") == []


def test_a_copy_that_fails_keeps_no_other_from_being_made(box: Box) -> None:
    (box.root / "full").write_text("no folder")
    archives = [box.archive(name).on(ARCHIVE) for name in ("primary", "full", "other")]
    report = write_archive(box, *archives)
    assert report.stored == ("primary", "other") and list(report.failed) == ["full"]
    assert read(folder_of(box, report, "other")).mismatches == ()
    assert archives[2].damage(report.manifest, deep=True) == []
    assert replace(archives[0]).ids() == archives[2].ids()


if __name__ == "__main__":  # makes the golden archive of a new format; never again for one that has one
    making = Box(Path("golden-box").absolute())
    making.root.mkdir()
    making.execute(*GOLDEN_ROWS)
    shutil.copytree(folder_of(making, write_archive(making)), GOLDEN)
    shutil.rmtree(making.root)

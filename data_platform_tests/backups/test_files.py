"""Files beside the warehouse: any name the file system gives, and none that leads out of the folder."""

from __future__ import annotations

import os
import random
import sqlite3
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from data_platform.backups import names
from data_platform.backups.archive import OBJECTS, Archive, object_key
from data_platform.backups.export import FileToKeep
from data_platform.backups.instance import sqlite_files
from data_platform.backups.manifest import BackupFile, BackupManifest, BackupObject
from data_platform.backups.restore import restore_files
from data_platform.errors import BackupDamaged, DataPlatformError, StoreFull
from data_platform.landing.part import sha256_of
from data_platform.stores._keys import pieces
from data_platform.stores.local import LocalStore
from data_platform_tests.backups.conftest import Box

ODD = [
    ".db",
    "..db",
    "%2Edb.db",
    "a b.db",
    "back\\slash.db",
    "new\nline.db",
    "käse.db",
    "q'uote\".db",
    os.fsdecode(b"not-text-\xff\xfe.db"),
    "x" * 240 + ".db",
    "ü" * 120 + ".db",
    "ü" * 119 + "u.db",
    "-.db",
    "~.db",
    "a:b*?.db",
]


def test_databases_of_any_name_come_back_under_it(box: Box, tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "packed"
    (home / ".hidden").mkdir(parents=True)
    folder.mkdir()
    made = [home / name for name in ODD] + [home / ".hidden" / ".db"]
    for number, path in enumerate(made):
        with sqlite3.connect(path) as connection:
            connection.execute(f"create table t as select {number} as n")
    box.back_up(files=sqlite_files(home, folder))
    archive = box.archive()
    manifest = archive.chosen("latest")
    assert not archive.damage(manifest, deep=True)
    assert restore_files(archive, manifest, tmp_path / "back") == len(made)
    for number, path in enumerate(made):
        with sqlite3.connect(tmp_path / "back/instance" / path.relative_to(home)) as connection:
            assert connection.execute("select n from t").fetchall() == [(number,)]


def test_no_two_names_share_a_key_and_each_comes_back() -> None:
    seeded = random.Random(1)
    paths = {
        os.fsdecode(bytes(seeded.choice(b'.%/aZ~ \\\xff\xc3"-') for _ in range(seeded.randrange(1, 6))))
        for _ in range(20_000)
    }
    paths |= {"x" * n for n in range(150, 260)} | {"." + "ü" * n for n in range(40, 120)}
    paths = {path for path in paths if all(name not in ("", ".", "..") for name in path.split("/"))}
    keys = {names.key_of(names.escaped(path)) for path in paths}
    assert len(keys) == len(paths)
    for key in keys:
        assert key.isascii() and all(len(name) <= names.LONGEST for name in pieces(key))
    assert all(names.unescaped(names.escaped(path)) == path for path in paths)
    tables = [("a.b", "c"), ("a", "b.c"), ("a", "b/c"), ("a", "b-c"), ("a", "B-c"), ("a", "b c"), (".", "")]
    assert len({names.relation(*table) for table in tables}) == len(tables)


def test_tables_whose_names_differ_in_one_odd_character_are_both_kept(box: Box) -> None:
    box.execute(
        'create table raw_shop."x/y" as select 1 as n', 'create table raw_shop."x-y" as select 2 as n'
    )
    box.back_up()
    box.restore()
    restored = box.root / "restored.duckdb"
    assert box.rows('select n from raw_shop."x/y" union all from raw_shop."x-y"', restored) == [(1,), (2,)]


@pytest.mark.parametrize(
    "path",
    [
        "../../x",
        "/etc/x",
        "instance/../../x",
        "%2E%2E/x",
        "instance%2F..%2F..%2Fx",
        "",
        "a//b",
        "a/.",
        "x%00y",
    ],
)
def test_a_path_that_leads_out_of_the_folder_is_refused_by_name(box: Box, tmp_path: Path, path: str) -> None:
    manifest = _holding(box, path, b"evil")
    into = tmp_path / "deep" / "er" / "back"
    with pytest.raises(BackupDamaged, match="would not be written inside"):
        restore_files(box.archive(), manifest, into)
    assert not into.exists() and not list(tmp_path.rglob("x"))


def test_a_link_in_the_folder_is_not_followed(box: Box, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "instance").symlink_to(tmp_path / "theirs")
    with pytest.raises(BackupDamaged, match="through a link"):
        names.inside(tmp_path / "into", "instance/x", "The backup")
    (tmp_path / "into" / "x").symlink_to(tmp_path / "theirs" / "x")
    with pytest.raises(BackupDamaged, match="through a link"):
        names.inside(tmp_path / "into", "x", "The backup")


@pytest.mark.parametrize("says", [1000, None])
def test_what_unpacks_to_more_than_it_may_is_refused_and_not_kept(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: int | None
) -> None:
    monkeypatch.setattr("data_platform.backups.instance.SMALL", 2 << 20)
    bomb = tmp_path / "bomb"
    with pa.CompressedOutputStream(str(bomb), "zstd") as target:
        for _ in range(64):
            target.write(bytes(1 << 20))
    manifest = _holding(box, "instance/x.db.zst", bomb.read_bytes(), says)
    with pytest.raises(BackupDamaged, match=r"x\.db of the backup unpacks to more"):
        restore_files(box.archive(), manifest, tmp_path / "back")
    assert [path for path in (tmp_path / "back").rglob("*") if path.is_file()] == []
    manifest = _holding(box, "instance/x.db.zst", b"no zstd at all", says)
    with pytest.raises(BackupDamaged, match="not compressed as it should be"):
        restore_files(box.archive(), manifest, tmp_path / "back2")


def test_a_backup_that_fails_leaves_nothing_in_the_archive_where_it_failed(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(LocalStore):
        def put_file(self, key: str, path: Path, sha256: str | None = None) -> None:
            if "/files/" in key:
                raise StoreFull("no space is left")
            super().put_file(key, path, sha256)

    file = tmp_path / "x"
    file.write_bytes(b"x")
    files = [FileToKeep("instance/x", file, 1)]
    good, full = box.archive(), Archive("full", lambda: Full(box.root / "full"))
    report = box.back_up(good, full, files=files)
    assert report.stored == ("primary",) and "full" in report.failed
    assert full.store.list("") == [] and full.ids() == []
    assert not good.damage(good.chosen("latest"), deep=True)
    with pytest.raises(DataPlatformError):
        box.back_up(full, nonce="00000001", files=files)
    assert full.store.list(OBJECTS) == []

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    before = good.store.list("")
    monkeypatch.setattr(Archive, "commit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        box.back_up(good, nonce="00000002", files=files)
    assert good.store.list("") == before


def _holding(box: Box, path: str, content: bytes, plain_bytes: int | None = None) -> BackupManifest:
    """A backup's manifest with a file ``path``, whatever that leads to; its object is in the archive."""
    made = box.back_up(nonce=os.urandom(4).hex()).manifest
    file = box.root / "forged"
    file.write_bytes(content)
    object_ = BackupObject(object_key(made.id, "files/forged"), len(content), sha256_of(file))
    box.archive().add(file, object_)
    return replace(made, files=(BackupFile(path, object_, plain_bytes),)).sealed()

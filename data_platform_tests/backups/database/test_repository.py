"""Database backups in a store: what was altered, forged, copied or lost is named; what is built on it is not usable."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data_platform.backups.archive import Archive
from data_platform.backups.database.manifest import DatabaseBackup, objects_of
from data_platform.backups.database.repository import Repository
from data_platform.backups.manifest import BackupObject, backup_id
from data_platform.errors import BackupDamaged, BackupError, BackupMissing
from data_platform.landing.part import sha256_of
from data_platform.landing.signing import NOT_SIGNED, Signer
from data_platform.stores.local import LocalStore

KEY = Signer("KEY", (b"k" * 32,))
AT = datetime(2026, 11, 22, 3, tzinfo=UTC)


def repository(root: Path, signer: Signer = NOT_SIGNED) -> Repository:
    return Repository(Archive("primary", lambda: LocalStore(root / "store"), signer), "shop")


def stored(
    there: Repository, root: Path, parent: DatabaseBackup | None = None, hour: int = 3
) -> DatabaseBackup:
    id_ = backup_id(AT.replace(hour=hour), "0" * 8)
    path = root / "made"
    path.write_bytes(f"the bytes of {id_}".encode())
    object_ = BackupObject(f"{objects_of('shop', id_)}/base-00000.zst", path.stat().st_size, sha256_of(path))
    there.archive.add(path, object_)
    made = DatabaseBackup(
        *(id_, "shop", "local", "native", "incremental" if parent else "full", parent.id if parent else ""),
        *("7714039963173297291", 180006, AT, AT, (object_,), 10, "shop", 1),
    )
    there.commit(made)
    return made


def test_a_backup_reads_back_as_it_was_written(tmp_path: Path) -> None:
    there = repository(tmp_path, KEY)
    made = stored(there, tmp_path)
    assert there.backup(made.id) == made and there.newest_good() == made
    assert there.damage(made, deep=True) == []


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda text: text[:-40], "truncated"),
        (lambda text: text.replace('"timeline":1', '"timeline":2'), "does not match its own digest"),
        (lambda text: text.replace("base-00000", "base-00001"), "does not match its own digest"),
        (lambda _: "[]", "cannot be read"),
    ],
)
def test_an_altered_manifest_is_named(tmp_path: Path, harm: Callable[[str], str], words: str) -> None:
    there = repository(tmp_path)
    made = stored(there, tmp_path)
    path = tmp_path / f"store/database/shop/manifests/{made.id}.json"
    path.write_text(harm(path.read_text()))
    with pytest.raises(BackupDamaged, match=words) as raised:
        there.backup(made.id)
    assert made.id in str(raised.value)
    assert there.newest_good() is None and there.readable() == []


def test_a_manifest_of_another_backup_is_refused(tmp_path: Path) -> None:
    there = repository(tmp_path)
    old, new = stored(there, tmp_path), stored(there, tmp_path, hour=4)
    folder = tmp_path / "store/database/shop/manifests"
    (folder / f"{new.id}.json").write_bytes((folder / f"{old.id}.json").read_bytes())
    with pytest.raises(BackupDamaged, match=f"is the manifest of the backup {old.id}"):
        there.backup(new.id)


@pytest.mark.parametrize(
    "changes", [{"id": "../../x"}, {"parent": "x"}, {"engine": "sh -c"}, {"system": "1;2"}]
)
def test_a_manifest_with_an_invalid_field_is_refused(tmp_path: Path, changes: dict[str, str]) -> None:
    there = repository(tmp_path)
    made = stored(there, tmp_path)
    forged = replace(made, **changes).to_json(NOT_SIGNED)  # type: ignore[arg-type]
    (tmp_path / f"store/database/shop/manifests/{made.id}.json").write_bytes(forged)
    with pytest.raises(BackupDamaged, match="cannot be read"):
        there.backup(made.id)


def test_a_forged_manifest_is_refused(tmp_path: Path) -> None:
    made = stored(repository(tmp_path), tmp_path)
    with pytest.raises(BackupDamaged, match="is not signed"):
        repository(tmp_path, KEY).backup(made.id)
    path = tmp_path / f"store/database/shop/manifests/{made.id}.json"
    path.write_bytes(made.to_json(Signer("KEY", (b"x" * 32,))))
    with pytest.raises(BackupDamaged, match="is not signed with the key in KEY"):
        repository(tmp_path, KEY).backup(made.id)
    assert json.loads(path.read_bytes())["signature"]


def test_an_object_that_is_flipped_missing_or_older_is_named(tmp_path: Path) -> None:
    there = repository(tmp_path)
    old, new = stored(there, tmp_path), stored(there, tmp_path, hour=4)
    path = tmp_path / "store" / new.objects[0].key
    good = path.read_bytes()
    path.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    assert ["SHA-256" in line and new.objects[0].key in line for line in there.damage(new, deep=True)] == [
        True
    ]
    path.write_bytes((tmp_path / "store" / old.objects[0].key).read_bytes())
    assert there.damage(new, deep=True) != []
    path.write_bytes(good[:-1])
    assert "bytes instead of" in there.damage(new, deep=False)[0]
    path.unlink()
    assert "is missing" in there.damage(new, deep=False)[0] and there.newest_good() == old


def test_what_a_lost_backup_carried_is_not_usable_and_says_why(tmp_path: Path) -> None:
    there = repository(tmp_path)
    base = stored(there, tmp_path)
    middle = stored(there, tmp_path, base, hour=4)
    top = stored(there, tmp_path, middle, hour=5)
    assert [one.id for one in there.chain(top)] == [base.id, middle.id, top.id]
    there.remove(middle.id)
    with pytest.raises(BackupDamaged, match=f"built on {middle.id}, which is missing"):
        there.chain(there.backup(top.id))
    assert not there.is_good(top.id) and there.newest_good() == base


def test_a_parent_of_another_server_is_refused(tmp_path: Path) -> None:
    there = repository(tmp_path)
    base = stored(there, tmp_path)
    child = replace(
        base, id=backup_id(AT.replace(hour=4), "1" * 8), way="incremental", parent=base.id, system="2"
    )
    with pytest.raises(BackupDamaged, match="of another server or timeline"):
        there.chain(child)


def test_two_writers_of_one_id_do_not_overwrite_each_other(tmp_path: Path) -> None:
    there = repository(tmp_path)
    made = stored(there, tmp_path)
    with pytest.raises(BackupError, match="already has another backup"):
        there.commit(replace(made, plain_bytes=11))
    assert there.backup(made.id) == made


def test_what_an_interrupted_backup_left_is_found_and_removed(tmp_path: Path) -> None:
    there = repository(tmp_path)
    made = stored(there, tmp_path)
    (tmp_path / f"store/database/shop/manifests/{made.id}.json").unlink()
    with pytest.raises(BackupMissing):
        there.backup(made.id)
    assert there.abandoned(AT) == [] and there.abandoned(AT.replace(hour=9)) == [made.id]
    assert there.remove(made.id) == 1 and there.abandoned(AT.replace(hour=9)) == []

"""Backups in a bucket that locks them: nothing removes them before their time, and what somebody hid comes back."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from data_platform.backups.archive import Archive
from data_platform.backups.database.lsn import Segment
from data_platform.backups.database.repository import Repository
from data_platform.backups.database.wal import WalArchive
from data_platform.backups.database.wal.retention import removable, remove_tail
from data_platform.backups.mirror import PREFIX, mirror
from data_platform.catalog import load_catalog
from data_platform.cli import backup as command
from data_platform.cli.app import run
from data_platform.errors import BackupDamaged, BackupMissing, ObjectLocked
from data_platform.landing.ledger import Ledger
from data_platform.stores.local import LocalStore
from data_platform.stores.s3 import locks
from data_platform.stores.s3.store import S3Store
from data_platform.sync import Platform, backup
from data_platform_tests.backups.conftest import NOW, Box
from data_platform_tests.backups.database.test_repository import stored
from data_platform_tests.backups.database.wal.conftest import SIZE, Shelf
from data_platform_tests.contracts.batches import TABLE
from data_platform_tests.landing.redactions import ENVIRON as REDACTING
from data_platform_tests.landing.redactions import land, redact
from data_platform_tests.servers.objects import ENVIRON, ObjectServer, new_prefix

pytestmark = pytest.mark.slow


@pytest.fixture
def prefix() -> str:
    return new_prefix()


@pytest.fixture
def archive(s3_server: ObjectServer, locked_bucket: str, tmp_path: Path, prefix: str) -> Archive:
    opener = s3_server.opener(tmp_path / "scratch", prefix, bucket=locked_bucket, lock_days=2)
    return Archive("primary", opener)


@pytest.fixture
def platform(s3_server: ObjectServer, locked_bucket: str, tmp_path: Path, prefix: str, box: Box) -> Platform:
    """The platform whose backup store is ``archive``, at a time when its backups are old."""
    store = s3_server.config(prefix, bucket=locked_bucket, lock_days=2, cache=str(tmp_path / "cache"))
    (tmp_path / "catalog" / "sources").mkdir(parents=True)
    (tmp_path / "catalog" / "platform.yaml").write_text(
        "environments:\n  local:\n    landing: {kind: local, path: landing}\n"
        "    warehouse: {kind: duckdb, path: warehouse.duckdb}\n"
        f"    backups: {{store: {json.dumps(store)}, start: 2026-01-01, retention: {{days: 1}}}}\n"
        "privacy: {hash_key_env: HASH_KEY}\n"
    )
    catalog = load_catalog(tmp_path)
    landing = LocalStore(tmp_path / "landing")
    return Platform(
        catalog,
        catalog.environments["local"],
        ENVIRON,
        landing,
        Ledger(landing),
        lambda: NOW + timedelta(days=9),
    )


def delete_by_hand(archive: Archive, key: str) -> None:
    """As somebody with the bucket's credentials would."""
    assert isinstance(archive.store, S3Store)
    archive.store._client.delete_object(Bucket=archive.store.config.bucket, Key=archive.store._name(key))


def test_a_locked_backup_is_not_removed_and_not_pruned(
    box: Box, archive: Archive, platform: Platform
) -> None:
    first = box.back_up(archive).manifest
    last = box.back_up(archive, nonce="00000001", at=NOW + timedelta(hours=1)).manifest
    with pytest.raises(ObjectLocked):
        archive.remove(first.id)
    until = archive.locked_until(first.id)
    assert until is not None and until > datetime.now(UTC) + timedelta(days=1)
    assert backup.prunable(platform).gone == {"primary": []} == backup.prune(platform).gone
    assert archive.ids() == [first.id, last.id]
    assert archive.damage(first, deep=True) == []


def test_after_the_lock_the_rule_removes_it(
    box: Box, archive: Archive, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = datetime.now(UTC) + timedelta(seconds=6)
    monkeypatch.setattr(locks, "lock_end", lambda days: end)
    first = box.back_up(archive).manifest
    last = box.back_up(archive, nonce="00000001", at=NOW + timedelta(hours=1)).manifest
    time.sleep(max(0.0, (end - datetime.now(UTC)).total_seconds()) + 1.1)
    assert backup.prune(platform).gone == {"primary": [first.id]}
    assert archive.ids() == [last.id]


def test_a_hidden_backup_is_named_and_brought_back(
    box: Box,
    archive: Archive,
    platform: Platform,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The manifest deleted by hand: the backup vanishes from every listing, though nothing of it is gone."""
    manifest = box.back_up(archive).manifest
    part = next(iter(manifest.objects())).key
    delete_by_hand(archive, f"warehouse/manifests/{manifest.id}.json")
    delete_by_hand(archive, part)
    assert archive.ids() == []
    with pytest.raises(BackupMissing):
        archive.chosen("latest")
    with pytest.raises(BackupDamaged, match="was hidden by somebody"):
        archive.manifest(manifest.id)
    (line,) = archive.damage(manifest, deep=False)
    assert part in line and "its locked version is still there" in line
    (age,) = backup.newest(platform)
    assert age.id is None and "1 were hidden by somebody" in age.problem and not age.empty
    monkeypatch.setattr(command, "open_project", lambda *_: platform)

    def said(*words: str) -> str:
        assert run(["backup", *words]) == 0
        return capsys.readouterr().out

    hidden = {"primary": [f"warehouse/manifests/{manifest.id}.json", part]}
    assert json.loads(said("uncover", "--json")) == {"uncovered": False, "objects": hidden}
    assert archive.ids() == [], "only listed"
    assert f"primary: {part} is back" in said("uncover", "--yes")
    assert "No locked object is hidden." in said("uncover")
    assert archive.chosen("latest") == manifest and archive.damage(manifest, deep=True) == []


def test_what_was_erased_goes_as_soon_as_its_lock_ends(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = datetime.now(UTC) + timedelta(seconds=6)
    monkeypatch.setattr(locks, "lock_end", lambda days: end)
    ledger = Ledger(LocalStore(tmp_path / "landing"), REDACTING)
    land(ledger)
    old = f"{PREFIX}/{ledger.read(TABLE, 1).parts[0].key}"
    mirror(ledger, archive, [TABLE])
    redact(ledger, 1)
    assert mirror(ledger, archive, [TABLE]).damaged == ()
    assert old in archive.store.list(PREFIX), "locked"
    time.sleep(max(0.0, (end - datetime.now(UTC)).total_seconds()) + 1.1)
    assert mirror(ledger, archive, [TABLE]).damaged == ()
    assert old not in archive.store.list(PREFIX)
    assert mirror(ledger, archive, [TABLE]).parts == 0


def test_what_is_locked_of_a_database_is_left(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The full backup of a locked incremental one too; pieces of WAL stay beside the whole segment, and do no harm."""
    end = datetime.now(UTC) + timedelta(seconds=8)
    later = locks.lock_end
    monkeypatch.setattr(locks, "lock_end", lambda days: end)
    there = Repository(archive, "shop")
    full = stored(there, tmp_path)
    child = stored(there, tmp_path, full, hour=4)
    alone = stored(there, tmp_path, hour=5)
    monkeypatch.setattr(locks, "lock_end", later)
    last = stored(there, tmp_path, alone, hour=6)
    wal, shelf, segment = WalArchive(archive, "shop", "7000"), Shelf(tmp_path), Segment(1, 1, SIZE)
    shelf.add(wal, segment, (0, 1000))
    shelf.add(wal, segment, (0, SIZE))
    remove_tail(wal, segment)
    assert wal.coverage(1, segment.start).end == segment.end
    assert removable(archive, "shop", {"7000": [(1, Segment(1, 9, SIZE).start)]}) == []
    every = [full.id, child.id, alone.id, last.id]
    assert there.unlocked(every) == []
    time.sleep(max(0.0, (end - datetime.now(UTC)).total_seconds()) + 1.1)
    assert there.unlocked(every) == [full.id, child.id], "a locked one is built on the third"
    for id_ in (child.id, full.id):
        there.remove(id_)
    assert there.ids() == [alone.id, last.id]

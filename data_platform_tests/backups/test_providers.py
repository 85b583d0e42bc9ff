"""A backup and its copies at two providers: SeaweedFS speaks S3 for real, GCS is an emulator."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data_platform.backups.archive import Archive
from data_platform.backups.landing import restore_ledger
from data_platform.backups.manifest import BackupObject
from data_platform.backups.mirror import mirror
from data_platform.backups.restore import restore
from data_platform.errors import BackupDamaged, LedgerBroken
from data_platform.landing.ledger import Ledger
from data_platform.stores.local import LocalStore
from data_platform.tables import TableId
from data_platform_tests.backups.conftest import Box, config
from data_platform_tests.contracts.batches import TABLE
from data_platform_tests.landing.test_ledger import grow
from data_platform_tests.servers.objects import ObjectServer, new_prefix

pytestmark = pytest.mark.slow


@pytest.fixture(params=["s3", "gcs"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Archive:
    server: ObjectServer = request.getfixturevalue(f"{request.param}_server")
    return Archive(request.param, server.opener(tmp_path / "scratch", new_prefix()))


def test_a_restore_from_each_copy_equals_the_warehouse(box: Box, remote: Archive) -> None:
    primary = box.archive()
    report = box.back_up(primary, remote)
    assert report.stored == ("primary", remote.name)
    for archive in (primary, remote):
        assert archive.damage(report.manifest, deep=True) == []
        file = box.root / f"from-{archive.name}.duckdb"
        assert restore(archive, archive.chosen("2026-11-22"), config(file), box.root).mismatches == ()
        for ask in ("from raw_shop.orders order by id", "from staging.a"):
            assert box.rows(ask, file) == box.rows(ask)
    remote.remove(report.manifest.id)
    assert remote.ids() == [] and remote.store.list("") == []


def test_damage_at_a_provider_is_named(box: Box, remote: Archive) -> None:
    manifest = box.back_up(remote).manifest
    first, second = (part for table in manifest.tables for part in table.parts[:1])
    data = bytearray(remote.store.read(first.key))
    data[len(data) // 2] ^= 1
    remote.store.delete(first.key)
    assert remote.store.put_new(first.key, bytes(data))
    remote.store.delete(second.key)
    problems = remote.damage(manifest, deep=True)
    assert len(problems) == 2
    assert "does not match its SHA-256" in problems[0] and "is missing" in problems[1]


def test_a_store_that_alters_what_it_is_given_is_seen(box: Box, remote: Archive, tmp_path: Path) -> None:
    """Whatever it said when it was written, only what is read back counts."""
    path = tmp_path / "object"
    path.write_bytes(b"rows" * 1000)
    put = remote.store.put_file

    def altering(key: str, file: Path, sha256: str | None = None) -> None:
        file.write_bytes(b"sows" + b"rows" * 999)
        put(key, file)

    remote.store.put_file = altering  # type: ignore[method-assign]
    object_ = BackupObject("warehouse/objects/x/y", 4000, hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(BackupDamaged, match="does not match its SHA-256"):
        remote.add(path, object_)
    assert path.exists(), "the original stays for the other copies"


def test_the_ledger_is_mirrored_by_what_is_new(
    remote: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(LocalStore(tmp_path / "landing"))
    made = grow(ledger, 3)
    (head,) = mirror(ledger, remote, [TABLE, TableId("shop", "nothing")]).heads
    assert (head.table, head.sequence, head.digest) == (str(TABLE), 3, made[-1].digest)
    made += grow(ledger, 1)
    put: list[str] = []
    put_new = type(remote.store).put_new

    def counting(store: Any, key: str, data: bytes) -> bool:
        put.append(key)
        return put_new(store, key, data)

    monkeypatch.setattr(type(remote.store), "put_new", counting)
    (head,) = mirror(ledger, remote, [TABLE]).heads
    assert len(put) == 1 and head.sequence == 4

    back = LocalStore(tmp_path / "back")
    assert restore_ledger(remote, [head], back).manifests == 4
    assert [m.digest for m in Ledger(back).since(TABLE, 0)] == [m.digest for m in made]
    with pytest.raises(BackupDamaged, match="is not the one this backup was made with"):
        restore_ledger(remote, [replace(head, digest="0" * 64)], LocalStore(tmp_path / "wrong"))

    other = Ledger(LocalStore(tmp_path / "other"))
    grow(other, 5, notes=("another ledger",))
    with pytest.raises(LedgerBroken):
        mirror(other, remote, [TABLE])

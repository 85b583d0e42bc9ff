"""After a change of keys everything is encrypted again, object by object; then the old identity can go."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest

from data_platform.backups.archive import Archive
from data_platform.backups.mirror import PREFIX, mirror
from data_platform.backups.reencrypt import due, reencrypt, state, waiting
from data_platform.cli.app import run
from data_platform.errors import ConfigurationError, StoreUnreachable
from data_platform.landing.ledger import Ledger
from data_platform.stores import Store
from data_platform.stores.encrypted import EncryptedStore, EncryptionConfig, opener
from data_platform.stores.gcs import locks as gcs_locks
from data_platform.stores.local import LocalStore
from data_platform.sync import Platform, backup, renewal
from data_platform.sync import reencrypt as rotating
from data_platform_tests.contracts.batches import TABLE
from data_platform_tests.landing.redactions import land, redact
from data_platform_tests.servers.objects import ObjectServer, new_prefix
from data_platform_tests.sync.test_encrypted_backups import (
    MINE,
    NEXT,
    OTHER,
    RIGHT,
    configure,
    encryption,
    items,
    opened,
    root,
)

__all__ = ["root"]
AFTER = {**RIGHT, "BACKUP_IDENTITIES": str(NEXT), "BEFORE": str(MINE)}
ALONE = {**RIGHT, "BACKUP_IDENTITIES": str(NEXT)}


def rotated(root: Path, environ: dict[str, str] = AFTER) -> Platform:
    configure(root, f"encryption: {encryption(NEXT, previous=', previous_identities_env: BEFORE')}")
    return opened(root, environ)


def needing(root: Path, identity: Any) -> list[Path]:
    """The files of the archives that ``identity`` does not open."""
    files = [
        path
        for name in ("primary", "second")
        for path in (root / name).rglob("*")
        if path.is_file() and ".scratch" not in path.parts
    ]
    assert len(files) > 20

    def opens(path: Path) -> bool:
        try:
            pyrage.decrypt(path.read_bytes(), [identity])
        except pyrage.DecryptError:
            return False
        return True

    return [path for path in files if not opens(path)]


def test_the_old_identity_is_needed_no_more_and_can_go(root: Path) -> None:
    backup.make_backup(opened(root))
    platform = rotated(root)
    for report in backup.hold_drills(platform):
        assert report.mismatches == () and len(report.old_identity) == 2
        assert any(key.startswith("warehouse/objects/") for key in report.old_identity)
    before = items(platform)["previous identities"]
    assert before.state == "set" and "reencrypt --yes" in before.detail
    assert [len(one.due) == one.objects > 10 for one in rotating.due(platform)] == [True, True]
    done = rotating.reencrypt(platform)
    assert all(one.rewritten == len(one.due) > 10 and one.left == () for one in done)
    assert needing(root, NEXT) == [] and [len(one.due) for one in rotating.due(platform)] == [0, 0]
    assert items(platform)["previous identities"].state == "not needed"
    assert "can go" in items(platform)["previous identities"].detail
    assert [report.old_identity for report in backup.hold_drills(platform)] == [(), ()]

    configure(root, f"encryption: {encryption(NEXT)}")
    platform = opened(root, ALONE)
    assert [report.mismatches for report in backup.hold_drills(platform)] == [(), ()]
    _, restored = backup.restore_beside(platform, "latest", root / "files", copy="second")
    assert (restored.parts, restored.damaged) == (8, ())
    assert "previous identities" not in items(platform)
    again = backup.make_backup(platform)
    assert again.mirrored.parts == 0 and again.failed == {}


def test_what_was_not_encrypted_at_all_is_encrypted(root: Path) -> None:
    configure(root, "landing: true")
    backup.make_backup(opened(root))
    with pytest.raises(ConfigurationError, match="Backups are not encrypted"):
        rotating.reencrypt(opened(root))
    configure(root, f"encryption: {encryption(MINE)}")
    foreign = root / "primary/of-others/notes.txt"
    foreign.parent.mkdir()
    foreign.write_text("kept by somebody else in the same place")
    assert all("of-others" not in key for one in rotating.due(opened(root)) for key in one.due)
    rotating.reencrypt(opened(root))
    assert needing(root, MINE) == [foreign], "what is not the platform's is left alone"
    assert [report.mismatches for report in backup.hold_drills(opened(root))] == [(), ()]


def test_every_object_gets_todays_recipients_where_one_of_two_was_changed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(root, f"encryption: {encryption(MINE, OTHER)}")
    backup.make_backup(opened(root))
    configure(root, f"encryption: {encryption(MINE, NEXT)}")
    platform = opened(root)
    assert [len(one.due) for one in rotating.due(platform)] == [0, 0], "today's identity opens all"
    (one, _) = backup.archives(platform)
    real, count = EncryptedStore.rewrite, 0

    def killed(self: EncryptedStore, key: str) -> str:
        nonlocal count
        count += 1
        if count == 15:
            raise KeyboardInterrupt
        return real(self, key)

    monkeypatch.setattr("data_platform.backups.reencrypt.AT_ONCE", 4)
    monkeypatch.setattr(EncryptedStore, "rewrite", killed)
    with pytest.raises(KeyboardInterrupt):
        reencrypt(one, RIGHT, every=True)
    count = 100
    done = reencrypt(one, RIGHT, every=True)
    assert done.objects - 12 <= count + done.rewritten - 100 <= done.objects and done.rewritten < done.objects
    rotating.reencrypt(platform, "second", every=True)
    assert needing(root, NEXT) == [] == needing(root, MINE)
    assert len(needing(root, OTHER)) > 20


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_call_every_object_is_whole_and_a_second_run_ends_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    backup.make_backup(opened(root))
    platform = rotated(root)
    (one, _) = backup.archives(platform)
    real = LocalStore.put_file
    total = len(due(one).due)
    plain = {key: one.reader.read(key) for key in one.reader.list("") if not key.startswith("encryption/")}
    fails_at, calls = 0, 0

    def failing(self: LocalStore, key: str, path: Path, sha256: str | None = None) -> None:
        nonlocal calls
        calls += 1
        if calls == fails_at and when == "before":
            raise KeyboardInterrupt
        real(self, key, path, sha256)
        if calls == fails_at:
            raise KeyboardInterrupt

    monkeypatch.setattr(LocalStore, "put_file", failing)
    left = total
    while left:
        calls, fails_at = 0, 1 + left % 3
        with suppress(KeyboardInterrupt):
            reencrypt(one, AFTER)
        for key, content in plain.items():
            assert one.open().read(key) == content, key
        now = len(due(one).due)
        assert now < left or (when == "before" and fails_at == 1)
        left = now
        if when == "before" and fails_at == 1:
            fails_at = 0
            left = len(reencrypt(one, AFTER).left)
    assert len(due(one).due) == 0


def test_a_store_that_fails_once_leaves_that_object_named_for_the_next_run(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup.make_backup(opened(root))
    platform = rotated(root)
    (one, _) = backup.archives(platform)
    real, failed = LocalStore.put_file, list[str]()

    def failing(self: LocalStore, key: str, path: Path, sha256: str | None = None) -> None:
        if key.endswith(".parquet") and not failed:
            failed.append(key)
            raise StoreUnreachable("no answer")
        real(self, key, path, sha256)

    monkeypatch.setattr(LocalStore, "put_file", failing)
    done = reencrypt(one, AFTER)
    assert [(left.key, left.why) for left in done.left] == [(failed[0], "no answer")]
    item = items(platform)["previous identities"]
    assert item.state == "set" and f"1 objects in primary, such as {failed[0]}" in item.detail
    assert reencrypt(one, AFTER).rewritten == 1 and reencrypt(one, AFTER).left == ()


def test_what_is_erased_meanwhile_does_not_come_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backup.make_backup(opened(root))
    platform = rotated(root)
    (one, _) = backup.archives(platform)
    old = f"{PREFIX}/{platform.ledger.read(TABLE, 1).parts[0].key}"
    real = EncryptedStore.rewrite

    def raced(self: EncryptedStore, key: str) -> str:
        sealed = self._store.read(key)
        digest = real(self, key)
        if key == old:  # erased between our read and our write
            redact(platform.ledger, 1)
            mirror(platform.ledger, one, [TABLE])
            assert old not in one.reader.list(PREFIX)
            assert self._store.put_new(key, sealed)
            digest = real(self, key)
        return digest

    monkeypatch.setattr(EncryptedStore, "rewrite", raced)
    assert reencrypt(one, AFTER).left == ()
    assert old not in one.reader.list(PREFIX)


def test_the_command_counts_first(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    backup.make_backup(opened(root))
    rotated(root)
    for name, value in AFTER.items():
        monkeypatch.setenv(name, value)
    assert run(["backup", "reencrypt", "--root", str(root)]) == 0
    assert "of them need an identity from before" in capsys.readouterr().out
    assert len(needing(root, NEXT)) > 20
    assert run(["backup", "reencrypt", "--yes", "--copy", "second", "--json", "--root", str(root)]) == 0
    (archive,) = json.loads(capsys.readouterr().out)["archives"]
    assert archive["archive"] == "second" and archive["rewritten"] == archive["due"] > 10
    assert run(["backup", "reencrypt", "--yes", "--root", str(root)]) == 0
    assert "encrypted again and read back" in capsys.readouterr().out and needing(root, NEXT) == []
    assert run(["backup", "reencrypt", "--all", "--root", str(root)]) == 2


def archive_of(open_: Callable[[], Store], *identities: Any) -> Archive:
    config = EncryptionConfig(
        recipients=(str(identities[0].to_public()),), identities_env="NOW", previous_identities_env="BEFORE"
    )
    environ = {"NOW": str(identities[0]), "BEFORE": " ".join(map(str, identities[1:]))}
    return Archive("offsite", opener(open_, config, environ))


@pytest.mark.slow
def test_over_a_locked_object_of_s3_a_new_version_is_put(
    s3_server: ObjectServer, locked_bucket: str, tmp_path: Path
) -> None:
    open_ = s3_server.opener(tmp_path / "scratch", new_prefix(), bucket=locked_bucket, lock_days=3)
    ledger = Ledger(LocalStore(tmp_path / "landing"))
    land(ledger)
    mirror(ledger, archive_of(open_, MINE), [TABLE])
    one = archive_of(open_, NEXT, MINE)
    assert len(due(one).due) > 3
    done = reencrypt(one, {})
    assert done.left == () and done.rewritten == len(done.due)
    alone = archive_of(open_, NEXT)
    assert all(alone.reader.read(key) for key in alone.reader.list(""))
    assert alone.covered() == [], "hints are not locked, so nothing covers anything"
    locks = alone.reader.locks
    assert locks is not None
    for key in alone.reader.list(PREFIX):
        assert (locks.until(key) is not None) == ("/batches/" in key or "/manifests/" in key), key


@pytest.mark.slow
def test_a_locked_object_of_google_is_named_with_its_day_and_not_locked_on(
    gcs_server: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ = gcs_server.opener(tmp_path / "scratch", new_prefix(), lock_days=3)
    ledger = Ledger(LocalStore(tmp_path / "landing"))
    land(ledger)
    mirror(ledger, archive_of(open_, MINE), [TABLE])
    one = archive_of(open_, NEXT, MINE)
    done = reencrypt(one, {})
    assert len(done.left) == 3 and done.rewritten >= 1
    for left in done.left:
        assert left.until is not None and f"locked until {left.until:%Y-%m-%d}" in left.why
    known = state(one)
    assert known is not None and known.left == 3 and waiting(one) == {left.key for left in done.left}
    monkeypatch.setattr(gcs_locks, "_end", lambda blob: None)  # the locks have ended
    monkeypatch.setattr(gcs_locks.GCSLocks, "prove", lambda *_: None)
    end = datetime.now(UTC) + timedelta(days=3)
    monkeypatch.setattr(gcs_locks.GCSLocks, "until", lambda self, key: end if "absent" in key else None)
    again = reencrypt(replace(one), {})
    assert again.left == () and len(again.due) == 3 and waiting(one) == frozenset()


def test_the_lock_of_what_waits_to_be_rewritten_is_not_extended(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = opened(root)
    backup.make_backup(platform)
    (one, _) = backup.archives(platform)
    needed = {found.key for found in renewal._needed(platform, one)}
    assert len(needed) > 12 and not any(key.endswith(("tail.json", "copied.json")) for key in needed)
    key = next(key for key in needed if key.endswith(".parquet"))
    monkeypatch.setattr(renewal, "waiting", lambda one: frozenset({key}))
    assert {found.key for found in renewal._needed(platform, one)} == needed - {key}

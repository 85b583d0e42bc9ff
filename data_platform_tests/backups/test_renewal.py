"""Locks are extended before they end, and never shortened. SeaweedFS enforces compliance mode; Google's emulator proves requests alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from data_platform.backups.archive import Archive
from data_platform.backups.mirror import PREFIX, mirror
from data_platform.backups.renewal import KEY, Needed, Renewal, renew
from data_platform.catalog import load_catalog
from data_platform.errors import ObjectLocked
from data_platform.landing.ledger import Ledger
from data_platform.stores.gcs import locks as gcs_locks
from data_platform.stores.local import LocalStore
from data_platform.stores.s3 import locks as s3_locks
from data_platform.stores.s3.store import S3Store
from data_platform.sync import Platform, backup
from data_platform.sync.renewal import renew_locks
from data_platform_tests.backups.conftest import Box
from data_platform_tests.contracts.batches import TABLE
from data_platform_tests.landing.redactions import ENVIRON as REDACTING
from data_platform_tests.landing.redactions import land, redact
from data_platform_tests.servers.objects import ENVIRON, ObjectServer, new_prefix

pytestmark = pytest.mark.slow
DAYS = 8
DAY = timedelta(days=1)
NOW = datetime.now(UTC)


@pytest.fixture(params=["s3", "gcs"])
def archive(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """Google lets a locked retention grow. Its emulator lets none be altered that is locked, so there it is not."""
    monkeypatch.setattr(gcs_locks, "MODE", "Unlocked")
    server: ObjectServer = request.getfixturevalue(f"{request.param}_server")
    bucket = {"bucket": request.getfixturevalue("locked_bucket")} if request.param == "s3" else {}
    return Archive("offsite", server.opener(tmp_path / "scratch", new_prefix(), lock_days=DAYS, **bucket))


@pytest.fixture
def locked_for(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """From then on, what is put is locked for so long."""

    def set_to(length: timedelta) -> None:
        for module in (s3_locks, gcs_locks):
            monkeypatch.setattr(module, "lock_end", lambda days: datetime.now(UTC) + length)

    return set_to


def put(archive: Archive, *keys: str) -> None:
    for key in keys:
        assert archive.store.put_new(key, key.encode())


def left(archive: Archive, key: str) -> float:
    """Days."""
    assert archive.reader.locks is not None
    until = archive.reader.locks.until(key)
    return 0.0 if until is None else round((until - datetime.now(UTC)) / DAY, 2)


def test_a_lock_is_extended_before_it_ends_and_never_shortened(
    archive: Archive, locked_for: Callable[[timedelta], None]
) -> None:
    locked_for(DAY * 2)
    put(archive, "old", "goes")
    locked_for(DAY * 20)
    put(archive, "long")
    locked_for(DAY * DAYS)
    put(archive, "new")
    now = datetime.now(UTC)
    needed = [Needed("old"), Needed("long"), Needed("new"), Needed("goes", now + DAY * 3)]
    found = renew(archive, lambda: needed, now)
    assert found is not None and (found.objects, found.extended, found.unlocked, found.problems) == (
        4,
        2,
        0,
        [],
    )
    assert [left(archive, key) for key in ("old", "goes", "long", "new")] == [8, 3, 20, 8]
    assert archive.store.locks is not None and not archive.store.locks.extend("long", now + DAY)
    assert left(archive, "long") == 20
    with pytest.raises(ObjectLocked):
        archive.store.delete("old")


def test_a_round_is_held_when_it_is_due_and_no_lock_ends_between_two(tmp_path: Path) -> None:
    """Sixty days of locks of eight days, with an object put each day, looked at daily."""
    asked = 0
    ends: dict[str, datetime] = {}
    start = datetime.now(UTC)

    class Locks:
        days = DAYS

        def until(self, key: str) -> datetime | None:
            nonlocal asked
            asked += 1
            return ends[key]

        def extend(self, key: str, until: datetime) -> bool:
            assert until > ends[key], "shortened"
            ends[key] = until
            return True

        def is_hidden(self, key: str) -> bool:
            return False

    class Store(LocalStore):
        locks = Locks()  # type: ignore[assignment]

    held = 0
    one = Archive("offsite", lambda: Store(tmp_path / "simulated"))
    for day in range(60):
        now = start + DAY * day
        ends[f"object-{day}"] = now + DAY * DAYS
        found = renew(one, lambda: map(Needed, ends), now)
        assert found is not None and found.unlocked == 0
        held += found.now
        assert all(end > now + DAY for end in ends.values()), "it would end before the next day's look"
    assert held == 15 and asked == sum(day + 1 for day in range(60) if day % 4 == 0)


def test_what_lapsed_is_locked_again_and_what_cannot_be_is_named_until_it_is(
    archive: Archive, locked_for: Callable[[timedelta], None]
) -> None:
    locked_for(timedelta(seconds=3))
    put(archive, "lapsed")
    time.sleep(4.2)
    assert left(archive, "lapsed") == 0
    now = datetime.now(UTC)
    found = renew(archive, lambda: [Needed("lapsed"), Needed("absent")], now)
    assert found is not None and left(archive, "lapsed") == 8 and (found.extended, found.unlocked) == (1, 1)
    assert found.problems == [
        "offsite: 1 of 2 objects that are still needed are not locked, such as absent (it is missing)"
    ]
    again = renew(archive, lambda: [Needed("lapsed")], now + timedelta(minutes=1))
    assert again is not None and again.now and again.problems == []
    calm = renew(archive, lambda: pytest.fail("not due"), now + DAY)
    assert calm is not None and not calm.now and calm.objects == 1
    archive.store.delete(KEY)  # without the hint it is looked at again, which costs questions alone
    lost = renew(archive, lambda: [Needed("lapsed")], now + DAY)
    assert lost is not None and lost.now and lost.extended == 0


def test_what_somebody_put_over_a_locked_object_is_not_locked(
    s3_server: ObjectServer, locked_bucket: str, tmp_path: Path
) -> None:
    one = Archive(
        "offsite", s3_server.opener(tmp_path / "s3", new_prefix(), bucket=locked_bucket, lock_days=DAYS)
    )
    put(one, "t/ours", "t/gone")
    store = one.store
    assert isinstance(store, S3Store)
    bucket = store.config.bucket
    store._client.put_object(Bucket=bucket, Key=store._name("t/ours"), Body=b"theirs")
    store._client.delete_object(Bucket=bucket, Key=store._name("t/gone"))
    found = renew(one, lambda: [Needed("t/ours"), Needed("t/gone")])
    assert (
        found is not None
        and [name.split()[0] for name in found.named] == ["t/ours", "t/gone"]
        and found.extended == 0
    )
    assert left(one, "t/ours") == 0


@pytest.fixture
def platform(s3_server: ObjectServer, locked_bucket: str, tmp_path: Path, box: Box) -> Platform:
    """Backups are kept for 30 days in a bucket that locks them for 8."""
    store = s3_server.config(
        new_prefix(), bucket=locked_bucket, lock_days=DAYS, cache=str(tmp_path / "cache")
    )
    (tmp_path / "catalog" / "sources").mkdir(parents=True)
    (tmp_path / "catalog" / "sources" / "shop.yaml").write_text(
        "source: shop\nkind: postgres\nowner: team:data\nconnection: {url_env: SHOP_URL}\nstart: 2026-01-01\n"
        "tables: {orders: {key: id}}\n"
    )
    (tmp_path / "catalog" / "platform.yaml").write_text(
        "environments:\n  local:\n    landing: {kind: local, path: landing}\n"
        "    warehouse: {kind: duckdb, path: warehouse.duckdb}\n"
        f"    backups: {{store: {json.dumps(store)}, start: 2026-01-01}}\nprivacy: {{hash_key_env: HASH_KEY}}\n"
    )
    catalog = load_catalog(tmp_path)
    landing = LocalStore(tmp_path / "landing")
    environ: dict[str, Any] = {**ENVIRON, **REDACTING}
    ledger = Ledger(landing, environ)
    return Platform(catalog, catalog.environments["local"], environ, landing, ledger, lambda: NOW)


def test_what_the_rules_still_need_is_locked_on_and_what_is_to_go_is_not(
    platform: Platform, box: Box, locked_for: Callable[[timedelta], None]
) -> None:
    locked_for(DAY * 2)
    (one,) = backup.archives(platform)
    land(platform.ledger)
    land(platform.ledger)
    old = platform.ledger.read(TABLE, 1).parts[0].key
    kept = box.back_up(one, at=NOW - DAY * 9).manifest
    expired = box.back_up(one, nonce="00000001", at=NOW - DAY * 31).manifest
    going = box.back_up(one, nonce="00000002", at=NOW - DAY * 27).manifest
    last = box.back_up(one, nonce="00000003", at=NOW).manifest
    mirror(platform.ledger, one, [TABLE])
    redact(platform.ledger, 1)
    mirror(platform.ledger, one, [TABLE])  # the old part is locked, and waits to be deleted
    (found,) = renew_locks(platform)
    assert isinstance(found, Renewal) and found.problems == [] and found.now
    manifest = "warehouse/manifests/{}.json".format
    assert left(one, manifest(kept.id)) == left(one, manifest(last.id)) == 8
    assert all(left(one, object_.key) == 8 for object_ in kept.objects())
    assert left(one, manifest(expired.id)) == left(one, f"{PREFIX}/{old}") == 2
    assert 2.9 < left(one, manifest(going.id)) < 3.01, "no longer than it is kept"
    new = [key for key in one.reader.list(f"{PREFIX}/{TABLE}") if "/batches/" in key or "/manifests/" in key]
    assert len(new) == 3 + 5 and all(left(one, key) == 8 for key in new if not key.endswith(old))
    (again,) = renew_locks(platform)
    assert not again.now and again.objects == found.objects

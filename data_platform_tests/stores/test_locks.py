"""Locked objects: SeaweedFS enforces compliance mode; the emulator of Google's service only keeps what it is given."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from data_platform.errors import ObjectLocked, StoreRefused
from data_platform.stores._remote import MB, Transfer
from data_platform.stores.gcs import locks as gcs_locks
from data_platform.stores.gcs.store import GCSStore
from data_platform.stores.s3 import locks as s3_locks
from data_platform.stores.s3.store import S3Store
from data_platform.stores.wrapped import PrefixedStore
from data_platform_tests.servers.objects import ObjectServer, new_prefix

pytestmark = pytest.mark.slow
DAYS = timedelta(days=3)
SMALL_PARTS = Transfer(large_bytes=6 * MB, part_bytes=5 * MB)


@pytest.fixture
def store(s3_server: ObjectServer, locked_bucket: str, tmp_path: Path) -> S3Store:
    found = s3_server.opener(tmp_path / "s3", new_prefix(), SMALL_PARTS, bucket=locked_bucket, lock_days=3)()
    assert isinstance(found, S3Store)
    return found


@pytest.fixture
def google(gcs_server: ObjectServer, tmp_path: Path) -> GCSStore:
    found = gcs_server.opener(tmp_path / "gcs", new_prefix(), SMALL_PARTS, lock_days=3)()
    assert isinstance(found, GCSStore)
    return found


@pytest.fixture
def briefly(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Locks end after some seconds; the call waits for that."""
    ends: list[datetime] = []

    def lock_end(days: int) -> datetime:
        ends.append(datetime.now(UTC) + timedelta(seconds=4))
        return ends[-1]

    monkeypatch.setattr(s3_locks, "lock_end", lock_end)
    monkeypatch.setattr(gcs_locks, "lock_end", lock_end)

    def wait() -> None:
        time.sleep(max(0.0, (max(ends) - datetime.now(UTC)).total_seconds()) + 1.1)

    return wait


def put(store: S3Store | GCSStore, folder: Path) -> dict[str, bytes]:
    """An object of each way to put one."""
    made = {
        "t/new": b"manifest",
        "t/small": b"rows" * 100,
        "t/large": random.Random(1).randbytes(12 * MB + 7),
    }
    assert store.put_new("t/new", made["t/new"])
    for key in ("t/small", "t/large"):
        (folder / "file").write_bytes(made[key])
        store.put_file(key, folder / "file")
    return made


def locked(store: S3Store | GCSStore, key: str) -> bool:
    assert store.locks is not None
    until = store.locks.until(key)
    return until is not None and abs(until - datetime.now(UTC) - DAYS) < timedelta(minutes=1)


def test_everything_that_is_put_is_locked_and_the_server_refuses_to_delete_it(
    store: S3Store, tmp_path: Path
) -> None:
    made = put(store, tmp_path)
    for key, content in made.items():
        assert locked(store, key)
        with pytest.raises(ObjectLocked, match=f"could not delete {key}: it is locked until "):
            store.delete(key)
        assert store.read(key) == content
        head = store._client.head_object(Bucket=store.config.bucket, Key=store._name(key))
        assert head["ObjectLockMode"] == "COMPLIANCE"
        with pytest.raises(ClientError, match="AccessDenied"):
            store._client.delete_object(
                Bucket=store.config.bucket, Key=store._name(key), VersionId=head["VersionId"]
            )
    store.put_hint("t/hint", b"1")
    store.put_hint("t/hint", b"2")
    assert store.read("t/hint") == b"2" and store.locks is not None and store.locks.until("t/hint") is None
    assert store.locks.until("t/absent") is None
    store.delete("t/hint")
    store.delete("t/absent")
    assert store.list("t") == ["t/large", "t/new", "t/small"]
    assert store.locks.hidden("") == [], "our own deletes hide nothing"


def test_what_somebody_hid_is_named_and_brought_back(store: S3Store, tmp_path: Path) -> None:
    made = put(store, tmp_path)
    client, bucket = store._client, store.config.bucket
    assert store.locks is not None and store.locks.hidden("") == []
    client.delete_object(Bucket=bucket, Key=store._name("t/new"))
    client.put_object(Bucket=bucket, Key=store._name("t/small"), Body=b"other rows")
    client.delete_object(Bucket=bucket, Key=store._name("t/small"))
    client.put_object(Bucket=bucket, Key=store._name("u/never"), Body=b"of others")
    client.delete_object(Bucket=bucket, Key=store._name("u/never"))
    with pytest.raises(KeyError):
        store.read("t/new")
    assert store.locks.hidden("") == ["t/new", "t/small"] == store.locks.hidden("t")
    assert store.locks.hidden("u") == []
    below = PrefixedStore(store, "t")
    assert below.locks is not None and below.locks.hidden("") == ["new", "small"]
    below.locks.unhide("new")
    store.locks.unhide("t/small")
    assert store.locks.hidden("") == []
    assert {key: store.read(key) for key in made} == made
    assert locked(store, "t/new") and locked(store, "t/small")


def test_after_the_lock_every_version_goes(
    store: S3Store, tmp_path: Path, briefly: Callable[[], None]
) -> None:
    put(store, tmp_path)
    store._client.delete_object(Bucket=store.config.bucket, Key=store._name("t/new"))
    with pytest.raises(ObjectLocked):
        store.delete("t/new")
    briefly()
    for key in ("t/new", "t/small", "t/large"):
        store.delete(key)
    left = store._client.list_object_versions(Bucket=store.config.bucket, Prefix=store._prefix)
    assert not left.get("Versions") and not left.get("DeleteMarkers")


def test_a_bucket_that_locks_nothing_is_refused(
    s3_server: ObjectServer, tmp_path: Path, store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ = s3_server.opener(tmp_path / "x", new_prefix(), lock_days=3)()
    with pytest.raises(StoreRefused, match="Object Lock is not switched on"):
        open_.put_new("t/new", b"x")
    monkeypatch.setattr(s3_locks.S3Locks, "how", lambda locks: dict[str, Any]())  # a service that ignores it
    with pytest.raises(StoreRefused, match="did not lock t/new"):
        store.put_new("t/new", b"x")


def test_google_is_asked_to_lock_and_not_asked_to_delete_what_is_locked(
    google: GCSStore, tmp_path: Path, briefly: Callable[[], None]
) -> None:
    """The emulator keeps the retention and does not enforce it: our own check refuses."""
    made = put(google, tmp_path)
    for key, content in made.items():
        retention = google._known(google._name(key))._properties["retention"]
        assert retention["mode"] == "Locked"
        with pytest.raises(ObjectLocked, match=f"could not delete {key}: it is locked until "):
            google.delete(key)
        assert google.read(key) == content
    google.put_hint("t/hint", b"1")
    google.put_hint("t/hint", b"2")
    google.delete("t/hint")
    assert google.list("") == ["t/large", "t/new", "t/small"]
    briefly()
    for key in made:
        google.delete(key)
    assert google.list("") == []


def test_a_service_of_google_that_locks_nothing_is_refused(
    google: GCSStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gcs_locks, "_end", lambda blob: None)
    with pytest.raises(StoreRefused, match=r"(could not write|did not lock) t/new: `lock_days` is set"):
        google.put_new("t/new", b"x")

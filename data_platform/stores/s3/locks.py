"""Object Lock of S3: what is put in compliance mode, and what covers it.

A bucket with Object Lock keeps versions. Deleting an object there only adds a delete marker, under which the locked
version stays. So the platform deletes versions, and a marker over a locked one was left by somebody else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from data_platform.errors import StoreRefused
from data_platform.stores._keys import visible
from data_platform.stores.locks import lock_end, locked

if TYPE_CHECKING:
    from data_platform.stores.s3.store import S3Store

MODE = "COMPLIANCE"
Version = Mapping[str, Any]
"""An entry of the listing of versions; one without an ETag is a delete marker."""


class S3Locks:
    """The locks of a store whose configuration has ``days``."""

    keeps_versions = True

    def __init__(self, store: S3Store, days: int) -> None:
        self._store, self.days = store, days
        self._proven = False

    def how(self) -> dict[str, Any]:
        """What is sent with an object that is to be locked."""
        return {"ObjectLockMode": MODE, "ObjectLockRetainUntilDate": lock_end(self.days)}

    def prove(self, key: str) -> None:
        """StoreRefused where the service did not lock what it was given; asked once."""
        if self._proven:
            return
        if self.until(key) is None:
            raise not_locked(f"The store at {self._store.url} did not lock {key}")
        self._proven = True

    def until(self, key: str) -> datetime | None:
        with suppress(KeyError):
            return _end(self._store._head(key))
        return None

    def extend(self, key: str, until: datetime) -> bool:
        end = _end(self._store._head(key))
        if end is not None and end >= until:
            return False
        with self._store._readable_errors("lock", key):
            self._store._client.put_object_retention(
                Bucket=self._store.config.bucket,
                Key=self._store._name(key),
                Retention={"Mode": MODE, "RetainUntilDate": until},
            )
        return True

    def delete(self, key: str) -> None:
        """Remove every version of ``key``. ``ObjectLocked`` if one is locked; then all are left."""
        versions = [one for _, found in self._by_key(key) for one in found]
        ends = [end for one in versions if (end := self._version_end(one))]
        if ends:
            raise locked(self._store._could_not("delete", key), max(ends))
        for one in versions:
            self._remove(one)

    def hidden(self, prefix: str) -> list[str]:
        with self._store._readable_errors("list", prefix):
            found = self._by_key(prefix, folder=True)
            return [key for key, versions in found if self._covering(versions)]

    def is_hidden(self, key: str) -> bool:
        with self._store._readable_errors("list", key):
            return any(self._covering(versions) for _, versions in self._by_key(key))

    def unhide(self, key: str) -> None:
        with self._store._readable_errors("delete", key):
            for _, versions in self._by_key(key):
                for one in self._covering(versions):
                    self._remove(one)

    def _covering(self, versions: list[Version]) -> list[Version]:
        """What lies over the newest locked one of ``versions``, which come newest first."""
        if len(versions) < 2 and not (versions and _is_marker(versions[0])):
            return []
        over: list[Version] = []
        for one in versions:
            if not _is_marker(one) and self._version_end(one):
                return over
            over.append(one)
        return []

    def _by_key(self, key: str, *, folder: bool = False) -> Iterator[tuple[str, list[Version]]]:
        """The versions of ``key``, or of all keys in a folder, newest first."""
        store = self._store
        start = store._folder(key) if folder else store._name(key)
        pages = store._client.get_paginator("list_object_versions").paginate(
            Bucket=store.config.bucket, Prefix=start
        )
        entries: list[Version] = []
        for page in pages:
            entries += [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        entries.sort(key=lambda one: (one["Key"], not one["IsLatest"], -one["LastModified"].timestamp()))
        for name, found in groupby(entries, key=lambda one: str(one["Key"])):
            mine = name[len(store._prefix) :]
            if (folder and visible(mine)) or name == start:
                yield mine, list(found)

    def _version_end(self, one: Version) -> datetime | None:
        if _is_marker(one):
            return None
        return _end(
            self._store._client.head_object(
                Bucket=self._store.config.bucket, Key=one["Key"], VersionId=one["VersionId"]
            )
        )

    def _remove(self, one: Version) -> None:
        self._store._client.delete_object(
            Bucket=self._store.config.bucket, Key=one["Key"], VersionId=one["VersionId"]
        )


def not_locked(what: str) -> StoreRefused:
    return StoreRefused(
        f"{what}: `lock_days` is set, but Object Lock is not switched on for the bucket, or the service does not know it. Make a"
        " bucket with Object Lock, or take `lock_days` out of catalog/platform.yaml."
    )


def _is_marker(one: Version) -> bool:
    return "ETag" not in one


def _end(head: Mapping[str, Any]) -> datetime | None:
    end = head.get("ObjectLockRetainUntilDate")
    return end if end is not None and end > datetime.now(UTC) else None

"""Retention of single objects on Google Cloud Storage, in the mode that nobody can shorten."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from data_platform.errors import StoreRefused
from data_platform.stores.locks import lock_end

if TYPE_CHECKING:
    from data_platform.stores.gcs.store import GCSStore

MODE = "Locked"


class GCSLocks:
    """The locks of a store whose configuration has ``days``. The service refuses to delete or overwrite what is
    locked, so nothing can cover it."""

    keeps_versions = False

    def __init__(self, store: GCSStore, days: int) -> None:
        self._store, self.days = store, days

    def set(self, blob: Any) -> None:
        """Ask for the lock with what is sent next."""
        blob.retention.mode = MODE
        blob.retention.retain_until_time = lock_end(self.days)

    def prove(self, key: str, blob: Any) -> None:
        """StoreRefused where the service did not lock what it was given."""
        if _end(blob) is None:  # joined pieces need not have got what their whole was to get
            self.set(blob)
            blob.patch(timeout=self._store._timeout, retry=self._store._retry())
            blob.reload(timeout=self._store._timeout, retry=self._store._retry())
        if _end(blob) is None:
            raise not_locked(f"The store at {self._store.url} did not lock {key}")

    def until(self, key: str) -> datetime | None:
        name = self._store._name(key)
        with suppress(KeyError), self._store._readable_errors("read", key):
            return _end(self._store._known(name))
        return None

    def extend(self, key: str, until: datetime) -> bool:
        name = self._store._name(key)
        with self._store._readable_errors("lock", key):
            blob = self._store._known(name)
            end = _end(blob)
            if end is not None and end >= until:
                return False
            blob.retention.mode, blob.retention.retain_until_time = MODE, until
            blob.patch(timeout=self._store._timeout, retry=self._store._retry())
        return True

    def hidden(self, prefix: str) -> list[str]:
        return []

    def is_hidden(self, key: str) -> bool:
        return False

    def unhide(self, key: str) -> None:
        """Nothing can be hidden."""


def not_locked(what: str) -> StoreRefused:
    return StoreRefused(
        f"{what}: `lock_days` is set, but retention of objects is not switched on for the bucket. Make a bucket with it"
        " (`gcloud storage buckets create --enable-per-object-retention`), or take `lock_days` out of catalog/platform.yaml."
    )


def _end(blob: Any) -> datetime | None:
    retention = blob._properties.get("retention") or {}
    if retention.get("mode") != MODE or not retention.get("retainUntilTime"):
        return None
    end = datetime.fromisoformat(retention["retainUntilTime"])
    return end if end > datetime.now(UTC) else None

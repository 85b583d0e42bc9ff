"""The storage classes of Google Cloud Storage. Each is read at once; the colder ones cost more to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_platform.errors import ObjectDamaged
from data_platform.stores._keys import visible
from data_platform.stores.tiering import AT_ONCE, Placed, Retrieval, State, StorageClass

if TYPE_CHECKING:
    from data_platform.stores.gcs.store import GCSStore

STANDARD = "STANDARD"
CLASSES = (
    StorageClass(STANDARD, "hot"),
    StorageClass("NEARLINE", "warm", 30, {AT_ONCE: Retrieval(0, 0.01)}),
    StorageClass("COLDLINE", "cold", 90, {AT_ONCE: Retrieval(0, 0.02)}),
    StorageClass("ARCHIVE", "deep", 365, {AT_ONCE: Retrieval(0, 0.05)}),
)


class GCSTiering:
    """A ``stores.tiering.Tiering``."""

    classes = CLASSES

    def __init__(self, store: GCSStore) -> None:
        self._store = store

    def survey(self, prefix: str) -> list[Placed]:
        store = self._store
        with store._readable_errors("list", prefix):
            blobs = store._bucket.list_blobs(
                prefix=store._folder(prefix),
                fields="items(name,size,storageClass,updated),nextPageToken",
                timeout=store._timeout,
                retry=store._retry(),
            )
            found = [
                Placed(
                    blob.name[len(store._prefix) :],
                    int(blob.size),
                    blob.storage_class or STANDARD,
                    blob.updated,
                )
                for blob in blobs
            ]
        return sorted((one for one in found if visible(one.key)), key=lambda one: one.key)

    def move(self, key: str, to: StorageClass) -> None:
        store = self._store
        with store._readable_errors("read", key):
            blob = store._known(store._name(key))
            size, crc32c = blob.size, blob.crc32c
        with store._readable_errors("write", key):
            blob.update_storage_class(
                to.name, if_generation_match=blob.generation, timeout=store._timeout, retry=store._retry()
            )
            after = store._known(store._name(key))
        if (after.size, after.crc32c) != (size, crc32c):
            raise ObjectDamaged(
                f"The store at {store.url} holds other bytes of {key} after it was moved to {to.name}. Restore it from another"
                " copy."
            )

    def state(self, key: str) -> State:
        self._store.size(key)
        return "readable"

    def thaw(self, key: str, speed: str, days: int) -> None:
        """Nothing has to be asked for."""

"""The storage classes of S3: moving an object by a copy onto itself, asking for one of Glacier back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from data_platform.errors import ObjectDamaged
from data_platform.stores._keys import visible
from data_platform.stores.s3.errors import code_of
from data_platform.stores.tiering import AT_ONCE, Placed, Retrieval, State, StorageClass

if TYPE_CHECKING:
    from data_platform.stores.s3.store import S3Store

STANDARD = "STANDARD"
CLASSES = (
    StorageClass(STANDARD, "hot"),
    StorageClass("STANDARD_IA", "warm", 30, {AT_ONCE: Retrieval(0, 0.01)}),
    StorageClass("GLACIER_IR", "cold", 90, {AT_ONCE: Retrieval(0, 0.03)}),
    StorageClass(
        "GLACIER",
        "cold",
        90,
        {
            "expedited": Retrieval(5 / 60, 0.03, 10.0),
            "standard": Retrieval(5, 0.01, 0.05),
            "bulk": Retrieval(12),
        },
    ),
    StorageClass(
        "DEEP_ARCHIVE",
        "deep",
        180,
        {"standard": Retrieval(12, 0.02, 0.10), "bulk": Retrieval(48, 0.0025, 0.025)},
    ),
)
_FROZEN = {one.name for one in CLASSES if not one.at_once}


class S3Tiering:
    """A ``stores.tiering.Tiering``."""

    classes = CLASSES

    def __init__(self, store: S3Store) -> None:
        self._store = store

    def survey(self, prefix: str) -> list[Placed]:
        store = self._store
        start = store._folder(prefix)
        with store._readable_errors("list", prefix):
            pages = store._client.get_paginator("list_objects_v2").paginate(
                Bucket=store.config.bucket, Prefix=start
            )
            found = [
                Placed(
                    entry["Key"][len(store._prefix) :],
                    int(entry["Size"]),
                    entry.get("StorageClass", STANDARD),
                    entry["LastModified"],
                )
                for page in pages
                for entry in page.get("Contents", ())
            ]
        return sorted((one for one in found if visible(one.key)), key=lambda one: one.key)

    def move(self, key: str, to: StorageClass) -> None:
        store, before = self._store, self._head(key)
        name = store._name(key)
        with store._readable_errors("write", key):
            # the managed copy also copies what is larger than one request may
            store._client.copy(
                {"Bucket": store.config.bucket, "Key": name},
                store.config.bucket,
                name,
                ExtraArgs={
                    "StorageClass": to.name,
                    "MetadataDirective": "REPLACE",  # not every service takes a new class for a change
                    "Metadata": before.get("Metadata", {}),
                    "ContentType": before["ContentType"],
                    "ChecksumAlgorithm": "SHA256",
                },
            )
            if "ObjectLockMode" in before:  # the copy is an object of its own
                store._client.put_object_retention(
                    Bucket=store.config.bucket,
                    Key=name,
                    Retention={
                        "Mode": before["ObjectLockMode"],
                        "RetainUntilDate": before["ObjectLockRetainUntilDate"],
                    },
                )
        after = self._head(key)
        if after["ContentLength"] != before["ContentLength"]:
            raise ObjectDamaged(
                f"The store at {store.url} holds {after['ContentLength']:,} bytes of {key} after it was moved to {to.name}, not"
                f" {before['ContentLength']:,}. Restore it from another copy."
            )

    def state(self, key: str) -> State:
        head = self._head(key)
        if head.get("StorageClass", STANDARD) not in _FROZEN:
            return "readable"
        restore = head.get("Restore", "")
        if 'ongoing-request="true"' in restore:
            return "thawing"
        return "readable" if 'ongoing-request="false"' in restore else "frozen"

    def thaw(self, key: str, speed: str, days: int) -> None:
        from botocore.exceptions import ClientError

        store = self._store
        request = {"Days": days, "GlacierJobParameters": {"Tier": speed.capitalize()}}
        with store._readable_errors("read", key):
            try:
                store._client.restore_object(
                    Bucket=store.config.bucket, Key=store._name(key), RestoreRequest=request
                )
            except ClientError as error:
                if code_of(error) != "RestoreAlreadyInProgress":
                    raise

    def _head(self, key: str) -> Mapping[str, Any]:
        return self._store._head(key)

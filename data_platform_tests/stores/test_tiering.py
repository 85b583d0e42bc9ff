"""Storage classes: what S3's and Google's services take from us, as moto, SeaweedFS and fake-gcs-server answer it.

moto alone refuses to read a frozen object (InvalidObjectState). It thaws at once, and no emulator waits or bills.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from data_platform.errors import StoreRefused
from data_platform.stores.gcs.store import GCSStore
from data_platform.stores.local import LocalStore
from data_platform.stores.s3.config import S3StoreConfig
from data_platform.stores.s3.store import S3Store
from data_platform.stores.tiering import chosen, class_of, colder, tiering
from data_platform.stores.wrapped import PrefixedStore, WrappedStore

BODY = bytes(range(256)) * 1000


@pytest.fixture
def frozen_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Store]:
    """A bucket of moto's, which enforces storage classes."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-the-tests")
    with mock_aws():
        config = S3StoreConfig(kind="s3", bucket="acme-cold", prefix="a/b", region="us-east-1")
        store = S3Store(config, tmp_path / "scratch")
        store._client.create_bucket(Bucket="acme-cold")
        yield store


@pytest.fixture(
    params=[
        "frozen_bucket",
        pytest.param("s3_store", marks=pytest.mark.slow),
    ]
)
def store(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def test_an_object_moves_and_keeps_its_bytes(store: Any, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(BODY)
    store.put_file("t/part", tmp_path / "part")
    store.put_new("t/other", b"x")
    classes = tiering(store)
    assert classes is not None
    for tier, at_once in (("warm", True), ("cold", True)):
        to = chosen(classes.classes, tier, at_once=at_once)  # type: ignore[arg-type]
        classes.move("t/part", to)
        placed = {one.key: (one.bytes, one.storage_class) for one in classes.survey("t")}
        assert placed == {"t/part": (len(BODY), to.name), "t/other": (1, classes.classes[0].name)}
        assert store.read("t/part") == BODY and classes.state("t/part") == "readable"
    for absent in (classes.state, lambda key: classes.move(key, to)):
        with pytest.raises(KeyError):
            absent("t/absent")
    assert classes.survey("nothing") == []


@pytest.mark.slow
def test_an_object_at_google_keeps_its_bytes_and_its_class_is_listed(
    gcs_store: GCSStore, tmp_path: Path
) -> None:
    """fake-gcs-server rewrites the object, but leaves it in its class: that it moves, only the service proves."""
    gcs_store.put_new("t/part", BODY)
    before = gcs_store._known(gcs_store._name("t/part")).generation
    classes = gcs_store.tiering
    classes.move("t/part", chosen(classes.classes, "warm", at_once=True))
    assert gcs_store._known(gcs_store._name("t/part")).generation != before, "it was rewritten"
    assert gcs_store.read("t/part") == BODY and classes.state("t/part") == "readable"
    cold = gcs_store._bucket.blob(gcs_store._name("t/cold"))
    cold.storage_class = "ARCHIVE"
    cold.upload_from_string(b"x")
    found = {one.key: (one.bytes, one.storage_class) for one in classes.survey("t")}
    assert found == {"t/cold": (1, "ARCHIVE"), "t/part": (len(BODY), "STANDARD")}
    with pytest.raises(KeyError):
        classes.move("t/absent", classes.classes[1])


@pytest.mark.parametrize("name", ["GLACIER", "DEEP_ARCHIVE"])
def test_a_frozen_object_is_refused_until_it_was_asked_for(frozen_bucket: S3Store, name: str) -> None:
    frozen_bucket.put_new("t/part", BODY)
    classes = frozen_bucket.tiering
    to = class_of(classes.classes, name)
    assert to is not None
    classes.move("t/part", to)
    assert classes.state("t/part") == "frozen"
    with pytest.raises(StoreRefused, match="hours after it is asked for"):
        frozen_bucket.read("t/part")
    for _ in range(2):  # asking twice does no harm
        classes.thaw("t/part", "standard", 3)
    assert classes.state("t/part") == "readable" and frozen_bucket.read("t/part") == BODY


def test_a_lock_goes_with_the_object(frozen_bucket: S3Store) -> None:
    """The copy that a move makes is an object of its own: without its lock, anybody could delete it."""
    from datetime import UTC, datetime, timedelta

    client = frozen_bucket._client
    client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    config = S3StoreConfig(kind="s3", bucket="locked", region="us-east-1")
    store = S3Store(config, frozen_bucket.folder)
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    client.put_object(
        Bucket="locked",
        Key="p",
        Body=BODY,
        ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate=until,
        ChecksumAlgorithm="SHA256",
    )
    store.tiering.move("p", store.tiering.classes[1])
    head = client.head_object(Bucket="locked", Key="p")
    assert head["StorageClass"] == "STANDARD_IA"
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("COMPLIANCE", until)


def test_the_coldest_class_is_chosen_within_what_may_wait() -> None:
    from data_platform.stores.gcs.tiering import CLASSES as GOOGLES
    from data_platform.stores.s3.tiering import CLASSES

    def name(classes: Any, tier: Any, at_once: bool) -> str:
        return chosen(classes, tier, at_once=at_once).name

    assert [name(CLASSES, tier, True) for tier in ("hot", "warm", "cold", "deep")] == [
        "STANDARD",
        "STANDARD_IA",
        "GLACIER_IR",
        "GLACIER_IR",
    ]
    assert [name(CLASSES, tier, False) for tier in ("cold", "deep")] == ["GLACIER", "DEEP_ARCHIVE"]
    assert [name(GOOGLES, tier, True) for tier in ("warm", "cold", "deep")] == [
        "NEARLINE",
        "COLDLINE",
        "ARCHIVE",
    ]
    assert colder(CLASSES, "STANDARD", CLASSES[1]) and not colder(CLASSES, "GLACIER", CLASSES[1])
    assert not colder(CLASSES, "OUTPOSTS", CLASSES[4]), "a class that is not known is left alone"


def test_who_has_none_says_so(tmp_path: Path, frozen_bucket: S3Store) -> None:
    local = LocalStore(tmp_path)
    assert tiering(local) is None and tiering(WrappedStore(local)) is None
    assert tiering(WrappedStore(frozen_bucket)) is not None
    assert tiering(PrefixedStore(frozen_bucket, "ledger")) is None, "its keys are others"

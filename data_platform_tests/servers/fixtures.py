"""The servers as fixtures, offered to every test by ``conftest.py``."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from data_platform.stores.gcs.store import GCSStore
from data_platform.stores.s3.store import S3Store
from data_platform_tests.servers.objects import ObjectServer, gcs_emulator, new_prefix, seaweedfs
from data_platform_tests.servers.pools import pgbouncer


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """The run's SeaweedFS."""
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture(scope="session")
def gcs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """The run's emulator of Google Cloud Storage."""
    with gcs_emulator(tmp_path_factory.mktemp("gcs")) as server:
        yield server


@pytest.fixture(scope="session")
def locked_bucket(s3_server: ObjectServer) -> str:
    """A bucket of the run's SeaweedFS with Object Lock, which it enforces."""
    name = "locked"
    s3_server.client().create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


@pytest.fixture
def s3_store(s3_server: ObjectServer, tmp_path: Path) -> S3Store:
    """An empty store of the test's own on SeaweedFS."""
    store = s3_server.opener(tmp_path / "scratch", new_prefix())()
    assert isinstance(store, S3Store)
    return store


@pytest.fixture
def gcs_store(gcs_server: ObjectServer, tmp_path: Path) -> GCSStore:
    """An empty store of the test's own on the emulator of Google Cloud Storage."""
    store = gcs_server.opener(tmp_path / "scratch", new_prefix())()
    assert isinstance(store, GCSStore)
    return store


@pytest.fixture
def pooled(server_folder: Path) -> Iterator[Callable[..., str]]:
    """``pooled(database_url, pool_mode="session", ...)``: the URL through a PgBouncer of the test's own."""
    with ExitStack() as stack:
        yield lambda url, **settings: stack.enter_context(
            pgbouncer(server_folder / f"pgbouncer-{uuid.uuid4().hex[:8]}", url, **settings)
        )

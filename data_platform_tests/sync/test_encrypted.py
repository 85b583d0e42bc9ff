"""Encrypted connections, up to a verified server, and ICU collations. The sandbox's server is built without
either; the oldest server of the tests has both."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from data_platform.errors import SandboxError, SourceUnreachable
from data_platform.local_postgres import unprivileged_user
from data_platform.sandbox.server import PostgresServer
from data_platform_tests import other_postgres
from data_platform_tests.sync.conftest import Project

pytestmark = pytest.mark.slow


def certificate(folder: Path, name: str, host: str) -> Path:
    """A self-signed certificate of ``host``, an address, and its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.crt"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    path.with_suffix(".key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture(scope="module")
def certificates(server_folder: Path) -> Path:
    """Of the server's own address, of another one's, and one that signed neither."""
    folder = server_folder / "certificates"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    for name, host in (("right", "127.0.0.1"), ("elsewhere", "127.0.0.2"), ("stranger", "127.0.0.1")):
        key = certificate(folder, name, host).with_suffix(".key")
        key.chmod(0o600)
        if (user := unprivileged_user()) is not None:
            os.chown(key, user.pw_uid, user.pw_gid)
    return folder


@pytest.fixture(scope="module")
def encrypted(server_folder: Path, certificates: Path) -> Iterator[PostgresServer]:
    present(certificates, "right")
    files = {"ssl_cert_file": certificates / "shown.crt", "ssl_key_file": certificates / "shown.key"}
    server = other_postgres.start(
        other_postgres.OLDEST,
        server_folder / "encrypted",
        {"ssl": "on", **{n: str(p) for n, p in files.items()}},
    )
    with psycopg.connect(server.create_database("shop"), autocommit=True) as connection:
        connection.execute("create table t (id int primary key)")
        connection.execute("insert into t select generate_series(1, 1000)")
    yield server
    server.destroy()


@pytest.fixture
def tls(tmp_path: Path, encrypted: PostgresServer) -> Project:
    return Project(tmp_path, encrypted.url("shop"))


def present(certificates: Path, name: str, server: PostgresServer | None = None) -> None:
    """Have the server, which may run already, show the certificate ``name`` to whoever connects from now on."""
    for kind in ("crt", "key"):
        shown = certificates / f"shown.{kind}"
        shutil.copy2(certificates / f"{name}.{kind}", shown)
        if kind == "key" and (user := unprivileged_user()) is not None:
            os.chown(shown, user.pw_uid, user.pw_gid)
    if server is None:
        return
    with server.connect() as connection:
        connection.execute("select pg_reload_conf()")
    for _ in range(1000):
        try:
            server.connect(sslmode="verify-ca", sslrootcert=f"{certificates / name}.crt").close()
            return
        except SandboxError:  # it has not read the file yet
            time.sleep(0.02)
    pytest.fail(f"the server does not show {name}.crt")


def test_a_verified_server_is_read_and_every_session_is_encrypted(tls: Project, certificates: Path) -> None:
    tls.execute(
        "create table sessions (pid int, encrypted bool)",
        "create function note() returns bool language sql security definer as"
        " $$ select ssl from pg_stat_ssl where pid = pg_backend_pid() $$",
        "create view seen as select id, note() as encrypted from t where id <= 3",
    )
    tls.url += f"?sslrootcert={certificates / 'right.crt'}"
    tls.catalog(
        {"t": {"key": "id"}, "seen": {"strategy": "replace"}}, connection={"sslmode": "verify-full"}
    ).good()
    assert tls.rows("select count(*), sum(id) from raw_shop.t") == [(1000, 500_500)]
    assert tls.rows("select distinct encrypted from raw_shop.seen") == [(True,)], "the readers' sessions"


@pytest.mark.parametrize(
    ("sslmode", "root", "shown", "reached"),
    [
        ("verify-full", "stranger", "right", False),
        ("verify-ca", "stranger", "right", False),
        ("verify-full", "elsewhere", "elsewhere", False),  # its certificate is another host's
        ("verify-ca", "elsewhere", "elsewhere", True),
        ("require", None, "right", True),
        ("disable", None, "right", True),
    ],
)
def test_a_server_is_verified_as_far_as_the_catalog_asks(
    tls: Project,
    encrypted: PostgresServer,
    certificates: Path,
    sslmode: str,
    root: str | None,
    shown: str,
    reached: bool,
) -> None:
    present(certificates, shown, encrypted)
    try:
        if root:
            tls.url += f"?sslrootcert={certificates / root}.crt"
        report = tls.catalog({"t": {"key": "id"}}, connection={"sslmode": sslmode}).sync()["t"]
        if reached:
            assert report.error is None
            return
        assert isinstance(report.error, SourceUnreachable)
        assert "certificate" in str(report.error)
        assert encrypted.password not in str(report.error)
    finally:
        present(certificates, "right", encrypted)


def test_a_server_without_encryption_is_refused_where_it_is_asked_for(project: Project) -> None:
    project.execute("create table t (id int primary key)")
    report = project.catalog({"t": {"key": "id"}}, connection={"sslmode": "require"}).sync()["t"]
    assert isinstance(report.error, SourceUnreachable)
    assert "do not agree on encryption" in str(report.error)


def test_keys_of_icu_collations_stay_exact(tls: Project) -> None:
    tls.execute(
        "create collation nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
        'create table words (word text collate nocase primary key, german text collate "de-x-icu", n int)',
        "insert into words select w || g, w, g from unnest(array['Äpfel', 'zebra', 'Straße', 'ı', 'İ']) w,"
        " generate_series(1, 20) g",
    )
    tls.catalog({"words": {"key": "word"}}).good()
    assert tls.difference("words", "word, german, n") == ([], [])
    tls.execute(
        "update words set n = -n where word = 'ÄPFEL7'",  # equal to the server
        "insert into words values ('straße21', 'ß', 0)",
        "delete from words where german = 'ZEBRA' collate nocase",
    )
    reports = tls.good(verify=True)
    assert reports["words"].completeness is not None and reports["words"].completeness.passed
    assert tls.difference("words", "word, german, n") == ([], [])
    assert tls.rows("select n from raw_shop.words where word = 'Äpfel7'") == [(-7,)]

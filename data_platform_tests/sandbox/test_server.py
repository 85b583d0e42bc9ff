"""The server alone: initialised once, found again by its home, restarted after a crash, copied as a standby."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from data_platform import local_postgres as install
from data_platform.errors import SandboxError
from data_platform.sandbox.server import PostgresServer

pytestmark = pytest.mark.slow


NEEDLE = "a-secret-of-another-source"


@pytest.fixture(scope="module")
def server(server_folder: Path) -> Iterator[PostgresServer]:
    os.environ["BILLING_DATABASE_URL"] = NEEDLE
    server = PostgresServer(server_folder / "alone").start()
    del os.environ["BILLING_DATABASE_URL"]
    yield server
    server.destroy()


def test_its_superuser_reads_none_of_our_secrets(server: PostgresServer) -> None:
    with server.connect() as connection:
        connection.execute("create temp table seen (line text)")
        connection.execute("copy seen from program 'env' (format csv, delimiter e'\\x01', quote e'\\x02')")
        lines = [str(row[0]) for row in connection.execute("select line from seen")]
    assert "TZ=UTC" in lines
    assert not [line for line in lines if NEEDLE in line]
    of_its_own = {"LC_ALL", "TZ", "PWD", "OLDPWD", "SHLVL", "_", "PGDATA", "PG_GRANDPARENT_PID"}
    assert {line.partition("=")[0] for line in lines} <= {*install.PASSED_ON, *of_its_own} | {
        line.partition("=")[0] for line in lines if line.startswith(("LC_", "PGLOCALE", "PGSYSCONF"))
    }


def test_speaks_tcp_on_loopback_only_and_wants_the_password(server: PostgresServer) -> None:
    with server.connect() as connection:
        settings = {
            name: connection.execute(f"SHOW {name}").fetchone()
            for name in ("listen_addresses", "unix_socket_directories", "wal_level", "password_encryption")
        }
    assert settings == {
        "listen_addresses": ("127.0.0.1",),
        "unix_socket_directories": ("",),
        "wal_level": ("logical",),
        "password_encryption": ("scram-sha-256",),
    }
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.url().replace(server.password, "guess"))
    assert (server.home / "password").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives its rights up")
def test_does_not_run_as_root(server: PostgresServer) -> None:
    pid = server.pid()
    assert pid is not None
    assert Path(f"/proc/{pid}").stat().st_uid != 0
    assert server.data_dir.stat().st_uid != 0
    assert server.data_dir.stat().st_mode & 0o077 == 0


def test_another_handle_finds_the_running_server(server: PostgresServer) -> None:
    other = PostgresServer(server.home)
    assert other.running()
    assert (other.port, other.pid(), other.password) == (server.port, server.pid(), server.password)
    assert other.start().pid() == server.pid()
    with pytest.raises(SandboxError, match="already runs on port"):
        PostgresServer(server.home, install.free_port()).start()


def test_survives_kill_9_and_a_lock_file_whose_number_belongs_to_a_stranger(server: PostgresServer) -> None:
    url = server.create_database("kept")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    port, pid = server.port, server.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert server._process is not None
    server._process.wait()
    assert not server.running()
    stranger = subprocess.Popen(["sleep", "60"], **install.as_user(install.unprivileged_user()))
    try:
        lock = server.data_dir / "postmaster.pid"
        lines = lock.read_text().splitlines()
        lock.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        server.start()
    finally:
        stranger.kill()
        stranger.wait()
    assert server.port == port
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


def test_stop_reports_whether_it_ran(server: PostgresServer) -> None:
    assert server.stop()
    assert not server.stop()
    assert not server.running()
    server.start()
    assert server.running()


def test_moves_to_another_port_when_its_own_was_taken_meanwhile(server: PostgresServer) -> None:
    port = server.port
    server.stop()
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        with pytest.raises(SandboxError, match=f"Port {port} .* is used"):
            PostgresServer(server.home, port).start()
        server.start()
    assert server.port != port
    assert PostgresServer(server.home).port == server.port


def test_a_server_that_cannot_start_says_why(server: PostgresServer) -> None:
    server.stop()
    try:
        with pytest.raises(SandboxError, match="no_such_setting"):
            PostgresServer(server.home, settings={"no_such_setting": "1"}).start()
    finally:
        server.start()


def test_standby_follows(server: PostgresServer, server_folder: Path) -> None:
    url = server.create_database("followed")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE before AS SELECT 1 AS one")
    standby = server.standby(server_folder / "alone_standby")
    try:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE later AS SELECT 2 AS two")
            position = connection.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
        assert position is not None
        with standby.connect("followed") as connection:
            assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
            assert connection.execute("SELECT one FROM before").fetchone() == (1,)
            reached = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
            while connection.execute(reached, position).fetchone() != (True,):
                pass  # the suite's timeout ends it
            assert connection.execute("SELECT two FROM later").fetchone() == (2,)
    finally:
        standby.destroy()


def test_programs_that_fail_are_named(server: PostgresServer) -> None:
    assert "pg_controldata" in server.run("pg_controldata", "--version")
    with pytest.raises(SandboxError, match="pg_controldata failed"):
        server.run("pg_controldata", "-D", str(server.home / "nowhere"))


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the account is the same unless we are root")


@needs_root
def test_closed_folders_are_told_apart_and_replaced(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    closed = tmp_path / "sandbox"
    closed.mkdir()
    assert not install.can_walk_to(closed)
    with pytest.raises(SandboxError, match="cannot enter"):
        PostgresServer(closed).initialise()
    home = install.reachable_home(closed)
    try:
        assert home != closed
        assert install.can_walk_to(home)
        assert install.reachable_home(closed) == home
        assert PostgresServer(home).install.is_dir()
    finally:
        home.rmdir()


@needs_root
def test_programs_are_copied_when_their_folder_is_closed(
    server_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = server_folder / "copied"
    target.mkdir()
    # Only the wheel's own place counts as closed, as under a virtual environment in /root.
    runs = install.runs
    monkeypatch.setattr(install, "runs", lambda folder: target in folder.parents and runs(folder))
    copy = install.installation(target)
    assert copy.parent == target
    assert runs(copy)
    before = copy.stat().st_ino
    assert install.installation(target).stat().st_ino == before


def test_why_programs_do_not_run_is_told(server_folder: Path) -> None:
    program = server_folder / "broken" / "bin" / "postgres"
    install.make_reachable(program.parent)
    program.write_text("#!/bin/sh\necho 'no such library' >&2\nexit 3\n")
    program.chmod(0o755)
    assert install.why_not(program.parent.parent) == "no such library"

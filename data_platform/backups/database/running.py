"""A recovered server: started where nobody else can reach it, asked, stopped.

It reads a configuration of its own. The one that came with the backup names the production's memory, libraries, certificates
and archive, and a copy that archives into the production's WAL would damage what it came from.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from data_platform.backups.database.tools import NO_SPACE, Programs
from data_platform.errors import BackupError, ConfigurationError
from data_platform.local_postgres import (
    HOST,
    as_user,
    can_walk_to,
    command_line,
    environment,
    free_port,
    runnable,
    shared_memory_is_roomy,
    unprivileged_user,
)
from data_platform.private_files import make_private

if TYPE_CHECKING:
    import psycopg

DATA, SERVER, PROGRAMS = "data", "server", "programs"
SUPERUSER, PASSWORD = "postgres", "password"
"""Of a new cluster: the file holds its superuser's."""
PORT = 5432
"""Of the socket in a private folder; no network port is opened for it."""
_AT_LEAST = {
    "max_connections": ("max_connections", 100),
    "max_worker_processes": ("max_worker_processes", 8),
    "max_wal_senders": ("max_wal_senders", 10),
    "max_prepared_transactions": ("max_prepared_xacts", 0),
    "max_locks_per_transaction": ("max_locks_per_xact", 64),
}
"""A server must have at least what the one had whose WAL it replays: by setting, pg_controldata's word for it."""
_FILES = {"config_file": "postgresql.conf", "hba_file": "pg_hba.conf", "ident_file": "pg_ident.conf"}
SETTINGS: Mapping[str, str] = {
    "shared_buffers": "128MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
    "hot_standby": "off",
    "archive_mode": "off",
    "wal_level": "replica",
    "max_slot_wal_keep_size": "0",
    "log_line_prefix": "%m ",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "autovacuum": "off",
}
NOT_SYNCED: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off"}
"""While it is made and proven. What is kept of it is synced to disk once, by ``sync``, before anybody is told that it is there."""
STOP_SECONDS = 120.0
FREE_MIN = 1 << 20
"""A disk with less room is full for a server."""
LOCK_SECONDS = 10
"""A server that is paused keeps the locks of the transactions that were under way then."""


@dataclass
class RecoveredServer:
    """The server of ``home/data``. ``home/server`` holds its configuration and its log."""

    home: Path
    programs: Programs
    _process: subprocess.Popen[bytes] | None = None
    _socket: Path | None = None
    port: int = 0
    asked_as: str = "postgres"
    """A role that is there, to ask it with."""
    _binaries: Path | None = field(default=None, repr=False)

    @property
    def data(self) -> Path:
        return self.home / DATA

    @property
    def log(self) -> Path:
        return self.home / SERVER / "server.log"

    # ---- before it starts

    def initialise(self, superuser: str, password: str) -> None:
        """Make a new cluster, with page checksums."""
        make_private(self.home)
        self.own()
        secret = self.home / PASSWORD
        secret.touch(mode=0o600)
        secret.write_text(password + "\n")
        self.data.mkdir(mode=0o700)
        self.own()
        Programs(self._bin(), self.programs.major).run(
            "initdb", "-D", str(self.data), "-U", superuser, "--auth=scram-sha-256", f"--pwfile={secret}",
            "--encoding=UTF8", "--locale=C", "--data-checksums", "--no-sync", **as_user(unprivileged_user()),
        )  # fmt: skip

    def sync(self) -> None:
        """Sync the data folder of the stopped server to disk."""
        Programs(self._bin(), self.programs.major).run(
            "initdb", "--sync-only", "-D", str(self.data), **as_user(unprivileged_user())
        )

    @property
    def socket(self) -> dict[str, str]:
        """libpq's parameters for a program of this machine, while it runs."""
        return {"host": str(self._socket), "port": str(self.port)}

    def configure(self, settings: Mapping[str, str]) -> None:
        """Write its configuration, with ``settings`` (values as they are) over the defaults, and give it to the account
        that the server runs as. The production's own files stay in the data folder, or under ``server/``."""
        folder = self.home / SERVER
        make_private(folder)
        automatic = self.data / "postgresql.auto.conf"
        if automatic.exists() and automatic.stat().st_size and not (folder / "production.auto.conf").exists():
            shutil.copyfile(automatic, folder / "production.auto.conf")
        automatic.write_text("")
        control = self.control()
        limits = {
            name: str(max(least, int(control.get(f"{word} setting", 0))))
            for name, (word, least) in _AT_LEAST.items()
        }
        wanted = {**SETTINGS, **limits, **settings}
        if not shared_memory_is_roomy():
            wanted["dynamic_shared_memory_type"] = "mmap"
        text = "".join(f"{name} = {_quoted(value)}\n" for name, value in wanted.items())
        (folder / "postgresql.conf").write_text(text)
        (folder / "pg_hba.conf").write_text(
            "# the folder of the socket is closed to other accounts\nlocal all all trust\n"
            f"host all all {HOST}/32 scram-sha-256\n"
        )
        (folder / "pg_ident.conf").touch()
        self.own()

    def go_on(self) -> None:
        """Let the next start of a server that is paused at its target go on from there, and sync what it writes."""
        path = self.home / SERVER / "postgresql.conf"
        lines = path.read_text().splitlines(keepends=True)
        kept = [line for line in lines if line.partition(" = ")[0] not in NOT_SYNCED]
        path.write_text(
            re.sub(r"(?m)^recovery_target_action = .*$", "recovery_target_action = 'promote'", "".join(kept))
        )

    def control(self) -> dict[str, str]:
        """What pg_controldata says, by its words."""
        lines = self.programs.run("pg_controldata", "-D", str(self.data)).splitlines()
        return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def own(self) -> None:
        """Give everything to the account that the server runs as."""
        user = unprivileged_user()
        if user is None:
            return
        if not can_walk_to(self.home.parent):
            raise ConfigurationError(
                f"PostgreSQL does not run as root, and the account {user.pw_name}, which runs it instead, cannot enter"
                f" {self.home.parent}. Choose a folder with --into that others may pass through, or run as another user."
            )
        for path in (self.home, *self.home.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)

    def start_command(self) -> str:
        """How a person starts it, as the account that owns the data folder."""
        folder = self.home / SERVER
        files = " ".join(f"-c {name}={shlex.quote(str(folder / file))}" for name, file in _FILES.items())
        return f"{shlex.quote(str(self.programs.folder / 'postgres'))} -D {shlex.quote(str(self.data))} {files} -h {HOST} -p 5433"

    # ---- running

    def start(self, *, network: bool = False, paused: bool = False) -> None:
        """Start it and wait until it accepts connections, which is when all WAL up to its target is replayed; with ``paused``
        until it has paused there. ``network`` opens a free port on loopback instead of the socket. BackupError says what its log says."""
        user = unprivileged_user()
        if not network:
            self._socket = Path(tempfile.mkdtemp(prefix="dp-"))
            if user is not None:
                os.chown(self._socket, user.pw_uid, user.pw_gid)
        self.port = free_port() if network else PORT
        folder = self.home / SERVER
        options = {
            **{name: folder / file for name, file in _FILES.items()},
            "listen_addresses": HOST if network else "",
            "port": self.port,
            "unix_socket_directories": self._socket or "",
        }
        command = [str(self._bin() / "postgres"), "-D", str(self.data)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        self.log.touch(mode=0o600)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=self.data, env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, **as_user(user),
            )  # fmt: skip
        states = (
            ("ready", "standby") if paused else ("ready",)
        )  # a server in recovery says standby, whether or not it answers
        self._wait(lambda: self._ready(*states))
        if paused:
            self._wait(self._paused)

    def url(self, user: str, database: str) -> str:
        """To its socket, which only this account can reach."""
        return f"postgresql://{quote(user, safe='')}@{quote(str(self._socket), safe='')}:{self.port}/{quote(database, safe='')}"

    def stop(self) -> None:
        """Stop it in order, so that its files are whole."""
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)
                process.wait(timeout=STOP_SECONDS)
                raise BackupError(
                    f"The recovered server in {self.home} did not stop. Its log is {self.log}."
                ) from None
            finally:
                self._forget()
        self._forget()

    def kill(self) -> None:
        """End it at once, whatever it does."""
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGQUIT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=10)
            if self._process.poll() is None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._forget()

    @contextmanager
    def connect(self, user: str, database: str) -> Iterator[psycopg.Connection[Any]]:
        import psycopg

        try:
            connection = psycopg.connect(
                host=str(self._socket),
                port=self.port,
                user=user,
                dbname=database,
                autocommit=True,
                options=f"-c lock_timeout={LOCK_SECONDS}s",
            )
        except psycopg.Error as error:
            raise BackupError(
                f"The recovered server in {self.home} runs, and refused a connection: {' '.join(str(error).split())[:300]}"
            ) from None
        with connection:
            yield connection

    def said(self) -> str:
        """The errors in its log."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(
            line for line in lines if re.search(r"(FATAL|PANIC|ERROR|HINT|DETAIL|could not):? ", line)
        )

    def _wait(self, until: Callable[[], bool]) -> None:
        """However long the WAL takes: it ends when ``until`` holds, or when the server does."""
        assert self._process is not None
        while not until():
            if self._process.poll() is not None:
                said = " / ".join(line.split(" UTC ", 1)[-1].strip() for line in self.said().splitlines()[:4])
                full = " No space is left on its disk: free some, then run it again." if self._full() else ""
                self._forget()
                raise BackupError(
                    f"The server could not be recovered in {self.home}.{full} It says: {said or 'nothing'}."
                )
            time.sleep(0.02)

    def _full(self) -> bool:
        """Whether its disk is: then not even its log may say so."""
        if shutil.disk_usage(self.home).free < FREE_MIN:
            return True
        return self.log.exists() and NO_SPACE.search(self.log.read_text(errors="replace")) is not None

    def _ready(self, *states: str) -> bool:
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        pid = int(lines[0]) if lines and lines[0].isdigit() else 0
        return len(lines) > 7 and lines[7].strip() in states and str(self.data) in command_line(pid)

    def _paused(self) -> bool:
        import psycopg

        try:
            with psycopg.connect(
                host=str(self._socket), port=self.port, user=self.asked_as, dbname="postgres"
            ) as one:
                row = one.execute("select pg_catalog.pg_get_wal_replay_pause_state()").fetchone()
        except psycopg.OperationalError:
            return False  # it has ended, which its process says, or is not ready yet
        return row == ("paused",)

    def _bin(self) -> Path:
        """The programs, in a place that the server's account can reach."""
        if self._binaries is None:
            install = self.programs.folder.parent
            self._binaries = runnable(install, self.home / PROGRAMS) / "bin"
        return self._binaries

    def _forget(self) -> None:
        if self._socket is not None:
            shutil.rmtree(self._socket, ignore_errors=True)
        self._process, self._socket = None, None


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"

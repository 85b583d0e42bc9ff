"""pgBackRest: one program with a repository that its own configuration names. It runs where the server's data folder is.

`pgbackrest verify` ends with 0, and says that it completed successfully, after it found damage: what it says is read.
"""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_platform.backups.database.config import DatabaseBackups
from data_platform.backups.database.external import Asked, External, Made
from data_platform.backups.database.external import config as blocks
from data_platform.backups.database.external.engine import ExternalEngine
from data_platform.backups.database.lsn import Lsn
from data_platform.backups.database.manifest import Outside
from data_platform.backups.database.tools import ProgramFailed, Programs
from data_platform.errors import BackupDamaged, BackupError, ConfigurationError, StoreUnreachable
from data_platform.local_postgres import as_user

PROGRAM = "pgbackrest"
_WRONG = re.compile(r"^(?:\S+ \S+ +P\d+ +)?(?:ERROR|ASSERT): ", re.MULTILINE)
_STORED = re.compile(r"(?:.*/)?([0-9A-F]{24})-([0-9a-f]{40})(?:\.(gz|bz2|lz4|zst))?")
_HISTORY = re.compile(r"([0-9A-F]{8}\.history)")
_CODECS = {"gz": "gzip", "bz2": "bz2", "lz4": "lz4", "zst": "zstd"}
_FOUND = re.compile(
    r"(?:status: (?!ok\b|valid\b)\S+|(?:invalid|missing)[^:\n]*: *[1-9]|invalid checksum '[^']*')[^\n]*"
)
"""In what `verify` says: whatever is not well."""
_DONE = "verify command end: completed successfully"


class PgBackRest(ExternalEngine):
    name = "pgbackrest"
    proof = "every file by pgBackRest's checksum"

    def opened(self, config: DatabaseBackups, environ: Mapping[str, str], root: Path) -> External:
        assert config.pgbackrest is not None
        return PgBackRestRepository(config.pgbackrest, config.programs, environ, root)


class PgBackRestRepository:
    title = "pgBackRest"
    incremental = True

    def __init__(
        self, block: blocks.PgBackRest, programs: Path | None, environ: Mapping[str, str], root: Path
    ) -> None:
        self._block, self.programs, self._environ = block, programs, environ
        self.encrypted, self.wait_seconds = block.encrypted, block.wal_wait_seconds
        self._config = root / block.config
        self.place = f"pgbackrest:{block.stanza} of {block.config}"
        self._stored: dict[str, dict[str, str]] = {}
        """By server, where in the repository each file of WAL is."""

    def look(self) -> str:
        return self._tools.run(PROGRAM, "version").strip()

    def back_up(self, asked: Asked) -> Made:
        before = {one["label"] for one in self._stanza().get("backup", ())}
        if self._block.encrypted and self._stanza().get("cipher", "none") == "none":
            raise BackupError(
                f"The repository of {self.place} is not encrypted, though the block says `encrypted: true`. Make one with"
                " repo1-cipher-type, or take that line out."
            )
        given = {"user": "PGUSER", "password": "PGPASSWORD"}
        access = {given[name]: value for name, value in asked.access.parameters.items() if name in given}
        kind = "incr" if asked.incremental else "full"
        self._run("backup", f"--type={kind}", "--start-fast", "--no-expire-auto", variables=access)
        stanza = self._stanza()
        new = [one for one in stanza.get("backup", ()) if one["label"] not in before]
        if not new:
            raise BackupError(f"{PROGRAM} backup ended with 0, but {self.place} has no new backup.")
        if new[-1].get("error"):
            raise BackupError(
                f"pgBackRest found pages with a wrong checksum in the server's files while it made {new[-1]['label']}: the database"
                " itself is damaged. Its log names the files."
            )
        return _made(new[-1], stanza)

    def parts(self, made: Made, segment_bytes: int) -> tuple[Outside, Sequence[str]]:
        size = int(made.said["info"]["repository"]["delta"])
        return Outside(made.id, self.place, size, segment_bytes), ()

    def problems(self, outside: Outside, *, deep: bool) -> list[str]:
        found = [one for one in self._stanza().get("backup", ()) if one["label"] == outside.id]
        if not found:
            return [f"The backup {outside.id} is not in {self.place} any more."]
        if not deep:
            return []
        try:
            said = self._run("verify", "--log-level-console=info")
        except ProgramFailed as error:
            return [f"{self.place} could not be verified: {error}"]
        if bad := verify_problems(said):
            return [f"pgBackRest's verify found damage in {self.place}: {'; '.join(bad[:4])[:500]}."]
        return []

    def restore(self, outside: Outside, into: Path) -> None:
        user = self._user()
        if user is not None:
            for path in (into.parent, into):
                os.chown(path, user.pw_uid, user.pw_gid)
        try:
            self._run("restore", f"--set={outside.id}", f"--pg1-path={into}", "--type=none")
        except ProgramFailed as error:
            raise BackupDamaged(
                f"The backup {outside.id} in {self.place} could not be restored: {error} Restore from an older backup."
            ) from None

    def wal(self, system: str) -> frozenset[str]:
        archive = self._archive(system)
        if not archive:
            return frozenset()
        try:
            names = json.loads(self._run("repo-ls", "--recurse", "--output=json", archive))
        except (ProgramFailed, ValueError) as error:
            raise StoreUnreachable(f"The WAL in {self.place} cannot be listed: {error}") from error
        found = {}
        for name in names:
            if one := (_STORED.fullmatch(name) or _HISTORY.fullmatch(name)):
                found[one[1]] = f"{archive}/{name}"
        self._stored[system] = found
        return frozenset(found)

    def fetch(self, system: str, name: str, target: Path) -> None:
        import pyarrow as pa

        if name not in self._stored.get(system, ()):
            self.wal(system)
        where = self._stored.get(system, {}).get(name)
        if where is None:
            raise BackupError(f"{name} is not in {self.place}.")
        stored = _STORED.fullmatch(where)
        sha1 = hashlib.sha1(usedforsecurity=False)
        try:
            with self._started("repo-get", where) as running, target.open("wb") as file:
                codec = _CODECS[stored[3]] if stored and stored[3] else None
                plain = pa.CompressedInputStream(running.output, codec) if codec else running.output
                while block := plain.read(1 << 20):
                    sha1.update(block)
                    file.write(block)
        except (OSError, pa.ArrowException) as error:
            raise BackupDamaged(f"{where} in {self.place} cannot be unpacked: {error}.") from error
        if stored and sha1.hexdigest() != stored[2]:
            raise BackupDamaged(f"{where} in {self.place} does not have the SHA-1 that its name says.")

    def remove(self, id_: str) -> None:
        if any(one["label"] == id_ for one in self._stanza().get("backup", ())):
            self._run("expire", f"--set={id_}")
            if any(one["label"] == id_ for one in self._stanza().get("backup", ())):
                raise BackupError(f"{PROGRAM} expire ended with 0, but {id_} is still in {self.place}.")

    # ---- its own

    def _stanza(self) -> Mapping[str, Any]:
        """What `info` says. StoreUnreachable if it says nothing."""
        try:
            found = json.loads(self._run("info", "--output=json"))
            stanza: Mapping[str, Any] = found[0]
            status = stanza["status"]
        except (ProgramFailed, ValueError, KeyError, IndexError) as error:
            raise StoreUnreachable(f"pgBackRest says nothing of {self.place}: {error}") from error
        if status["code"] not in (0, 2):  # 2: no valid backup yet
            raise StoreUnreachable(
                f"{self.place} cannot be used: {status['message']}. Run `pgbackrest stanza-create` and `pgbackrest check`."
            )
        return stanza

    def _archive(self, system: str) -> str:
        """The folder of a server's WAL; empty if there is none."""
        stanza = self._stanza()
        ids = {one["id"] for one in stanza.get("db", ()) if str(one["system-id"]) == system}
        names = [one["id"] for one in stanza.get("archive", ()) if one["database"]["id"] in ids]
        return f"archive/{self._block.stanza}/{names[-1]}" if names else ""

    def _run(self, command: str, *options: str, variables: Mapping[str, str] | None = None) -> str:
        with self._started(command, *options, variables=variables) as running:
            return running.output.read().decode(errors="replace")

    def _started(self, command: str, *options: str, variables: Mapping[str, str] | None = None) -> Any:
        secrets = {**self._secrets(), **(variables or {})}
        quiet = () if any("console" in one for one in options) else ("--log-level-console=off",)
        flags = [one for one in options if one.startswith("--")]
        rest = [one for one in options if not one.startswith("--")]
        user = self._user()
        return self._tools.started(
            *(
                PROGRAM,
                f"--config={self._config}",
                f"--stanza={self._block.stanza}",
                "--log-level-stderr=warn",
            ),
            *(*quiet, *flags, command, *rest),
            variables={**secrets, **({"HOME": user.pw_dir} if user else {})},
            secrets=tuple(value for name, value in secrets.items() if name != "PGUSER"),
            **as_user(user),
        )

    def _secrets(self) -> dict[str, str]:
        found = {}
        for option, variable in self._block.secrets.items():
            if variable not in self._environ:
                raise ConfigurationError(
                    f"The environment variable {variable}, which {self.place} needs for {option}, is not set. Set it where this runs."
                )
            found[f"PGBACKREST_{option.upper().replace('-', '_')}"] = self._environ[variable]
        return found

    def _user(self) -> pwd.struct_passwd | None:
        if self._block.account is None or os.geteuid() != 0:
            return None
        try:
            return pwd.getpwnam(self._block.account)
        except KeyError:
            raise ConfigurationError(
                f"There is no account {self._block.account} here, which the block `pgbackrest` names."
            ) from None

    @property
    def _tools(self) -> Programs:
        found = shutil.which(PROGRAM)
        if found is None:
            raise ConfigurationError(
                "pgbackrest is not in PATH. Install your system's package pgbackrest; for a PostgreSQL that its release does not know"
                " (2.45 knows 9.0 to 15), a newer one from PostgreSQL's own repository of packages."
            )
        return Programs(Path(found).parent, 0, maker="The program", wrong=_WRONG)


def verify_problems(said: str) -> list[str]:
    """What `pgbackrest verify` found, from its words. Nothing is said but its end if all is well."""
    found = [" ".join(one[0].split()) for one in _FOUND.finditer(said)]
    if not found and _DONE not in said:
        found = [f"it did not come to its end ({said.strip()[-200:]!r})"]
    return list(dict.fromkeys(found))


def _made(said: Mapping[str, Any], stanza: Mapping[str, Any]) -> Made:
    number = said["database"]["id"]
    return Made(
        id=said["label"],
        start=Lsn.parse(said["lsn"]["start"]),
        end=Lsn.parse(said["lsn"]["stop"]),
        timeline=int(said["archive"]["start"][:8], 16),
        system=str(next(one["system-id"] for one in stanza["db"] if one["id"] == number)),
        plain_bytes=int(said["info"]["size"]),
        prior=said.get("prior") or "",
        said=said,
    )

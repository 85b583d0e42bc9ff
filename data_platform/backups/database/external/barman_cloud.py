"""Barman's programs for buckets: `barman-cloud-backup` and those beside it. They run where the server's data folder is.

Barman keeps no checksum of what it uploads, and `barman-cloud-restore` ends with 0 on an object that was altered. So each object is
read back and hashed when it was made, and hashed again before it is restored.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_platform.backups.database.config import DatabaseBackups
from data_platform.backups.database.external import Asked, External, Made
from data_platform.backups.database.external import config as blocks
from data_platform.backups.database.external.engine import ExternalEngine
from data_platform.backups.database.lsn import Lsn
from data_platform.backups.database.manifest import Outside
from data_platform.backups.database.tools import ProgramFailed, Programs
from data_platform.backups.manifest import BackupObject
from data_platform.errors import BackupDamaged, BackupError, ConfigurationError, LandingError
from data_platform.landing.part import sha256_of
from data_platform.stores import Store

BACKUP, LIST, RESTORE, WAL, DELETE = (
    f"barman-cloud-{name}" for name in ("backup", "backup-list", "restore", "wal-restore", "backup-delete")
)
_WRONG = re.compile(r"^\S+ \S+ \[\d+\] (?:ERROR|CRITICAL|FATAL): |^Traceback ", re.MULTILINE)
_NAME = re.compile(r"([0-9A-F]{24}|[0-9A-F]{8}\.history)(?:\.(?:gz|bz2|snappy|lz4|zst|xz))?")
_SDK = re.compile(r"AWS_[A-Z_]+|GOOGLE_[A-Z_]+|CLOUDSDK_[A-Z_]+")
"""Variables by which the SDKs find credentials where the YAML names none."""
_KEYS = {
    "access_key_env": "AWS_ACCESS_KEY_ID",
    "secret_key_env": "AWS_SECRET_ACCESS_KEY",
    "session_token_env": "AWS_SESSION_TOKEN",
    "credentials_env": "GOOGLE_APPLICATION_CREDENTIALS",
}
"""What the SDKs call the variables that a store's YAML names."""


class BarmanCloud(ExternalEngine):
    name = "barman_cloud"

    def opened(self, config: DatabaseBackups, environ: Mapping[str, str], root: Path) -> External:
        assert config.barman_cloud is not None
        return BarmanRepository(config.barman_cloud, config.programs, environ, root)


class BarmanRepository:
    title = "Barman"
    incremental = False

    def __init__(
        self, block: blocks.BarmanCloud, programs: Path | None, environ: Mapping[str, str], root: Path
    ) -> None:
        self._block, self.programs, self._root, self._environ = block, programs, root, environ
        self.encrypted, self.wait_seconds = block.encrypted, block.wal_wait_seconds
        _, self._endpoint, *steps = block.store.place()
        self._url = f"{blocks.SCHEMES[block.store.kind]}://{'/'.join(steps)}"
        self.place = f"{self._url}/{block.server}"
        self._opened: Store | None = None

    def look(self) -> str:
        return self._tools.run(BACKUP, "--version").strip()

    def back_up(self, asked: Asked) -> Made:
        from psycopg import conninfo

        given = dict(asked.access.parameters)
        secret = given.pop("password", None)
        compressed = () if self._block.compression == "none" else (f"--{self._block.compression}",)
        encrypted = ("--encryption", self._block.encryption) if self._block.encryption else ()
        self._run(
            *(BACKUP, *compressed, *encrypted, "--immediate-checkpoint", "--jobs", str(self._block.jobs)),
            *("--name", asked.name, "--dbname", conninfo.make_conninfo(**given)),
            variables={"PGPASSWORD": secret} if secret else {},
        )
        for one in self._listed():
            if one.get("backup_name") == asked.name and one["status"] == "DONE":
                return _made(one)
        raise BackupError(
            f"{BACKUP} ended with 0, but {LIST} does not list the backup {asked.name} in {self.place} as DONE."
        )

    def parts(self, made: Made, segment_bytes: int) -> tuple[Outside, Sequence[str]]:
        objects = []
        for key in self._store.list(self._base(made.id)):
            with self._store.local(key) as path:
                objects.append(BackupObject(key, path.stat().st_size, sha256_of(path)))
        size = sum(one.bytes for one in objects)
        return Outside(made.id, self.place, size, segment_bytes, tuple(objects)), ()

    def problems(self, outside: Outside, *, deep: bool) -> list[str]:
        return list(self._problems(outside, deep))

    def restore(self, outside: Outside, into: Path) -> None:
        for problem in self._problems(outside, deep=True):
            raise BackupDamaged(f"{problem} Restore from an older backup.")
        self._run(RESTORE, after=(outside.id, str(into)))

    def wal(self, system: str) -> frozenset[str]:
        names = (key.rsplit("/", 1)[-1] for key in self._store.list(f"{self._block.server}/wals"))
        return frozenset(found[1] for name in names if (found := _NAME.fullmatch(name)))

    def fetch(self, system: str, name: str, target: Path) -> None:
        try:
            self._run(WAL, after=(name, str(target)))
        except ProgramFailed as error:
            raise BackupError(f"{name} could not be fetched from {self.place}: {error}") from None
        if not target.exists():
            raise BackupDamaged(f"{WAL} ended with 0, but did not fetch {name} from {self.place}.")

    def remove(self, id_: str) -> None:
        if not self._store.list(self._base(id_), limit=1):
            return
        self._run(DELETE, "--backup-id", id_)
        if left := self._store.list(self._base(id_)):
            raise BackupError(f"{DELETE} ended with 0, but {left[0]} is still in {self.place}.")

    # ---- its own

    def _problems(self, outside: Outside, deep: bool) -> Iterator[str]:
        for one in outside.objects:
            where = f"The object {one.key} of the backup {outside.id} in {self.place}"
            try:
                if not deep:
                    if (size := self._store.size(one.key)) != one.bytes:
                        yield f"{where} has {size:,} bytes instead of {one.bytes:,}."
                    continue
                with self._store.local(one.key) as path:
                    if sha256_of(path) != one.sha256:
                        yield f"{where} is not as it was: its SHA-256 is another one."
            except KeyError:
                yield f"{where} is missing."
            except LandingError as error:
                if not deep:
                    raise
                yield str(error)

    def _listed(self) -> list[Mapping[str, Any]]:
        try:
            found: list[Mapping[str, Any]] = json.loads(self._run(LIST, "--format", "json"))["backups_list"]
        except (ValueError, KeyError) as error:
            raise BackupError(f"What {LIST} says of {self.place} cannot be read: {error}.") from error
        return found

    def _run(
        self,
        program: str,
        *options: str,
        after: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
    ) -> str:
        secrets = {**self._credentials(), **(variables or {})}
        return self._tools.run(
            *(program, *self._cloud(), *options, self._url, self._block.server, *after),
            variables=secrets,
            secrets=tuple(secrets.values()),
        )

    def _cloud(self) -> tuple[str, ...]:
        if self._block.store.kind == "gcs":
            return ("--cloud-provider", "google-cloud-storage")
        return ("--cloud-provider", "aws-s3", *(("--endpoint-url", self._endpoint) if self._endpoint else ()))

    def _credentials(self) -> dict[str, str]:
        """The variables of the child: a command line can be read by every user of the machine."""
        found = {name: value for name, value in self._environ.items() if _SDK.fullmatch(name)}
        if self._block.store.kind == "gcs" and self._endpoint:
            found["STORAGE_EMULATOR_HOST"] = self._endpoint
        for key, name in _KEYS.items():
            if variable := getattr(self._block.store, key, None):
                found[name] = self._variable(variable)
        key_file = found.get("GOOGLE_APPLICATION_CREDENTIALS")
        if key_file and not Path(key_file).is_file():
            raise ConfigurationError(
                f"Barman takes a service account's key from a file only. Let the variable that {self.place} names hold its path."
            )
        region = getattr(self._block.store, "region", None)
        return {**found, **({"AWS_DEFAULT_REGION": region} if region else {})}

    def _variable(self, name: str) -> str:
        if name not in self._environ:
            raise ConfigurationError(
                f"The environment variable {name}, which {self.place} needs, is not set. Set it where this runs."
            )
        return self._environ[name]

    @property
    def _tools(self) -> Programs:
        folder = self._root / self._block.environment / "bin"
        if not (folder / BACKUP).exists():
            found = shutil.which(BACKUP)
            if found is None:
                raise ConfigurationError(
                    f"{BACKUP} is installed neither in {folder} nor in PATH. Install Barman: `make barman`, or your system's package"
                    " barman-cli-cloud (3.13 or later)."
                )
            folder = Path(found).parent
        return Programs(folder, 0, maker="Barman's", wrong=_WRONG)

    @property
    def _store(self) -> Store:
        if self._opened is None:
            self._opened = self._block.store.open(self._root, self._environ)
        return self._opened

    def _base(self, id_: str) -> str:
        return f"{self._block.server}/base/{id_}"


def _made(said: Mapping[str, Any]) -> Made:
    return Made(
        id=said["backup_id"],
        start=Lsn.parse(said["begin_xlog"]),
        end=Lsn.parse(said["end_xlog"]),
        timeline=int(said["timeline"]),
        system=str(said["systemid"]),
        plain_bytes=int(said.get("cluster_size") or 0),
        said=said,
    )

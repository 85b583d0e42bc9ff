"""The YAML of a Snowflake warehouse, and what is known of it without connecting."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field

from data_platform.errors import ConfigurationError
from data_platform.warehouses import EngineError, Traits
from data_platform.warehouses.archive import TrialConfig
from data_platform.warehouses.dialect import Dialect
from data_platform.warehouses.maintenance import Maintained
from data_platform.warehouses.snowflake.grammar import GRAMMAR
from data_platform.yaml_fields import VARIABLE

if TYPE_CHECKING:
    from data_platform.warehouses.remote.archive import RemoteArchive
    from data_platform.warehouses.snapshots import Snapshots
    from data_platform.warehouses.snowflake.session import SnowflakeSession

_NAME = r"^[A-Za-z_][A-Za-z0-9_$]{0,254}$"
"""What Snowflake takes unquoted, and stores in upper case."""
_STAGE = r"^[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*){1,2}$"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
VARIABLES = "DATA_PLATFORM_SNOWFLAKE_"
SECRETS = "DBT_ENV_SECRET_SNOWFLAKE_"
"""How ``dbt/profiles.yml`` names what it reads."""


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError("is not of the form https://host or https://host:port")
    if parts.username or parts.password:
        raise ValueError("holds credentials, which belong into environment variables")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ValueError("is not encrypted: http:// is for an emulator on this machine")
    return url


class SnowflakeConfig(Maintained):
    """``{kind: snowflake, account: acme-prod, user: DATA_PLATFORM, role: LOADER, warehouse: LOADING, database: ANALYTICS,
    private_key_env: SNOWFLAKE_PRIVATE_KEY}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    traits: ClassVar[Traits] = Traits(
        writers="many", archive=True, in_files=False, maintained=True, placed=True, snapshots=True
    )
    dialect: ClassVar[Dialect] = GRAMMAR

    kind: Literal["snowflake"] = Field(description="The engine.")
    account: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="The account's identifier: `<organization>-<account>`, without `.snowflakecomputing.com`.",
    )
    user: str = Field(pattern=r"^[^\s\"']+$", description="The user that connects, a service user.")
    role: str = Field(pattern=_NAME, description="Its role, which owns what the platform makes.")
    warehouse: str = Field(
        pattern=_NAME,
        description="The virtual warehouse that runs the statements; the smallest is enough to load.",
    )
    database: str = Field(pattern=_NAME, description="The database of all schemas. It must exist.")
    private_key_env: str = Field(
        default="SNOWFLAKE_PRIVATE_KEY",
        pattern=VARIABLE,
        description="Environment variable that holds the user's private key: its PEM text, or the path of the file.",
    )
    passphrase_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="Environment variable that holds the passphrase of an encrypted private key.",
    )
    stage: str | None = Field(
        default=None,
        pattern=_STAGE,
        description="An external stage over the landing bucket, as `schema.name`: batches are then loaded from the bucket."
        " Without it the files are sent from this machine.",
    )
    url: Annotated[str, AfterValidator(_checked_url)] | None = Field(
        default=None,
        description="Address of the service if it is not the account's own: PrivateLink, or an emulator.",
    )
    unload: Literal["stage", "client"] = Field(
        default="stage",
        description="How a backup reads a table: `stage` by COPY INTO the user's own stage and GET; `client` as the answer of a query,"
        " where the stage's storage cannot be reached from this machine.",
    )
    time_travel: bool = Field(
        default=True,
        description="Whether a backup reads all tables as of one instant. `false` for a database with DATA_RETENTION_TIME_IN_DAYS = 0,"
        " which keeps no past: each table is then as it is when it is read.",
    )
    timeout_seconds: int = Field(
        default=3600,
        ge=5,
        le=172_800,
        description="Seconds after which a statement is stopped. Default 3600.",
    )

    @contextmanager
    def open(
        self, root: Path, read_only: bool = False, *, files: Sequence[Path] = ()
    ) -> Iterator[RemoteArchive]:
        from data_platform.warehouses.remote.archive import RemoteArchive

        session = self.session()
        try:
            yield RemoteArchive(session, GRAMMAR, read_only=read_only)
        finally:
            session.close()

    def session(self, environ: Mapping[str, str] | None = None) -> SnowflakeSession:
        """Not connected yet. ``ConfigurationError`` without the client's library or a usable key."""
        from data_platform.warehouses.snowflake.connect import Connector
        from data_platform.warehouses.snowflake.session import SnowflakeSession

        return SnowflakeSession(Connector(self, os.environ if environ is None else environ))

    @property
    def snapshots_problem(self) -> str:
        if self.time_travel:
            return ""
        return (
            "a database without Time Travel has no snapshots of one instant: give it DATA_RETENTION_TIME_IN_DAYS = 1 and take"
            " `time_travel: false` out, or take `snapshots` out"
        )

    @contextmanager
    def snapshots(self) -> Iterator[Snapshots]:
        from data_platform.warehouses.snowflake.snapshots import SnowflakeSnapshots

        with closing(self.session()) as session:
            yield SnowflakeSnapshots(session)

    @contextmanager
    def replace_atomically(
        self, root: Path, doing: str, *, files: Sequence[Path] = ()
    ) -> Iterator[RemoteArchive]:
        from data_platform.warehouses.snowflake.databases import replace_atomically

        with (
            replace_atomically(self, f"{self.database}_{re.sub(r'[^A-Za-z0-9_]', '_', doing)}") as new,
            new.open(root, files=files) as warehouse,
        ):
            yield warehouse

    def elsewhere(self, name: str | os.PathLike[str]) -> SnowflakeConfig:
        """``name`` is another database of the account."""
        if not isinstance(name, str) or not re.fullmatch(_NAME, name):
            raise ConfigurationError(
                f"{os.fspath(name)} is not the name of a Snowflake database: letters, digits and _, such as ANALYTICS_COPY."
            )
        return self.model_copy(update={"database": name})

    def waiting(self, seconds: float) -> SnowflakeConfig:
        return self  # nobody holds it

    def bounded(self, memory: str) -> SnowflakeConfig:
        return self  # what is done here of a backup is bounded anyway

    def trial(self, folder: Path) -> TrialConfig:
        """A file: a trial in the account would cost, and prove no more of the backup's objects."""
        from data_platform.warehouses.kinds import in_file

        return in_file(folder / "drill.duckdb")

    def exists(self, root: Path) -> bool:
        from data_platform.warehouses.snowflake.databases import exists

        return exists(self)

    def place(self, root: Path) -> str:
        return f"snowflake://{self.account}/{self.database}"

    def files(self, root: Path) -> tuple[Path, ...]:
        return ()

    def dbt_variables(self, root: Path) -> Mapping[str, str]:
        from data_platform.warehouses.snowflake.keys import written_key

        service = urlsplit(self.url) if self.url else None
        told = {
            f"{VARIABLES}ACCOUNT": self.account,
            f"{VARIABLES}USER": self.user,
            f"{VARIABLES}ROLE": self.role,
            f"{VARIABLES}WAREHOUSE": self.warehouse,
            f"{VARIABLES}DATABASE": self.database,
            f"{SECRETS}PRIVATE_KEY": written_key(self, os.environ),
            f"{SECRETS}PRIVATE_KEY_PASSPHRASE": os.environ.get(self.passphrase_env or "", ""),
        }
        if service is not None:
            told[f"{VARIABLES}HOST"] = service.hostname or ""
            told[f"{VARIABLES}PORT"] = str(service.port or (443 if service.scheme == "https" else 80))
            told[f"{VARIABLES}PROTOCOL"] = service.scheme
        return {name: value for name, value in told.items() if value}

    def forget(self, root: Path) -> str:
        return (
            "Snowflake keeps deleted rows readable by Time Travel for DATA_RETENTION_TIME_IN_DAYS (1 day "
            "unless set, 90 at most) and in its Fail-safe for 7 days more."
        )

    def held_by(self, message: str) -> str | None:
        return "another transaction" if "has locked table" in message else None

    def error_in(self, text: str) -> EngineError | None:
        from data_platform.warehouses.snowflake.errors import error_in

        return error_in(text)

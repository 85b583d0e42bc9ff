"""The YAML of a Redshift warehouse, and its properties that are known without opening it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from data_platform.errors import ConfigurationError
from data_platform.warehouses import EngineError, Traits
from data_platform.warehouses.archive import TrialConfig
from data_platform.warehouses.dialect import Dialect
from data_platform.warehouses.maintenance import Maintained
from data_platform.warehouses.redshift.grammar import GRAMMAR

if TYPE_CHECKING:
    from data_platform.warehouses.remote.archive import RemoteArchive

NAME = r"^[a-z_][a-z0-9_$]{0,126}$"
_ROLE = r"^(default|arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+)$"


class RedshiftConfig(Maintained):
    """``{kind: redshift, host: ..., database: analytics, staging: s3://bucket/prefix}``: by IAM where no ``password_env`` is named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    traits: ClassVar[Traits] = Traits(
        writers="many", archive=True, in_files=False, maintained=True, placed=True
    )
    dialect: ClassVar[Dialect] = GRAMMAR

    kind: Literal["redshift"] = Field(description="The engine.")
    database: str = Field(pattern=NAME, description="The database, which exists.")
    staging: str = Field(
        pattern=r"^s3://[a-z0-9][a-z0-9.-]{2,62}(/[\w.=/-]*)?$",
        description="A folder of an S3 bucket in the cluster's region through which batches come: s3://bucket/prefix.",
    )
    host: str = Field(description="The endpoint's host name.")
    port: int = Field(default=5439, ge=1, le=65535, description="The endpoint's port.")
    cluster: str | None = Field(
        default=None, description="The identifier of the provisioned cluster, for IAM."
    )
    workgroup: str | None = Field(default=None, description="The name of the serverless workgroup, for IAM.")
    region: str | None = Field(
        default=None, description="The AWS region. Default: that of this machine's AWS settings."
    )
    user: str | None = Field(
        default=None, description="The database user. With IAM on a workgroup it follows from the role."
    )
    password_env: str | None = Field(
        default=None,
        description="The environment variable that holds the password. Without it, IAM gives a temporary one.",
    )
    iam_role: str = Field(
        default="default",
        pattern=_ROLE,
        description="The role with which COPY reads S3: an ARN, or `default`, the cluster's default role.",
    )
    sslmode: Literal["verify-full", "verify-ca", "disable"] = Field(
        default="verify-full", description="How the server's certificate is checked."
    )

    @model_validator(mode="after")
    def _reachable(self) -> RedshiftConfig:
        if self.password_env is not None and self.user is None:
            raise ValueError("`password_env` needs a `user`")
        if self.password_env is None and (self.cluster is None) == (self.workgroup is None):
            raise ValueError("name either `cluster` or `workgroup`, or a `password_env` with a `user`")
        return self

    @contextmanager
    def open(
        self, root: Path, read_only: bool = False, *, files: Sequence[Path] = ()
    ) -> Iterator[RemoteArchive]:
        from data_platform.warehouses.redshift.session import RedshiftSession
        from data_platform.warehouses.redshift.staging import StagingFolder
        from data_platform.warehouses.remote.archive import RemoteArchive

        folder = StagingFolder(self.staging, self._s3)
        copy_as = "IAM_ROLE default" if self.iam_role == "default" else f"IAM_ROLE '{self.iam_role}'"
        session = RedshiftSession(self._connect, self.place(root), folder, copy_as, read_only)
        try:
            yield RemoteArchive(session, GRAMMAR, read_only=read_only)
        finally:
            session.close()

    @contextmanager
    def replace_atomically(
        self, root: Path, doing: str, *, files: Sequence[Path] = ()
    ) -> Iterator[RemoteArchive]:
        """A new database, made and renamed from ``dev``, which every cluster and workgroup has."""
        from data_platform.warehouses.redshift.databases import replaced

        with replaced(self, doing) as unfinished, unfinished.open(root, files=files) as warehouse:
            yield warehouse

    def elsewhere(self, name: str | os.PathLike[str]) -> RedshiftConfig:
        """``name`` is a database of the same cluster or workgroup."""
        if not re.fullmatch(NAME, str(name)):
            raise ConfigurationError(
                f"{str(name)!r} is no name of a database: use small letters, digits and underscores."
            )
        return self.model_copy(update={"database": str(name)})

    def waiting(self, seconds: float) -> RedshiftConfig:
        return self

    def bounded(self, memory: str) -> RedshiftConfig:
        return self  # what is done here of a backup is bounded anyway

    def trial(self, folder: Path) -> TrialConfig:
        """A file: a trial in the cluster would cost, and prove no more of the backup's objects."""
        from data_platform.warehouses.kinds import in_file

        return in_file(folder / "drill.duckdb")

    def exists(self, root: Path) -> bool:
        """Whether the database is there; an empty one is, too."""
        from data_platform.warehouses.redshift.databases import exists

        return exists(self)

    def place(self, root: Path) -> str:
        return f"redshift://{self.host}/{self.database}"

    def files(self, root: Path) -> tuple[Path, ...]:
        return ()

    def dbt_variables(self, root: Path) -> Mapping[str, str]:
        given = {
            "HOST": self.host,
            "PORT": str(self.port),
            "DATABASE": self.database,
            "METHOD": "database" if self.password_env else "iam",
            "USER": self.user,
            "CLUSTER": self.cluster,
            "WORKGROUP": self.workgroup,
            "REGION": self.region,
            "SSLMODE": self.sslmode,
        }
        made = {f"DATA_PLATFORM_REDSHIFT_{name}": value for name, value in given.items() if value}
        if self.password_env:
            made["DBT_ENV_SECRET_REDSHIFT_PASSWORD"] = self._password()
        else:
            made |= {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        return made

    def forget(self, root: Path) -> str:
        return (
            "Redshift removes deleted rows by its automatic VACUUM DELETE; its own snapshots keep them for "
            "as long as the cluster or namespace says (1 to 35 days)."
        )

    def held_by(self, message: str) -> str | None:
        return None

    def error_in(self, text: str) -> EngineError | None:
        from data_platform.warehouses.redshift.dbt_errors import error_in

        return error_in(text)

    def connect(self, database: str | None = None) -> Any:
        """A connection to ``database`` (default: the warehouse's), each statement of which is a transaction of its own."""
        try:
            import redshift_connector
        except ImportError:
            raise ConfigurationError(
                "The warehouse of the kind redshift needs the extra `redshift`: pip install 'data-platform[redshift]'."
            ) from None

        named = {"host": self.host, "user": self.user, "region": self.region}
        settings: dict[str, Any] = {name: value for name, value in named.items() if value}
        settings |= {
            "database": database or self.database,
            "port": self.port,
            "ssl": self.sslmode != "disable",
            "application_name": "data-platform",
            "tcp_keepalive": True,
            "tcp_keepalive_idle": 60,
            "tcp_keepalive_interval": 15,
            "tcp_keepalive_count": 4,
            "max_prepared_statements": 0,
        }
        if self.sslmode != "disable":
            settings["sslmode"] = self.sslmode
        if self.password_env:
            settings["password"] = self._password()
        else:
            settings |= {"iam": True}
            if self.cluster:
                settings |= {"cluster_identifier": self.cluster, "db_user": self.user}
            else:
                settings |= {"is_serverless": True, "serverless_work_group": self.workgroup}
        connection = redshift_connector.connect(**settings)
        connection.autocommit = True
        return connection

    def _connect(self) -> Any:
        connection = self.connect()
        cursor = connection.cursor()
        cursor.execute("SET TIMEZONE TO 'UTC'")
        return connection

    def _password(self) -> str:
        assert self.password_env is not None
        value = os.environ.get(self.password_env, "")
        if not value:
            raise ConfigurationError(
                f"The environment variable {self.password_env} is not set; `password_env` of the warehouse names it. Set it,"
                " or leave the key out to use IAM."
            )
        return value

    def _s3(self) -> Any:
        import boto3

        return boto3.client("s3", region_name=self.region)

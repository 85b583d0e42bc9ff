"""The YAML of a BigQuery warehouse, and its properties that are known without connecting.

Google's client and the modules that use it are imported when a warehouse is opened, not before.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ConfigDict, Field

from data_platform.errors import ConfigurationError, WarehouseError
from data_platform.warehouses import EngineError, Traits
from data_platform.warehouses.archive import TrialConfig
from data_platform.warehouses.bigquery.grammar import BigQueryGrammar
from data_platform.warehouses.dialect import Dialect
from data_platform.warehouses.maintenance import Maintained
from data_platform.yaml_fields import VARIABLE

if TYPE_CHECKING:
    from data_platform.warehouses.bigquery.session import BigQuerySession
    from data_platform.warehouses.remote.archive import RemoteArchive
    from data_platform.warehouses.snapshots import Snapshots

_PREFIX = r"^[A-Za-z0-9_]{0,100}$"
_PROJECT = r"^(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$"
_URL = r"^https?://[^/?#]+/?$"


class BigQueryConfig(Maintained):
    """``{kind: bigquery, project: acme-data, location: EU}``; without ``credentials_env`` the SDK's own chain finds
    credentials (GOOGLE_APPLICATION_CREDENTIALS, gcloud, the machine's account)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    traits: ClassVar[Traits] = Traits(
        writers="many", archive=True, in_files=False, maintained=True, placed=True, snapshots=True
    )
    dialect: ClassVar[Dialect] = BigQueryGrammar()

    kind: Literal["bigquery"] = Field(description="The engine.")
    project: str = Field(pattern=_PROJECT, description="The Google Cloud project that holds the datasets.")
    location: str = Field(
        pattern=r"^[A-Za-z0-9-]{2,40}$",
        description="Where the datasets are, such as EU or europe-west3. A landing bucket must be in the same place.",
    )
    dataset_prefix: str = Field(
        default="",
        pattern=_PREFIX,
        description="What the names of all datasets begin with, for several warehouses in one project.",
    )
    execution_project: str | None = Field(
        default=None, pattern=_PROJECT, description="The project that is billed for jobs. Default: `project`."
    )
    credentials_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="Environment variable that holds a service account's key: its JSON, or the path of the file."
        " Without it the SDK's own chain finds credentials.",
    )
    impersonate: str | None = Field(
        default=None,
        pattern=r"^[^@\s]+@[^@\s]+$",
        description="A service account in whose name the credentials are used.",
    )
    maximum_bytes_billed: int | None = Field(
        default=None,
        ge=10 * 1024 * 1024,
        description="What one job, and one of dbt's, may be billed at most. A dearer job fails before it costs. Default: no limit.",
    )
    partition_unit: Literal["day", "month", "year"] = Field(
        default="day",
        description="How long the time is that one partition of a raw table holds. A table has at most 10,000 partitions.",
    )
    require_partition_filter: bool = Field(
        default=False,
        description="Whether BigQuery refuses questions about a partitioned raw table that name no days. dbt's models must then"
        " name them, too.",
    )
    partition_expiration_days: int | None = Field(
        default=None,
        ge=1,
        description="After how many days BigQuery deletes a raw table's partition. The check `complete` then misses its rows.",
    )
    staging: str | None = Field(
        default=None,
        pattern=r"^gs://[a-z0-9][a-z0-9._-]{1,220}(/[\w.=/-]*)?$",
        description="A folder of a Cloud Storage bucket where the datasets are, through which backups are exported: gs://bucket/prefix."
        " Without it they are read through the API, page by page.",
    )
    endpoint_url: str | None = Field(
        default=None,
        pattern=_URL,
        description="Address of the service if it is not Google's: a private endpoint or an emulator. No credentials are"
        " sent over http://.",
    )

    def grammar(self) -> BigQueryGrammar:
        return BigQueryGrammar(
            self.project,
            self.dataset_prefix,
            location=self.location,
            unit=self.partition_unit,
            require_partition_filter=self.require_partition_filter,
            partition_expiration_days=self.partition_expiration_days,
        )

    def session(self) -> BigQuerySession:
        """Nothing is connected to until it is used."""
        from data_platform.warehouses.bigquery.client import open_client, open_storage
        from data_platform.warehouses.bigquery.jobs import Jobs
        from data_platform.warehouses.bigquery.session import BigQuerySession
        from data_platform.warehouses.bigquery.unloading import ExportFolder

        exports = None
        if self.staging is not None:
            exports = ExportFolder(self.staging, lambda: open_storage(self))
        return BigQuerySession(
            lambda: Jobs(open_client(self), self.location), self.grammar(), self.maximum_bytes_billed, exports
        )

    @contextmanager
    def open(
        self, root: Path, read_only: bool = False, *, files: Sequence[Path] = ()
    ) -> Iterator[RemoteArchive]:
        from data_platform.warehouses.remote.archive import RemoteArchive

        session = self.session()
        try:
            if read_only and not session.made():
                raise WarehouseError(
                    f"There is no warehouse at {self.place(root)} yet. Run `data-platform sync` to make it."
                )
            yield RemoteArchive(session, self.grammar(), read_only=read_only)
        finally:
            session.close()

    @property
    def snapshots_problem(self) -> str:
        return ""  # every dataset keeps its past for two days at least

    @contextmanager
    def snapshots(self) -> Iterator[Snapshots]:
        from data_platform.warehouses.bigquery.snapshots import BigQuerySnapshots

        with closing(self.session()) as session:
            yield BigQuerySnapshots(session)

    def elsewhere(self, name: str | os.PathLike[str]) -> BigQueryConfig:
        """``name`` is what the names of the other datasets begin with, and an underscore after it."""
        text = os.fspath(name)
        if not text or not re.fullmatch(_PREFIX, text):
            raise ConfigurationError(
                f"{text!r} cannot stand before the name of a dataset in BigQuery, which takes letters, digits and"
                " underscores. Choose another name."
            )
        return self.model_copy(update={"dataset_prefix": text if text.endswith("_") else f"{text}_"})

    @contextmanager
    def replace_atomically(
        self, root: Path, doing: str, *, files: Sequence[Path] = ()
    ) -> Iterator[RemoteArchive]:
        """The new datasets are made beside these ones. At the end each table is put in its place by itself, at once for its
        readers, and the records last: until then the warehouse does not exist, for a kill in between too."""
        from data_platform.warehouses.bigquery.exchange import check_free, drop_datasets, exchange

        beside = self.model_copy(update={"dataset_prefix": f"{doing}_{self.dataset_prefix}"})
        with closing(beside.session()) as session:
            drop_datasets(session)  # of an earlier run that was killed
            check_free(session)
            try:
                with beside.open(root) as warehouse:
                    yield warehouse
                with closing(self.session()) as target:
                    exchange(session, target)
            finally:
                drop_datasets(session, others=True)

    def waiting(self, seconds: float) -> BigQueryConfig:
        return self  # nobody holds the warehouse alone

    def bounded(self, memory: str) -> BigQueryConfig:
        return self  # what is done here of a backup is bounded anyway

    def trial(self, folder: Path) -> TrialConfig:
        """A file: a trial in the project would cost, and prove no more of the backup's objects."""
        from data_platform.warehouses.kinds import in_file

        return in_file(folder / "drill.duckdb")

    def exists(self, root: Path) -> bool:
        with closing(self.session()) as session:
            return session.made()

    def place(self, root: Path) -> str:
        return f"bigquery://{self.project}/{self.dataset_prefix.rstrip('_')}"

    def files(self, root: Path) -> tuple[Path, ...]:
        return ()

    def dbt_variables(self, root: Path) -> Mapping[str, str]:
        given = {
            "PROJECT": self.project,
            "EXECUTION_PROJECT": self.execution_project or "",
            "LOCATION": self.location,
            "IMPERSONATE": self.impersonate or "",
            "API_ENDPOINT": self.endpoint_url or "",
            "MAXIMUM_BYTES_BILLED": str(self.maximum_bytes_billed or ""),
        }
        made = {f"DATA_PLATFORM_BIGQUERY_{name}": value for name, value in given.items() if value}
        if self.dataset_prefix:
            made["DATA_PLATFORM_SCHEMA_PREFIX"] = self.dataset_prefix
        return made | self._dbt_credentials(os.environ)

    def _dbt_credentials(self, environ: Mapping[str, str]) -> dict[str, str]:
        if (self.endpoint_url or "").startswith("http://"):
            return {"DATA_PLATFORM_BIGQUERY_METHOD": "oauth-secrets", "DBT_ENV_SECRET_BIGQUERY_TOKEN": "none"}
        if self.credentials_env is not None:
            path = environ.get(self.credentials_env, "")
            if path.startswith("{"):
                raise ConfigurationError(
                    f"dbt needs a service account's key of BigQuery as a file. Set {self.credentials_env} to the path of the"
                    " key's file instead of its JSON."
                )
            return {
                "DATA_PLATFORM_BIGQUERY_METHOD": "service-account",
                "DATA_PLATFORM_BIGQUERY_KEYFILE": path,
            }
        name = "GOOGLE_APPLICATION_CREDENTIALS"
        return {name: environ[name]} if environ.get(name) else {}

    def forget(self, root: Path) -> str:
        return (
            "BigQuery keeps deleted rows readable by time travel (2 to 7 days, 7 unless the dataset says "
            "otherwise) and in its fail-safe for 7 days more."
        )

    def held_by(self, message: str) -> str | None:
        return None

    def error_in(self, text: str) -> EngineError | None:
        from data_platform.warehouses.bigquery.errors import error_in

        return error_in(text)

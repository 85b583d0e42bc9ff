"""The YAML of a DuckLake, and its properties that are known without opening it.

The engine, the extensions and the catalog's client are imported when a lake is opened, not before.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from data_platform.errors import ConfigurationError, WarehouseError
from data_platform.private_files import make_private
from data_platform.warehouses import EngineError, Traits
from data_platform.warehouses.dialect import Dialect
from data_platform.warehouses.ducklake.dialect import LAKE_DIALECT
from data_platform.warehouses.maintenance import NIGHTLY
from data_platform.yaml_fields import VARIABLE, Model

if TYPE_CHECKING:
    from data_platform.warehouses.ducklake.catalog import Catalog
    from data_platform.warehouses.ducklake.connect import Attaching
    from data_platform.warehouses.ducklake.warehouse import DuckLakeWarehouse

NAME = r"^[a-z_][a-z0-9_]{0,39}$"
"""Of a metadata schema: PostgreSQL takes 63 letters, and a word is added while a lake is replaced."""
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[A-Za-z0-9!_.*()=-]+)*/?")
_OLD = "replaced"
BUCKET_VARIABLE = "DBT_ENV_SECRET_DUCKDB_S3"
"""What dbt's plugin makes the bucket's secret from."""


def _place(data: str) -> str:
    if data.startswith("s3:") and not _BUCKET.fullmatch(data):
        raise ValueError("must be a folder, or s3://bucket or s3://bucket/prefix")
    if "://" in data and not data.startswith("s3:"):
        raise ValueError("must be a folder, or an address that begins with s3://")
    return data


class LakeCatalog(Model):
    url_env: str = Field(
        pattern=VARIABLE,
        description="Environment variable that holds the URL of the PostgreSQL database of the catalog"
        " (postgresql://user:password@host:5432/database).",
    )
    schema_: str = Field(
        default="ducklake",
        alias="schema",
        pattern=NAME,
        description="The schema in that database in which the catalog's own tables are. It is made by the first sync.",
    )


class LakeBucket(Model):
    """How an S3 bucket is reached; without the names of variables the SDK's own chain finds credentials."""

    region: str | None = Field(
        default=None, description="The bucket's region. Default: the one that the SDK finds."
    )
    endpoint_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/\s@]+$",
        description="Address of the service if it is not AWS, such as https://minio.internal:9000.",
    )
    access_key_env: str | None = Field(
        default=None, pattern=VARIABLE, description="Environment variable that holds the access key's id."
    )
    secret_key_env: str | None = Field(
        default=None, pattern=VARIABLE, description="Environment variable that holds the secret key."
    )
    session_token_env: str | None = Field(
        default=None, pattern=VARIABLE, description="Environment variable that holds the session token."
    )

    @model_validator(mode="after")
    def _keys_are_a_pair(self) -> Self:
        if (self.access_key_env is None) != (self.secret_key_env is None):
            raise ValueError("`access_key_env` and `secret_key_env` belong together; give both or neither")
        if self.session_token_env is not None and self.access_key_env is None:
            raise ValueError(
                "`session_token_env` needs `access_key_env` and `secret_key_env`, whose token it is"
            )
        return self


class LakeMaintenance(Model):
    schedule: str = Field(
        default=NIGHTLY, description="When the asset that maintains the lake runs, a cron line in UTC."
    )
    keep_hours: int = Field(
        default=24,
        ge=1,
        description="Snapshots older than this many hours are removed, and with them files that only they use: longer"
        " than the longest query.",
    )


class DuckLakeConfig(BaseModel):
    """``{kind: ducklake, catalog: {url_env: LAKE_URL}, data: s3://acme-lake/prod}``.

    ``memory_limit`` and ``threads`` bound the engine of each process; ``wait_seconds`` is how long a load waits for
    another one of the same table.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    traits: ClassVar[Traits] = Traits(writers="many", archive=True, in_files=False, maintained=True)
    dialect: ClassVar[Dialect] = LAKE_DIALECT

    kind: Literal["ducklake"] = Field(description="The engine.")
    catalog: LakeCatalog = Field(description="Where the lake's catalog is.")
    data: Annotated[str, AfterValidator(_place)] = Field(
        description="Where the lake's Parquet files are: a folder (a relative path starts at the project's folder), or s3://bucket/prefix."
    )
    s3: LakeBucket = Field(default=LakeBucket(), description="How the bucket of `data` is reached.")
    memory_limit: str = Field(
        default="600MB",
        pattern=r"^\d+(\.\d+)? ?[KMGT]i?B$",
        description="The limit of DuckDB's memory in each process. Above it, DuckDB spills to the system's temporary folder.",
    )
    threads: int | None = Field(
        default=None, ge=1, description="The number of cores that it uses. Default: all."
    )
    wait_seconds: float = Field(
        default=30, ge=0, description="Seconds that a load waits for another load of the same table."
    )

    maintenance: LakeMaintenance = Field(
        default=LakeMaintenance(),
        description="When and how the lake's files are merged and old ones removed.",
    )

    @property
    def maintenance_schedule(self) -> str:
        return self.maintenance.schedule

    @contextmanager
    def open(
        self, root: Path, read_only: bool = False, *, files: Sequence[Path] = ()
    ) -> Iterator[DuckLakeWarehouse]:
        """The lake for one piece of work. Its statements reach no other file but the lake's own and those below the
        folders ``files``. What is attached is kept for the process's next piece of work."""
        from data_platform.warehouses.ducklake.connect import attached
        from data_platform.warehouses.ducklake.warehouse import DuckLakeWarehouse

        with self._catalog() as catalog:
            key = self._attaching(root, catalog, read_only, files)
            with attached(key) as connection:
                yield DuckLakeWarehouse(
                    connection,
                    catalog,
                    self.place(root),
                    read_only=read_only,
                    wait_seconds=self.wait_seconds,
                    keep_hours=self.maintenance.keep_hours,
                )

    @contextmanager
    def replace_atomically(
        self, root: Path, doing: str, *, files: Sequence[Path] = ()
    ) -> Iterator[DuckLakeWarehouse]:
        """The new lake is made in a schema and a folder of its own; at the end the schemas change names, in one
        transaction. Readers see the old one until then."""
        from data_platform.warehouses.ducklake.connect import forget

        new = self._named(f"{self.catalog.schema_}_{doing}")
        old = self._named(f"{self.catalog.schema_}_{_OLD}")
        for left in (new, old):
            left.remove(root)
        try:
            with new.open(root, files=files) as warehouse:
                yield warehouse
            with self._catalog() as catalog, new._catalog() as made, catalog.alone(self.wait_seconds):
                made.take_place_of(self.catalog.schema_, old.catalog.schema_)
        except BaseException:
            forget(new.catalog.schema_)
            new.remove(root)
            raise
        for schema in (new.catalog.schema_, self.catalog.schema_):
            forget(schema)
        old.remove(root)

    def elsewhere(self, name: str | os.PathLike[str]) -> DuckLakeConfig:
        """``name`` is another schema of the catalog's database."""
        text = os.fspath(name)
        if not re.fullmatch(NAME, text):
            raise ConfigurationError(
                f"{text[:100]!r} is no name of another lake: give a schema of the catalog's database, in small letters,"
                " digits and underscores, such as lake_rebuilt."
            )
        return self._named(text)

    def trial(self, folder: Path) -> DuckLakeConfig:
        """Its catalog is beside this one's, under a name that a killed trial leaves to the next one."""
        return self._named(f"{self.catalog.schema_}_trial").model_copy(update={"data": str(folder / "trial")})

    def bounded(self, memory: str) -> DuckLakeConfig:
        return self.model_copy(update={"memory_limit": memory})

    def waiting(self, seconds: float) -> DuckLakeConfig:
        return self.model_copy(update={"wait_seconds": min(seconds, self.wait_seconds)})

    def exists(self, root: Path) -> bool:
        with self._catalog() as catalog:
            return catalog.identity() is not None

    def place(self, root: Path) -> str:
        where = self.data if self._in_bucket else str(root / self.data)
        return f"the DuckLake with its files in {where} and its catalog in ${self.catalog.url_env}, schema {self.catalog.schema_}"

    def files(self, root: Path) -> tuple[Path, ...]:
        """None: another machine may write to it, so no file tells whether it changed."""
        return ()

    @property
    def on_this_machine(self) -> bool:
        return not self._in_bucket

    def remove(self, root: Path) -> None:
        """The lake, its files and its catalog. Nothing where there is none."""
        from data_platform.warehouses.ducklake.connect import forget
        from data_platform.warehouses.ducklake.maintenance import empty

        with self._catalog() as catalog:
            identity = catalog.identity()
            if identity is not None and self._in_bucket and self._is_ours(root, identity.data_path):
                with self.open(root) as warehouse:
                    empty(warehouse.connection)
            forget(self.catalog.schema_)
            catalog.drop()
            if identity is not None and not self._in_bucket and self._is_ours(root, identity.data_path):
                shutil.rmtree(identity.data_path, ignore_errors=True)

    def dbt_variables(self, root: Path) -> Mapping[str, str]:
        from psycopg.conninfo import make_conninfo

        from data_platform.warehouses.ducklake.catalog import parameters

        given = parameters(self.catalog.url_env, os.environ)
        password = given.pop("password", None)
        bucket = {}
        if self._in_bucket:
            from data_platform.warehouses.ducklake.s3 import secret

            bucket = {
                "DATA_PLATFORM_DUCKLAKE_EXTENSIONS": "ducklake postgres_scanner httpfs",
                BUCKET_VARIABLE: json.dumps(dict(secret(self.data, self.s3, os.environ))),
            }
        return {
            **bucket,
            "DATA_PLATFORM_DUCKLAKE_CATALOG": f"postgres:{make_conninfo('', **given)}",
            "DATA_PLATFORM_DUCKLAKE_METADATA_SCHEMA": self.catalog.schema_,
            **({"PGPASSWORD": password} if password is not None else {}),
        }

    def forget(self, root: Path) -> str:
        with self.open(root) as warehouse:
            warehouse.maintain()
        return (
            f"Files of the lake that hold deleted rows are removed once no snapshot needs them: {self.maintenance.keep_hours} hours after the"
            " rows were deleted, by the next maintenance."
        )

    def held_by(self, message: str) -> str | None:
        return None  # readers and writers of dbt's wait for nobody

    def error_in(self, text: str) -> EngineError | None:
        from data_platform.warehouses.ducklake.errors import error_in

        return error_in(text)

    @property
    def _in_bucket(self) -> bool:
        return self.data.startswith("s3:")

    def _named(self, schema: str) -> DuckLakeConfig:
        catalog = self.catalog.model_copy(update={"schema_": schema})
        return self.model_copy(update={"catalog": catalog})

    def _catalog(self) -> Catalog:
        from data_platform.warehouses.ducklake.catalog import Catalog, parameters

        given = parameters(self.catalog.url_env, os.environ)
        return Catalog(given, self.catalog.schema_, f"the DuckLake in schema {self.catalog.schema_}")

    def _attaching(self, root: Path, catalog: Catalog, read_only: bool, files: Sequence[Path]) -> Attaching:
        """What to attach, which is made first where a writer finds none."""
        from data_platform.warehouses.ducklake.catalog import parameters
        from data_platform.warehouses.ducklake.connect import Attaching, attached
        from data_platform.warehouses.ducklake.s3 import secret

        identity = catalog.identity()
        if identity is None and read_only:
            raise WarehouseError(
                f"There is no warehouse yet, {self.place(root)}. Run `data-platform sync` to make it."
            )

        if identity is not None and not self._is_ours(root, identity.data_path):
            raise WarehouseError(
                f"The catalog of {self.place(root)} says that its files are in {identity.data_path}. Correct `data`, or move"
                " them back: a lake's files stay where they were made."
            )

        def key() -> Attaching:
            return Attaching(
                place=self.place(root),
                given=tuple(parameters(self.catalog.url_env, os.environ).items()),
                schema=self.catalog.schema_,
                identity=identity,
                data_path=identity.data_path if identity else self._new_folder(root),
                read_only=read_only,
                files=tuple(sorted({f"{form}/" for folder in files for form in (folder, folder.resolve())})),
                memory_limit=self.memory_limit,
                threads=self.threads,
                s3=secret(self.data, self.s3, os.environ) if self._in_bucket else (),
            )

        if identity is None:
            with catalog.alone(self.wait_seconds):
                identity = catalog.identity()  # somebody may have been faster
                if identity is None:
                    with attached(key()):
                        pass
                    identity = catalog.identity()
        return key()

    def _is_ours(self, root: Path, data_path: str) -> bool:
        """Whether a lake's folder lies below ``data``: who may write to the catalog opens no other one."""
        if self._in_bucket:
            base, folder = self.data.rstrip("/"), data_path.rstrip("/")
            return folder.rpartition("/")[0] == base and ".." not in folder
        return Path(data_path).parent == (root / self.data).resolve()

    def _new_folder(self, root: Path) -> str:
        """Of a new lake's files: no two lakes share one, so that each is removed as a whole."""
        name = f"{self.catalog.schema_}-{secrets.token_hex(4)}"
        if self._in_bucket:
            return f"{self.data.rstrip('/')}/{name}/"
        folder = (root / self.data).resolve() / name
        make_private(folder)
        return f"{folder}/"

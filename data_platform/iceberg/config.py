"""The YAML block that says which tables are exported to Iceberg, into which catalog and where."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from data_platform.warehouses.publishing import Leaving
from data_platform.yaml_fields import VARIABLE, Model


class SQLCatalog(Model):
    """Iceberg's catalog in tables of a database."""

    kind: Literal["sql"] = Field(description="The kind of catalog: sql or rest.")
    path: Path | None = Field(
        default=None,
        description="A SQLite file, for one machine; a relative path starts at the project's folder.",
    )
    url_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="Environment variable that holds the database's address, such as"
        " postgresql+psycopg2://user:password@host/database. Several machines need a database.",
    )


class RESTCatalog(Model):
    """A service that speaks Iceberg's REST protocol."""

    kind: Literal["rest"] = Field(description="The kind of catalog: sql or rest.")
    url: str = Field(pattern=r"^https?://[^\s@]+$", description="The service's address, without a password.")
    warehouse: str | None = Field(
        default=None, description="The name of the warehouse that the service is asked for."
    )
    token_env: str | None = Field(
        default=None, pattern=VARIABLE, description="Environment variable that holds a bearer token."
    )
    credential_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="Environment variable that holds `client_id:client_secret` for OAuth.",
    )


class S3Access(Model):
    """How the files in a bucket are reached, where the usual chain of credentials is not enough."""

    region: str | None = Field(default=None, description="The bucket's region.")
    endpoint_url: str | None = Field(
        default=None,
        description="Address of the service if it is not AWS, such as https://minio.internal:9000.",
    )
    access_key_env: str | None = Field(
        default=None, pattern=VARIABLE, description="Environment variable that holds the access key's id."
    )
    secret_key_env: str | None = Field(
        default=None, pattern=VARIABLE, description="Environment variable that holds the secret key."
    )


class IcebergConfig(Leaving):
    """``{catalog: {kind: sql, path: .data/iceberg/catalog.db}, location: .data/iceberg, tables: [marts.*]}``."""

    catalog: Annotated[SQLCatalog | RESTCatalog, Field(discriminator="kind")] = Field(
        description="Iceberg's catalog, which knows the newest state of each table."
    )
    location: str = Field(
        pattern=r"^\S+$",
        description="Where the tables' files are: a folder, which starts at the project's, or an address such as"
        " s3://bucket/prefix.",
    )
    s3: S3Access = Field(default_factory=S3Access, description="How a bucket is reached.")
    tables: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="What is exported: schemas and tables such as marts.daily_revenue, raw_shop.* or marts.*."
    )
    purpose: str | None = Field(
        default=None,
        pattern=r"^[a-z][a-z0-9_]{0,62}$",
        description="The purpose for which tables are exported, of those in catalog/subjects.yaml: every exported table that holds personal"
        " columns must be a model under this purpose. Models under other purposes are left out unless `tables` names them in full.",
    )
    keep_days: float = Field(
        default=7, ge=0, description="Days for which earlier states of a table can be read."
    )
    schedule: str = Field(
        default="45 * * * *", description="When what has changed is exported: a cron line in UTC."
    )

    def exports(self, schema: str, table: str) -> bool:
        return any(fnmatchcase(f"{schema}.{table}", pattern) for pattern in self.tables)

"""What the block `backups.database` says of the programs that keep a repository of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from data_platform.stores.kinds import StoreConfig
from data_platform.yaml_fields import VARIABLE, Frozen, Model

SCHEMES = {"s3": "s3", "gcs": "gs"}
"""The stores that Barman knows, each with the scheme of its addresses."""
_OPTION = r"^[a-z0-9]+(-[a-z0-9]+)*$"


class _Program(Model):
    wal_wait_seconds: float = Field(
        default=60,
        gt=0,
        le=3600,
        description="How long a backup waits until the server has archived its WAL. Then it fails, and names the segment.",
    )


def _bucket(store: StoreConfig) -> StoreConfig:
    if store.kind not in SCHEMES:
        raise ValueError(f"must be a bucket, of the kind {' or '.join(SCHEMES)}")
    return store


class BarmanCloud(_Program):
    """``{store: {kind: s3, bucket: acme-barman}, server: shop}``."""

    store: Annotated[StoreConfig, AfterValidator(_bucket)] = Field(
        description="The bucket of Barman's repository, its prefix included. It is not one of the environment's backup stores."
    )
    server: str = Field(
        pattern=r"^[A-Za-z0-9_.-]{1,63}$", description="The name of the server in that repository."
    )
    compression: Literal["none", "gzip", "bzip2", "snappy", "lz4"] = Field(
        default="gzip",
        description="How base backups are compressed. The server's archive command says how WAL is.",
    )
    jobs: int = Field(default=2, ge=1, le=64, description="How many processes upload side by side.")
    encryption: Literal["AES256", "aws:kms"] | None = Field(
        default=None, description="The encryption that S3 is asked for. Default: the bucket's own."
    )
    environment: Path = Field(
        default=Path(".barman"),
        description="The Python environment in which Barman is installed; `make barman` makes it. If it is not there, PATH is"
        " searched.",
    )

    @property
    def encrypted(self) -> bool:
        return self.encryption is not None


class PgBackRest(_Program):
    """``{stanza: shop}``."""

    stanza: str = Field(
        pattern=r"^[A-Za-z0-9_.-]{1,63}$",
        description="The stanza, which exists (`pgbackrest stanza-create`).",
    )
    config: Path = Field(
        default=Path("/etc/pgbackrest/pgbackrest.conf"),
        description="The configuration of pgBackRest: it says where the repository is.",
    )
    account: str | None = Field(
        default=None,
        pattern=r"^[a-z_][a-z0-9_.-]{0,31}$",
        description="The account that pgBackRest runs as, where this runs as root: the server's own. Default: root.",
    )
    secrets: Annotated[
        dict[Annotated[str, Field(pattern=_OPTION)], Annotated[str, Field(pattern=VARIABLE)]], Frozen
    ] = Field(
        default_factory=dict,
        description="Options of pgBackRest whose values are secrets, each with the environment variable that holds it:"
        " `{repo1-cipher-pass: SHOP_CIPHER}`.",
    )
    encrypted: bool = Field(
        default=False,
        description="Whether the repository is encrypted by pgBackRest (`repo1-cipher-type`). A backup into one that is not fails"
        " then.",
    )

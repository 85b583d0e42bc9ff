"""The YAML that opens a store in a Google Cloud Storage bucket."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from data_platform.stores._remote import URL, checked_prefix, scratch_base
from data_platform.stores.locks import LockDays
from data_platform.yaml_fields import VARIABLE

if TYPE_CHECKING:
    from data_platform.stores.gcs.store import GCSStore


class GCSStoreConfig(BaseModel):
    """``{kind: gcs, bucket: acme-landing, prefix: prod}``; without ``credentials_env`` the SDK's own
    chain finds credentials (GOOGLE_APPLICATION_CREDENTIALS, gcloud, the machine's account)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    tiered: ClassVar[bool] = True

    kind: Literal["gcs"] = Field(description="The kind of store: local, s3 or gcs.")
    bucket: str = Field(
        pattern=r"^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$", description="The bucket, which must exist."
    )
    prefix: Annotated[str, AfterValidator(checked_prefix)] = Field(
        default="", description="The folder in the bucket. Default: the whole bucket."
    )
    project: str | None = Field(
        default=None,
        description="The project that is billed for requests. Default: the credentials' project.",
    )
    endpoint_url: str | None = Field(
        default=None,
        pattern=URL,
        description="Address of the service if it is not Google's: a private endpoint or an emulator. No credentials are"
        " sent over http://.",
    )
    credentials_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="Environment variable that holds a service account's key: its JSON, or the path of the file."
        " Without it the SDK's own chain finds credentials.",
    )
    lock_days: LockDays = None
    cache: Path | None = Field(
        default=None,
        description="Folder on a local disk for files on their way; a relative path starts at the project's"
        " folder. Default: in this user's cache (`XDG_CACHE_HOME` or `~/.cache`), else in the system's temporary folder.",
    )

    def place(self) -> tuple[str, ...]:
        return ("gcs", self.endpoint_url or "", self.bucket, *filter(None, self.prefix.split("/")))

    def files(self, root: Path) -> tuple[Path, ...]:
        return ()

    def open(self, root: Path, environ: Mapping[str, str] | None = None) -> GCSStore:
        """The store; nothing is connected to until it is used. ``environ`` holds the variables named
        here; the process's own unless given."""
        from data_platform.stores.gcs.store import GCSStore

        return GCSStore(self, scratch_base(root, self.cache), environ=environ)

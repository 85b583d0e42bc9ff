"""The YAML that opens a store in an S3 bucket."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from data_platform.stores._remote import URL, checked_prefix, scratch_base
from data_platform.stores.locks import LockDays
from data_platform.yaml_fields import VARIABLE

if TYPE_CHECKING:
    from data_platform.stores.s3.store import S3Store


class S3StoreConfig(BaseModel):
    """``{kind: s3, bucket: acme-landing, prefix: prod, region: eu-central-1}``; without the names of
    environment variables the SDK's own chain finds credentials (AWS_* variables, a profile, a role)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    tiered: ClassVar[bool] = True

    kind: Literal["s3"] = Field(description="The kind of store: local, s3 or gcs.")
    bucket: str = Field(
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", description="The bucket, which must exist."
    )
    prefix: Annotated[str, AfterValidator(checked_prefix)] = Field(
        default="", description="The folder in the bucket. Default: the whole bucket."
    )
    region: str | None = Field(
        default=None,
        description="The bucket's region. Default: the one that the SDK finds (AWS_REGION, a profile).",
    )
    endpoint_url: str | None = Field(
        default=None,
        pattern=URL,
        description="Address of the service if it is not AWS, such as https://minio.internal:9000.",
    )
    access_key_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="Environment variable that holds the access key's id. Without it the SDK's own chain finds"
        " credentials.",
    )
    secret_key_env: str | None = Field(
        default=None, pattern=VARIABLE, description="Environment variable that holds the secret key."
    )
    session_token_env: str | None = Field(
        default=None,
        pattern=VARIABLE,
        description="Environment variable that holds the session token of temporary credentials.",
    )
    lock_days: LockDays = None
    cache: Path | None = Field(
        default=None,
        description="Folder on a local disk for files on their way; a relative path starts at the project's"
        " folder. Default: in this user's cache (`XDG_CACHE_HOME` or `~/.cache`), else in the system's temporary folder.",
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

    def place(self) -> tuple[str, ...]:
        return ("s3", self.endpoint_url or "", self.bucket, *filter(None, self.prefix.split("/")))

    def files(self, root: Path) -> tuple[Path, ...]:
        return ()

    def open(self, root: Path, environ: Mapping[str, str] | None = None) -> S3Store:
        """The store; nothing is connected to until it is used. ``environ`` holds the variables named
        here; the process's own unless given."""
        from data_platform.stores.s3.store import S3Store

        return S3Store(self, scratch_base(root, self.cache), environ=environ)

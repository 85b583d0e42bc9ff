"""The YAML block that says where the audit trail lies."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from data_platform.stores.kinds import StoreConfig


class AuditConfig(BaseModel):
    """``{store: {kind: s3, bucket: acme-audit}, queries: true}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: StoreConfig | None = Field(
        default=None, description="The store of the audit trail. Default: the landing store."
    )
    second: StoreConfig | None = Field(
        default=None,
        description="The store that gets the signed head and a copy of the trail each day. Default: the backup store and its"
        " copies.",
    )
    queries: bool = Field(
        default=True,
        description="Whether `data-platform query` records each statement. If so, it shows no row that it could not record.",
    )
    schedule: str = Field(
        default="30 4 * * *",
        description="When the head is signed and copied, and what is new is verified: a cron line in UTC.",
    )

"""The YAML block that says where backups are stored and how long they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from data_platform.stores.kinds import StoreConfig

PRIMARY = "primary"
"""The name of the backup store itself, among its copies."""


def _no_reserved_name(copies: Mapping[str, StoreConfig]) -> Mapping[str, StoreConfig]:
    if PRIMARY in copies:
        raise ValueError(f"{PRIMARY!r} is the name of the backup store itself; give the copy another name")
    return copies


class Retention(BaseModel):
    """``{days: 30, apply: true}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: int = Field(default=30, ge=1, description="Backups older than this many days may be removed.")
    apply: bool = Field(
        default=False,
        description="Whether the daily backup removes them. If not, it only lists them;"
        " `data-platform backup prune --yes` removes them by hand.",
    )


class ArchiveSettings(BaseModel):
    """``{schedule: "0 5 * * 0", keep_years: 7}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schedule: str = Field(
        default="0 5 * * 0", description="When the weekly archive is made: a cron line in UTC."
    )
    keep_years: int = Field(default=7, ge=1, le=100, description="Archives older than this may be removed.")
    max_age_days: float = Field(
        default=8, gt=0, description="The age in days of the newest archive at which its check fails."
    )
    drill_schedule: str = Field(
        default="0 6 1 * *",
        description="When the newest archive of every copy is read as a stranger would: a cron line in UTC.",
    )
    drill_max_age_days: float = Field(
        default=35,
        gt=0,
        description="The age in days of the last good drill of the archive at which its check fails.",
    )


class SnapshotSettings(BaseModel):
    """``{keep_days: 7}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keep_days: int = Field(
        default=7,
        ge=1,
        le=3650,
        description="Snapshots older than this many days are removed when the next one is made.",
    )


class BackupsConfig(BaseModel):
    """Where the daily copies of the warehouse are kept, and how old they may become."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: StoreConfig = Field(description="The backup store, separate from the landing store.")
    copies: Annotated[
        Mapping[Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$", max_length=48)], StoreConfig],
        AfterValidator(_no_reserved_name),
    ] = Field(
        default_factory=dict,
        description="Further stores that also get every backup, by name: another disk, another provider.",
    )
    landing: bool = Field(
        default=True,
        description="Whether every backup also copies the parts that landed since the last one, so that the landing store can"
        " be rebuilt from the backup store or from any copy. If not, only its manifests are copied.",
    )
    retention: Retention = Field(default_factory=Retention, description="How long backups are kept.")
    snapshots: SnapshotSettings | None = Field(
        default=None,
        description="Snapshots that the engine itself makes beside each backup, in the same account: the fast way back. Only for"
        " `bigquery` and `snowflake`. Default: none.",
    )
    archive: ArchiveSettings | None = Field(
        default_factory=ArchiveSettings,
        description="A copy a week in an open format that is kept for years. Default: as below; `null` makes none.",
    )
    max_age_hours: float = Field(
        default=30,
        gt=0,
        description="The age in hours of the newest verified backup at which its check fails.",
    )
    drill_max_age_days: float = Field(
        default=10,
        gt=0,
        description="The age in days of the last good restore drill at which its check fails.",
    )
    start: date = Field(
        description="The first day with a backup, such as 2026-11-22: the first partition of the asset."
    )
    schedule: str = Field(
        default="30 2 * * *", description="When the daily backup is made: a cron line in UTC."
    )
    drill_schedule: str = Field(
        default="30 4 * * 0", description="When the restore drill runs: a cron line in UTC."
    )

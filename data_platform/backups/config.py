"""The YAML block that says where backups are stored and how long they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from data_platform.stores.encrypted import EncryptionConfig
from data_platform.stores.kinds import StoreConfig

PRIMARY = "primary"
"""The name of the backup store itself, among its copies."""
COLD = "cold"
"""The name of the store of the archive's cold copy."""


def _no_reserved_name(copies: Mapping[str, StoreConfig]) -> Mapping[str, StoreConfig]:
    if PRIMARY in copies:
        raise ValueError(f"{PRIMARY!r} is the name of the backup store itself; give the copy another name")
    if COLD in copies:
        raise ValueError(f"{COLD!r} is the name of the archive's cold copy; give the copy another name")
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


class ColdSettings(BaseModel):
    """``{store: {kind: s3, bucket: acme-cold}, schedule: "0 8 1 * *"}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: StoreConfig = Field(
        description="The store that gets the newest archive once a month, in its coldest storage class."
    )
    schedule: str = Field(default="0 8 1 * *", description="When the cold copy is made: a cron line in UTC.")
    max_age_days: float = Field(
        default=35, gt=0, description="The age in days of the newest cold copy at which its check fails."
    )


class TierSettings(BaseModel):
    """``{warm_after_days: 7, cold_after_days: 90, apply: true}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    warm_after_days: int = Field(
        default=7, ge=1, description="Objects older than this many days go to the warm storage class."
    )
    cold_after_days: int = Field(
        default=90, ge=2, description="Objects older than this many days go to the cold storage class."
    )
    apply: bool = Field(
        default=False,
        description="Whether the daily run moves them. If not, it only lists them; `data-platform backup tiers --yes` moves"
        " them by hand.",
    )
    schedule: str = Field(default="0 9 * * *", description="When the rule is looked at: a cron line in UTC.")

    @model_validator(mode="after")
    def _warm_comes_first(self) -> Self:
        if self.cold_after_days <= self.warm_after_days:
            raise ValueError("`cold_after_days` must be more than `warm_after_days`")
        return self


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
    cold: ColdSettings | None = Field(
        default=None,
        description="A further store for a copy of the newest archive each month, in its coldest storage class. Default: none.",
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


class EverythingSettings(BaseModel):
    """``{drill_schedule: "45 5 * * 0"}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    drill_schedule: str = Field(
        default="45 5 * * 0",
        description="When one instant of everything is recovered from every archive as a test: a cron line in UTC.",
    )
    drill_max_age_days: float = Field(
        default=10,
        gt=0,
        description="The age in days of the last good drill of everything at which its check fails.",
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
    encryption: EncryptionConfig | None = Field(
        default=None,
        description="Encrypts everything in the backup store and its copies with age, before it leaves this machine. Default: nothing"
        " is encrypted.",
    )
    offsite: tuple[str, ...] = Field(
        default=(),
        description="Names of archives (`primary`, or under `copies`) that are elsewhere, although it does not show: a bucket of the"
        " landing store's service in another region, or a folder mounted from elsewhere.",
    )
    demand_copies: bool | None = Field(
        default=None,
        description="Whether a check fails while there are not three copies, on two media, one offsite, one immutable. Default:"
        " only in the environment `prod`; elsewhere it says what is missing.",
    )
    copies_schedule: str = Field(
        default="30 3 * * *",
        description="When the verified copies of everything are counted: a cron line in UTC.",
    )
    landing: bool = Field(
        default=True,
        description="Whether every backup also copies the parts that landed since the last one, so that the landing store can"
        " be rebuilt from the backup store or from any copy. If not, only its manifests are copied.",
    )
    landing_schedule: str = Field(
        default="25 * * * *",
        description="When what has landed is copied between backups, so that little is lost with the landing store: a cron line in UTC.",
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
    tiers: TierSettings | None = Field(
        default=None,
        description="Which objects of landing, backups and archive move to cheaper storage classes, by their age. Only for"
        " stores of the kinds s3 and gcs. Default: none moves.",
    )
    max_age_hours: float = Field(
        default=30,
        gt=0,
        description="The age in hours of the newest verified backup at which its check fails.",
    )
    drill_max_age_days: float = Field(
        default=3,
        gt=0,
        description="The age in days of the last good restore drill at which its check fails.",
    )
    everything: EverythingSettings = Field(
        default_factory=EverythingSettings,
        description="How often databases, landing store and warehouse are recovered together, to one instant. Only where a source"
        " has `backups.database`.",
    )
    start: date = Field(
        description="The first day with a backup, such as 2026-11-22: the first partition of the asset."
    )
    schedule: str = Field(
        default="30 2 * * *", description="When the daily backup is made: a cron line in UTC."
    )
    drill_schedule: str = Field(
        default="30 4 * * *", description="When the restore drill runs: a cron line in UTC."
    )

    @property
    def stores(self) -> dict[str, StoreConfig]:
        """Every store that something is backed up to, by its name."""
        cold = self.archive.cold if self.archive else None
        return {PRIMARY: self.store, **self.copies, **({COLD: cold.store} if cold else {})}

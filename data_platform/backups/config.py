"""The YAML that says where backups go and how long they stay."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from data_platform.stores.kinds import StoreConfig

PRIMARY = "primary"
"""What the backup store itself is called beside its copies."""


def _no_reserved_name(copies: Mapping[str, StoreConfig]) -> Mapping[str, StoreConfig]:
    if PRIMARY in copies:
        raise ValueError(f"{PRIMARY!r} is what the backup store itself is called; name the copy otherwise")
    return copies


class Retention(BaseModel):
    """``{days: 30, apply: true}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: int = Field(default=30, ge=1, description="Backups older than this many days may go.")
    apply: bool = Field(
        default=False,
        description="Whether the daily backup removes them. While it does not, it only says which would go;"
        " `data-platform backup prune --yes` removes them by hand.",
    )


class BackupsConfig(BaseModel):
    """Where each day's copy of the warehouse is kept, and how old it may become."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: StoreConfig = Field(description="The backup store: a place apart from the landing store.")
    copies: Annotated[
        Mapping[Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$", max_length=48)], StoreConfig],
        AfterValidator(_no_reserved_name),
    ] = Field(
        default_factory=dict,
        description="Further stores that get every backup too, by name: another disk, another provider.",
    )
    retention: Retention = Field(default_factory=Retention, description="How long backups are kept.")
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
        description="The first day with a backup, as 2026-11-22: where the asset's partitions begin."
    )
    schedule: str = Field(
        default="30 2 * * *", description="When the daily backup is made: a cron line in UTC."
    )
    drill_schedule: str = Field(
        default="30 4 * * 0", description="When the restore drill is held: a cron line in UTC."
    )

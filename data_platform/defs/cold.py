"""The archive's cold copy and the rule of storage classes as assets, and the check of the cold copy's age."""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import dagster as dg

from data_platform.backups.config import BackupsConfig, ColdSettings, TierSettings
from data_platform.backups.shelf import ARCHIVE as SHELF
from data_platform.defs import shown
from data_platform.defs.backup import GROUP, newest_check
from data_platform.defs.names import ARCHIVE, BACKUP, COLD, TIERS
from data_platform.defs.resources import PlatformResource
from data_platform.defs.scheduled import scheduled
from data_platform.sync import cold, tiers

NEWEST_COLD = dg.AssetCheckKey(COLD, "newest_copy")


def cold_definitions(config: BackupsConfig, *, running: bool) -> dg.Definitions:
    """Empty where neither is configured."""
    assets, checks, schedules = [], [], []
    every = partial(scheduled, running=running)

    if config.archive is not None and (copy := config.archive.cold) is not None:
        assets.append(_cold_asset(copy))
        checks.append(
            newest_check(
                NEWEST_COLD,
                SHELF,
                copy.max_age_days * 24,
                copy.schedule,
                lambda p: [cold.newest_cold(p)],
            )
        )
        schedules += [
            every(
                "cold_copy",
                dg.AssetSelection.assets(COLD),
                copy.schedule,
                "Copies the newest archive to the cold store.",
            ),
            every(
                "cold_copy_age",
                dg.AssetSelection.checks(NEWEST_COLD),
                "0 */6 * * *",
                "Checks how old the newest cold copy is, even if there is none.",
            ),
        ]
    if config.tiers is not None:
        assets.append(_tiers_asset(config.tiers))
        schedules.append(
            every(
                "storage_classes",
                dg.AssetSelection.assets(TIERS),
                config.tiers.schedule,
                "Moves old objects to cheaper storage classes, or lists them.",
            )
        )
    return dg.Definitions(assets=assets, asset_checks=checks, schedules=schedules)


def _cold_asset(settings: ColdSettings) -> dg.AssetsDefinition:
    @dg.asset(
        key=COLD,
        deps=[ARCHIVE],
        group_name=GROUP,
        kinds={"parquet"},
        description="The newest archive in the cold store: every byte read back, then moved to its coldest storage class.",
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(days=settings.max_age_days)),
    )
    def cold_copy(platform: PlatformResource) -> dg.MaterializeResult[Any]:
        report = cold.copy_to_cold(platform.open())
        return dg.MaterializeResult(
            metadata={
                "archive": report.id,
                "source": report.source,
                "copied": report.copied,
                "tables": report.tables,
                "rows": report.rows,
                "bytes": report.bytes,
                "moved": report.moved,
                "storage_class": report.storage_class or "none",
                "seconds": round(report.seconds, 3),
            }
        )

    return cold_copy


def _tiers_asset(settings: TierSettings) -> dg.AssetsDefinition:
    @dg.asset(
        key=TIERS,
        deps=[BACKUP],
        group_name=GROUP,
        description=f"Objects older than {settings.warm_after_days} days in the warm storage class, older than"
        f" {settings.cold_after_days} in the cold one, once every copy of them was read and hashed.",
    )
    def storage_classes(platform: PlatformResource) -> Iterator[Any]:
        opened = platform.open()
        moves = tiers.move_due(opened) if settings.apply else tiers.due(opened)
        problems = [move.problem for move in moves if move.problem]
        yield dg.MaterializeResult(
            metadata={
                "moved" if settings.apply else "would_be_moved": sum(len(move.keys) for move in moves),
                "bytes": sum(move.bytes for move in moves),
                "problems": len(problems),
            }
        )
        if problems:
            raise dg.Failure(
                f"Some objects stay in their storage class, since a copy of them is not proven: {problems[0]}",
                metadata={"problems": shown.lines("problem", problems)},
                allow_retries=False,
            )

    return storage_classes

"""The weekly archive and its drill as assets, and the checks of how old they are."""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
import secrets
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from data_platform.backups.config import ArchiveSettings, BackupsConfig
from data_platform.backups.shelf import ARCHIVE as SHELF
from data_platform.defs import shown
from data_platform.defs.backup import GROUP, drill_check, drilled, newest_check, refuse_unpruned
from data_platform.defs.names import ARCHIVE, ARCHIVE_DRILL, pool
from data_platform.defs.resources import PlatformResource
from data_platform.defs.scheduled import by_partition, scheduled
from data_platform.sync import backup, longterm
from data_platform.warehouses import WarehouseConfig

NEWEST_ARCHIVE = dg.AssetCheckKey(ARCHIVE, "newest_archive")
LAST_GOOD_DRILL = dg.AssetCheckKey(ARCHIVE_DRILL, "last_good_drill")
JOB = "archive"


def archive_definitions(
    config: BackupsConfig, warehouse: WarehouseConfig, copied: Iterable[dg.AssetKey], *, running: bool
) -> dg.Definitions:
    """``copied`` are the assets whose tables are in the warehouse; ``config.archive`` is there."""
    settings = config.archive
    assert settings is not None
    first = config.start - timedelta(
        days=(config.start.weekday() + 1) % 7
    )  # the Sunday that its week began with
    weeks = dg.WeeklyPartitionsDefinition(start_date=first.isoformat(), timezone="UTC", end_offset=1)
    made = dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.assets(ARCHIVE),
        description="Write the warehouse as it is this week into the archive, and read every byte back.",
        partitions_def=weeks,
    )

    weekly = by_partition(
        "archive_weekly", made, settings.schedule, week_of, "Makes the week's archive.", running=running
    )

    drill = scheduled(
        "archive_drill",
        dg.AssetSelection.assets(ARCHIVE_DRILL),
        settings.drill_schedule,
        "Reads the newest archive of every copy by pyarrow and DuckDB alone.",
        running=running,
    )

    ages = scheduled(
        "archive_ages",
        dg.AssetSelection.checks(NEWEST_ARCHIVE, LAST_GOOD_DRILL),
        "0 */6 * * *",
        "Checks how old the newest archives and their last good drill are, even if there are none.",
        running=running,
    )

    return dg.Definitions(
        assets=[_archive_asset(config, settings, pool(warehouse), weeks, copied), _drill_asset()],
        asset_checks=[
            newest_check(NEWEST_ARCHIVE, SHELF, settings.max_age_days * 24, settings.schedule),
            drill_check(LAST_GOOD_DRILL, settings.drill_max_age_days, settings.drill_schedule),
        ],
        jobs=[made],
        schedules=[weekly, drill, ages],
    )


def week_of(at: datetime) -> str:
    """The key of the week that ``at`` is in: its Sunday, in UTC."""
    return _sunday(at.astimezone(UTC).date()).isoformat()


def _sunday(day: date) -> date:
    return day - timedelta(days=day.isoweekday() % 7)


def _archive_asset(
    config: BackupsConfig,
    settings: ArchiveSettings,
    slot: str | None,
    weeks: dg.WeeklyPartitionsDefinition,
    copied: Iterable[dg.AssetKey],
) -> dg.AssetsDefinition:
    @dg.asset(
        key=ARCHIVE,
        deps=[dg.AssetDep(key, partition_mapping=dg.AllPartitionMapping()) for key in sorted(copied)],
        partitions_def=weeks,
        pool=slot,
        group_name=GROUP,
        kinds={"parquet"},
        description=f"Every table of the warehouse as Parquet with a description of itself, kept for {settings.keep_years} years"
        " in the backup store and its copies. Each object was read back. Only this week's can be made.",
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(days=settings.max_age_days)),
    )
    def archive(context: dg.AssetExecutionContext, platform: PlatformResource) -> Iterator[Any]:
        opened = platform.open(whole=True)  # what was landed of a source that is left out would be missing
        this_week = week_of(opened.clock())
        asked = sorted(context.partition_keys)
        if asked != [this_week]:
            raise dg.Failure(
                f"An archive of the week of {', '.join(asked[:3])} cannot be made: the warehouse can only be archived as it is"
                f" now, in the week of {this_week} (UTC). `data-platform backup list` shows the archives of other weeks.",
                allow_retries=False,
            )
        began = datetime.now(UTC)
        report = longterm.make_archive(opened)
        gone = backup.prune(opened, SHELF) if config.retention.apply else backup.prunable(opened, SHELF)
        manifest = report.manifest
        yield dg.MaterializeResult(
            metadata={
                "archive": manifest.id,
                "tables": len(manifest.tables),
                "rows": manifest.rows,
                "bytes": manifest.bytes,
                "seconds": round((datetime.now(UTC) - began).total_seconds(), 3),
                "stored": shown.lines(
                    "archive", [backup.archive(opened, name, SHELF) for name in report.stored]
                ),
                "removed" if config.retention.apply else "would_be_removed": dg.MetadataValue.json(
                    {name: ids for name, ids in gone.gone.items() if ids}
                ),
            }
        )
        if report.failed:
            raise dg.Failure(
                f"The archive was made, but these copies failed: {', '.join(report.failed)}.",
                metadata={name: str(error) for name, error in report.failed.items()},
                allow_retries=any(error.retryable for error in report.failed.values()),
            )
        refuse_unpruned(gone.failed)

    return archive


def _drill_asset() -> dg.AssetsDefinition:
    @dg.asset(
        key=ARCHIVE_DRILL,
        deps=[ARCHIVE],
        group_name=GROUP,
        kinds={"parquet"},
        description="The newest archive of every copy, read by pyarrow and DuckDB alone: every file by its SHA-256, every"
        " page by its checksum, every table by its row count and its fingerprint. Of the cold copy what can be read without a wait.",
    )
    def archive(platform: PlatformResource) -> Iterator[Any]:
        seed = secrets.randbelow(10**6)
        yield from drilled(longterm.hold_archive_drills(platform.open(), seed), seed)

    return archive

"""The warehouse's daily backup and the restore drill as assets, and the checks of how old they are."""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._utils.schedules import schedule_execution_time_iterator

from data_platform.backups.config import BackupsConfig
from data_platform.backups.export import FileToKeep
from data_platform.backups.instance import postgres_files, sqlite_files
from data_platform.backups.restore import RestoreReport
from data_platform.backups.shelf import WAREHOUSE, Shelf
from data_platform.defs import shown
from data_platform.defs.names import BACKUP, DRILL, pool
from data_platform.defs.resources import PlatformResource
from data_platform.defs.scheduled import by_partition, scheduled
from data_platform.errors import DataPlatformError
from data_platform.sync import Platform, backup, snapshots
from data_platform.sync.auditing import note_configuration
from data_platform.warehouses import WarehouseConfig

NEWEST_COPY = dg.AssetCheckKey(BACKUP, "newest_copy")
LAST_GOOD_DRILL = dg.AssetCheckKey(DRILL, "last_good_drill")
GROUP = "backup"
JOB = "backup"
DRILLS_LOOKED_AT = 100
EVALUATIONS_LOOKED_AT = 1000
FIRST_MAY_TAKE = timedelta(days=1)


def backup_definitions(
    config: BackupsConfig, warehouse: WarehouseConfig, copied: Iterable[dg.AssetKey], *, running: bool
) -> dg.Definitions:
    """``copied`` are the assets whose tables are in the warehouse."""
    days = dg.DailyPartitionsDefinition(start_date=config.start.isoformat(), timezone="UTC", end_offset=1)
    made = dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.assets(BACKUP),
        description="Back up the warehouse as it is today, and read every byte back.",
        partitions_def=days,
    )

    daily = by_partition(
        "backup_daily",
        made,
        config.schedule,
        lambda at: at.date().isoformat(),
        "Makes the day's backup.",
        running=running,
    )

    drill = scheduled(
        "restore_drill",
        dg.AssetSelection.assets(DRILL),
        config.drill_schedule,
        "Restores the newest backup of every copy, compares it and deletes the result.",
        running=running,
    )

    ages = scheduled(
        "backup_ages",
        dg.AssetSelection.checks(NEWEST_COPY, LAST_GOOD_DRILL),
        "0 */6 * * *",
        "Checks how old the newest backups and the last good restore drill are, even if there are none.",
        running=running,
    )

    return dg.Definitions(
        assets=[_backup_asset(config, pool(warehouse), days, copied), _drill_asset(warehouse.kind)],
        asset_checks=[
            newest_check(NEWEST_COPY, WAREHOUSE, config.max_age_hours, config.schedule),
            drill_check(LAST_GOOD_DRILL, config.drill_max_age_days, config.drill_schedule),
        ],
        jobs=[made],
        schedules=[daily, drill, ages],
    )


def _backup_asset(
    config: BackupsConfig,
    slot: str | None,
    days: dg.DailyPartitionsDefinition,
    copied: Iterable[dg.AssetKey],
) -> dg.AssetsDefinition:
    @dg.asset(
        key=BACKUP,
        # A backup holds every day there is. Days of two time zones could not be matched, and nothing would load.
        deps=[dg.AssetDep(key, partition_mapping=dg.AllPartitionMapping()) for key in sorted(copied)],
        partitions_def=days,
        pool=slot,
        group_name=GROUP,
        kinds={"parquet"},
        description="Every table, view and comment of the warehouse, the landing store, and Dagster's own storage, in"
        " the backup store and its copies. Each object was read back. Only today's can be made.",
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=config.max_age_hours)),
    )
    def warehouse(context: dg.AssetExecutionContext, platform: PlatformResource) -> Iterator[Any]:
        opened = platform.open(whole=True)  # what was landed of a source that is left out would be missing
        note_configuration(opened)
        today = opened.clock().astimezone(UTC).date().isoformat()
        asked = sorted(context.partition_keys)
        if asked != [today]:
            raise dg.Failure(
                f"A backup of {', '.join(asked[:3])} cannot be made: the warehouse can only be backed up as it is today ({today},"
                " UTC), and no other day. `data-platform backup list` shows the backups there are of other days.",
                allow_retries=False,
            )
        taken = beside(opened, context.log) if backup.settings(opened).snapshots is not None else {}
        began = datetime.now(UTC)
        report = backup.make_backup(opened, lambda folder: instance_files(context.instance, folder))
        manifest = report.manifest
        gone = backup.prune(opened) if config.retention.apply else backup.prunable(opened)
        expired = {name: ids for name, ids in gone.gone.items() if ids}
        where = [backup.archive(opened, name) for name in report.stored]
        yield dg.MaterializeResult(
            metadata={
                "backup": manifest.id,
                "tables": len(manifest.tables),
                "rows": manifest.rows,
                "bytes": manifest.bytes,
                "seconds": round((datetime.now(UTC) - began).total_seconds(), 3),
                "landing_parts": report.mirrored.parts,
                "landing_bytes": report.mirrored.bytes,
                "stored": shown.lines("archive", where),
                "removed" if config.retention.apply else "would_be_removed": dg.MetadataValue.json(expired),
                **({"remarks": shown.lines("remark", list(report.remarks))} if report.remarks else {}),
                **taken,
            }
        )
        if report.failed:
            raise dg.Failure(
                f"The backup was made, but these copies failed: {', '.join(report.failed)}.",
                metadata={name: str(error) for name, error in report.failed.items()},
                allow_retries=any(error.retryable for error in report.failed.values()),
            )
        if report.mirrored.damaged:
            raise dg.Failure(
                f"The backup was made without parts of the landing store that are damaged there: {report.mirrored.damaged[0]}"
                " `data-platform verify --heal` puts back what another copy holds.",
                metadata={"damage": shown.lines("damage", report.mirrored.damaged)},
                allow_retries=False,
            )
        refuse_unpruned(gone.failed)

    return warehouse


def refuse_unpruned(failed: Mapping[str, DataPlatformError]) -> None:
    """``dg.Failure`` if the rule could not be followed everywhere: unseen, a store would fill. The backup is not made again
    for that."""
    if failed:
        raise dg.Failure(
            f"The backup was made, but what is too old could not be removed from: {', '.join(failed)}.",
            metadata={archive: str(error) for archive, error in failed.items()},
            allow_retries=False,
        )


def beside(platform: Platform, log: dg.DagsterLogManager) -> dict[str, Any]:
    """What is said of the engine's own snapshot. Whatever goes wrong with it, the backup is made all the same."""
    try:
        report = snapshots.make_snapshot(platform)
    except Exception as error:  # the words of an error that is not ours may hold a value
        problem = str(error) if isinstance(error, DataPlatformError) else f"a defect ({type(error).__name__})"
        log.warning(f"The engine's own snapshot was not made; the backup is made all the same: {problem}")
        return {"snapshot": "not made", "snapshot_problem": problem}
    said: dict[str, Any] = {"snapshot": report.made.name, "snapshots_removed": len(report.removed)}
    if report.left:
        problem = "; ".join(f"{name} could not be removed: {error}" for name, error in report.left.items())
        log.warning(f"Old snapshots are left: {problem}")
        said["snapshot_problem"] = problem
    return said


def _drill_asset(engine: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=DRILL,
        deps=[BACKUP],
        group_name=GROUP,
        kinds={engine},
        description="The newest backup of every copy, restored into a warehouse that is deleted afterwards, and every table's"
        " fingerprint compared.",
    )
    def warehouse(platform: PlatformResource) -> Iterator[Any]:
        yield from drilled(backup.hold_drills(platform.open()))

    return warehouse


def drilled(reports: Sequence[RestoreReport], seed: int | None = None) -> Iterator[dg.MaterializeResult[Any]]:
    """What a drill found in every archive, and the ``seed`` that drew what it read; ``dg.Failure`` where one of them is damaged."""
    notes = {report.archive: report.note for report in reports if report.note}
    mismatches = [f"{report.archive}: {line}" for report in reports for line in report.mismatches]
    old = [f"{report.archive}: {key}" for report in reports for key in report.old_identity]
    yield dg.MaterializeResult(
        metadata={
            "seconds": round(sum(report.seconds for report in reports), 3),
            "bytes": sum(report.bytes for report in reports),
            "rows": sum(report.rows for report in reports),
            "mismatches": len(mismatches),
            "backups": dg.MetadataValue.json({report.archive: report.id for report in reports}),
            **({"damage": shown.lines("damage", mismatches)} if mismatches else {}),
            **({"notes": dg.MetadataValue.json(notes), "seed": seed} if notes else {}),
            **({"need_old_identity": shown.lines("object", old)} if old else {}),
        }
    )
    if mismatches:
        raise dg.Failure(
            f"The restore drill failed: {mismatches[0]}",
            metadata={"damage": len(mismatches)},
            allow_retries=False,
        )


def newest_check(
    key: dg.AssetCheckKey,
    shelf: Shelf,
    max_age_hours: float,
    schedule: str,
    newest: Callable[[Platform], list[backup.CopyAge]] | None = None,
) -> dg.AssetChecksDefinition:
    """The check of how old the newest backup of ``shelf`` is in every archive, or in those that ``newest`` looks at."""

    @dg.asset_check(
        asset=key.asset_key,
        name=key.name,
        description=f"In every copy, the newest complete {shelf.word} is at most {max_age_hours:g} hours old.",
    )
    def newest_copy(
        context: dg.AssetCheckExecutionContext, platform: PlatformResource
    ) -> dg.AssetCheckResult:
        opened = platform.open()
        now = opened.clock()
        lines, passed, metadata = [], True, {}
        ages = newest(opened) if newest else backup.newest(opened, shelf)
        if all(age.empty for age in ages):
            waited = first_due(schedule, began(context.instance, key, now))
            return dg.AssetCheckResult(
                passed=now <= waited,
                description=f"No {shelf.word} has been made yet. The first one is due by {waited:%Y-%m-%d %H:%M} UTC.",
            )
        for age in ages:
            hours = age.hours(now)
            good = hours is not None and hours <= max_age_hours
            passed &= good
            metadata[f"{age.archive}_age_hours"] = "none" if hours is None else round(hours, 2)
            what = f"{hours:.1f} hours old" if hours is not None else f"no {shelf.word}"
            lines.append(f"{age.archive}: {what}{f' ({age.problem})' if age.problem else ''}")
        return dg.AssetCheckResult(
            passed=passed, description=shown.description("; ".join(lines)), metadata=metadata
        )

    return newest_copy


def drill_check(key: dg.AssetCheckKey, max_age_days: float, schedule: str) -> dg.AssetChecksDefinition:
    """The check of how long ago the drill ``key.asset_key`` was last held without a mismatch."""

    @dg.asset_check(
        asset=key.asset_key,
        name=key.name,
        description=f"The last restore drill without a mismatch is at most {max_age_days:g} days old.",
    )
    def last_good_drill(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        records = context.instance.fetch_materializations(key.asset_key, limit=DRILLS_LOOKED_AT).records
        good = next((r for r in records if _mismatches(r) == 0), None)
        now = datetime.now(UTC)
        if good is None:
            waited = first_due(schedule, began(context.instance, key, now))
            return dg.AssetCheckResult(
                passed=not records and now <= waited,
                description="No drill has succeeded yet."
                + ("" if records else f" The first one is due by {waited:%Y-%m-%d %H:%M} UTC."),
                metadata={"age_days": "none"},
            )
        days = (now.timestamp() - good.timestamp) / 86_400
        return dg.AssetCheckResult(
            passed=days <= max_age_days,
            description=f"{days:.1f} days ago",
            metadata={"age_days": round(days, 2)},
        )

    return last_good_drill


def first_due(cron: str, began: datetime) -> datetime:
    """When the first result of the schedule ``cron`` is due: its first time after ``began``, plus a day."""
    times = schedule_execution_time_iterator(began.timestamp(), cron, "UTC")
    return next(times) + FIRST_MAY_TAKE


def began(instance: dg.DagsterInstance, check: dg.AssetCheckKey, now: datetime) -> datetime:
    """When ``check`` was first evaluated, according to Dagster's records; ``now`` if never."""
    history = instance.event_log_storage.get_asset_check_execution_history(check, limit=EVALUATIONS_LOOKED_AT)
    first = min((record.create_timestamp for record in history), default=now.timestamp())
    return datetime.fromtimestamp(first, tz=UTC)


def _mismatches(record: dg.EventLogRecord) -> Any:
    made = record.asset_materialization
    return made.metadata["mismatches"].value if made and "mismatches" in made.metadata else None


def instance_files(instance: dg.DagsterInstance, folder: Path) -> list[FileToKeep]:
    """Dagster's storage as files, from PostgreSQL or SQLite."""
    url = getattr(instance.event_log_storage, "postgres_url", None)
    if url:
        return postgres_files(url, folder)
    return sqlite_files(Path(instance.root_directory), folder) if not instance.is_ephemeral else []

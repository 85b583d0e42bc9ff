"""The backups of a source's own database and their daily drill as assets, and the checks of how old they are."""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from data_platform.backups.database.config import DatabaseBackups
from data_platform.backups.database.shown import shown as instant
from data_platform.catalog import Source
from data_platform.defs import shown
from data_platform.defs.backup import GROUP, began, drill_check, first_due, refuse_unpruned
from data_platform.defs.names import source_key
from data_platform.defs.resources import PlatformResource
from data_platform.defs.scheduled import by_partition, scheduled
from data_platform.sync import database_backup, recovery
from data_platform.sync.recovery import Drill

NEWEST_BACKUP, LAST_GOOD_DRILL = "newest_backup", "last_good_drill"
HOUR = "%Y-%m-%d-%H:%M"
CHECKS_CRON = "35 * * * *"


def backup_key(source: str) -> dg.AssetKey:
    return dg.AssetKey(["backup", "database", source])


def drill_key(source: str) -> dg.AssetKey:
    return dg.AssetKey(["restore_drill", "database", source])


def database_definitions(sources: Iterable[Source], start: date, *, running: bool) -> dg.Definitions:
    """For the sources with `backups.database`; ``start`` is the environment's first day with backups."""
    return dg.Definitions.merge(
        *(
            _of_source(source, source.backups.database, start, running=running)
            for source in sources
            if source.backups and source.backups.database
        )
    )


def _of_source(source: Source, config: DatabaseBackups, start: date, *, running: bool) -> dg.Definitions:
    name = source.name
    hours = dg.HourlyPartitionsDefinition(
        start_date=f"{start.isoformat()}-00:00", timezone="UTC", end_offset=1
    )
    cron = config.cron
    drilled = dg.AssetCheckKey(drill_key(name), LAST_GOOD_DRILL)
    newest = _newest_backup(name, config, cron)
    job = dg.define_asset_job(
        f"backup_database_{name}",
        selection=dg.AssetSelection.assets(backup_key(name)).without_checks(),
        description=f"Back up the database of {name} as it is now, and read every byte back.",
        partitions_def=hours,
    )

    backups = by_partition(
        f"backup_database_{name}",
        job,
        cron,
        lambda at: at.strftime(HOUR[:-2] + "00"),
        f"Backs up the database of {name}.",
        running=running,
    )

    drills = scheduled(
        f"restore_drill_database_{name}",
        dg.AssetSelection.assets(drill_key(name)).without_checks(),
        config.drill_schedule,
        f"Recovers the database of {name} to a random second, proves it and deletes it.",
        running=running,
    )

    checks = scheduled(
        f"backup_database_{name}_checks",
        dg.AssetSelection.checks(*newest.check_keys, drilled),
        CHECKS_CRON,
        "Checks how old the newest backup and the last good drill are, even if there are none.",
        running=running,
    )

    return dg.Definitions(
        assets=[_backup_asset(source, config, hours), _drill_asset(source, config)],
        asset_checks=[newest, drill_check(drilled, config.drill_max_age_days, config.drill_schedule)],
        jobs=[job],
        schedules=[backups, drills, checks],
    )


def _backup_asset(
    source: Source, config: DatabaseBackups, hours: dg.HourlyPartitionsDefinition
) -> dg.AssetsDefinition:
    name = source.name

    @dg.asset(
        key=backup_key(name),
        deps=[
            dg.AssetDep(source_key(table.id), partition_mapping=dg.AllPartitionMapping())
            for table in source.tables.values()
        ],
        partitions_def=hours,
        group_name=GROUP,
        kinds={source.kind},
        description="The whole server behind the source, in every backup store. Each object was read back. Only the present"
        " hour's can be made.",
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=config.age_limit_hours)),
    )
    def database(context: dg.AssetExecutionContext, platform: PlatformResource) -> Iterator[Any]:
        opened = platform.open()
        now = opened.clock().astimezone(UTC).strftime(HOUR[:-2] + "00")
        if (asked := sorted(context.partition_keys)) != [now]:
            raise dg.Failure(
                f"A backup of {', '.join(asked[:3])} cannot be made: a database can only be backed up as it is now ({now},"
                " UTC). `data-platform recover database` brings back any second.",
                allow_retries=False,
            )
        report = database_backup.back_up_database(opened, name)
        made = report.backup
        notes = [*made.notes, *report.remarks]
        yield dg.MaterializeResult(
            metadata={
                "backup": made.id,
                "kind": made.way,
                "engine": made.engine,
                "bytes": made.bytes,
                "plain_bytes": made.plain_bytes,
                "seconds": round(report.seconds, 3),
                "chain_length": report.chain,
                "as_of": instant(made.ended_at),
                "rpo_seconds": _rpo(opened, name),
                "stored": ", ".join(report.stored),
                "removed" if config.apply else "would_be_removed": dg.MetadataValue.json(report.expired),
                **({"notes": shown.lines("note", notes)} if notes else {}),
            }
        )
        if report.failed:
            raise dg.Failure(
                f"The backup was made, but these archives failed: {', '.join(report.failed)}.",
                metadata={archive: str(error) for archive, error in report.failed.items()},
                allow_retries=any(error.retryable for error in report.failed.values()),
            )
        refuse_unpruned(report.not_pruned)

    return database


def _drill_asset(source: Source, config: DatabaseBackups) -> dg.AssetsDefinition:
    name = source.name

    @dg.asset(
        key=drill_key(name),
        deps=[dg.AssetDep(backup_key(name), partition_mapping=dg.AllPartitionMapping())],
        group_name=GROUP,
        kinds={source.kind},
        description="The database as of a random second, recovered from every backup store, proven and deleted.",
    )
    def database(context: dg.AssetExecutionContext, platform: PlatformResource) -> Iterator[Any]:
        opened = platform.open()
        seed = int.from_bytes(hashlib.sha256(context.run_id.encode()).digest()[:4])
        drills = recovery.drill_database(opened, name, seed)
        problems = [f"{one.archive}: {one.problem}" for one in drills if one.problem]
        good = [one.report for one in drills if one.report]
        notes = [f"{one.archive}: {line}" for one in drills for line in one.notes]
        yield dg.MaterializeResult(
            metadata={
                "mismatches": len(problems),
                "seed": seed,
                "seconds": round(sum(one.seconds for one in drills), 3),
                "rto_seconds": max((round(one.total_seconds, 3) for one in good), default="not known"),
                "bytes": sum(one.bytes for one in good),
                "rows": sum(sum(one.rows.values()) for one in good),
                "rows_compared": sum(one.rows_compared for one in drills),
                "rpo_seconds": _rpo(opened, name),
                "recovered_to": dg.MetadataValue.json(
                    {one.archive: instant(one.at) if one.at else None for one in drills}
                ),
                "evidence_sha256": evidence(drills),
                **({"damage": shown.lines("damage", problems)} if problems else {}),
                **({"not_compared": shown.lines("table", notes)} if notes else {}),
            }
        )
        if problems:
            raise dg.Failure(
                f"The restore drill failed: {problems[0]}",
                metadata={"damage": len(problems)},
                allow_retries=False,
            )

    return database


def evidence(drills: Sequence[Drill]) -> str:
    """The SHA-256 of what the drills found: instants, backups, targets and rows."""
    found = [
        {
            "archive": one.archive,
            "seed": one.seed,
            "at": one.at.isoformat() if one.at else None,
            "problem": one.problem,
            "backup": one.report.backup if one.report else None,
            "target": one.report.target if one.report else None,
            "rows": dict(sorted(one.report.rows.items())) if one.report else {},
            "compared": {str(each.table): [each.rows, dict(each.differing)] for each in one.witnessed},
        }
        for one in drills
    ]
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def _newest_backup(source: str, config: DatabaseBackups, cron: str) -> dg.AssetChecksDefinition:
    key = dg.AssetCheckKey(backup_key(source), NEWEST_BACKUP)

    @dg.asset_check(
        asset=key.asset_key,
        name=key.name,
        description=f"In every backup store, the newest whole backup is at most {config.age_limit_hours:g} hours old.",
    )
    def newest_backup(
        context: dg.AssetCheckExecutionContext, platform: PlatformResource
    ) -> dg.AssetCheckResult:
        opened = platform.open()
        now = opened.clock()
        ages = database_backup.newest_backups(opened, source)
        if all(age.newest is None and age.empty for age in ages):
            waited = first_due(cron, began(context.instance, key, now))
            return dg.AssetCheckResult(
                passed=now <= waited,
                description=f"No backup has been made yet. The first one is due by {waited:%Y-%m-%d %H:%M} UTC.",
            )
        lines, passed, metadata = [], True, {}
        for age in ages:
            hours = (now - age.newest.ended_at).total_seconds() / 3600 if age.newest else None
            passed &= hours is not None and hours <= config.age_limit_hours
            metadata[f"{age.archive}_age_hours"] = "none" if hours is None else round(hours, 3)
            what = f"{hours:.1f} hours old" if hours is not None else "no backup"
            lines.append(f"{age.archive}: {what}{f' ({age.problem})' if age.problem else ''}")
        return dg.AssetCheckResult(
            passed=passed, description=shown.description("; ".join(lines)), metadata=metadata
        )

    return newest_backup


def _rpo(platform: Any, source: str) -> Any:
    """Seconds since the newest instant that can be recovered from the best store."""
    last = max((one.last for one in recovery.windows(platform, source)), default=None)
    return "not known" if last is None else round((datetime.now(UTC) - last).total_seconds(), 3)

"""The syncs as assets: one op for each source, so that its tables are read under one snapshot.

A run without a partition reads *changes* of the whole table, merges them by key, and
reports the affected days as materialized. A run with partitions replaces those
*slices*. If some tables fail, the others are still reported; the op then fails and
names the failed ones.
"""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import dagster as dg

from data_platform.catalog import Source, Table
from data_platform.catalog.runs import RunResources, RunsConfig
from data_platform.defs import names, partitions, shown
from data_platform.defs.checks import (
    check_results,
    check_specs,
    completeness_results,
    quarantine_results,
)
from data_platform.defs.day_checks import DayChecks, Load
from data_platform.defs.day_metadata import told_by_day
from data_platform.defs.event_batches import store_materializations
from data_platform.defs.failing_rows import ToKeep, keep_rows
from data_platform.defs.last_records import carry_checks, last_materializations
from data_platform.defs.materializations import (
    batch_metadata,
    batch_tags,
    table_metadata,
    version_tags,
)
from data_platform.defs.pipes import reporting
from data_platform.defs.planned_checks import plan_once
from data_platform.defs.resources import PlatformResource
from data_platform.defs.run_resources import step_tags
from data_platform.defs.sources import owners
from data_platform.errors import DataPlatformError, SchemaDrift, TableMissing
from data_platform.landing import quarantine
from data_platform.landing.manifest import Manifest
from data_platform.quality.completeness import CompletenessReport
from data_platform.sync import Platform, TableReport, check_completeness, sync_changes, sync_slices
from data_platform.sync.auditing import note_configuration
from data_platform.tables import Slice, TableId
from data_platform.warehouses import Warehouse, WarehouseConfig


@dataclass(frozen=True, slots=True)
class SyncConfig:
    """Options for the launchpad; schedules and the probe do not need them."""

    refresh: bool
    reconcile: bool
    audit: bool
    slices: list[str]


# Not `dg.Config`, whose every field may also be read from an environment variable: a launch could show a secret.
SYNC_CONFIG = {
    "refresh": dg.Field(
        bool,
        default_value=False,
        description="Reread the selected tables completely; until that is done, readers see the old rows.",
    ),
    "reconcile": dg.Field(
        bool,
        default_value=False,
        description="Also find deletes, even if the check `complete` is not selected: compare each table with its"
        " source, or read it completely if that is the only way.",
    ),
    "audit": dg.Field(
        bool,
        default_value=True,
        description="With the check `complete`: also compare whole rows on a seventh of the days.",
    ),
    "slices": dg.Field(
        [str],
        default_value=[],
        description="Slices to replace in addition to the run's partitions: days outside them, or `null` for"
        " the rows without a day.",
    ),
}


def raw_assets(source: Source, warehouse: WarehouseConfig, runs: RunsConfig) -> list[dg.AssetsDefinition]:
    """One op for all tables, partitioned or not, because foreign keys connect both kinds."""
    tables = list(source.tables.values())
    days = partitions.daily(source) if any(table.daily for table in tables) else None

    @dg.multi_asset(
        name=names.sync_op(source.name),
        specs=[_spec(source, table, days if table.daily else None, warehouse.kind) for table in tables],
        check_specs=[spec for table in tables for spec in check_specs(table, days if table.daily else None)],
        can_subset=True,
        config_schema=SYNC_CONFIG,
        pool=names.pool(warehouse),
        op_tags=step_tags(runs, runs.sync.get(source.name, RunResources())),
        backfill_policy=dg.BackfillPolicy.single_run() if days else None,
    )
    def sync(context: dg.AssetExecutionContext, platform: PlatformResource) -> Iterator[Any]:
        config = SyncConfig(**context.op_execution_context.op_config)
        with reporting(context) as for_jobs:
            opened = replace(platform.open(), for_jobs=for_jobs)
            note_configuration(opened)
            yield from _run(context, config, opened, source.name, tables, days)

    return [sync]


def _spec(
    source: Source, table: Table, days: dg.DailyPartitionsDefinition | None, engine: str
) -> dg.AssetSpec:
    return dg.AssetSpec(
        names.raw_key(table.id),
        deps=[names.source_key(table.id), *map(names.raw_key, table.settings.reads)],
        description=shown.description(table.description),
        group_name=names.raw_group(source.name),
        owners=owners(table.owner),
        kinds={"parquet", engine},
        partitions_def=days,
        skippable=True,
        metadata={
            "dagster/table_name": table.id.raw_name,
            "key": ", ".join(table.key) or "none",
            "cursor": table.cursor or "none",
            "strategy": table.strategy,
        },
    )


def _run(
    context: dg.AssetExecutionContext,
    config: SyncConfig,
    platform: Platform,
    source: str,
    tables: Sequence[Table],
    days: dg.DailyPartitionsDefinition | None,
) -> Iterator[Any]:
    selected, keys = context.selected_asset_keys, _partition_keys(context)
    wanted = [t for t in tables if names.raw_key(t.id) in selected]
    checks = _selected_checks(context, tables)
    asked = partitions.slices(keys, config.slices) if wanted else []
    if keys:
        plan_once(context.instance, context.run_id)
    reports: dict[TableId, TableReport] = {}
    for report in _sync(platform, source, wanted, asked, config, checks):
        reports[report.table] = report
        context.log.info(_line(report))
    failures = {r.table: r.error for r in reports.values() if r.error is not None}
    good = [t for t in tables if t.id not in failures and (t.id in reports or checks.get(t.id))]
    to_keep: list[ToKeep] = []
    if good:
        with platform.warehouse(read_only=True) as warehouse:
            loaded = {batch.table for batch in warehouse.loaded_all()}
            for table in good:
                done = reports.get(table.id)
                if done is not None:
                    yield from _materialized(context, platform, warehouse, table, done, days, keys)
                yield from check_results(
                    table,
                    checks.get(table.id, ()),
                    warehouse,
                    platform.clock(),
                    loaded=table.id in loaded,
                    to_keep=to_keep,
                    newest=partial(platform.ledger.head, table.id),
                    days=_day_checks(context, table, done, days, keys),
                )
    keep_rows(context.log, platform, to_keep)
    # checks that this run does not evaluate keep their last result
    made = [names.raw_key(table.id) for table in good if table.id in reports]
    carry_checks(context.instance, last_materializations(context.instance, made))
    for table in good:
        if names.QUARANTINE in checks.get(table.id, ()):
            yield from quarantine_results(table, partial(quarantine.count, platform.ledger, table.id))
        if names.COMPLETE in checks.get(table.id, ()):
            measured = partial(_completeness, platform, table, reports.get(table.id))
            yield from completeness_results(table, measured)
    if any(table.id in reports and reports[table.id].loaded and table.partition for table in good):
        yield dg.AssetMaterialization(names.TOUCHED_SLICES)
    if failures:
        raise _failure(failures)


def _sync(
    platform: Platform,
    source: str,
    tables: Sequence[Table],
    asked: Sequence[Slice],
    config: SyncConfig,
    checks: Mapping[TableId, Iterable[str]],
) -> Iterator[TableReport]:
    wanted = [t.id.table for t in tables]
    if not wanted:
        return
    if asked:
        yield from sync_slices(platform, source, wanted, asked)
        return
    # A table measured in this run is one whose completeness somebody wants to know.
    measured = config.reconcile or any(names.COMPLETE in checks.get(t.id, ()) for t in tables)
    yield from sync_changes(
        platform,
        source,
        wanted,
        refresh=wanted if config.refresh else (),
        verify=measured,
        audit=measured and config.audit,
    )


def _materialized(
    context: dg.AssetExecutionContext,
    platform: Platform,
    warehouse: Warehouse,
    table: Table,
    report: TableReport,
    days: dg.DailyPartitionsDefinition | None,
    keys: Sequence[str],
) -> Iterator[dg.MaterializeResult[Any]]:
    """The days first and the table last, so that the asset's latest event is the complete one. In a run of partitions
    (its ``keys``), that is the event of the last day.

    Such a run reports other days that it touched outside of itself: a backfill counts every partition that its runs
    report.
    """
    head = report.manifest or platform.ledger.head(table.id)
    own = set(keys)
    if days and table.daily and report.manifest:
        store_materializations(
            context.instance,
            touched_events(
                report.manifest, report.touched, days, without=own, whole=report.operation == "refresh"
            ),
            None if own else context.run,
            None if own else context.op_execution_context.get_step_execution_context().step.key,
        )
    metadata: dict[str, Any] = {"seconds": round(report.seconds, 3)}
    if head is not None:
        metadata |= batch_metadata(head, table)
        metadata |= table_metadata(warehouse, table.id, head.batch_id)
    if report.steps:
        metadata |= {"rows": report.rows, "bytes": report.bytes, "batches": len(report.batches)}
    if report.manifest is None:
        looked_at = platform.clock().isoformat(timespec="seconds")
        metadata |= {"operation": "look", "rows": 0, "bytes": 0, "looked_at": looked_at}
    metadata |= report.facts
    metadata["reconciled_at"] = platform.ledger.last_reconcile(table.id) or "never"
    if report.notes:
        metadata["notes"] = shown.lines("note", report.notes)
    by_day = _by_day(report.manifest, days, keys, metadata) if days and table.daily else {}
    with told_by_day(context, names.raw_key(table.id), by_day):
        yield dg.MaterializeResult(
            asset_key=names.raw_key(table.id),
            metadata={} if by_day else metadata,
            data_version=dg.DataVersion(head.batch_id) if head else None,
            tags=batch_tags(head) if head else None,
        )


def _by_day(
    batch: Manifest | None,
    days: dg.DailyPartitionsDefinition,
    keys: Sequence[str],
    whole: Mapping[str, Any],
) -> dict[str, Mapping[str, Any]]:
    """The metadata of each of a run's partitions: the rows of its day. The last one also has the metadata of the
    table, and ``rows_of_batch`` with the rows of all days."""
    first, last = days.get_first_partition_key(), days.get_last_partition_key()
    if not keys or batch is None or first is None or last is None:
        return {}
    rows = partitions.by_partition(batch.touched, first, last)
    told: dict[str, Mapping[str, Any]] = {key: _day_metadata(batch, key, rows.get(key, {})) for key in keys}
    told[keys[-1]] = {**whole, **told[keys[-1]], "rows_of_batch": whole["rows"]}
    return told


def _day_checks(
    context: dg.AssetExecutionContext,
    table: Table,
    report: TableReport | None,
    days: dg.DailyPartitionsDefinition | None,
    keys: Sequence[str],
) -> DayChecks | None:
    if days is None or not table.daily:
        return None
    load = Load(report.touched if report else {}, frozenset(keys), synced=report is not None)
    step = context.op_execution_context.get_step_execution_context().step.key
    return DayChecks(context.instance, names.raw_key(table.id), days, load, context.run, step)


def _completeness(platform: Platform, table: Table, report: TableReport | None) -> CompletenessReport:
    """The comparison that this run's sync made; otherwise one of the warehouse with the manifests."""
    return (report and report.completeness) or check_completeness(platform, table)


def touched_events(
    manifest: Manifest,
    touched: Mapping[Slice, int],
    days: dg.DailyPartitionsDefinition,
    without: Iterable[str] = (),
    *,
    whole: bool = False,
) -> list[dg.AssetMaterialization]:
    """A materialization for each day that a batch touched; for every day if it was the ``whole`` table."""
    first, last = days.get_first_partition_key(), days.get_last_partition_key()
    if first is None or last is None:
        return []
    rows = partitions.by_partition(touched, first, last)
    keys = days.get_partition_keys() if whole or manifest.operation == "refresh" else list(rows)
    skip = set(without)
    tags = {**batch_tags(manifest), **version_tags(manifest)}
    return [
        dg.AssetMaterialization(
            names.raw_key(manifest.table),
            partition=key,
            metadata=_day_metadata(manifest, key, rows.get(key, {})),
            tags=tags,
        )
        for key in keys
        if key not in skip
    ]


def _day_metadata(manifest: Manifest, partition: str, rows: Mapping[Slice, int]) -> dict[str, Any]:
    """``slices`` is told where the partition stands for other days than its own."""
    metadata: dict[str, Any] = {"rows": sum(rows.values()), "batch_id": manifest.batch_id}
    if any(slice_ != partition for slice_ in rows):
        metadata["slices"] = ", ".join(sorted(rows))
    return metadata


def _partition_keys(context: dg.AssetExecutionContext) -> Sequence[str]:
    return context.partition_keys if context.has_partition_key or context.has_partition_key_range else ()


def _selected_checks(context: dg.AssetExecutionContext, tables: Iterable[Table]) -> dict[TableId, set[str]]:
    found: dict[TableId, set[str]] = {}
    by_key = {names.raw_key(t.id): t.id for t in tables}
    for check in context.selected_asset_check_keys:
        found.setdefault(by_key[check.asset_key], set()).add(check.name)
    return found


def _line(report: TableReport) -> str:
    if report.error is not None:
        return f"{report.table}: {report.error}"
    what = f"{report.rows} rows, {report.bytes} bytes" if report.manifest else "no changes"
    return f"{report.table}: {report.operation}, {what}, {report.seconds:.2f} s"


def _failure(failures: Mapping[TableId, DataPlatformError | None]) -> dg.Failure:
    tables = ", ".join(str(table) for table in failures)
    changed = ", ".join(
        str(table) for table, error in failures.items() if isinstance(error, SchemaDrift | TableMissing)
    )
    return dg.Failure(
        f"{len(failures)} table(s) did not sync: {tables}. The others are done.",
        metadata={str(table): str(error) for table, error in failures.items()}
        | ({names.SCHEMA_CHANGED: changed} if changed else {}),
        allow_retries=any(error is not None and error.retryable for error in failures.values()),
    )

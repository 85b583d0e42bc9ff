"""Reports batches that the command line synced to the graph, as materializations.

The graph follows the ledger: every batch after the one in the last materialization of a
table is reported, in order, with the days that it touched and the results of the table's
rules when it was loaded. If a sync found no change, only the time of the last materialization
is updated, so that freshness stays true. Reporting twice is harmless; the cursor only saves
work.

A tick queries the warehouse only if its file has changed, and reads only the unreported part of the ledger. It
stops after ``TELL_SECONDS``; the next tick reports the rest.
"""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from data_platform.catalog import Catalog, Source, Table
from data_platform.defs import names, partitions
from data_platform.defs.checks import check_specs, quarantine_result, recorded_results
from data_platform.defs.day_checks import DayChecks, Load
from data_platform.defs.event_batches import store_materializations, stored_together
from data_platform.defs.holdings import Holdings, KnownHoldings
from data_platform.defs.last_records import (
    LastMaterializations,
    carry_checks,
    last_materializations,
    touch,
)
from data_platform.defs.materializations import batch_metadata, batch_tags, table_metadata, version_tags
from data_platform.defs.raw import touched_events
from data_platform.defs.resources import PlatformResource
from data_platform.defs.run_history import busy_tables
from data_platform.errors import DataPlatformError
from data_platform.landing.ledger import Ledger
from data_platform.landing.manifest import Manifest
from data_platform.quality.evaluate import not_evaluated
from data_platform.quality.evaluated import Evaluated, from_text
from data_platform.sync import Platform
from data_platform.tables import TableId
from data_platform.warehouses import LoadedBatch, Warehouse

EVERY_SECONDS = 30
LOOK_TOLERANCE = timedelta(seconds=60)
TELL_SECONDS = 20
"""After this time, a tick reports no further batch: Dagster ends a tick after 60 s, and 10,000 days take 10 s."""
TABLES_AT_ONCE = 50
"""The number of tables that are described in one opening of the warehouse. Little work is lost if the time runs out."""
BATCHES_MAX = 100
"""Up to this number, batches are reported separately. If more are missing, the newest represents all, for every day."""
CURSOR_SLACK = 1000
"""Events whose number is lower than the newest one by less than this may still have been committed after it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The sequence and the time of a table's last materialization in the graph."""

    sequence: int
    at: datetime


@dataclass(frozen=True, slots=True)
class News:
    """The batches of a table to report, oldest first. ``whole`` is true if earlier batches were left out, whose
    days are not reported separately."""

    table: TableId
    batches: tuple[Manifest, ...]
    whole: bool = False


def stirred(
    holdings: Holdings, tables: Iterable[TableId], seen: Mapping[TableId, Seen], busy: Collection[TableId]
) -> list[TableId]:
    """The tables for which the warehouse has a batch or a check that the graph lacks, except tables with an
    active run, which reports them itself."""
    found = []
    for table in tables:
        known, look = seen.get(table), holdings.reads.get(table)
        looked = known is not None and look is not None and _instant(look) > known.at + LOOK_TOLERANCE
        if table not in busy and (looked or _is_behind(holdings, table, known)):
            found.append(table)
    return found


def _is_behind(holdings: Holdings, table: TableId, known: Seen | None) -> bool:
    return holdings.sequences.get(table, 0) > (known.sequence if known else 0)


def news(ledger: Ledger, loaded: int, table: TableId, known: Seen | None) -> News | None:
    """The batches that the graph lacks for a table that is ``loaded`` up to this batch, from the ledger."""
    head = ledger.head(table)
    if head is None or head.sequence < loaded:
        return None  # the ledger lost what is loaded: the next sync and `verify` say so
    if known is None or loaded - known.sequence > BATCHES_MAX:
        newest = head if head.sequence == loaded else ledger.since(table, loaded - 1)[0]
        return News(table, (newest,), whole=True)
    return News(table, tuple(one for one in ledger.since(table, known.sequence) if one.sequence <= loaded))


def reporting_sensor(catalog: Catalog, whole: Mapping[str, Collection[TableId]]) -> dg.SensorDefinition:
    """Runs in every environment: it starts nothing and only reports to the graph."""
    tables = catalog.table_ids()
    checked = {names.raw_key(table) for table in tables}
    known, held = LastMaterializations(), KnownHoldings()

    @dg.sensor(
        name="report_batches",
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports the syncs of the command line to the graph, so that lineage, checks and freshness stay"
        " correct.",
    )
    def report(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SkipReason:
        until = time.monotonic() + TELL_SECONDS
        opened = platform.open()
        instance = context.instance
        last = known.of(instance, checked | _checked_assets(context))
        seen, holdings = last_seen(last), held.of(opened)
        found = stirred(holdings, tables, seen, busy_tables(instance, whole))
        reported: list[str] = []
        begun = 0
        while begun < len(found) and (not begun or time.monotonic() < until):
            some = found[begun : begun + TABLES_AT_ONCE]
            begun += _report_some(instance, opened, holdings, some, last, until, reported)
        _carry(context, last)
        return dg.SkipReason(
            f"reported {', '.join(reported)}" if reported else "every batch has been reported"
        )

    return report


def _report_some(
    instance: dg.DagsterInstance,
    opened: Platform,
    holdings: Holdings,
    tables: Sequence[TableId],
    last: Mapping[dg.AssetKey, dg.EventLogRecord],
    until: float,
    reported: list[str],
) -> int:
    """Report ``tables`` in their order until the time is over, but at least one batch of the first. Adds the reported
    tables to ``reported``; returns the number of tables that were checked."""
    seen = last_seen(last)
    behind = {table for table in tables if _is_behind(holdings, table, seen.get(table))}
    loaded = _loaded(opened, behind)
    batches = False
    looked = 0
    for table in tables:
        looked += 1
        if table not in behind:
            touch(instance, last[names.raw_key(table)], _instant(holdings.reads[table]).timestamp())
            reported.append(str(table))
        elif table in loaded and (
            item := news(opened.ledger, holdings.sequences[table], table, seen.get(table))
        ):
            tell(instance, opened.catalog, item, loaded[table], until)
            reported.append(str(table))
            batches = batches or opened.catalog.table(table).partition is not None
        if time.monotonic() >= until:
            break
    if batches:
        instance.report_runless_asset_event(dg.AssetMaterialization(names.TOUCHED_SLICES))
    return looked


def _checked_assets(context: dg.SensorEvaluationContext) -> set[dg.AssetKey]:
    repository = context.repository_def
    return {key.asset_key for key in repository.asset_graph.asset_check_keys} if repository else set()


def _carry(context: dg.SensorEvaluationContext, last: Mapping[dg.AssetKey, dg.EventLogRecord]) -> None:
    """Checks that a run did not select keep their last result. Only assets that were materialized since the
    last tick are processed."""
    cursor = context.cursor or ""
    seen = int(cursor) if cursor.isdigit() else 0
    since = seen - CURSOR_SLACK
    carry_checks(context.instance, {key: one for key, one in last.items() if one.storage_id > since})
    context.update_cursor(str(max((one.storage_id for one in last.values()), default=seen)))


def last_seen(last: Mapping[dg.AssetKey, dg.EventLogRecord]) -> dict[TableId, Seen]:
    found: dict[TableId, Seen] = {}
    for key, record in last.items():
        table = names.table_of(key)
        if table is None or record.asset_materialization is None:
            continue
        sequence = (record.asset_materialization.tags or {}).get(names.SEQUENCE_TAG, "")
        at = datetime.fromtimestamp(record.timestamp).astimezone()
        found[table] = Seen(int(sequence) if sequence.isdigit() else 0, at)
    return found


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the warehouse holds of a table: up to which batch, what its rules found there, and what
    a run would show of it."""

    sequence: int
    evaluated: Evaluated | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


def tell(instance: dg.DagsterInstance, catalog: Catalog, item: News, held: Loaded, until: float) -> None:
    """Write ``item`` into the graph as events that belong to no run, of several batches those that begin before
    ``until`` (monotonic seconds). The checks come first: what follows the table must not see the new rows before it
    sees that a blocking rule fails."""
    source = catalog.source(item.table.source)
    table = source.table(item.table.table)
    for number, manifest in enumerate(item.batches):
        if number and time.monotonic() >= until:
            break
        more = held.metadata if manifest.sequence == held.sequence else {}
        events = _events(source, table, manifest, whole=item.whole, more=more)
        with stored_together(instance):
            if not number and held.evaluated is not None:
                _keep_days(instance, source, table, held.evaluated, item.batches)
                for evaluation in _evaluations(table, held.evaluated, item.batches[-1]):
                    instance.report_runless_asset_event(evaluation)
            store_materializations(instance, events)
    with stored_together(instance):
        carry_checks(instance, last_materializations(instance, [names.raw_key(table.id)]))


def _keep_days(
    instance: dg.DagsterInstance,
    source: Source,
    table: Table,
    evaluated: Evaluated,
    batches: Sequence[Manifest],
) -> None:
    if not table.daily:
        return
    touched = {slice_: rows for batch in batches for slice_, rows in batch.touched.items()}
    days = DayChecks(instance, names.raw_key(table.id), partitions.daily(source), Load(touched))
    problem = evaluated.problem
    days.keep([not_evaluated(rule, problem) for rule in table.rules] if problem else evaluated.rules)


def _evaluations(table: Table, evaluated: Evaluated, newest: Manifest) -> list[dg.AssetCheckEvaluation]:
    results = recorded_results(table, evaluated)
    if table.can.rejects:
        waiting = newest.last_quarantined
        results.append(quarantine_result(table, waiting.rows if waiting else 0))
    blocking = {spec.name: spec.blocking for spec in check_specs(table)}
    return [
        dg.AssetCheckEvaluation(
            asset_key=names.raw_key(table.id),
            check_name=result.check_name or "",
            passed=result.passed,
            metadata={**result.metadata, "evaluated_at": evaluated.at, "reported_from": "the command line"},
            severity=result.severity,
            description=result.description,
            blocking=blocking.get(result.check_name or "", False),
        )
        for result in results
    ]


def _events(
    source: Source, table: Table, manifest: Manifest, *, whole: bool, more: Mapping[str, Any]
) -> list[dg.AssetMaterialization]:
    """The days first, the table last, as a run reports them."""
    days = partitions.daily(source) if table.daily else None
    events = touched_events(manifest, manifest.touched, days, whole=whole) if days else []
    return [
        *events,
        dg.AssetMaterialization(
            names.raw_key(table.id),
            metadata={**batch_metadata(manifest, table), **more, "reported_from": "the ledger"},
            tags={**batch_tags(manifest), **version_tags(manifest)},
        ),
    ]


def _loaded(platform: Platform, wanted: Collection[TableId]) -> dict[TableId, Loaded]:
    """The tables ``wanted`` in the warehouse: a batch counts once it is loaded."""
    if not wanted:
        return {}
    try:
        with platform.warehouse(read_only=True) as warehouse:
            recorded = warehouse.recorded_rules()
            return {
                batch.table: _held(platform, warehouse, batch, recorded.get(batch.table))
                for batch in warehouse.loaded_all()
                if batch.table in wanted
            }
    except DataPlatformError:
        return {}  # busy: the next tick is soon enough


def _held(
    platform: Platform, warehouse: Warehouse, batch: LoadedBatch, recorded: tuple[int, str] | None
) -> Loaded:
    table = platform.catalog.table(batch.table)
    evaluated = from_text(recorded[1], table) if recorded and recorded[0] == batch.sequence else None
    try:
        metadata = table_metadata(warehouse, batch.table, batch.batch_id)
    except DataPlatformError:
        metadata = {}  # the raw table is gone or changed by hand: the batch is reported all the same
    return Loaded(batch.sequence, evaluated, metadata)


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.astimezone()

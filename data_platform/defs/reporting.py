"""Batches the graph has not seen: what the command line synced, reported as materialized.

The ledger is the truth and the graph follows it: whatever the last materialization
of a table does not tell of is reported, in order, with the days it touched. A look
that found nothing is reported too, so that freshness stays true. Reporting twice is
harmless; nothing is remembered here.
"""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import dagster as dg

from data_platform.catalog import Catalog, Source, Table
from data_platform.defs import names, partitions
from data_platform.defs.event_batches import store_materializations
from data_platform.defs.materializations import batch_metadata, batch_tags, version_tags
from data_platform.defs.raw import touched_events
from data_platform.defs.resources import PlatformResource
from data_platform.defs.run_history import busy_tables
from data_platform.errors import DataPlatformError
from data_platform.landing.ledger import Ledger
from data_platform.landing.manifest import Manifest
from data_platform.sync import Platform
from data_platform.tables import TableId

EVERY_SECONDS = 30
LOOK_TOLERANCE = timedelta(seconds=60)
BATCHES_MAX = 100
"""Reported one by one up to here; behind by more, the newest stands for all and for every day."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the graph knows of a table: the sequence of its last materialization, and its time."""

    sequence: int
    at: datetime


@dataclass(frozen=True, slots=True)
class News:
    """What to report of a table: batches, oldest first, or a look that found nothing.
    ``whole``: the batches left out before them touched days that nobody tells any more."""

    table: TableId
    batches: tuple[Manifest, ...] = ()
    whole: bool = False
    looked_at: str | None = None


def news(
    ledger: Ledger, tables: Iterable[TableId], seen: Mapping[TableId, Seen], busy: Collection[TableId]
) -> list[News]:
    """What the graph lacks. A table that runs now is left out: its run reports it."""
    found: list[News] = []
    for table in tables:
        if table in busy:
            continue
        head = ledger.head(table)
        known = seen.get(table)
        behind = head.sequence - (known.sequence if known else 0) if head else 0
        if head and (behind > 0 or known is None):
            whole = known is None or behind > BATCHES_MAX
            batches = (head,) if whole or known is None else tuple(ledger.since(table, known.sequence))
            found.append(News(table, batches, whole))
        elif known and (look := ledger.last_look(table)) and _instant(look) > known.at + LOOK_TOLERANCE:
            found.append(News(table, looked_at=look))
    return found


def reporting_sensor(catalog: Catalog, whole: Mapping[str, Collection[TableId]]) -> dg.SensorDefinition:
    """Runs in every environment: it starts nothing and only tells the graph what is so."""
    tables = catalog.table_ids()

    @dg.sensor(
        name="report_batches",
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports batches and looks of the command line, so that lineage and freshness stay true.",
    )
    def report(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SkipReason:
        opened = platform.open()
        instance = context.instance
        found = news(opened.ledger, tables, last_seen(instance, tables), busy_tables(instance, whole))
        loaded = _loaded(opened, found)
        reported = []
        for item in found:
            if item.looked_at or loaded.get(item.table, 0) >= item.batches[-1].sequence:
                tell(instance, opened.catalog, item)
                reported.append(str(item.table))
        if loaded and reported:
            instance.report_runless_asset_event(dg.AssetMaterialization(names.TOUCHED_SLICES))
        return dg.SkipReason(f"reported {', '.join(reported)}" if reported else "the graph knows every batch")

    return report


def last_seen(instance: dg.DagsterInstance, tables: Iterable[TableId]) -> dict[TableId, Seen]:
    found: dict[TableId, Seen] = {}
    for record in instance.get_asset_records([names.raw_key(table) for table in tables]):
        last = record.asset_entry.last_materialization_record
        table = names.table_of(record.asset_entry.asset_key)
        if last is None or table is None or last.asset_materialization is None:
            continue
        sequence = (last.asset_materialization.tags or {}).get(names.SEQUENCE_TAG, "")
        at = datetime.fromtimestamp(last.timestamp).astimezone()
        found[table] = Seen(int(sequence) if sequence.isdigit() else 0, at)
    return found


def tell(instance: dg.DagsterInstance, catalog: Catalog, item: News) -> None:
    """Write ``item`` into the graph as events that belong to no run."""
    source = catalog.source(item.table.source)
    table = source.table(item.table.table)
    if item.looked_at:
        store_materializations(instance, [_look(instance, table, item.looked_at)])
    for manifest in item.batches:
        store_materializations(instance, _events(source, table, manifest, whole=item.whole))


def _events(
    source: Source, table: Table, manifest: Manifest, *, whole: bool
) -> list[dg.AssetMaterialization]:
    """The days first, the table last, as a run reports them."""
    days = partitions.daily(source) if table.partition else None
    events = touched_events(manifest, manifest.touched, days, whole=whole) if days else []
    return [
        *events,
        dg.AssetMaterialization(
            names.raw_key(table.id),
            metadata={**batch_metadata(manifest, table), "reported_from": "the ledger"},
            tags={**batch_tags(manifest), **version_tags(manifest)},
        ),
    ]


def _look(instance: dg.DagsterInstance, table: Table, looked_at: str) -> dg.AssetMaterialization:
    """Tags of the last materialization are kept: the data is the same."""
    record = instance.get_latest_materialization_event(names.raw_key(table.id))
    last = record.asset_materialization if record else None
    return dg.AssetMaterialization(
        names.raw_key(table.id),
        metadata={"operation": "look", "rows": 0, "looked_at": looked_at, "reported_from": "the ledger"},
        tags=(last.tags if last else None) or {},
    )


def _loaded(platform: Platform, found: Iterable[News]) -> dict[TableId, int]:
    """How far the warehouse is: a batch counts once it is loaded. Only asked when there is news."""
    if not any(item.batches for item in found):
        return {}
    try:
        with platform.warehouse(read_only=True) as warehouse:
            return {batch.table: batch.sequence for batch in warehouse.loaded_all()}
    except DataPlatformError:
        return {}  # busy: the next tick is soon enough


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.astimezone()

"""One sensor a source: looks whether it moved or differs, and asks for what must be read.

It compares the source with the manifests and never opens the warehouse. What to
ask for is ``probing.py``'s decision.
"""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from data_platform.catalog import Source
from data_platform.defs import names, partitions, probing
from data_platform.defs.checks import check_keys
from data_platform.defs.resources import PlatformResource
from data_platform.defs.run_history import busy_tables, failures
from data_platform.sync import TableProbe, probe
from data_platform.tables import TableId

EVERY_SECONDS = 60


def probe_sensor(
    source: Source, whole: Mapping[str, Collection[TableId]], *, running: bool
) -> dg.SensorDefinition:
    """``whole`` maps jobs that run without a selection of assets to their tables."""
    tables = [table.id for table in source.tables.values()]
    partitioned = any(table.partition for table in source.tables.values())

    @dg.sensor(
        name=f"{source.name}_probe",
        target=dg.AssetSelection.assets(*(names.raw_key(t) for t in tables)),
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        description=f"Looks whether the tables of {source.name} moved and syncs those that did; every"
        f" {source.freshness_hours:g} hours it measures all days and replaces those that differ.",
    )
    def look(
        context: dg.SensorEvaluationContext, platform: PlatformResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        opened = platform.open()
        now = opened.clock()
        due = probing.measure_after(context.cursor)
        measure = due is None or now >= due
        probes = probe(opened, source.name, measure_slices=measure)
        for seen in probes:
            if seen.error is not None:
                context.log.warning(f"{seen.table}: {seen.error}")
        # A source that cannot be looked at at all is a failing sensor, which is alerted.
        if probes and all(seen.source_wide for seen in probes):
            raise probes[0].error or RuntimeError
        wanted = decide(context.instance, source, probes, tables, whole, partitioned, now)
        requests = list(run_requests(source, wanted))
        after = probing.next_measure(now, probes, source.freshness_hours) if measure else due
        context.update_cursor(probing.to_cursor(after))
        if requests:
            yield from requests
        else:
            yield dg.SkipReason("; ".join(wanted.waiting) or f"nothing moved in {source.name}")

    return look


def decide(
    instance: dg.DagsterInstance,
    source: Source,
    probes: Iterable[TableProbe],
    tables: Collection[TableId],
    whole: Mapping[str, Collection[TableId]],
    partitioned: bool,
    now: datetime,
) -> probing.Wanted:
    days = partitions.daily(source) if partitioned else None
    return probing.decide(
        probes,
        busy_tables(instance, whole),
        failures(instance, tables, whole, now),
        now,
        days.get_first_partition_key() if days else None,
        days.get_last_partition_key() if days else None,
    )


def run_requests(source: Source, wanted: probing.Wanted) -> Iterator[dg.RunRequest]:
    """*Changes* leave the completeness check out: measuring a table costs as much as reading it."""
    tags = {names.SOURCE_TAG: source.name}
    if wanted.changes:
        yield dg.RunRequest(
            asset_selection=[names.raw_key(t) for t in wanted.changes],
            asset_check_keys=check_keys([source.tables[t.table] for t in wanted.changes], completeness=False),
            tags={**tags, "data_platform/operation": "changes"},
        )
    for run in wanted.slice_runs:
        yield dg.RunRequest(
            asset_selection=[names.raw_key(t) for t in run.tables],
            tags={
                **tags,
                "data_platform/operation": "slice",
                ASSET_PARTITION_RANGE_START_TAG: run.first,
                ASSET_PARTITION_RANGE_END_TAG: run.last,
            },
        )
    for table, slices in (wanted.others or {}).items():
        yield _by_hand(source, table, tags, {"slices": list(slices)})
    for table in wanted.refresh:
        yield _by_hand(source, table, tags, {"refresh": True})


def _by_hand(
    source: Source, table: TableId, tags: Mapping[str, str], config: Mapping[str, object]
) -> dg.RunRequest:
    op = names.sync_op(source.name)
    return dg.RunRequest(
        asset_selection=[names.raw_key(table)],
        run_config={"ops": {op: {"config": dict(config)}}},
        tags={**tags, "data_platform/operation": "slice" if "slices" in config else "refresh"},
    )

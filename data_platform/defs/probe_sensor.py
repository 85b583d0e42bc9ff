"""One sensor for each source: checks whether tables changed or differ, and requests runs for them.

It compares the source with the manifests and never opens the warehouse. ``probing.py``
decides which runs are requested.
"""

# No `from __future__ import annotations` here: Dagster reads the types of arguments from the signature.

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import dagster as dg

from data_platform.catalog import Source
from data_platform.defs import names, probing
from data_platform.defs.checks import check_keys
from data_platform.defs.resources import PlatformResource
from data_platform.defs.run_history import busy_tables, failures
from data_platform.sync import KnownHeads, TableProbe, probe
from data_platform.tables import TableId


def probe_sensor(
    source: Source, target: Any, whole: Mapping[str, Collection[TableId]], *, running: bool
) -> dg.SensorDefinition:
    """``target`` is the job of the source's tables, ``whole`` maps jobs that run without a selection of assets to
    their tables."""
    tables = [table.id for table in source.tables.values()]
    looked_at = [table.id.table for table in source.tables.values() if table.probed]
    proved = any(table.proved for table in source.tables.values() if table.probed)
    every = source.of_kind.look_every_seconds
    known = KnownHeads()

    @dg.sensor(
        name=f"{source.name}_probe",
        target=target,
        minimum_interval_seconds=every,
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        description=f"Checks whether the tables of {source.name} changed and syncs those that did"
        + (
            f"; every {source.freshness_hours:g} hours, it counts all days and rereads those that differ."
            if proved
            else "."
        ),
    )
    def look(
        context: dg.SensorEvaluationContext, platform: PlatformResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        opened = platform.open()
        now = opened.clock()
        due = probing.measure_after(context.cursor)
        measure = proved and (due is None or now >= due)
        probes = (
            probe(opened, source.name, looked_at, measure_slices=measure, known=known) if looked_at else []
        )
        for seen in probes:
            if seen.error is not None:
                context.log.warning(f"{seen.table}: {seen.error}")
        # A source that cannot be looked at at all is a failing sensor, which is alerted.
        if probes and all(seen.source_wide for seen in probes):
            raise probes[0].error or RuntimeError
        # those with a schedule of their own are not looked at, and tried again when their run failed
        probes += [TableProbe(table, moved=False) for table in tables if table.table not in looked_at]
        failed = failures(context.instance, tables, whole, now)
        wanted = probing.decide(probes, busy_tables(context.instance, whole), failed, now, measured=measure)
        requests = list(run_requests(source, wanted))
        after = probing.next_measure(now, probes, source.freshness_hours) if measure else due
        context.update_cursor(probing.to_cursor(after))
        if requests:
            yield from requests
        else:
            yield dg.SkipReason("; ".join(wanted.waiting) or f"nothing changed in {source.name}")

    return look


def run_requests(source: Source, wanted: probing.Wanted) -> Iterator[dg.RunRequest]:
    """*Changes* leave out the completeness check, because counting a table costs as much as reading it. A
    *reconcile* does not compare whole rows; the nightly one does."""
    for operation, tables in (("changes", wanted.changes), ("reconcile", wanted.reconcile)):
        if not tables:
            continue
        measured = operation == "reconcile"
        config = {"ops": {names.sync_op(source.name): {"config": {"audit": False}}}} if measured else {}
        yield dg.RunRequest(
            asset_selection=[names.raw_key(t) for t in tables],
            asset_check_keys=check_keys([source.tables[t.table] for t in tables], completeness=measured),
            run_config=config,
            tags={names.SOURCE_TAG: source.name, "data_platform/operation": operation},
        )

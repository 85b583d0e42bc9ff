"""Compares the warehouse with a source's snapshot: counts and version sums of every slice, whole rows of some."""

from __future__ import annotations

from data_platform.catalog import Table
from data_platform.landing.manifest import Manifest
from data_platform.quality.completeness import Audit, CompletenessReport, Evidence, compare_tallies, due
from data_platform.sources.reading import Reading
from data_platform.sync.load import load_pending
from data_platform.sync.platform import Platform
from data_platform.sync.work import Work
from data_platform.tables import WHOLE_TABLE, Layout, Slice
from data_platform.warehouses import Warehouse


def compare_snapshot(
    platform: Platform, reading: Reading, work: Work, manifest: Manifest | None, warehouse: Warehouse
) -> CompletenessReport | None:
    """Compare the warehouse, loaded up to this sync's batch, with the counts of its snapshot.

    None if another sync has meanwhile loaded a later batch, which has a later snapshot.
    """
    table, head = work.table, manifest or work.state.head
    assert head is not None and work.tallies is not None
    loaded = warehouse.loaded(table.id)
    if loaded is None or loaded.digest != head.digest:
        work.notes.append("another sync loaded a later batch meanwhile, so this snapshot was not compared")
        return None
    actual = warehouse.tallies(table.id, head.layout)
    evidence = Evidence(
        table.id,
        reading.read_under(),
        head.sequence,
        head.digest,
        work.tallies,
        platform.signer,
    )
    return compare_tallies(evidence, actual)


def due_today(platform: Platform, table: Table, report: CompletenessReport) -> tuple[Slice, ...]:
    """The slices whose whole rows are compared today. Empty for tables that are always read whole, and
    for tables whose changed rows are skipped on purpose."""
    if report.evidence is None or table.strategy != "merge":
        return ()
    return due(table.id, report.evidence.tallies, platform.clock().date())


def audit(platform: Platform, work: Work, warehouse: Warehouse) -> Audit:
    """The whole rows that were just read, against the warehouse's."""
    table = work.table
    assert work.plan is not None
    slices = work.plan.slices or (WHOLE_TABLE,)
    load_pending(platform, table.id, warehouse=warehouse)
    differing = warehouse.altered(
        table.id,
        Layout(work.shape.key, work.shape.partition, work.shape.timezone, work.plan.now.version),
        work.shape.columns,
        work.parts.paths,
        slices,
    )
    return Audit(slices, differing)

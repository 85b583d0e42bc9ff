"""Whether a warehouse and a source hold the same rows in the same versions, asked of both; nothing is read or loaded.

A sync compares as well, after it has brought the warehouse up to its snapshot. Here both stay as they are: what was
recovered to one instant either agrees or does not.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from data_platform.catalog import Table
from data_platform.errors import ConfigurationError, DataPlatformError
from data_platform.quality.completeness import CompletenessReport, Evidence, compare_tallies
from data_platform.sources.kinds import open_reading
from data_platform.sources.reading import Reading
from data_platform.sync.columns import layout
from data_platform.sync.erasing.door import door_of
from data_platform.sync.opening import opening_of
from data_platform.sync.platform import Platform
from data_platform.sync.work import Request, Work, decide
from data_platform.tables import TableId
from data_platform.warehouses import Warehouse


@dataclass(frozen=True)
class Agreement:
    """Of one table: ``compared`` holds both sides, slice by slice. It is None where ``problem`` says why nothing was
    compared: unknown is not equal."""

    table: Table
    compared: CompletenessReport | None
    problem: str = ""

    @property
    def equal(self) -> bool:
        return self.compared is not None and self.compared.passed

    @property
    def rows(self) -> int:
        """At the source."""
        evidence = self.compared.evidence if self.compared else None
        return evidence.rows if evidence else 0

    def __str__(self) -> str:
        if self.compared is None:
            return f"{self.table.id} was not compared: {self.problem}"
        differing = "; ".join(map(str, self.compared.differing[:3]))
        return (
            f"{self.table.id} differs: {differing}" if differing else f"{self.table.id}: {self.rows:,} rows"
        )


def agreements(platform: Platform, source: str, among: Collection[TableId] | None = None) -> list[Agreement]:
    """Every table of ``source`` that can be counted (``among`` some, where they are given), in one snapshot of it,
    against the warehouse as it is.

    ``ConfigurationError`` where the kind of source counts nothing; SourceError and WarehouseError where one of
    both cannot be opened.
    """
    declared = platform.catalog.source(source)
    tables = [one for one in declared.tables.values() if one.proved and (among is None or one.id in among)]
    if not tables:
        raise ConfigurationError(
            f"No table of {source} can be compared: a source of the kind {declared.kind} does not count its rows."
        )
    door, asked = door_of(platform), Request(verify=True)
    works = [Work(table, platform.ledger.state(table.id), asked, door=door) for table in tables]
    with (
        open_reading(declared.kind, opening_of(platform, declared, tables)) as reading,
        platform.warehouse(read_only=True) as warehouse,
    ):
        return [_compared(platform, reading, work, warehouse) for work in works]


def _compared(platform: Platform, reading: Reading, work: Work, warehouse: Warehouse) -> Agreement:
    table, head = work.table, work.state.head
    loaded = warehouse.loaded(table.id)
    if head is None or loaded is None or loaded.digest != head.digest:
        return Agreement(table, None, "the warehouse does not hold the newest batch of its ledger")
    try:
        decide(work, reading, platform)
        assert work.plan is not None
        tallies = reading.tally(work.plan, layout(table, work.plan.now))
    except DataPlatformError as error:
        return Agreement(table, None, str(error))
    evidence = Evidence(table.id, reading.read_under(), head.sequence, head.digest, tallies, platform.signer)
    return Agreement(table, compare_tallies(evidence, warehouse.tallies(table.id, head.layout)))


def disagreements(found: Sequence[Agreement]) -> list[str]:
    """A line for each table that is not known to be equal."""
    return [str(one) for one in found if not one.equal]

"""The result of a sync for one table, as the graph and the command line show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from data_platform.errors import DataPlatformError
from data_platform.landing.manifest import Manifest
from data_platform.quality.completeness import Audit, CompletenessReport
from data_platform.tables import Json, Operation, Position, Slice, TableId
from data_platform.warehouses import LoadResult


@dataclass(frozen=True)
class TableReport:
    """``manifest`` is None if nothing had changed; ``touched`` counts, per slice, rows that were
    added, changed or removed in the warehouse. If there is an ``error`` and a ``manifest``, what is in ``batches``
    had landed before the error, and what is not in ``loaded`` is loaded by the next sync."""

    table: TableId
    operation: Operation
    seconds: float
    manifest: Manifest | None = None
    error: DataPlatformError | None = None
    position_before: Position | None = None
    position_after: Position | None = None
    touched: Mapping[Slice, int] = field(default_factory=dict)
    loaded: tuple[LoadResult, ...] = ()
    completeness: CompletenessReport | None = None
    audit: Audit | None = None
    notes: tuple[str, ...] = ()
    steps: tuple[Manifest, ...] = ()
    """The batches that a read of several steps landed before ``manifest``."""
    deletes_as_events: bool = False
    facts: Mapping[str, Json] = field(default_factory=dict)
    """What the read said of itself beside its rows."""

    @property
    def batches(self) -> tuple[Manifest, ...]:
        """All that landed, in order."""
        return (*self.steps, self.manifest) if self.manifest else self.steps

    @property
    def rows(self) -> int:
        return sum(batch.rows for batch in self.batches)

    @property
    def bytes(self) -> int:
        return sum(batch.bytes for batch in self.batches)

    @property
    def reconciled(self) -> bool:
        """Whether deletes were detected too: the whole table was read, or it was compared slice by slice."""
        if self.error is not None:
            return False
        whole = self.operation == "refresh" or any(batch.load == "replace" for batch in self.batches)
        events = self.deletes_as_events and self.operation == "changes"
        return whole or events or (self.completeness is not None and self.completeness.passed)

    @property
    def landed_only(self) -> bool:
        """Whether a batch landed that is not in the warehouse."""
        if self.error is None or self.manifest is None:
            return False
        return not self.loaded or self.loaded[-1].sequence < self.manifest.sequence


def touched(loaded: Iterable[LoadResult]) -> dict[Slice, int]:
    """Per slice, the rows that came or went in all of the loads."""
    found: dict[Slice, int] = {}
    for result in loaded:
        for slice_, rows in result.touched.items():
            found[slice_] = found.get(slice_, 0) + rows
    return found

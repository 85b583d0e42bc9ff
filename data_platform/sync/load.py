"""Loads landed batches from the ledger into the warehouse, in order; and compares the two."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace

from data_platform.catalog import Table
from data_platform.duckdb_sql import keeps_text
from data_platform.errors import DataPlatformError, PartExpired
from data_platform.landing.chain import Chain, with_parts
from data_platform.landing.manifest import Manifest
from data_platform.landing.redaction import QUARANTINE, Rewrites
from data_platform.landing.stored_parts import addresses, again_if_replaced, open_parts
from data_platform.landing.tail import Mark
from data_platform.quality.completeness import CompletenessReport, compare
from data_platform.quality.evaluated import evaluate_table, keep_found, to_text
from data_platform.sync.platform import Platform
from data_platform.tables import Column, TableId
from data_platform.warehouses import Kept, LoadedBatch, LoadResult, Warehouse


def load_pending(
    platform: Platform,
    table: TableId,
    *,
    fresh: Manifest | None = None,
    head: Manifest | None = None,
    warehouse: Warehouse | None = None,
    known: LoadedBatch | None = None,
) -> tuple[LoadResult, ...]:
    """Load every landed batch of ``table`` that the warehouse lacks, strictly by sequence.

    ``fresh`` is a batch this process has just written and hashed: its parts are not hashed again. Without one
    and with ``head`` being what was ``known`` as loaded when ``warehouse`` was opened, nothing is asked: what
    another process lands meanwhile is its own to load, or the next sync's. Where a redaction replaces a part before it is loaded, the
    ledger is asked again. Raises PartDamaged, LedgerBroken, WarehouseBusy, LoadRefused; whatever was loaded before stays.
    """
    if warehouse is None:
        with platform.warehouse(landed=True) as opened:
            known = opened.loaded(table)
            return load_pending(platform, table, fresh=fresh, warehouse=opened, known=known)
    if fresh is None and head is not None and known is not None and known.digest == head.digest:
        return ()
    # with a fresh batch the caller knows; what a thread has loaded since then is met again and passed over
    loading = _Loading(
        platform, table, warehouse, fresh, known if fresh is not None else warehouse.loaded(table)
    )
    again_if_replaced(loading.rest)
    results, newest = loading.results, loading.newest
    if results and platform.rules_with_load:
        # before anybody else can open the file: the graph finds a batch with what its rules say of it
        ruled = platform.catalog.table(table)
        evaluated = evaluate_table(warehouse, ruled, platform.clock(), newest)
        evaluated = keep_found(warehouse, ruled, evaluated)
        warehouse.record_rules(table, results[-1].sequence, to_text(evaluated))
    return tuple(results)


@dataclass
class _Loading:
    """``known`` is what the warehouse had loaded at first; done again, it is asked."""

    platform: Platform
    table: TableId
    warehouse: Warehouse
    fresh: Manifest | None
    known: LoadedBatch | None
    results: list[LoadResult] = field(default_factory=list)
    newest: Manifest | None = None
    begun: bool = False

    def rest(self) -> None:
        """Load what is pending, batch by batch."""
        ledger = self.platform.ledger
        loaded = self.warehouse.loaded(self.table) if self.begun else self.known
        self.begun = True
        sequence, digest = (loaded.sequence, loaded.digest) if loaded else (0, None)
        reached = sequence  # by others, with the parts that were current for them
        cluster = self.platform.catalog.cluster_of(self.table)
        for manifest in ledger.pending(self.table, sequence, digest):
            fresh = self.fresh
            verified = fresh is not None and (manifest.nonce, manifest.parts) == (fresh.nonce, fresh.parts)
            with (
                open_parts(ledger, manifest, verified=verified) as parts,
                kept_after(ledger, manifest, up_to=reached) as kept,
            ):
                where = addresses(self.platform.store, manifest)
                done = self.warehouse.load(manifest, parts, addresses=where, cluster=cluster, kept=kept)
            if manifest.rows and not done.rows_inserted:
                reached = manifest.sequence  # somebody else may have loaded it meanwhile
            self.results.append(done)
            self.newest = manifest


@contextmanager
def kept_after(ledger: Chain, manifest: Manifest, *, up_to: int) -> Iterator[list[Kept]]:
    """What stands now of the batches that the redaction ``manifest`` rewrote and a warehouse had loaded: those ``up_to``. Later ones it
    loads without the rows that are gone."""
    rewritten = manifest.redaction.parts if manifest.redaction else ()
    sequences = sorted(
        {part.sequence for part in rewritten if part.index != QUARANTINE and part.sequence <= up_to}
    )
    rewrites = ledger.rewrites(manifest.table) if sequences else Rewrites()
    kept = []
    with ExitStack() as stack:
        for sequence in sequences:
            batch = with_parts(ledger.read(manifest.table, sequence), rewrites)
            with suppress(PartExpired):  # a later batch replaced all of its rows
                parts = tuple(stack.enter_context(open_parts(ledger, batch)))
                kept.append(Kept(batch.batch_id, batch.key, batch.columns, parts))
        yield kept


def loaded_marks(platform: Platform) -> dict[TableId, Mark]:
    """The batch of each table that the warehouse has loaded last: its record lies where nobody writes who may only
    write to the landing store, so a ledger that was set back or exchanged contradicts it."""
    if not platform.environment.warehouse.exists(platform.catalog.root):
        return {}
    with platform.warehouse(read_only=True) as warehouse:
        return {
            loaded.table: Mark(loaded.sequence, loaded.digest, "was loaded into the warehouse")
            for loaded in warehouse.loaded_all()
        }


def check_completeness(platform: Platform, table: Table) -> CompletenessReport:
    """Compare the warehouse with the source's fingerprints, which the ledger keeps.

    Waiting batches are loaded first, because the fingerprints include them.
    """
    state = platform.ledger.state(table.id)
    if state.head is None:
        return compare({}, {}, {})
    with platform.warehouse(landed=True) as warehouse:
        loaded = warehouse.loaded(table.id)
    if loaded is None or loaded.sequence < state.head.sequence:
        load_pending(platform, table.id)
    landed = {c.name: c for c in state.head.columns}
    key = [k for k in state.head.key if k in landed and comparable(table, landed[k])]
    with platform.warehouse(read_only=True) as warehouse:
        held = warehouse.fingerprints(table.id, replace(state.head.layout, key=tuple(key)))
        changed = dict(warehouse.changed_since(table.id))
    for redacted in platform.ledger.redactions(table.id):
        for slice_ in redacted.touched:  # a warehouse that was rebuilt or restored never held what is gone
            changed[slice_] = max(changed.get(slice_, 0), redacted.sequence)
    return compare(state.measured, held, changed, state.measured_whole_at)


def comparable(table: Table, column: Column) -> bool:
    """Whether a landed key column is in clear and of one text form, as ``columns.layout`` asks
    of the source's column."""
    clear = table.treatment(column.name) == "keep" and column.name not in table.settings.as_text
    return clear and keeps_text(column)


def remember_failure(platform: Platform, table: TableId, error: DataPlatformError) -> None:
    """Leave a hint for ``status``; without one, nothing is lost."""
    with suppress(DataPlatformError):
        platform.ledger.failed(table, platform.clock().isoformat(timespec="microseconds"), str(error))

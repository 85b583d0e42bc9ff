"""From the landing ledger alone to the raw tables in a new file, as of now or any past instant.

Neither the source nor the warehouse is asked. A raw row is a function of its batch, technical
columns included, so the same batches by the same loader make the same tables.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from data_platform.errors import ConfigurationError, LedgerBroken, PartReplaced, WarehouseError
from data_platform.landing.stored_parts import addresses, again_if_replaced, open_parts
from data_platform.landing.verify import contradictions
from data_platform.sync.platform import Platform
from data_platform.tables import TableId
from data_platform.warehouses import Warehouse
from data_platform.warehouses.counted import count_rows

Progress = Callable[[str, int, int], None]
"""Called with a table, its batches loaded so far and how many there are to load."""


@dataclass(frozen=True)
class RebuiltTable:
    """``batches`` were loaded, from ``first`` (which replaced the table, or is batch 1) to ``last``, which
    landed at ``last_at``. Where ``batches`` is 0 nothing had landed by then; ``begins_at`` is when something did,
    None for a table without any batch. ``rows`` are the raw table's, ``bytes`` those of the parts read."""

    table: TableId
    batches: int
    first: int | None
    last: int | None
    last_at: datetime | None
    begins_at: datetime | None
    rows: int
    bytes: int
    seconds: float


def rebuild(
    platform: Platform,
    into: str | os.PathLike[str],
    *,
    at: datetime | None = None,
    tables: Sequence[TableId] | None = None,
    replace: bool = False,
    progress: Progress | None = None,
) -> list[RebuiltTable]:
    """Make the raw tables of the catalog, or ``tables``, in the warehouse ``into`` (the name of a file if the
    engine uses files), which appears when all are done.

    What had landed at ``at`` or before counts: a sync loads it a moment later. Every manifest on the way
    is verified and every part hashed before it is read. Where rows are erased meanwhile, all is made again
    without them. Raises LedgerBroken, PartDamaged and LoadRefused, naming the object and the table, and
    WarehouseError if ``into`` exists and ``replace`` is false; then nothing was changed.
    """
    target, root = platform.environment.warehouse.elsewhere(into), platform.catalog.root
    if target.exists(root) and not replace:
        raise WarehouseError(
            f"{target.place(root)} exists. Choose another name, or give --replace to replace it with the rebuilt one once it"
            " is whole."
        )
    if at is not None and at > platform.clock():
        raise ConfigurationError(
            f"{at.isoformat()} is in the future. Choose an"
            " instant in the past, or omit --at for everything that has landed."
        )
    for table in tables or ():
        if not platform.ledger.last(table):
            raise ConfigurationError(
                f"The ledger in {platform.store.url} has no batch of {table}. See what has landed with"
                " `data-platform status`."
            )

    wanted = platform.catalog.table_ids() if tables is None else dict.fromkeys(tables)

    def whole() -> list[RebuiltTable]:
        with target.replace_atomically(root, "rebuilding", files=[platform.store.folder]) as warehouse:
            before = {table: _redactions(platform, table) for table in wanted}
            done = [_rebuild(platform, warehouse, table, at, progress) for table in wanted]
            for table, last in before.items():
                if _redactions(platform, table) != last:
                    raise PartReplaced(
                        f"Rows of {table} were erased while the warehouse was rebuilt, again and again, so nothing was changed. Rebuild it once the"
                        " erasures are done (`data-platform subject erasures`)."
                    )
            return done

    return again_if_replaced(whole)


def _redactions(platform: Platform, table: TableId) -> int | None:
    """The last batch of ``table`` that took out rows."""
    head = platform.ledger.head(table)
    return head.last_redaction if head else None


def _rebuild(
    platform: Platform, warehouse: Warehouse, table: TableId, at: datetime | None, progress: Progress | None
) -> RebuiltTable:
    began = time.monotonic()
    if problems := contradictions(platform.ledger, table):
        raise LedgerBroken(problems[0])
    batches = platform.ledger.until(table, at)
    for done, manifest in enumerate(batches, 1):
        with open_parts(platform.ledger, manifest) as parts:
            where = addresses(platform.store, manifest)
            warehouse.load(manifest, parts, addresses=where, cluster=platform.catalog.cluster_of(table))
        if progress is not None:
            progress(str(table), done, len(batches))
    last = batches[-1] if batches else None
    return RebuiltTable(
        table=table,
        batches=len(batches),
        first=batches[0].sequence if batches else None,
        last=last.sequence if last else None,
        last_at=last.landed_at if last else None,
        begins_at=None if last else _begins_at(platform, table),
        rows=count_rows(warehouse, table.raw_schema, table.table) if last else 0,
        bytes=sum(manifest.bytes for manifest in batches),
        seconds=time.monotonic() - began,
    )


def _begins_at(platform: Platform, table: TableId) -> datetime | None:
    return platform.ledger.read(table, 1).landed_at if platform.ledger.last(table) else None

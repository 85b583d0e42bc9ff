"""What tests ask of a whole chain."""

from __future__ import annotations

from data_platform.errors import LedgerBroken
from data_platform.landing.chain import with_parts
from data_platform.landing.check import check
from data_platform.landing.ledger import Ledger
from data_platform.landing.redaction import Rewrites
from data_platform.tables import TableId


def problems_of(ledger: Ledger, table: TableId) -> list[str]:
    """Everything wrong with the whole chain and its parts, one readable line each, without a hint's help."""
    rewrites, problems = Rewrites(), []
    try:
        rewrites = ledger.rewrites(table)
    except LedgerBroken as error:
        problems.append(str(error))
    for checked in check(ledger, table, range(1, ledger.last(table) + 1), rewrites):
        problems += checked.problems
    return list(dict.fromkeys(problems))


def unnamed_parts(ledger: Ledger, table: TableId) -> list[str]:
    """Keys of all parts that no manifest names, those of a batch being written just now included."""
    rewrites = ledger.rewrites(table)
    standing = (with_parts(manifest, rewrites) for manifest in ledger.newest_first(table))
    named = {part.key for manifest in standing for part in manifest.parts}
    return [key for key in ledger.store.list(f"{table}/batches") if key not in named]

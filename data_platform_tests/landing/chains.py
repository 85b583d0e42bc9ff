"""What tests ask of a whole chain."""

from __future__ import annotations

from data_platform.errors import LedgerBroken
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

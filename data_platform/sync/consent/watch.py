"""Whether the answers in tables are understood: to a purpose that is known, of somebody, yes or no."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from data_platform.privacy.consent.config import Answers, ConsentBlock, FixedPurpose
from data_platform.sync.platform import Platform
from data_platform.tables import TableId
from data_platform.warehouses import Warehouse
from data_platform.warehouses.dialect import relation


@dataclass(frozen=True, slots=True)
class Odd:
    """Rows of a table of answers: to a purpose that the catalog does not have, of nobody, and without an answer."""

    unknown: int = 0
    nobody: int = 0
    empty: int = 0

    @property
    def rows(self) -> int:
        return self.unknown + self.nobody + self.empty


def odd_answers(platform: Platform) -> Mapping[TableId, Odd]:
    """By table with answers; an answer to an unknown purpose counts for nothing, one that is empty is a no."""
    blocks = [one.consent for one in platform.catalog.subjects.values() if one.consent is not None]
    if not blocks or not platform.environment.warehouse.exists(platform.catalog.root):
        return {}
    with platform.warehouse(read_only=True) as warehouse:
        there = {(one.schema, one.name) for one in warehouse.describe()}
        return {
            one.id: _count(warehouse, block, one)
            for block in blocks
            for one in block.from_
            if (one.id.raw_schema, one.id.table) in there
        }


def _count(warehouse: Warehouse, block: ConsentBlock, one: Answers) -> Odd:
    dialect = warehouse.dialect
    unknown = "1 = 0"
    if not isinstance(one.purpose, FixedPurpose):
        known = ", ".join(map(dialect.literal, block.purposes))
        purpose = dialect.try_cast(dialect.quote(one.purpose), "text")
        unknown = f"{purpose} IS NULL OR {purpose} NOT IN ({known})"
    tests = [unknown, *(f"{dialect.quote(column)} IS NULL" for column in (one.subject, one.state))]
    counts = ", ".join(map(dialect.count_where, tests))
    target = relation(dialect, one.id.raw_schema, one.id.table)
    return Odd(*map(int, warehouse.query(f"SELECT {counts} FROM {target}").rows[0]))

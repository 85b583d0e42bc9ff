"""How the raw tables of a warehouse lie in it, where its ``Traits.placed``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from data_platform.tables import TableId
from data_platform.warehouses import Warehouse

Wanted = Mapping[TableId, tuple[str | None, tuple[str, ...]]]
"""The column of `partition` and those of `cluster` that the catalog names for a table."""


class Placed(Warehouse, Protocol):
    def misplaced(self, wanted: Wanted) -> list[TableId]:
        """The tables that lie by other columns. A refresh makes them anew; one question a table, or less."""

"""How many rows a relation of a warehouse has."""

from __future__ import annotations

from data_platform.warehouses import Warehouse
from data_platform.warehouses.dialect import relation


def count_rows(warehouse: Warehouse, schema: str, name: str, where: str = "") -> int:
    """Rows of the relation for which ``where``, SQL over its columns, is true; all rows without it."""
    condition = f" WHERE {where}" if where else ""
    counted = f"SELECT count(*) FROM {relation(warehouse.dialect, schema, name)}{condition}"
    return int(warehouse.query(counted).rows[0][0])

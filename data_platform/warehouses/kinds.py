"""Every kind of warehouse ``catalog/platform.yaml`` may name: one line a kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_platform.warehouses.duckdb.config import DuckDBConfig

if (
    TYPE_CHECKING
):  # what everybody may know of a configured warehouse; which engine it is, its own folder knows
    from data_platform.warehouses import WarehouseConfig as WarehouseConfig
else:
    WarehouseConfig = DuckDBConfig  # join the next kind with `|`; its `kind` tells them apart

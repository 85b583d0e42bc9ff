"""Every kind of warehouse ``catalog/platform.yaml`` may name: one line a kind."""

from __future__ import annotations

from data_platform.warehouses.duckdb.warehouse import DuckDBConfig

WarehouseConfig = DuckDBConfig  # join the next kind with `|`; its `kind` tells them apart

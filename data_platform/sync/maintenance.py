"""Looks after the warehouse, where it needs that."""

from __future__ import annotations

from data_platform.sync.platform import Platform
from data_platform.warehouses.maintenance import Upkeep, maintainable


def maintain(platform: Platform) -> Upkeep:
    """``ConfigurationError`` where the warehouse looks after itself, ``WarehouseError`` where there is none yet."""
    config, root = maintainable(platform.environment.warehouse), platform.catalog.root
    if not config.exists(root):
        with config.open(root, read_only=True):  # says that there is none
            raise AssertionError("a warehouse that does not exist was opened")
    with config.open(root) as warehouse:
        return warehouse.maintain()

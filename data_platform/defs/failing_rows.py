"""Keeps what checks found in the schema ``quality``, after they have been reported: failing rows, figures, verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import dagster as dg

from data_platform.errors import DataPlatformError
from data_platform.sync import Platform
from data_platform.warehouses import Warehouse


class ToKeep(Protocol):
    def keep(self, warehouse: Warehouse, now: datetime, /) -> None: ...


def keep_rows(log: dg.DagsterLogManager, platform: Platform, found: Sequence[ToKeep]) -> None:
    """The warehouse is opened to be written only if there is something to write. That it cannot be written changes no check: it
    is logged."""
    if not found:
        return
    try:
        with platform.warehouse() as warehouse:
            for one in found:
                one.keep(warehouse, platform.clock())
    except DataPlatformError as error:
        log.warning(f"What the checks found could not be kept in the schema quality: {error}")

"""Keeps the rows that rules found in ``quality.failures``, after the checks have been reported."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from data_platform.errors import DataPlatformError
from data_platform.quality.failures import Findings, keep_failures
from data_platform.sync import Platform


def keep_rows(log: dg.DagsterLogManager, platform: Platform, found: Sequence[Findings]) -> None:
    """The warehouse is opened to be written only if there is something to write. That it cannot be written changes no check: it
    is logged."""
    if not found:
        return
    try:
        with platform.warehouse() as warehouse:
            for one in found:
                keep_failures(warehouse, one.table, one.results, platform.clock())
    except DataPlatformError as error:
        log.warning(f"The failing rows could not be kept in quality.failures: {error}")

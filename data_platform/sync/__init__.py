"""The sync: source to landing batch to raw table. It coordinates the layers below it.

The functions for the command line and the graph are exported here.
"""

from __future__ import annotations

from data_platform.sync.configured import configured
from data_platform.sync.load import check_completeness, load_pending
from data_platform.sync.platform import Platform, open_platform
from data_platform.sync.probe import KnownHeads, TableProbe, probe
from data_platform.sync.report import TableReport
from data_platform.sync.run import sync_changes, sync_slices
from data_platform.sync.sources import check_sources, discover

__all__ = [
    "KnownHeads",
    "Platform",
    "TableProbe",
    "TableReport",
    "check_completeness",
    "check_sources",
    "configured",
    "discover",
    "load_pending",
    "open_platform",
    "probe",
    "sync_changes",
    "sync_slices",
]

"""The sync: source to landing batch to raw table. The conductor of the stages below it.

What a person or the graph calls is exported here; each module says what it holds.
"""

from __future__ import annotations

from data_platform.sync.load import check_completeness, load_pending
from data_platform.sync.platform import Platform, open_platform
from data_platform.sync.probe import TableProbe, probe
from data_platform.sync.report import TableReport
from data_platform.sync.run import sync_changes, sync_slices
from data_platform.sync.sources import check_sources, discover

__all__ = [
    "Platform",
    "TableProbe",
    "TableReport",
    "check_completeness",
    "check_sources",
    "discover",
    "load_pending",
    "open_platform",
    "probe",
    "sync_changes",
    "sync_slices",
]

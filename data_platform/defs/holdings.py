"""The loaded batch of every table, queried only after the warehouse's file has changed, not at each tick.

No request goes to the landing store: each load records in the warehouse which batch it was and when the source
was read, and so does a read without changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from data_platform.errors import DataPlatformError
from data_platform.sync import Platform
from data_platform.tables import TableId

SETTLED_SECONDS = 2.0
"""A file written later than this before it was looked at may be written again within the same instant of its clock."""
WAIT_SECONDS = 5.0
"""A tick does not wait for a process that holds the file: the next tick is soon enough."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """``sequences`` are the newest loaded batches, ``reads`` the times when tables were last read (ISO, the source's
    clock)."""

    sequences: Mapping[TableId, int] = field(default_factory=dict)
    reads: Mapping[TableId, str] = field(default_factory=dict)


class KnownHoldings:
    """The holdings, cached by one process."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._stamp: object = None
        self._known = Holdings()

    def of(self, platform: Platform) -> Holdings:
        """The current holdings, or the previous ones while another process holds the file."""
        files = platform.environment.warehouse.files(platform.catalog.root)
        stamp = _stamp(files)
        if stamp and stamp == self._stamp:
            return self._known
        now = self._clock()
        try:
            self._known = Holdings() if files and not stamp else _asked(platform)
        except DataPlatformError:
            return self._known
        written = max((modified for modified, *_ in stamp), default=0) / 1e9
        self._stamp = stamp if written < now - SETTLED_SECONDS else None
        return self._known


def _stamp(files: Sequence[Path]) -> tuple[tuple[int, int, int], ...]:
    """Another one once one of ``files`` was written again; nothing is opened."""
    found = []
    for file in files:
        with suppress(FileNotFoundError):
            at = file.stat()
            found.append((at.st_mtime_ns, at.st_size, at.st_ino))
    return tuple(found)


def _asked(platform: Platform) -> Holdings:
    with platform.environment.warehouse.waiting(WAIT_SECONDS).open(
        platform.catalog.root, read_only=True
    ) as warehouse:
        return Holdings(
            {batch.table: batch.sequence for batch in warehouse.loaded_all()}, dict(warehouse.reads())
        )

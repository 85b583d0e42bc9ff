"""Logs looked at: where they end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from data_platform.errors import DataPlatformError
from data_platform.findings import Finding
from data_platform.sources.looking import Accept, Checked, LookAt, Looked
from data_platform.sources.reading import Opening
from data_platform.tables import Snapshot, TableId
from data_platform_tests.contracts.toy_source.kind import LogConnection
from data_platform_tests.contracts.toy_source.log import system
from data_platform_tests.contracts.toy_source.reading import describe, next_offset


@contextmanager
def open_looking(opening: Opening) -> Iterator[LogLooking]:
    assert isinstance(opening.connection, LogConnection)
    yield LogLooking(opening, Path(opening.connection.folder))


class LogLooking:
    """``sources.looking.Looking``."""

    def __init__(self, opening: Opening, folder: Path) -> None:
        self._opening, self._folder = opening, folder

    def snapshot(self) -> Snapshot:
        return Snapshot(system(self._folder), "", datetime.now(UTC).isoformat())

    def look(self, looks: Sequence[LookAt], accept: Accept) -> Mapping[TableId, Looked | DataPlatformError]:
        found: dict[TableId, Looked | DataPlatformError] = {}
        for one in looks:
            try:
                now = describe(self._folder, one.table)
                accept(one.table, now)
                new = now.private.end > next_offset(one.table, one.prior)
                found[one.table.id] = Looked(
                    new or one.ask.what == "whole" or now.identity != one.prior.identity
                )
            except DataPlatformError as error:
                found[one.table.id] = error
        return found

    def check(self, accept: Accept) -> Checked:
        found = Checked()
        for table in self._opening.tables:
            try:
                accept(table, describe(self._folder, table))
            except DataPlatformError as error:
                found.mistakes.append(str(error))
        return found

    def findings(self, head: str, accept: Accept, now: Callable[[], datetime]) -> Iterator[Finding]:
        told = self.check(accept)
        yield Finding(
            f"{head}: logs", "fail" if told.mistakes else "ok", "\n".join(told.mistakes) or "They are there."
        )

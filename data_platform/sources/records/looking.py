"""``sources.looking.Looking`` over a feed: a first page of each stream tells what a sync would meet."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from data_platform.errors import DataPlatformError
from data_platform.findings import Finding
from data_platform.sources.looking import Accept, Checked, LookAt, Looked
from data_platform.sources.reading import Ask, Described, Opening, SourceTable
from data_platform.sources.records.describe import declared_words, described
from data_platform.sources.records.feed import Feed, Wanted
from data_platform.sources.records.fields import words_of
from data_platform.sources.records.keys import settings_of
from data_platform.sources.records.steps import Gathering
from data_platform.tables import Snapshot, TableId


@contextmanager
def looking_of(feed: Feed, opening: Opening) -> Iterator[RecordsLooking]:
    """A looking over ``feed``, which is closed with it."""
    with feed:
        try:
            yield RecordsLooking(feed, opening)
        finally:
            feed.interrupt()


class RecordsLooking:
    """``Looking``. Whether something changed is only known by reading."""

    def __init__(self, feed: Feed, opening: Opening) -> None:
        self._feed, self._tables = feed, tuple(opening.tables)

    def snapshot(self) -> Snapshot:
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        return Snapshot(self._feed.system, now, now)

    def look(self, looks: Sequence[LookAt], accept: Accept) -> Mapping[TableId, Looked | DataPlatformError]:
        return {one.table.id: Looked(True if one.ask.what == "whole" else None) for one in looks}

    def check(self, accept: Accept) -> Checked:
        found = Checked(mistakes=list(self._feed.check(self._tables)))
        if found.mistakes:
            return found
        for table in self._tables:
            try:
                accept(table, self._sample(table))
            except DataPlatformError as error:
                found.mistakes.append(str(error))
        return found

    def _sample(self, table: SourceTable) -> Described:
        """The table by the first page of its stream."""
        wanted = Wanted(self._feed.stream(table), (table,), None, Ask("whole"))
        declared = declared_words(self._feed, table)
        with tempfile.TemporaryDirectory() as folder:
            gathering = Gathering(table, declared, Path(folder))
            pages = self._feed.pages(wanted)
            page = next(iter(pages), None)
            if page is not None:
                gathering.add(page)
            step = gathering.end_step()
        words = words_of(table, declared, {}, step.values, afresh=True)
        return described(
            self._feed,
            table,
            words if step.rows else {},
            step.paths.found(settings_of(table).read_of(table.only)),
        )

    def findings(self, head: str, accept: Accept, now: Callable[[], datetime]) -> Iterator[Finding]:
        yield from self._feed.findings(head, now())

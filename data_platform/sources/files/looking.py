"""``sources.looking.Looking`` over files: a listing tells whether something moved."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from data_platform.errors import DataPlatformError
from data_platform.findings import Finding
from data_platform.sources.files.columns import landed_words
from data_platform.sources.files.config import settings_of
from data_platform.sources.files.connection import FilesConnection
from data_platform.sources.files.engine import engine_in
from data_platform.sources.files.known import Identity, moves
from data_platform.sources.files.opened import open_file
from data_platform.sources.files.places import Listings, Place, place_of
from data_platform.sources.files.reading import described_by, naming
from data_platform.sources.files.record_step import RecordStep
from data_platform.sources.files.step import Step
from data_platform.sources.files.table_files import known_of, listed
from data_platform.sources.looking import Accept, Checked, LookAt, Looked
from data_platform.sources.reading import Described, Opening, SourceTable
from data_platform.tables import Snapshot, TableId
from data_platform.words import plural


@contextmanager
def open_looking(opening: Opening) -> Iterator[FilesLooking]:
    assert isinstance(opening.connection, FilesConnection)
    with place_of(opening.connection, opening.environ, opening.source) as place:
        yield FilesLooking(place, opening.tables)


class FilesLooking:
    """``Looking``."""

    def __init__(self, place: Place, tables: Sequence[SourceTable]) -> None:
        self._place, self._tables = place, tuple(tables)
        self._listings = Listings(place)

    def snapshot(self) -> Snapshot:
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        return Snapshot(self._place.url, now, now)

    def look(self, looks: Sequence[LookAt], accept: Accept) -> Mapping[TableId, Looked | DataPlatformError]:
        found: dict[TableId, Looked | DataPlatformError] = {}
        for one in looks:
            try:
                found[one.table.id] = Looked(self._moved(one))
            except DataPlatformError as error:
                found[one.table.id] = error
        return found

    def _moved(self, one: LookAt) -> bool:
        table, prior = one.table, one.prior
        known = known_of(table, prior)
        files = listed(self._listings, self._place.url, table, known)
        now = described_by(table, landed_words(prior.columns), self._place.url)
        if one.ask.what == "whole" or prior.identity != now.identity:
            return True
        return bool(moves(files, known))

    def check(self, accept: Accept) -> Checked:
        found = Checked()
        for table in self._tables:
            try:
                accept(table, self._sample(table))
            except DataPlatformError as error:
                found.mistakes.append(str(error))
        return found

    def _sample(self, table: SourceTable) -> Described:
        """The table by its last file."""
        settings = settings_of(table)
        files = listed(self._listings, self._place.url, table, {})
        last = files[max(files)]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            path = self._place.fetch(last, folder)
            if settings.of_records:
                records = RecordStep(table, self._place.url, folder, {}, afresh=True)
                with naming(table, last):
                    records.add(last, path, sample=True)
                return records.described()
            with naming(table, last), engine_in(folder) as engine:
                opened = open_file(engine, last, Identity("", ""), path, settings, folder)
        return Step(table, self._place.url, [opened], {}).described()

    def findings(self, head: str, accept: Accept, now: Callable[[], datetime]) -> Iterator[Finding]:
        for table in self._tables:
            name = f"{head}: {table.id.table}"
            try:
                files = listed(self._listings, self._place.url, table, {})
                yield Finding(
                    name, "ok", f"{plural(len(files), 'file')} match {settings_of(table).pattern.text}."
                )
            except DataPlatformError as error:
                yield Finding(name, "fail", str(error))

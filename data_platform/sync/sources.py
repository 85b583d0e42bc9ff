"""Looking at sources without syncing: writing a catalog file from one, checking all against theirs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from data_platform.catalog import Source, Table
from data_platform.errors import DataPlatformError
from data_platform.privacy import names
from data_platform.sources import kinds
from data_platform.sources.looking import Accept, Checked, Looking, Privacy
from data_platform.sources.reading import Described, SourceTable
from data_platform.sync.columns import land, layout
from data_platform.sync.opening import opening_of
from data_platform.sync.platform import Platform, utc_now
from data_platform.sync.sealed import OnlyLooking
from data_platform.tables import Layout


def discover(
    environ: Mapping[str, str], *, source: str, kind: str | None = None, root: Path = Path(), **given: str
) -> str:
    """The YAML text of a catalog file for a source of ``kind`` (default: the first one). ``given`` are keys of its
    ``connection`` and of its file, such as ``url_env``. Relative paths start at ``root``, the project's folder."""
    return kinds.discover(
        kind or next(iter(kinds.MODULES)),
        given,
        source=source,
        environ=environ,
        today=utc_now().date(),
        privacy=Privacy(names.of_column, names.of_name, suggest_treatment),
        root=root,
    )


def suggest_treatment(column: str, reason: str, joined: bool) -> str:
    """A careful first choice: what one joins on is hashed, phones masked, the rest redacted."""
    if joined or reason == "an email address":
        return "hash"
    if reason == "a phone number":
        return "mask"
    return "redact"


def check_sources(platform: Platform, named: Collection[str] | None = None) -> Checked:
    """Compare the catalog with the sources (only those ``named``, if any): one line for each table that could not be
    synced."""
    found = Checked()
    for name in named or ():
        platform.catalog.source(name)
    if not named:
        found.notes += platform.catalog.absences()
    sources = [s for s in platform.catalog.sources.values() if not named or s.name in named]
    if any("hash" in table.personal.values() for source in sources for table in source.tables.values()):
        try:
            platform.hash_key()
        except DataPlatformError as error:
            found.mistakes.append(str(error))
    if any(table.seals for source in sources for table in source.tables.values()):
        try:
            platform.keystore().status()
        except DataPlatformError as error:
            found.mistakes.append(str(error))
    for source in sources:
        try:
            with looking_at(platform, source) as (looking, accept):
                looking.snapshot()
                checked = looking.check(accept)
            found.mistakes += checked.mistakes
            found.notes += checked.notes
        except DataPlatformError as error:
            found.mistakes.append(str(error))
    return found


@contextmanager
def looking_at(platform: Platform, source: Source) -> Iterator[tuple[Looking, Accept]]:
    """Who looks at ``source``, and what a sync has against a table of it as it is described. Whether there is a
    key to hash with is another question."""
    today = utc_now().date().isoformat()

    def accept(table: SourceTable, now: Described) -> Layout:
        assert isinstance(table, Table)
        land(table, now, today, OnlyLooking())
        return layout(table, now)

    opening = opening_of(platform, source, tuple(source.tables.values()))
    with kinds.open_looking(source.kind, opening) as looking:
        yield looking, accept

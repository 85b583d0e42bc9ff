"""Whether whoever was erased has stayed erased, and whether a request stopped on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from data_platform.landing import orphans
from data_platform.privacy.erasure.requests import Request
from data_platform.sync.erasing.book import Book
from data_platform.sync.erasing.door import door_of
from data_platform.sync.erasing.rows import count_matches
from data_platform.sync.platform import Platform
from data_platform.tables import TableId


@dataclass(frozen=True, slots=True)
class Watched:
    """``back`` counts raw rows, by table, of people who were erased. ``searched`` tables were asked. ``strays`` parts that no batch names
    were deleted."""

    requests: tuple[Request, ...]
    holds: tuple[str, ...]
    searched: int
    back: Mapping[TableId, int]
    strays: int

    @property
    def stopped(self) -> list[Request]:
        return [request for request in self.requests if request.next_step is not None]


def watch(platform: Platform) -> Watched:
    """Ask the raw tables for the keys of everybody in the log of erasures, all of which is read and checked. A sync that read before a
    request, and was killed after the request was done, has left parts that may hold the person: those go."""
    log = Book(platform)
    log.log.pack()  # so that all of it is read in few requests
    book = log.read()
    door = door_of(platform, whole=True)
    back: dict[TableId, int] = {}
    searched = 0
    if door.matches and platform.environment.warehouse.exists(platform.catalog.root):
        with platform.warehouse(read_only=True) as warehouse:
            known = {(one.schema, one.name): one for one in warehouse.describe()}
            for table, matches in door.matches.items():
                held = known.get((table.raw_schema, table.table))
                if held is None:
                    continue
                searched += 1
                if rows := count_matches(warehouse, held, matches, door.values):
                    back[table] = rows
    strays = sum(_remove_strays(platform, table) for table in door.matches)
    return Watched(tuple(book.requests.values()), tuple(book.holds), searched, back, strays)


def _remove_strays(platform: Platform, table: TableId) -> int:
    found = orphans.collect(platform.ledger, table, platform.clock(), timedelta(0), remove=True)
    return len(found.ripe)

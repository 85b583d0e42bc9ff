"""Whether whoever was erased has stayed erased, and whether a request stopped on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from data_platform.landing import orphans
from data_platform.landing.quarantine import count
from data_platform.privacy.erasure.requests import Erasures, Request
from data_platform.privacy.subjects.place import Place
from data_platform.sync.erasing.book import Book
from data_platform.sync.erasing.derived import Derived
from data_platform.sync.erasing.door import Door, door_of
from data_platform.sync.erasing.hanging import take_out
from data_platform.sync.erasing.rejected import of_people
from data_platform.sync.erasing.rows import count_matches
from data_platform.sync.platform import Platform
from data_platform.sync.settle import erase_found
from data_platform.tables import TableId


@dataclass(frozen=True, slots=True)
class Watched:
    """``back`` counts rows of people who were erased, by the name of the table. ``searched`` tables were asked: raw ones, and those of models
    that hold keys. ``strays`` parts that no batch names, ``late`` records in quarantine and ``hanging`` raw rows, which hang on rows that
    were left out, were taken out."""

    requests: tuple[Request, ...]
    holds: tuple[str, ...]
    searched: int
    back: Mapping[str, int]
    strays: int
    late: int
    hanging: int

    @property
    def stopped(self) -> list[Request]:
        return [request for request in self.requests if request.next_step is not None]


def watch(platform: Platform, derived: Callable[[], Sequence[Derived]] = list) -> Watched:
    """Ask raw tables, and the ``derived`` ones, for the keys of everybody in the log of erasures, all of which is read and checked. A sync
    that read before a request, and was killed after the request was done, has left parts that may hold the person: those go, and so do records
    in quarantine that came since, and rows that hang on rows which were left out."""
    log = Book(platform)
    log.log.pack()  # so that all of it is read in few requests
    there = platform.environment.warehouse.exists(platform.catalog.root)
    book = log.read()
    hanging = 0
    if book.late and there:
        hanging = take_out(platform, log, book, derived)
        book = log.read()
    door = door_of(platform, whole=True)
    back: dict[str, int] = {}
    searched = 0
    if door.matches and there:
        wanted = _wanted(door, derived())
        with platform.warehouse(read_only=True) as warehouse:
            for held in warehouse.describe():
                matches = wanted.get((held.schema, held.name))
                if matches is None or held.kind != "table":
                    continue  # a view shows what it reads
                searched += 1
                if rows := count_matches(warehouse, held, matches, door.values):
                    back[f"{held.schema}.{held.name}"] = rows
    strays = sum(_remove_strays(platform, table) for table in door.matches)
    late = _take_out_late(platform, log, book, door)
    return Watched(tuple(book.requests.values()), tuple(book.holds), searched, back, strays, late, hanging)


def _wanted(door: Door, derived: Sequence[Derived]) -> dict[tuple[str, str], list[tuple[Place, Place]]]:
    """The columns with keys, by the schema and the name of a table."""
    wanted = {(table.raw_schema, table.table): list(matches) for table, matches in door.matches.items()}
    for one in derived:
        if one.match is not None and one.key in door.values:
            wanted.setdefault((one.schema, one.name), []).append(one.match)
    return wanted


def _take_out_late(platform: Platform, log: Book, book: Erasures, door: Door) -> int:
    rejecting = [table for table in door.matches if count(platform.ledger, table)]
    if not rejecting:
        return 0
    opened = log.all_opened([one.sealed for one in book.requests.values()])
    needles = {text for _, needles in opened for text in needles}
    return sum(
        erase_found(
            platform,
            table,
            partial(of_people, platform, table, door.matches[table], door.values, needles),
            "erasure: it came malformed after its person was erased",
            "the log of erasures",
        )
        for table in rejecting
    )


def _remove_strays(platform: Platform, table: TableId) -> int:
    found = orphans.collect(platform.ledger, table, platform.clock(), timedelta(0), remove=True)
    return len(found.ripe)

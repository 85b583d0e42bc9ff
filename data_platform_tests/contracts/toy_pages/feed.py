"""The feed: ``<stream>.jsonl`` holds lines ``{"gone": false, "record": <text>}``, ``system`` the pile's name."""

from __future__ import annotations

import json
from collections.abc import Collection, Hashable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from data_platform.errors import SourceError
from data_platform.findings import Finding
from data_platform.sources.reading import Opening, SourceTable
from data_platform.sources.records.feed import Known, Page, State, Wanted
from data_platform.sources.records.keys import settings_of
from data_platform.sources.records.looking import RecordsLooking, looking_of
from data_platform.sources.records.reading import RecordsReading, reading_of
from data_platform_tests.contracts.toy_pages.kind import PagesConnection


def open_reading(opening: Opening) -> AbstractContextManager[RecordsReading]:
    return reading_of(PagesFeed.of(opening))


def open_looking(opening: Opening) -> AbstractContextManager[RecordsLooking]:
    return looking_of(PagesFeed.of(opening), opening)


@dataclass(frozen=True)
class Pile:
    """One stream's file: for who writes it."""

    folder: Path
    name: str

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}.jsonl"

    def put(self, *records: Any, gone: bool = False) -> None:
        """Add records, which are JSON texts or what becomes them."""
        with self.path.open("a") as file:
            for record in records:
                text = record if isinstance(record, str) else json.dumps(record)
                file.write(json.dumps({"gone": gone, "record": text}) + "\n")

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []


@dataclass
class PagesFeed:
    folder: Path
    page: int

    @classmethod
    def of(cls, opening: Opening) -> PagesFeed:
        assert isinstance(opening.connection, PagesConnection)
        return cls(Path(opening.connection.folder), opening.connection.page)

    @property
    def system(self) -> str:
        return (self.folder / "system").read_text()

    def known(self, table: SourceTable) -> Known:
        stream = str(self.stream(table))
        made = self.folder / f"{stream}.made"
        return Known(f"{stream}.jsonl", {"made": made.read_text() if made.exists() else ""})

    def stream(self, table: SourceTable) -> Hashable:
        return settings_of(table).parent or table.id.table

    def incremental(self, table: SourceTable) -> bool:
        return True

    def lost(self, table: SourceTable, state: State) -> str | None:
        forgotten = self.folder / "forgotten"
        first = int(forgotten.read_text()) if forgotten.exists() else 0
        return "lines were forgotten" if int(str(state["line"])) < first else None

    def pages(self, wanted: Wanted) -> Iterator[Page]:
        pile = Pile(self.folder, str(wanted.stream))
        if not pile.path.exists():
            raise SourceError(f"{wanted.tables[0].id}: there is no {pile.path.name}. Make it.")
        lines, first = pile.lines(), int(str(wanted.start["line"])) if wanted.start else 0
        broken = self.folder / "broken"
        while True:
            if broken.exists() and first >= int(broken.read_text()):
                raise SourceError(f"{wanted.tables[0].id}: the page at line {first} is torn. Mend it.")
            ASKED.append(first)
            some = lines[first : first + self.page]
            first += len(some)
            yield Page(
                [line["record"].encode() for line in some],
                {"line": first},
                f"line {first}",
                f"{pile.path.name}, line {first - len(some)}",
                frozenset(n for n, line in enumerate(some) if line["gone"]),
                more=first < len(lines),
            )
            if first >= len(lines):
                return

    def must_advance(self, before: State, after: State) -> bool:
        return before != after

    def acknowledge(self, table: SourceTable, state: State) -> None:
        (self.folder / f"{table.id.table}.acknowledged").write_text(str(state["line"]))

    def interrupt(self) -> None:
        """Nothing is waited for."""

    def check(self, tables: Collection[SourceTable]) -> Iterator[str]:
        for table in tables:
            if not Pile(self.folder, str(self.stream(table))).path.exists():
                yield f"{table.id}: there is no pile {self.stream(table)}."

    def findings(self, head: str, now: datetime) -> Iterator[Finding]:
        yield Finding(f"{head}: pages", "ok", "They are there.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open."""


ASKED: list[int] = []
"""The first line of each page that was asked for in this process."""
